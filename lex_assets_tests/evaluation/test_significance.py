"""Significance: planted effects, calibration, determinism, and the three-way verdict."""

from __future__ import annotations

import itertools
import math

import numpy as np
import polars as pl
import pytest

from lex_assets.evaluation.refusals import EvaluationError
from lex_assets.evaluation.significance import (
    REASONS,
    Comparison,
    ComparisonConfig,
    agree,
    bootstrap_interval,
    compare,
    compare_all,
    holm,
    sign_flip_p,
    smallest_detectable_effect,
)


def scores_of(base: np.ndarray, **systems: np.ndarray) -> pl.DataFrame:
    frames = [
        pl.DataFrame({"query_id": [f"q{i:04}" for i in range(len(values))], "system": name, "ndcg@10": values})
        for name, values in {"base": base, **systems}.items()
    ]
    return pl.concat(frames)


def groups_of(n: int, size: int) -> pl.DataFrame:
    return pl.DataFrame(
        {"query_id": [f"q{i:04}" for i in range(n)], "split_group": [f"g{i // size}" for i in range(n)]}
    )


@pytest.fixture
def base() -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, 600)


def gained(base: np.ndarray, gain: float, sigma: float = 0.1, seed: int = 1) -> np.ndarray:
    return base + np.random.default_rng(seed).normal(gain, sigma, len(base))


def test_few_clusters_are_enumerated_exactly() -> None:
    difference = np.array([0.3, 0.1, -0.2, 0.4, 0.0])
    clusters = np.array(["a", "a", "b", "c", "d"])
    sums = [0.4, -0.2, 0.4]
    flips = [abs(np.dot(signs, sums)) for signs in itertools.product((1, -1), repeat=3)]
    assert sign_flip_p(difference, clusters) == np.mean([flip >= 0.6 - 1e-9 for flip in flips])


def test_many_clusters_approach_the_exact_p() -> None:
    difference = np.random.default_rng(3).normal(0.15, 0.5, 16)
    exact = sign_flip_p(difference, np.arange(16))
    tiny = np.concatenate([difference, np.full(24, 1e-12)])
    assert sign_flip_p(tiny, np.arange(40), 50_000) == pytest.approx(exact, abs=0.01)


def test_no_difference_gives_p_one() -> None:
    assert sign_flip_p(np.zeros(5), np.arange(5)) == 1.0


def test_false_alarms_stay_at_five_percent_though_clusters_move_together() -> None:
    rng, alarms, naive = np.random.default_rng(5), 0, 0
    clusters = np.repeat(np.arange(40), 5)
    for trial in range(300):
        difference = np.repeat(rng.normal(0, 0.2, 40), 5) + rng.normal(0, 0.05, 200)
        alarms += sign_flip_p(difference, clusters, 999, trial) < 0.05
        naive += sign_flip_p(difference, np.arange(200), 999, trial) < 0.05
    assert alarms / 300 < 0.085 and naive / 300 > 0.2, "treating queries as independent would cry wolf"


def test_the_interval_covers_the_truth_with_few_clusters() -> None:
    rng, covered = np.random.default_rng(6), 0
    clusters = np.repeat(np.arange(12), 4)
    for trial in range(300):
        difference = np.repeat(rng.normal(0.1, 0.3, 12), 4)
        low, high = bootstrap_interval(difference, clusters, n_bootstraps=5000, seed=trial)
        covered += low <= 0.1 <= high
    assert covered / 300 > 0.91


@pytest.mark.parametrize("sizes", [(3,) * 60, (106, *range(1, 7), *(2,) * 6, 1)], ids=["alike", "one holds most"])
def test_the_smallest_detectable_effect_is_found_four_times_in_five(sizes: tuple[int, ...]) -> None:
    rng, clusters, found = np.random.default_rng(7), np.repeat(np.arange(len(sizes)), sizes), 0

    def drawn(gain: float) -> np.ndarray:
        return np.repeat(rng.normal(gain, 0.2, len(sizes)), sizes) + rng.normal(0, 0.1, len(clusters))

    pilots = [bootstrap_interval(drawn(0.0), clusters, n_bootstraps=1000) for _ in range(15)]
    effect = np.median([smallest_detectable_effect(one, len(sizes)) for one in pilots])
    for trial in range(200):
        difference = drawn(effect)
        low, _ = bootstrap_interval(difference, clusters, n_bootstraps=400, seed=trial)
        found += low > 0 and sign_flip_p(difference, clusters, 999, trial) < 0.05
    assert 0.6 < found / 200 < 0.95


def test_nothing_detectable_from_one_cluster_or_equal_systems() -> None:
    assert smallest_detectable_effect((-math.inf, math.inf), 1) is None
    assert smallest_detectable_effect((0.0, 0.0), 9) is None
    assert bootstrap_interval(np.array([0.1]), np.array([0])) == (-math.inf, math.inf)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0] and holm([]) == []


@pytest.mark.parametrize(
    ("gain", "sigma", "size", "verdict", "reason"),
    [
        (0.05, 0.1, 2, "better", "clear"),
        (-0.05, 0.1, 2, "worse", "clear"),
        (0.005, 0.6, 2, "insufficient", "interval_holds_zero"),
        (0.004, 0.01, 2, "insufficient", "below_margin"),
        (0.05, 0.1, 100, "insufficient", "few_clusters"),
        (0.0, 0.0, 2, "insufficient", "identical"),
    ],
)
@pytest.mark.smoke
def test_the_verdict_has_three_outcomes(base, gain, sigma, size, verdict, reason) -> None:
    scores = scores_of(base, new=gained(base, gain, sigma))
    one = compare(scores, "base", "new", "ndcg@10", groups_of(600, size))
    assert (one.verdict, one.reason) == (verdict, reason) and reason in REASONS
    assert one.won + one.lost + one.tied == one.n == 600
    assert one.low <= one.difference <= one.high


def test_comparing_many_systems_corrects_the_p_values(base) -> None:
    scores = scores_of(base, **{f"s{i}": gained(base, 0.009, 0.1, seed=i) for i in range(8)})
    alone = compare(scores, "base", "s0", "ndcg@10")
    together = compare_all(scores, [("base", f"s{i}") for i in range(8)], "ndcg@10")
    assert together[0].p == alone.p and together[0].p_holm >= alone.p_holm


def test_equal_input_and_seed_give_equal_numbers_in_any_row_order(base) -> None:
    scores, groups = scores_of(base, new=gained(base, 0.02)), groups_of(600, 3)
    shuffled = scores.sample(fraction=1, shuffle=True, seed=9)
    one = compare(scores, "base", "new", "ndcg@10", groups)
    assert compare(shuffled, "base", "new", "ndcg@10", groups.reverse()) == one
    assert Comparison.from_dict(one.to_dict()) == one
    other = compare(scores, "base", "new", "ndcg@10", groups, ComparisonConfig(seed=1))
    assert (other.low, other.high) != (one.low, one.high) and other.verdict == one.verdict


def test_seeds_must_agree(base) -> None:
    good = compare(scores_of(base, new=gained(base, 0.05)), "base", "new", "ndcg@10")
    unsure = compare(scores_of(base, new=gained(base, 0.0)), "base", "new", "ndcg@10")
    assert agree([good, good]) == "better" and agree([good, unsure]) == "insufficient" and agree([]) == "insufficient"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.filter((pl.col("system") == "base") | (pl.col("query_id") != "q0003")),
            "different queries.*q0003",
        ),
        (lambda s: s.filter(pl.col("system") == "base"), "no scores of system new"),
        (lambda s: s.rename({"ndcg@10": "x"}), "metric ndcg@10 was not computed"),
        (lambda s: s.with_columns(pl.lit(float("nan")).alias("ndcg@10")), "hold NaN"),
        (lambda s: pl.concat([s, s]), "more than once"),
    ],
)
def test_bad_scores_are_refused(base, change, message) -> None:
    with pytest.raises(EvaluationError, match=message):
        compare(change(scores_of(base, new=base)), "base", "new", "ndcg@10")


def test_a_query_without_a_group_is_refused(base) -> None:
    with pytest.raises(EvaluationError, match="q0599 has no split group"):
        compare(scores_of(base, new=base), "base", "new", "ndcg@10", groups_of(599, 2))


@pytest.mark.parametrize("values", [{"alpha": 0}, {"power": 1}, {"margin": -0.1}, {"n_flips": 0}, {"min_clusters": 0}])
def test_settings_that_make_no_sense_are_refused(values: dict) -> None:
    with pytest.raises(ValueError, match=r"alpha and power|margin must not"):
        ComparisonConfig(**values)
