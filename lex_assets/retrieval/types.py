"""What search answers, and the faces of what it needs. Ties are broken by (-score, id) everywhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol

import numpy as np
import polars as pl

from lex_assets.schemas import RUN

Hit = tuple[str, float]
"""(passage_id, score); higher is better."""

Hits = list[list[Hit]]
"""Per query the hits, best first."""

Exclude = Sequence[AbstractSet[str]] | None
"""Per query the passage ids that may not be answered."""

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


class Encoder(Protocol):
    """A retriever, base or adapted."""

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        """(n, dim) float32."""

    def encode_passages(self, texts: Sequence[str]) -> np.ndarray:
        """(n, dim) float32."""

    def passage_windows(self, texts: Sequence[str]) -> list[list[str]]:
        """Each passage as the pieces to encode; one that the model reads whole is its only piece."""

    def cache_key(self, kind: str) -> str:
        """Equal exactly when the same text gets the same vector."""


class LexicalSearch(Protocol):
    """Keyword search: embedded or a server."""

    def search(self, queries: Sequence[str], k: int, exclude: Exclude = None) -> Hits:
        """The best `k` per query."""


class PairScorer(Protocol):
    """A cross-encoder."""

    @property
    def cache_key(self) -> str:
        """Equal exactly when the same pair gets the same score."""

    def score(self, pairs: Sequence[tuple[str, str]], batch_size: int = 64) -> np.ndarray:
        """(n,) float32 logits."""


def ranked(hits: Iterable[Hit], k: int | None = None) -> list[Hit]:
    """Hits by (-score, id), at most `k`."""
    return sorted(hits, key=lambda hit: (-hit[1], hit[0]))[:k]


def hits_to_run(query_ids: Sequence[str], hits: Hits, system: str) -> pl.DataFrame:
    """A RUN frame of `hits`, which are ranked already."""
    rows = [
        (query_id, passage_id, rank, score, system)
        for query_id, found in zip(query_ids, hits, strict=True)
        for rank, (passage_id, score) in enumerate(found, 1)
    ]
    return RUN.validate(pl.DataFrame(rows, schema=RUN.polars, orient="row"))


def run_to_hits(run: pl.DataFrame, query_ids: Sequence[str]) -> Hits:
    """The hits of each query id in `query_ids`, by rank; [] for a query without hits. Inverse of `hits_to_run`."""
    grouped: dict[str, list[Hit]] = {query_id: [] for query_id in query_ids}
    for query_id, passage_id, score in (
        run.sort("query_id", "rank").select("query_id", "passage_id", "score").iter_rows()
    ):
        if query_id in grouped:
            grouped[query_id].append((passage_id, score))
    return list(grouped.values())
