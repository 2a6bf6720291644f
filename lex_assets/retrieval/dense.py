"""Exact vector search: every passage is compared. Stored in float16, summed in float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from lex_assets.retrieval.types import Exclude, Hit, Hits
from lex_assets.schemas import LexError

if TYPE_CHECKING:
    import torch

QUERY_BLOCK, PASSAGE_BLOCK = 256, 16_384


class DenseIndex:
    """Vectors of passages and exact search by dot product (the cosine, for unit vectors)."""

    def __init__(self, ids: Sequence[str], vectors: np.ndarray) -> None:
        """vectors: (n, dim), finite. Raises LexError when they do not match `ids`."""
        if len(ids) != len(vectors) or len(set(ids)) != len(ids):
            raise LexError(f"dense index: {len(ids)} ids, {len(set(ids))} of them unique, for {len(vectors)} vectors")
        if not np.isfinite(vectors).all():
            raise LexError("dense index: vectors hold NaN or infinity; check the retriever's precision")
        # Rows in id order: among equal scores the lower row is the smaller id.
        order = sorted(range(len(ids)), key=ids.__getitem__)
        self.ids = [ids[n] for n in order]
        self.vectors = np.ascontiguousarray(np.asarray(vectors)[order], dtype=np.float16)
        self._row = {passage_id: row for row, passage_id in enumerate(self.ids)}

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
        rows = torch.empty((len(queries), 0), dtype=torch.int64)
        for start in range(0, len(self.ids), PASSAGE_BLOCK):
            block = torch.from_numpy(self.vectors[start : start + PASSAGE_BLOCK]).float()
            found = queries @ block.T
            self._ban(found, start, exclude)
            scores = torch.cat([scores, found], dim=1)
            rows = torch.cat([rows, torch.arange(start, start + len(block)).expand(len(queries), -1)], dim=1)
            scores, rows = _top(scores, rows, k)
        return [self._hits(s, r) for s, r in zip(scores.numpy(), rows.numpy(), strict=True)]

    def _ban(self, scores: torch.Tensor, start: int, exclude: Exclude) -> None:
        """Set the scores of excluded passages in this block to -inf."""
        for n, banned in enumerate(exclude or ()):
            columns = [self._row[i] - start for i in banned if i in self._row]
            columns = [column for column in columns if 0 <= column < scores.shape[1]]
            scores[n, columns] = -float("inf")

    def _hits(self, scores: np.ndarray, rows: np.ndarray) -> list[Hit]:
        return [(self.ids[r], float(s)) for s, r in zip(scores, rows, strict=True) if s != -np.inf]


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
