"""Scores of (query, passage) pairs by both models; a score that is no number ends the run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from lex_assets.mining.pools import KEY, DenseSearch
from lex_assets.retrieval.texts import texts_of
from lex_assets.retrieval.types import PairScorer
from lex_assets.schemas import LexError

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


class Scorer:
    """Adds dense and reranker scores to frames of (query_id, passage_id).

    queries, corpus: the tables that hold the texts · dense, reranker: None leaves its scores null · batch_size: pairs per
    forward pass of the reranker.
    """

    def __init__(
        self,
        queries: pl.DataFrame,
        corpus: pl.DataFrame,
        dense: DenseSearch | None,
        reranker: PairScorer | None,
        batch_size: int,
        progress: Progress | None = None,
    ) -> None:
        self._query = dict(queries.select("query_id", "text").iter_rows())
        self._corpus = corpus.select("passage_id", "context", "text")
        self._dense, self._reranker, self._batch_size = dense, reranker, batch_size
        self._progress = progress or (lambda stage, done, total: None)

    def texts(self, pairs: pl.DataFrame) -> list[tuple[str, str]]:
        """What is scored of `pairs`: the question and the passage with its context."""
        passages = texts_of(self._corpus, pairs["passage_id"])
        return [(self._query[query], passages[passage]) for query, passage in pairs.select(KEY).iter_rows()]

    def dense(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """`pairs` with score_dense, null without dense search."""
        if self._dense is None:
            return pairs.with_columns(score_dense=pl.lit(None, pl.Float32))
        return pairs.with_columns(_finite(self._dense.scores(pairs), "dense"))

    def rerank(self, pairs: pl.DataFrame, stage: str) -> pl.Series:
        """Reranker logits of `pairs`."""
        assert self._reranker is not None
        texts = self.texts(pairs)
        step = 16 * self._batch_size  # pairs per progress report; length sorting needs a few batches to pay
        scores = np.zeros(len(texts), np.float32)
        for at in range(0, len(texts), step):
            scores[at : at + step] = self._reranker.score(texts[at : at + step], batch_size=self._batch_size)
            self._progress(f"rerank {stage}", min(at + step, len(texts)), len(texts))
        return _finite(pl.Series("score_rerank", scores), "reranker")

    def score(self, pairs: pl.DataFrame, stage: str) -> pl.DataFrame:
        """`pairs` with score_dense and score_rerank, null without the model."""
        scored = self.dense(pairs)
        if self._reranker is None:
            return scored.with_columns(score_rerank=pl.lit(None, pl.Float32))
        return scored.with_columns(self.rerank(pairs, stage))


def _finite(scores: pl.Series, model: str) -> pl.Series:
    if len(scores) and not scores.is_finite().all():
        raise LexError(f"mining: the {model} model gave NaN or infinite scores; check its weights and precision")
    return scores
