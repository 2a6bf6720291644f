"""Train a reranker: a cross-encoder whose head trains in full, over groups of one query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import polars as pl
import torch
from torch import Tensor

from lex_assets.retrieval.types import LexicalSearch
from lex_assets.schemas import LexError
from lex_assets.training.artefact import TrainingResult
from lex_assets.training.backbone import RerankerBackbone, Row, open_reranker
from lex_assets.training.config import RerankerTrainingConfig
from lex_assets.training.data import (
    ArticleColumns,
    TrainingData,
    gain_matrix,
    ideal_gains,
    training_data,
    validation_candidates,
)
from lex_assets.training.finish import RERANKER, Destination, lexical_over, train_and_finish
from lex_assets.training.loop import OnStep
from lex_assets.training.losses import group_chance, group_loss
from lex_assets.training.metrics import rank_metrics
from lex_assets.training.sampling import Sampler
from lex_assets.training.step import StepBatch


def train_reranker(
    base: str,
    triplets: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    corpus: pl.DataFrame,
    config: RerankerTrainingConfig | None = None,
    out_dir: Path | str = "reranker_adapter",
    device: str = "cpu",
    on_step: OnStep | None = None,
    *,
    candidates: pl.DataFrame | None = None,
    lexical: LexicalSearch | None = None,
    checkpoint_dir: Path | str | None = None,
    trust_remote_code: bool = False,
) -> TrainingResult:
    """Train the cross-encoder `base`, its head included, and write the adapter, or the model, to `out_dir`.

    candidates: a RUN table with the first-stage hits of the validation queries; lexical search over `corpus` when None
    (`lexical`, or built here). Otherwise as `train_retriever`.
    """
    config = (config or RerankerTrainingConfig()).on_device()
    data = training_data(triplets, queries, qrels, corpus, config)
    first_stage = _first_stage(data, candidates, lexical, config)
    backbone = open_reranker(base, config, device, trust_remote_code)
    config = backbone.with_learning_rate(config)
    task = RerankerTask(backbone, data, first_stage, config)
    destination = Destination.of(out_dir, checkpoint_dir)
    return train_and_finish(RERANKER, backbone, task, data, config, destination, on_step)


def _first_stage(
    data: TrainingData, run: pl.DataFrame | None, lexical: LexicalSearch | None, config: RerankerTrainingConfig
) -> dict[str, list[str]]:
    """Candidates per validation query. Raises LexError when no relevant passage is among them: nothing to choose by."""
    if run is None:
        found = validation_candidates(data, lexical or lexical_over(data), config.valid_candidates)
    else:
        found = {query_id: [] for query_id in data.valid.query_ids}
        for query_id, passage_id in run.sort("query_id", "rank").select("query_id", "passage_id").iter_rows():
            if query_id in found and passage_id in data.passages and passage_id not in data.valid.unfit[query_id]:
                found[query_id].append(passage_id)
        found = {query_id: passages[: config.valid_candidates] for query_id, passages in found.items()}
    if not any(
        passage in data.valid.relevant[query_id] for query_id, passages in found.items() for passage in passages
    ):
        raise LexError(
            f"training: no relevant passage among the first {config.valid_candidates} candidates of the validation "
            "queries; raise valid_candidates or pass better candidates"
        )
    return found


class RerankerTask:
    """A step's rows are grouped by query, positives first."""

    metric_name = "valid ndcg@10"

    def __init__(
        self,
        backbone: RerankerBackbone,
        data: TrainingData,
        first_stage: dict[str, list[str]],
        config: RerankerTrainingConfig,
    ) -> None:
        self.backbone, self.data, self.config = backbone, data, config
        self.micro_batches = backbone.micro_batches
        self.sampler = Sampler(data, config.seed, config.hard_ratio)
        self.query_ids = [q for q in data.query_ids if data.negatives[q] or not config.hard_ratio]
        backbone.tell_long([*data.texts.values(), *data.valid.texts])
        self.first_stage = [first_stage[query_id] for query_id in data.valid.query_ids]
        self.columns = [ArticleColumns.of(passages, data.parents) for passages in self.first_stage]
        self.valid_gains = gain_matrix(data.valid, [columns.articles for columns in self.columns])
        self.ideal = ideal_gains(data.valid)
        found = zip(data.valid.texts, self.first_stage, strict=True)
        self.valid_rows = backbone.rows([(text, data.passages[p]) for text, passages in found for p in passages])

    def batch(self, query_ids: Sequence[str], epoch: int) -> StepBatch:
        """Groups of drawn positives and freshly drawn hard and random negatives."""
        pairs: list[tuple[str, str]] = []
        groups: list[Tensor] = []
        for query_id in query_ids:
            positives = self.sampler.positives(query_id, self.config.positives_per_query, epoch)
            negatives = self.sampler.negatives(query_id, self.config.negatives_per_query, epoch)
            found = self.data.grades[query_id]
            groups.append(torch.tensor([found[p] for p in positives] + [0] * len(negatives)))
            pairs += [(self.data.texts[query_id], self.data.passages[p]) for p in (*positives, *negatives)]
        rows = self.backbone.rows(pairs)
        chance = np.mean([group_chance(self.config.loss, grades, self.config.margin) for grades in groups])
        return StepBatch(rows, [len(row["input_ids"]) for row in rows], self._loss(groups), float(chance))

    def _loss(self, groups: Sequence[Tensor]) -> Callable[[Tensor], Tensor]:
        """Mean over the queries. groups: per query the grades of its rows."""
        loss, sizes = group_loss(self.config.loss, self.config.margin), [len(grades) for grades in groups]

        def mean(logits: Tensor) -> Tensor:
            split = zip(logits.split(sizes), groups, strict=True)
            return torch.stack([loss(found, grades.to(found.device)) for found, grades in split]).mean()

        return mean

    def forward(self, rows: Sequence[Row]) -> Tensor:
        """Logits (n,), fp32."""
        return self.backbone.forward(rows)

    def validate(self) -> float:
        """NDCG@10 of the validation queries over their first-stage candidates."""
        logits = self.backbone.forward_all(self.valid_rows).numpy()
        scores, at = np.full(self.valid_gains.shape, -np.inf), 0
        for row, columns in enumerate(self.columns):
            found = columns.collapse(logits[at : at + len(columns.slots)])
            scores[row, : len(found)] = found
            at += len(columns.slots)
        return rank_metrics(scores, self.valid_gains, self.ideal)["ndcg@10"]
