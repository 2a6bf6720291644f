"""Runs from files, scored and compared: what `lex-assets evaluate` says, as data.

Here: which queries count, what was left out and who answered nothing. Not here: the metrics (`metrics`), the tests
(`significance`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from lex_assets.evaluation.metrics import per_query, summarise
from lex_assets.evaluation.refusals import EvaluationError, OnMissing
from lex_assets.evaluation.significance import Comparison, ComparisonConfig, agree, compare_all
from lex_assets.evaluation.units import Parents, Unit


@dataclass(frozen=True)
class Scored:
    """Scores per query and system, comparisons per metric, and by system the queries without labels (left out) and without
    results (which count 0)."""

    scores: pl.DataFrame
    comparisons: tuple[Comparison, ...]
    left_out: dict[str, list[str]] = field(default_factory=dict)
    unanswered: dict[str, list[str]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, without the single queries' scores."""
        return {
            "metrics": summarise(self.scores).to_dicts(),
            "comparisons": [one.to_dict() for one in self.comparisons],
            "left_out": self.left_out,
            "scored_zero": self.unanswered,
        }

    def seeds_agree(self) -> dict[str, str]:
        """Metric → the verdict on which all systems, taken as seeds of one, agree: better, worse or insufficient."""
        names = dict.fromkeys(one.metric for one in self.comparisons)
        return {name: agree([one for one in self.comparisons if one.metric == name]) for name in names}


def score_runs(
    runs: pl.DataFrame,
    labels: pl.DataFrame,
    metrics: Sequence[str],
    baseline: str | None = None,
    *,
    unit: Unit = "passage",
    parents: Parents | None = None,
    groups: pl.DataFrame | None = None,
    on_missing: OnMissing = "zero",
    config: ComparisonConfig | None = None,
    query_set: str = "test",
) -> Scored:
    """Every system of `runs` on the queries of `labels`, and each compared with `baseline` where one is named.

    groups: (query_id, split_group); without it each query stands for itself. Raises EvaluationError when runs and labels
    share no query, and for whatever `metrics.per_query` and `significance.compare` refuse.
    """
    known = labels.select("query_id").unique()
    kept = runs.join(known, on="query_id", how="semi", maintain_order="left")
    if kept.is_empty():
        raise EvaluationError("run and qrels share no query id; check that they belong to the same set")
    scores = per_query(kept, labels, metrics, unit, parents, on_missing=on_missing)
    systems = runs["system"].unique().sort().to_list()
    return replace(
        compared(scores, metrics, baseline, groups, config, query_set),
        left_out=_without(runs, known, systems),
        unanswered={
            system: sorted(known.join(_asked(kept, system), on="query_id", how="anti")["query_id"])
            for system in systems
        },
    )


def compared(
    scores: pl.DataFrame,
    metrics: Sequence[str],
    baseline: str | None,
    groups: pl.DataFrame | None = None,
    config: ComparisonConfig | None = None,
    query_set: str = "test",
) -> Scored:
    """Scores per query and system, every system compared with `baseline` where one is named."""
    systems = scores["system"].unique().sort()
    pairs = [(baseline, system) for system in systems if system != baseline] if baseline else []
    found = [compare_all(scores, pairs, name, groups, config, query_set) for name in metrics if pairs]
    return Scored(scores, tuple(one for together in found for one in together))


def _asked(runs: pl.DataFrame, system: str) -> pl.DataFrame:
    return runs.filter(pl.col("system") == system).select("query_id").unique()


def _without(runs: pl.DataFrame, known: pl.DataFrame, systems: Sequence[str]) -> dict[str, list[str]]:
    return {
        system: sorted(_asked(runs, system).join(known, on="query_id", how="anti")["query_id"]) for system in systems
    }
