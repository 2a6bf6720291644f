"""The gate: the promotion set only, every condition answered, and no promotion by luck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from lex_assets.evaluation.significance import Comparison, ComparisonConfig, compare
from lex_assets.registry.promotion import GateConfig, gate
from lex_assets.schemas import LexError

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


def test_training_seeds_must_agree() -> None:
    assert gate(compared(0.06), seeds=[compared(0.05, seed=1), compared(0.06, seed=2)]).promoted
    decision = gate(compared(0.06), seeds=[compared(0.05, seed=1), compared(0.0, seed=2)])
    assert [r.code for r in decision.failures] == ["seeds"] and "3 training seeds" in decision.summary()
    with pytest.raises(LexError, match=r"seed 2 \(test\)"):
        gate(compared(0.06), seeds=[compared(0.06, query_set="test")])


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


def test_the_decision_survives_json() -> None:
    decision = gate(compared(0.06))
    again = Comparison.from_dict(decision.to_dict()["comparison"])
    assert again == decision.comparison and replace(again, n=1) != again


def test_a_slice_of_a_few_groups_cannot_stop_a_promotion() -> None:
    assert gate(compared(0.06), slices={"tiny": compared(-0.2, sigma=0.01, n=8)}).promoted


def test_bounds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="0 or below"):
        GateConfig(slice_bound=0.1)
