"""Exact vector search: every passage is compared. Stored in float16; a score is the exact dot product, rounded to float32.

A passage that is longer than the model reads has several vectors, one per window, and scores what its best one scores. Here:
ids and vectors; how devices search them is `shards`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.embedding_cache import cached_encode
from lex_assets.retrieval.ids import Ids, OrderedIds
from lex_assets.retrieval.mapped import kept, release
from lex_assets.retrieval.texts import Pieces
from lex_assets.retrieval.types import Encoder, Exclude, Hits, Progress
from lex_assets.schemas import LexError

if TYPE_CHECKING:
    from lex_assets.retrieval.exact_search import Banned
    from lex_assets.retrieval.shards import Shard

QUERIES_AT_ONCE = 16_384
PAIRS_AT_ONCE = 8_192
_CHECKED_ROWS = 8_192


class DenseIndex:
    """Vectors of passages and exact search by dot product (the cosine, for unit vectors).

    ids: unique · vectors: (n, dim), finite; rounded to float16. A mapped float16 file, its passages in order of id, is read
    block by block · windows: consecutive vectors of each passage, one each when None · config: devices that share the passages,
    and the memory of a search on each, beside vectors in memory, queries and answer; the answer does not depend on it · folder:
    keeps ids and places there, in nameless files.

    Raises LexError when ids, vectors and windows do not match, or a vector is not finite.
    """

    def __init__(
        self,
        ids: Ids,
        vectors: np.ndarray,
        windows: Sequence[int] | np.ndarray | None = None,
        config: DenseConfig = DenseConfig(),
        folder: Path | None = None,
    ) -> None:
        counts = np.ones(len(ids), np.int64) if windows is None else np.asarray(windows, np.int64)
        if len(counts) != len(ids) or counts.sum() != len(vectors):
            raise LexError(f"dense index: {len(ids)} ids and {counts.sum()} windows for {len(vectors)} vectors")
        # Passages in order of id: among equal scores the lower number is the smaller id.
        self.ids, order = OrderedIds.of(ids, folder)
        self.vectors = vectors.astype(np.float16, copy=False)
        if (order[1:] < order[:-1]).any():
            self.vectors = self.vectors[_ranges((np.cumsum(counts) - counts)[order], counts[order])]
        self.starts = kept(np.concatenate([[0], np.cumsum(counts[order])]), folder)
        self.config = config
        for at in range(0, len(self.vectors), _CHECKED_ROWS):
            _require_finite(self.vectors[at : at + _CHECKED_ROWS], "vectors")
            release(self.vectors)

    @classmethod
    def encode(
        cls,
        encoder: Encoder,
        ids: Ids,
        texts: Sequence[str],
        cache_dir: Path | None = None,
        config: DenseConfig = DenseConfig(),
        progress: Progress | None = None,
    ) -> DenseIndex:
        """Vectors of `texts` by `encoder`, long ones in windows. What `cache_dir` holds is not encoded again; vectors beyond
        the memory of `config` lie in a file there."""
        ordered, order = OrderedIds.of(ids, cache_dir)
        pieces = Pieces.of(encoder, texts, order, cache_dir)
        vectors = cached_encode(encoder, "passage", pieces, cache_dir, config.memory_mib, progress)
        return cls(ordered, vectors, pieces.windows, config, cache_dir)

    def search(self, query_vectors: np.ndarray, k: int, exclude: Exclude = None) -> Hits:
        """The best `k` passages of each query. query_vectors: (n_queries, dim), rounded to float16."""
        hits: Hits = []
        for at in range(0, len(query_vectors), QUERIES_AT_ONCE):
            part = slice(at, at + QUERIES_AT_ONCE)
            scores, numbers = self.best(query_vectors[part], k, None if exclude is None else exclude[part])
            names = self.ids.take(numbers)
            for found, which in zip(scores.tolist(), names.tolist(), strict=True):
                hits.append([hit for hit in zip(which, found, strict=True) if hit[1] != -np.inf])
        return hits

    def best(self, query_vectors: np.ndarray, k: int, exclude: Exclude = None) -> tuple[np.ndarray, np.ndarray]:
        """As `search`, as arrays: scores (n_queries, k) float32, -inf behind the last hit, and places in `ids`."""
        from lex_assets.retrieval.shards import search_shards

        queries = np.ascontiguousarray(query_vectors, dtype=np.float16)
        _require_finite(queries, "query vectors")
        k = min(k, len(self.ids))
        if not k or not len(queries):
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        return search_shards(self._shards, queries, k, self._banned(exclude))

    def scores(self, queries: np.ndarray, rows: np.ndarray, passages: pl.Series) -> np.ndarray:
        """(n,) float32: the score of passage `passages[n]` for `queries[rows[n]]`, as `search` gives it.

        Raises LexError when a passage is not in the index.
        """
        numbers = self.ids.places(passages)
        if (numbers < 0).any():
            unknown = passages[int(numbers.argmin())]
            raise LexError(f"dense index: passage {unknown} is not in it; rebuild the index from this corpus")
        scores = np.empty(len(numbers), np.float32)
        for at in range(0, len(numbers), PAIRS_AT_ONCE):
            part = slice(at, at + PAIRS_AT_ONCE)
            scores[part] = self._pair_scores(queries[rows[part]].astype(np.float16), numbers[part])
        return scores

    def _pair_scores(self, queries: np.ndarray, numbers: np.ndarray) -> np.ndarray:
        starts = self.starts[numbers]
        counts = self.starts[numbers + 1] - starts
        vectors = self.vectors[_ranges(starts, counts)].astype(np.float32)
        release(self.vectors)
        # Products of two float16 numbers are exact in float32.
        products = np.repeat(queries.astype(np.float32), counts, axis=0) * vectors
        return np.maximum.reduceat(products.sum(axis=1, dtype=np.float64), np.cumsum(counts) - counts)

    @cached_property
    def _shards(self) -> list[Shard]:
        from lex_assets.retrieval.shards import shared_out

        return shared_out(self.vectors, self.starts, self.config.devices, self.config.memory_mib)

    def _banned(self, exclude: Exclude) -> Banned:
        import torch

        from lex_assets.retrieval.exact_search import Banned

        places = ((n, self.ids.place(passage_id)) for n, banned in enumerate(exclude or ()) for passage_id in banned)
        pairs = [(n, place) for n, place in places if place is not None]
        queries, numbers = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2).T
        return Banned(queries, numbers)


def _require_finite(vectors: np.ndarray, what: str) -> None:
    if not np.isfinite(vectors).all():
        raise LexError(f"dense index: {what} hold NaN or infinity; check the retriever's precision")


def _ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """The numbers from each of `starts` on, `counts` of them, one range after the other."""
    within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(starts, counts) + within
