"""How one device searches its share of the passages within its memory."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch

from lex_assets.retrieval.blocks import Block, float32_sums, scan_precision
from lex_assets.retrieval.exact_search import Banned, Best, ExactSearch
from lex_assets.retrieval.mapped import release

MOST_ROWS = 2**18
_TILES = {"cpu": 256, "cuda": 4096}  # queries that are scanned at once
_LANDMARKS = 512
_EXACT_BYTES, _STORED_BYTES, _PAIR_BYTES = 8, 2, 64


class Shard:
    """Consecutive passages, from `first` to before `end`, that one device searches in blocks.

    vectors: (rows, dim) float16 · starts: the first row of each passage, and the end · memory_mib: a half is for blocks that
    stay on the device between searches, if all fit, the other for the work on one of them.
    """

    def __init__(
        self, vectors: np.ndarray, starts: np.ndarray, first: int, end: int, device: str, memory_mib: int
    ) -> None:
        self._vectors, self._starts, self._device = vectors, starts, device
        self._precision = scan_precision(device)
        self._tile = _TILES.get(device.partition(":")[0], 4096)
        self._half = memory_mib * 2**19
        width, scanned = vectors.shape[1], self._precision.itemsize
        row_bytes = width * (_STORED_BYTES + scanned + _EXACT_BYTES) + 2 * self._tile * scanned
        self._bounds = _bounds(starts, first, end, max(1, min(MOST_ROWS, self._half // row_bytes)))
        rows = int(starts[end] - starts[first])
        self._stays = rows * width * (_STORED_BYTES + scanned) <= self._half
        self._kept: dict[int, Block] = {}

    def search(self, queries: np.ndarray, k: int, banned: Banned) -> Best:
        """The best `k` of these passages for each query, (n_queries, dim) float16."""
        banned = Banned(banned.queries.to(self._device), banned.passages.to(self._device))
        most_pairs = self._half // 4 // _PAIR_BYTES
        search = ExactSearch(queries, k, self._device, self._precision, banned, self._tile, most_pairs)
        for number in range(len(self._bounds) - 1):
            search.visit(self._block(number))
            if not self._stays:
                release(self._vectors)
        return search.best

    def _block(self, number: int) -> Block:
        if number in self._kept:
            return self._kept[number]
        first, end = self._bounds[number : number + 2]
        starts = self._starts[first : end + 1]
        block = Block.of(self._vectors[starts[0] : starts[-1]], np.diff(starts), first, self._device, self._precision)
        if self._stays:
            self._kept[number] = block
        return block


def _bounds(starts: np.ndarray, first: int, end: int, most_rows: int) -> list[int]:
    """Passages at which blocks of at most `most_rows` rows begin, and the end; a longer passage is a block of its own."""
    bounds = [first]
    while bounds[-1] < end:
        fits = int(np.searchsorted(starts, starts[bounds[-1]] + most_rows, side="right")) - 1
        bounds.append(min(end, max(fits, bounds[-1] + 1)))
    return bounds


def shared_out(vectors: np.ndarray, starts: np.ndarray, devices: Sequence[str], memory_mib: int) -> list[Shard]:
    """One shard per device, with about the same number of rows each; fewer where there are fewer passages."""
    ends = np.searchsorted(starts, len(vectors) * np.arange(1, len(devices)) / len(devices)).tolist()
    bounds = sorted({0, *ends, len(starts) - 1})
    shards = zip(bounds, bounds[1:], devices, strict=False)
    return [Shard(vectors, starts, first, end, device, memory_mib) for first, end, device in shards]


def search_shards(
    shards: Sequence[Shard], queries: np.ndarray, k: int, banned: Banned
) -> tuple[np.ndarray, np.ndarray]:
    """(scores, passages) as `Best` has them, over all shards."""
    order = _alike_together(torch.from_numpy(queries).float())
    place = order.argsort()
    moved = Banned(place[banned.queries], banned.passages)
    with float32_sums(), ThreadPoolExecutor(len(shards)) as pool:
        each = map if len(shards) == 1 else pool.map
        found = list(each(lambda shard: shard.search(queries[order.numpy()], k, moved), shards))
    scores = torch.cat([best.scores.cpu() for best in found], dim=1)
    passages = torch.cat([best.passages.cpu() for best in found], dim=1)
    if len(shards) > 1:
        scores, better = scores.sort(dim=1, descending=True, stable=True)
        scores, passages = scores[:, :k], passages.gather(1, better[:, :k])
    return scores[place].numpy(), passages[place].numpy()


def _alike_together(queries: torch.Tensor) -> torch.Tensor:
    """An order in which queries that look for the same passages follow each other: the vectors of their candidates are then
    still in the processor's cache."""
    landmarks = queries[:: max(1, len(queries) // _LANDMARKS)]
    return (queries @ landmarks.T).argmax(dim=1).argsort(stable=True)
