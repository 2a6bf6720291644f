"""Exact vector search: every passage is compared. Stored in float16, summed in float32.

A passage that is longer than the model reads has several vectors, one per window, and scores what its best one scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lex_assets.retrieval.embedding_cache import cached_encode
from lex_assets.retrieval.types import Encoder, Exclude, Hit, Hits
from lex_assets.schemas import LexError

if TYPE_CHECKING:
    import torch

QUERY_BLOCK, PASSAGE_BLOCK = 256, 16_384


class DenseIndex:
    """Vectors of passages and exact search by dot product (the cosine, for unit vectors)."""

    def __init__(self, ids: Sequence[str], vectors: np.ndarray, windows: Sequence[int] | None = None) -> None:
        """vectors: (n, dim), finite · windows: consecutive vectors of each passage, one each when None. Raises LexError
        when they do not match `ids`."""
        counts = np.ones(len(ids), np.int64) if windows is None else np.asarray(windows, np.int64)
        if len(counts) != len(ids) or counts.sum() != len(vectors) or len(set(ids)) != len(ids):
            raise LexError(f"dense index: {len(ids)} ids, {len(set(ids))} of them unique, for {len(vectors)} vectors")
        if not np.isfinite(vectors).all():
            raise LexError("dense index: vectors hold NaN or infinity; check the retriever's precision")
        # Passages in id order: among equal scores the lower column is the smaller id.
        order = sorted(range(len(ids)), key=ids.__getitem__)
        self.ids = [ids[n] for n in order]
        self.starts = np.concatenate([[0], np.cumsum(counts[order])])
        self.vectors = np.asarray(vectors, dtype=np.float16)[_rows(np.cumsum(counts) - counts, counts, order)]
        self._column = {passage_id: column for column, passage_id in enumerate(self.ids)}

    @classmethod
    def encode(
        cls, encoder: Encoder, ids: Sequence[str], texts: Sequence[str], cache_dir: Path | None = None
    ) -> DenseIndex:
        """Vectors of `texts` by `encoder`, long ones in windows; what `cache_dir` holds is not encoded again."""
        windows = encoder.passage_windows(texts)
        pieces = [piece for passage in windows for piece in passage]
        return cls(ids, cached_encode(encoder, "passage", pieces, cache_dir), [len(passage) for passage in windows])

    def scores(self, queries: np.ndarray, passages: Sequence[str]) -> np.ndarray:
        """(n,) float32: the score of passage `passages[n]` for `queries[n]`, (n, dim) float32."""
        columns = np.array([self._column[passage] for passage in passages], np.int64)
        counts = np.diff(self.starts)[columns]
        rows = _rows(self.starts[:-1], np.diff(self.starts), columns)
        dots = np.einsum("nd,nd->n", np.repeat(queries, counts, axis=0), self.vectors[rows].astype(np.float32))
        return np.maximum.reduceat(dots, np.cumsum(counts) - counts) if len(dots) else dots

    def search(self, query_vectors: np.ndarray, k: int, exclude: Exclude = None) -> Hits:
        """The best `k` passages of each query. query_vectors: (n_queries, dim) float32."""
        import torch

        hits: Hits = []
        for at in range(0, len(query_vectors), QUERY_BLOCK):
            block = torch.from_numpy(np.ascontiguousarray(query_vectors[at : at + QUERY_BLOCK], dtype=np.float32))
            banned = None if exclude is None else list(exclude[at : at + QUERY_BLOCK])
            hits += self._search_block(block, k, banned)
        return hits

    def _search_block(self, queries: torch.Tensor, k: int, exclude: Exclude) -> Hits:
        import torch

        scores = torch.empty((len(queries), 0))
        columns = torch.empty((len(queries), 0), dtype=torch.int64)
        for start in range(0, len(self.ids), PASSAGE_BLOCK):
            end = min(start + PASSAGE_BLOCK, len(self.ids))
            found = self._block_scores(queries, start, end)
            self._ban(found, start, exclude)
            scores = torch.cat([scores, found], dim=1)
            columns = torch.cat([columns, torch.arange(start, end).expand(len(queries), -1)], dim=1)
            scores, columns = _top(scores, columns, k)
        return [self._hits(s, c) for s, c in zip(scores.numpy(), columns.numpy(), strict=True)]

    def _block_scores(self, queries: torch.Tensor, start: int, end: int) -> torch.Tensor:
        """(n_queries, end - start): every passage of the block by its best window."""
        import torch

        starts = self.starts[start : end + 1]
        found = queries @ torch.from_numpy(self.vectors[starts[0] : starts[-1]]).float().T
        if found.shape[1] == end - start:
            return found
        owner = torch.from_numpy(np.repeat(np.arange(end - start), np.diff(starts))).expand(len(queries), -1)
        return found.new_full((len(queries), end - start), -torch.inf).scatter_reduce_(1, owner, found, "amax")

    def _ban(self, scores: torch.Tensor, start: int, exclude: Exclude) -> None:
        """Set the scores of excluded passages in this block to -inf."""
        for n, banned in enumerate(exclude or ()):
            columns = [self._column[i] - start for i in banned if i in self._column]
            columns = [column for column in columns if 0 <= column < scores.shape[1]]
            scores[n, columns] = -float("inf")

    def _hits(self, scores: np.ndarray, columns: np.ndarray) -> list[Hit]:
        return [(self.ids[c], float(s)) for s, c in zip(scores, columns, strict=True) if s != -np.inf]


def _rows(starts: np.ndarray, counts: np.ndarray, order: Sequence[int] | np.ndarray) -> np.ndarray:
    """Numbers of the rows of the passages in `order`, where a passage has `counts` rows from `starts` on."""
    chosen = counts[order]
    within = np.arange(chosen.sum()) - np.repeat(np.cumsum(chosen) - chosen, chosen)
    return np.repeat(starts[order], chosen) + within


def _top(scores: torch.Tensor, rows: torch.Tensor, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Each query's `k` best by (-score, row). `topk` alone picks among equal scores as it likes."""
    k = min(k, scores.shape[1])
    floor = scores.topk(k, dim=1).values[:, -1:]
    over = scores >= floor
    width = int(over.sum(dim=1).max())
    kept = scores.masked_fill(~over, -float("inf")).topk(width, dim=1).indices.sort(dim=1).values
    scores, rows = scores.gather(1, kept), rows.gather(1, kept)
    order = scores.argsort(dim=1, descending=True, stable=True)[:, :k]
    return scores.gather(1, order), rows.gather(1, order)
