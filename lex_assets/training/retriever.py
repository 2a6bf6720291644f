"""Train a retriever: a bi-encoder with masked InfoNCE over hard and in-batch negatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from lex_assets.models.reranker import Reranker
from lex_assets.retrieval.types import LexicalSearch
from lex_assets.schemas import LexError
from lex_assets.training.artefact import TrainingResult
from lex_assets.training.backbone import RetrieverBackbone, Row, open_retriever
from lex_assets.training.config import RetrieverTrainingConfig
from lex_assets.training.data import ArticleColumns, TrainingData, gain_matrix, training_data, validation_pool
from lex_assets.training.finish import Destination, lexical_over, train_and_finish
from lex_assets.training.loop import OnStep
from lex_assets.training.losses import Contrast
from lex_assets.training.metrics import rank_metrics
from lex_assets.training.sampling import Sampler
from lex_assets.training.step import StepBatch

Teacher = Callable[[Sequence[tuple[str, str]]], np.ndarray]
"""(query, passage) texts to (n,) logits."""


def train_retriever(
    base: str,
    triplets: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    corpus: pl.DataFrame,
    config: RetrieverTrainingConfig | None = None,
    out_dir: Path | str = "retriever_adapter",
    device: str = "cpu",
    on_step: OnStep | None = None,
    *,
    lexical: LexicalSearch | None = None,
    checkpoint_dir: Path | str | None = None,
    trust_remote_code: bool = False,
) -> TrainingResult:
    """Train the bi-encoder `base` (preset, hub id or folder) and write the adapter, or the model, to `out_dir`.

    queries holds the sets train and valid; the checkpoint with the best NDCG@10 over the validation queries is kept.
    lexical: search over `corpus` that fills the validation pool; built here when None · checkpoint_dir: where an
    interrupted run is picked up from; `<out_dir>.checkpoints` when None, removed at the end. Raises LexError for bad
    input and TrainingError for a run that does not learn; `out_dir` is then as it was.
    """
    config = (config or RetrieverTrainingConfig()).on_device()
    data = training_data(triplets, queries, qrels, corpus, config)
    backbone = open_retriever(base, config, device, trust_remote_code)
    config = backbone.with_learning_rate(config)
    pool = validation_pool(data, lexical or lexical_over(data), config.valid_pool, config.seed)
    task = RetrieverTask(backbone, data, pool, config, _teacher(config, device, trust_remote_code))
    destination = Destination.of(out_dir, checkpoint_dir)
    return train_and_finish("retriever", backbone, task, data, config, destination, on_step)


def _teacher(config: RetrieverTrainingConfig, device: str, trust_remote_code: bool) -> Teacher | None:
    if not config.distillation_weight:
        return None
    name = config.distillation_teacher
    return Reranker(name, device=device, trust_remote_code=trust_remote_code).score


class RetrieverTask:
    """A batch's rows are its queries, then its passages, each encoded once."""

    metric_name = "valid ndcg@10"

    def __init__(
        self,
        backbone: RetrieverBackbone,
        data: TrainingData,
        pool: Sequence[str],
        config: RetrieverTrainingConfig,
        teacher: Teacher | None = None,
    ) -> None:
        self.backbone, self.data, self.config, self.teacher = backbone, data, config, teacher
        if any(dim > backbone.width for dim in config.matryoshka_dims):
            raise LexError(
                f"training: matryoshka_dims {list(config.matryoshka_dims)} exceed the width of {backbone.base.name}, "
                f"{backbone.width}; leave out what is wider"
            )
        self.micro_batches = backbone.micro_batches
        self.query_ids = data.query_ids
        backbone.rows(
            "query", [*data.texts.values(), *data.valid.texts]
        )  # all at once: how many are too long is said once
        self.sampler = Sampler(data, config.seed, config.hard_ratio)
        self.taught: dict[tuple[str, str], float] = {}
        self.pool = list(pool)
        self.columns = ArticleColumns.of(self.pool, data.parents)
        self.valid_gains = gain_matrix(data.valid, [self.columns.articles] * len(data.valid.query_ids))
        self.valid_masked = np.array([[p in data.valid.unfit[q] for p in self.pool] for q in data.valid.query_ids])

    def batch(self, query_ids: Sequence[str], epoch: int) -> StepBatch:
        """Queries against the union of their positives and drawn negatives."""
        positives = [self.sampler.positives(q, 1, epoch)[0] for q in query_ids]
        wanted = self.config.negatives_per_query
        negatives = [self.sampler.negatives(q, wanted, epoch) for q in query_ids]
        column: dict[str, int] = {}
        for passage in (*positives, *(p for drawn in negatives for p in drawn)):
            column.setdefault(passage, len(column))
        rows = self.backbone.rows("query", (self.data.texts[q] for q in query_ids))
        rows += self.backbone.rows("passage", (self.data.passages[p] for p in column))
        candidates = [[positive, *drawn] for positive, drawn in zip(positives, negatives, strict=True)]
        contrast = self._contrast(query_ids, candidates, column)
        return StepBatch(rows, [len(row["input_ids"]) for row in rows], contrast, contrast.chance)

    def _contrast(
        self, query_ids: Sequence[str], candidates: Sequence[Sequence[str]], column: dict[str, int]
    ) -> Contrast:
        """candidates: per query its positive, then its negatives."""
        target = torch.tensor([column[first] for first, *_ in candidates])
        masked = torch.zeros(len(query_ids), len(column), dtype=torch.bool)
        for row, query_id in enumerate(query_ids):
            masked[row, [column[p] for p in self.data.unfit[query_id] if p in column]] = True
        masked[torch.arange(len(query_ids)), target] = False
        return Contrast(
            target,
            masked,
            self.config.temperature,
            self._taught(query_ids, candidates, column) if self.teacher else None,
            self.config.distillation_weight,
            self.config.matryoshka_dims,
            self.config.matryoshka_weights,
        )

    def _taught(self, query_ids: Sequence[str], candidates: Sequence[Sequence[str]], column: dict[str, int]) -> Tensor:
        """The teacher's logits (n_queries, n_passages) of each query's candidates, -inf elsewhere."""
        pairs = [(q, p) for q, passages in zip(query_ids, candidates, strict=True) for p in passages]
        new = [pair for pair in dict.fromkeys(pairs) if pair not in self.taught]
        if new:
            assert self.teacher
            scores = self.teacher([(self.data.texts[q], self.data.passages[p]) for q, p in new])
            self.taught.update(zip(new, map(float, scores), strict=True))
        logits = torch.full((len(query_ids), len(column)), -torch.inf)
        row = {query_id: n for n, query_id in enumerate(query_ids)}
        for query_id, passage in pairs:
            logits[row[query_id], column[passage]] = self.taught[query_id, passage]
        return logits / self.config.distillation_temperature

    def forward(self, rows: Sequence[Row]) -> Tensor:
        """Unit vectors (n, d), fp32."""
        return self.backbone.forward(rows)

    def validate(self) -> float:
        """NDCG@10 of the validation queries against the pool."""
        queries = self.backbone.forward_all(self.backbone.rows("query", self.data.valid.texts))
        pool = self.backbone.rows("passage", (self.data.passages[p] for p in self.pool))
        cosines = (queries @ self.backbone.forward_all(pool).T).numpy()
        scores = np.where(self.valid_masked, -np.inf, cosines)
        return rank_metrics(self.columns.collapse(scores), self.valid_gains)["ndcg@10"]
