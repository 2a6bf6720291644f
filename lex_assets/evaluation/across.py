"""Reports of different materializations: compared on one frozen test set, and on no other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from lex_assets.evaluation.refusals import EvaluationError
from lex_assets.evaluation.report import EvalReport
from lex_assets.evaluation.significance import Comparison, compare
from lex_assets.schemas import HUMAN_ORIGINS, REGIMES

BEFORE, AFTER = "before", "after"


def check_comparable(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raises EvaluationError when two reports' data come from different test sets: their figures do not compare."""
    if one["test_hash"] != other["test_hash"]:
        raise EvaluationError(
            f"reports of {one['domain']} and {other['domain']} have different test sets "
            f"({one['test_hash'][:8]}, {other['test_hash'][:8]}); evaluate both systems on one test set"
        )


def compare_reports(before: EvalReport, after: EvalReport, system: str, metric: str) -> dict[str, Comparison]:
    """Regime → the same system in two reports, on the human test queries that the base has not seen.

    Raises EvaluationError when the test sets differ, or a report does not hold the system or the metric."""
    check_comparable(before.data, after.data)
    sides = [_side(before, system, metric, BEFORE), _side(after, system, metric, AFTER)]
    scores = pl.concat(sides)
    parts = {name: scores.filter(pl.col("regime") == name) for name in REGIMES}
    return {name: compare(part, BEFORE, AFTER, metric, part) for name, part in parts.items() if len(part)}


def _side(report: EvalReport, system: str, metric: str, name: str) -> pl.DataFrame:
    if metric not in report.scores.columns:
        raise EvaluationError(f"{name}: metric {metric} was not computed; add its cutoff to the configuration")
    known = report.scores["system"].unique().sort().to_list()
    if system not in known:
        raise EvaluationError(f"{name}: no system {system!r} in the report; choose from {', '.join(known)}")
    own = pl.col("system") == system, pl.col("unit") == report.data["unit"], pl.col("origin").is_in(HUMAN_ORIGINS)
    kept = report.scores.filter(*own, ~pl.col("seen_by_base"))
    return kept.select("query_id", pl.lit(name).alias("system"), "regime", "split_group", metric)
