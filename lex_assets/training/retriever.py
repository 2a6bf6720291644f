"""Train a retriever adapter: LoRA on a bi-encoder with masked InfoNCE over hard and in-batch negatives."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from lex_assets.retrieval.types import LexicalSearch
from lex_assets.training.artefact import TrainingResult
from lex_assets.training.backbone import RetrieverBackbone, Row, open_retriever
from lex_assets.training.config import RetrieverTrainingConfig
from lex_assets.training.data import ArticleColumns, TrainingData, gain_matrix, training_data, validation_pool
from lex_assets.training.finish import finish, lexical_over
from lex_assets.training.loop import OnStep, StepBatch, fit
from lex_assets.training.lora import attach_lora
from lex_assets.training.losses import info_nce_chance, masked_info_nce
from lex_assets.training.metrics import rank_metrics
from lex_assets.training.sampling import draw


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
    trust_remote_code: bool = False,
) -> TrainingResult:
    """Train a LoRA adapter of the bi-encoder `base` (preset, hub id or folder) and write it to `out_dir`.

    queries holds the sets train and valid; the checkpoint with the best NDCG@10 over the validation queries is kept.
    lexical: search over `corpus` that fills the validation pool; built here when None. Raises LexError for bad input
    and TrainingError for a run that does not learn; `out_dir` is then as it was.
    """
    config = config or RetrieverTrainingConfig()
    data = training_data(triplets, queries, qrels, corpus, config)
    backbone = open_retriever(base, config, device, trust_remote_code)
    config = backbone.with_learning_rate(config)
    adapter = attach_lora(backbone.transformer, config, backbone.lora_targets, backbone.label, head=False)
    pool = validation_pool(data, lexical or lexical_over(data), config.valid_pool, config.seed)
    task = RetrieverTask(backbone, data, pool, config)
    run = fit(adapter, task, config, on_step)
    return finish(Path(out_dir), "retriever", adapter, backbone, data, config, task.metric_name, run)


class RetrieverTask:
    """A step's rows are its queries, then its passages, each encoded once."""

    metric_name = "valid ndcg@10"

    def __init__(
        self, backbone: RetrieverBackbone, data: TrainingData, pool: Sequence[str], config: RetrieverTrainingConfig
    ) -> None:
        self.backbone, self.data, self.config = backbone, data, config
        self.query_ids = data.query_ids
        self.pool = list(pool)
        self.columns = ArticleColumns.of(self.pool, data.parents)
        self.valid_gains = gain_matrix(data.valid, [self.columns.articles] * len(data.valid.query_ids))
        self.valid_masked = np.array([[p in data.valid.unfit[q] for p in self.pool] for q in data.valid.query_ids])

    def batch(self, query_ids: Sequence[str], epoch: int) -> StepBatch:
        """Queries against the union of their positives and drawn hard negatives."""
        positives = [self._draw("positive", self.data.positives[q], 1, epoch, q)[0] for q in query_ids]
        wanted = self.config.negatives_per_query
        negatives = [p for q in query_ids for p in self._draw("negative", self.data.negatives[q], wanted, epoch, q)]
        passages = list(dict.fromkeys(positives + negatives))
        column = {passage: n for n, passage in enumerate(passages)}
        target = torch.tensor([column[passage] for passage in positives])
        masked = torch.tensor([[p in self.data.unfit[q] for p in passages] for q in query_ids])
        masked[torch.arange(len(query_ids)), target] = False
        rows = self.backbone.rows("query", (self.data.texts[q] for q in query_ids))
        rows += self.backbone.rows("passage", (self.data.passages[p] for p in passages))

        def loss(vectors: Tensor) -> Tensor:
            found, n = vectors.device, len(query_ids)
            return masked_info_nce(
                vectors[:n], vectors[n:], target.to(found), masked.to(found), self.config.temperature
            )

        return StepBatch(rows, [len(row["input_ids"]) for row in rows], loss, info_nce_chance(masked))

    def _draw(self, purpose: str, items: Sequence[str], count: int, epoch: int, query_id: str) -> list[str]:
        return draw(items, count, self.config.seed, epoch, query_id, purpose)

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
