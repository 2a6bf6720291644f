"""A hybrid that lost to one of its halves is found, in the regime where it lost."""

from __future__ import annotations

import json

import dagster as dg
import polars as pl
import pytest

from lex_assets.checks.training import fusion_differences, hybrid_is_not_below_its_better_half
from lex_assets.evaluation.report import HEADLINE


def headline(**scores: float) -> pl.DataFrame:
    empty = dict.fromkeys(HEADLINE.names)
    return HEADLINE.frame(
        empty | {"domain": "law", "regime": regime, "system": system, "metric": "ndcg@10", "n": 9,
                 "scores": json.dumps({"ndcg@10": score if regime == "unseen_law" else 0.5})}
        for system, score in scores.items()
        for regime in ("unseen_query", "unseen_law")
    )  # fmt: skip


@pytest.mark.parametrize(("hybrid", "passed"), [(0.61, True), (0.597, True), (0.59, False)])
def test_a_hybrid_below_its_better_half_is_reported(hybrid: float, passed: bool) -> None:
    table = headline(bm25=0.4, adapter_dense=0.6, adapter_hybrid=hybrid, adapter_hybrid_rerank=0.1)
    found = {row["regime"]: row for row in fusion_differences(table)}
    assert found["unseen_law"]["difference"] == pytest.approx(hybrid - 0.6)
    assert found["unseen_query"]["difference"] == 0
    result = hybrid_is_not_below_its_better_half(eval_report={"headline": table.lazy()})
    assert isinstance(result, dg.AssetCheckResult) and result.passed is passed
    assert result.severity is dg.AssetCheckSeverity.WARN and "adapter_hybrid" in str(result.metadata)
