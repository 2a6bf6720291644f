"""Settings of an evaluation: how deep the systems look and what the report shows."""

from __future__ import annotations

from pydantic import Field, field_validator

from lex_assets.evaluation.metrics import CUTOFFS, DEFAULT_METRICS, parse_metric
from lex_assets.evaluation.significance import ComparisonConfig
from lex_assets.evaluation.systems import SystemsConfig
from lex_assets.evaluation.tested import ReportConfig


class EvaluationConfig(SystemsConfig):
    """What is ranked, and what the report shows of it."""

    metrics: tuple[str, ...] = Field(
        default=DEFAULT_METRICS, description="주요 표의 지표. Metrics of the main tables, like ndcg@10."
    )
    cutoffs: tuple[int, ...] = Field(
        default=CUTOFFS, description="모든 지표를 계산할 k. Cutoffs at which every metric is computed."
    )
    margin: float = Field(
        default=0.01, ge=0, description="의미 있는 최소 차이. Smallest difference that counts, in the metric's unit."
    )
    min_slice: int = Field(
        default=20, ge=1, description="조각의 최소 질의 수. Slices of fewer queries are hidden in the report."
    )
    cases: int = Field(default=5, ge=0, description="이긴·진 질의를 몇 개씩 보일지. Won and lost queries shown, each.")

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        for name in metrics:
            parse_metric(name)
        return metrics

    @field_validator("cutoffs")
    @classmethod
    def _positive(cls, cutoffs: tuple[int, ...]) -> tuple[int, ...]:
        if not cutoffs or min(cutoffs) < 1:
            raise ValueError("cutoffs are whole numbers from 1 on, at least one")
        return tuple(sorted(set(cutoffs)))

    def report(self) -> ReportConfig:
        """What the report shows. A ceiling reorders as many candidates as the reranker sees."""
        return ReportConfig(
            metrics=self.metrics,
            cutoffs=self.cutoffs,
            comparison=ComparisonConfig(margin=self.margin),
            oracle_depth=self.rerank_depth,
            min_slice=self.min_slice,
            cases=self.cases,
        )
