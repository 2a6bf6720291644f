"""The gate: the promotion set only, every condition answered, and no promotion by luck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from lex_assets.evaluation.significance import Comparison, ComparisonConfig, compare
from lex_assets.registry.promotion import GateConfig, gate, gate_on_run
from lex_assets.schemas import LexError
from lex_assets_tests.evaluation import made_up

FAST = ComparisonConfig(n_flips=2000, n_bootstraps=1000)


def compared(gain: float, sigma: float = 0.2, n: int = 600, seed: int = 0, query_set: str = "promotion") -> Comparison:
    rng = np.random.default_rng(seed)
    base = rng.uniform(0, 1, n)
    values = {"champion": base, "candidate": base + rng.normal(gain, sigma, n)}
    ids = [f"q{i}" for i in range(n)]
    frames = [pl.DataFrame({"query_id": ids, "system": name, "ndcg@10": v}) for name, v in values.items()]
    groups = pl.DataFrame({"query_id": ids, "split_group": [f"g{i // 2}" for i in range(n)]})
    return compare(pl.concat(frames), "champion", "candidate", "ndcg@10", groups, FAST, query_set)


@pytest.mark.smoke
def test_a_clear_gain_is_promoted_and_says_so_in_both_languages() -> None:
    decision = gate(compared(0.06))
    assert decision.promoted and not decision.failures
    assert "승격" in decision.summary() and "promoted" in decision.summary()
    assert decision.to_dict()["comparison"]["query_set"] == "promotion"


def test_the_test_set_never_gates() -> None:
    with pytest.raises(LexError, match=r"comparison \(test\) is not of the promotion set"):
        gate(compared(0.06, query_set="test"))
    with pytest.raises(LexError, match=r"unseen_law \(test\)"):
        gate(compared(0.06), guards={"unseen_law": compared(0.0, query_set="test")})


@pytest.mark.parametrize("gain", [0.0, -0.05])
def test_no_gain_is_refused_with_its_figures(gain: float) -> None:
    decision = gate(compared(gain))
    assert not decision.promoted and "better" in {r.code for r in decision.failures}
    assert "n=600" in decision.summary() and "승격하지 않음" in decision.summary()
    assert "| better | **아니요 · no** |" in decision.markdown()


def test_a_significant_gain_below_the_gates_margin_is_refused() -> None:
    decision = gate(compared(0.05), GateConfig(min_difference=0.2))
    assert [r.code for r in decision.failures] == ["margin"]


def test_a_slice_or_guard_that_is_proven_worse_stops_the_promotion() -> None:
    bad, unsure = compared(-0.2), compared(-0.01, sigma=0.5, n=60)
    assert gate(compared(0.06), slices={"unsure": unsure}, guards={"finance": unsure}).promoted
    decision = gate(compared(0.06), slices={"mrc": bad}, guards={"finance": bad})
    assert [r.code for r in decision.failures] == ["slice:mrc", "guard:finance"]


def test_bounds_on_latency_and_size_fail_when_exceeded_or_not_measured() -> None:
    bounds = GateConfig(max_latency_ms=20, max_size_bytes=1000)
    assert gate(compared(0.06), bounds, latency_ms=12.5, size_bytes=999).promoted
    failed = gate(compared(0.06), bounds, latency_ms=21)
    assert [r.code for r in failed.failures] == ["latency", "size"] and "not measured" in failed.summary()


def test_licences_must_be_on_the_list() -> None:
    decision = gate(compared(0.06), licences={"base": "Apache-2.0", "data": "cc-by-nc-4.0", "other": ""})
    assert [r.code for r in decision.failures] == ["licence:data", "licence:other"]


def test_without_promotion_queries_nothing_is_promoted() -> None:
    decision = gate(None)
    assert not decision.promoted and "사람이 만든 질의가 없음" in decision.summary()


def test_chance_is_rarely_promoted_and_three_points_on_900_queries_mostly_are() -> None:
    lucky = sum(gate(compared(0.0, 0.25, 900, seed)).promoted for seed in range(60))
    found = sum(gate(compared(0.03, 0.25, 900, seed)).promoted for seed in range(60))
    assert lucky <= 4 and found >= 48


def test_the_gate_on_rankings_uses_human_promotion_queries_only() -> None:
    asked, qrels = made_up.queries(700)
    run = made_up.runs(asked, qrels, {"base_dense": 0.3, "adapter_dense": 0.8})
    decision = gate_on_run(run, asked, qrels, made_up.corpus(), "base_dense", "adapter_dense", comparison=FAST)
    human = asked.filter(pl.col("set") == "promotion", pl.col("origin") != "synthetic")
    assert decision.promoted and decision.comparison.n == human.filter(pl.col("regime") == "unseen_query").height
    assert {r.code for r in decision.reasons} >= {"better", "margin", "slice:citation", "guard:unseen_law"}
    spoilt = run.filter(~pl.col("query_id").is_in(human["query_id"].to_list()))
    refused = gate_on_run(spoilt, asked, qrels, made_up.corpus(), "base_dense", "adapter_dense", comparison=FAST)
    assert not refused.promoted and refused.comparison is None


def test_a_gain_on_the_old_law_that_forgets_new_law_is_refused() -> None:
    asked, qrels = made_up.queries(2500)
    run = made_up.runs(asked, qrels, {"base_dense": 0.4, "adapter_dense": 0.9})
    forgotten = asked.filter(pl.col("regime") == "unseen_law")["query_id"].to_list()
    swapped = {"base_dense": "adapter_dense", "adapter_dense": "base_dense"}
    system = pl.when(pl.col("query_id").is_in(forgotten)).then(pl.col("system").replace(swapped)).otherwise("system")
    decision = gate_on_run(
        run.with_columns(system=system), asked, qrels, made_up.corpus(), "base_dense", "adapter_dense", comparison=FAST
    )
    assert [r.code for r in decision.failures] == ["guard:unseen_law"]


def test_the_decision_survives_json() -> None:
    decision = gate(compared(0.06))
    again = Comparison.from_dict(decision.to_dict()["comparison"])
    assert again == decision.comparison and replace(again, n=1) != again
