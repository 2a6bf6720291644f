"""Whether a difference between two systems means anything.

Here: the sign-flip test and the bootstrap interval, both by cluster; Holm's correction; the smallest effect that the
test set could have shown; and `Comparison`, whose verdict is better, worse or insufficient evidence. Not here: the
metrics, and what a team does with a verdict (`registry.promotion`).

Queries of one split group (one decision, its sister decisions, an act family) rise and fall together, so the group and
not the query is the unit that is flipped and drawn. Everything is a pure function of the scores and the seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
import polars as pl

from lex_assets.evaluation.refusals import EvaluationError

Outcome = Literal["better", "worse", "insufficient"]
_BYTE_SIGNS = 1 - 2 * np.unpackbits(np.arange(256, dtype=np.uint8)[:, None], axis=1, bitorder="little").astype(
    np.float64
)
_EXACT_CLUSTERS = 16
_CHUNK = 2_000_000


def _knob(default: Any, description: str) -> Any:
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True)
class ComparisonConfig:
    """What a comparison demands. Raises ValueError on values that make no sense."""

    margin: float = _knob(
        0.01, "의미 있는 최소 차이. Smallest difference that matters, in the metric's unit (0.01 = a point)."
    )
    alpha: float = _knob(0.05, "유의수준. Two-sided significance level; intervals cover 1 - alpha.")
    power: float = _knob(0.8, "검정력. Probability with which the smallest detectable effect is found.")
    n_flips: int = _knob(100_000, "부호 뒤집기 횟수. Sign flips of the test.")
    n_bootstraps: int = _knob(10_000, "부트스트랩 횟수. Resamples of the interval.")
    min_clusters: int = _knob(10, "최소 묶음 수. Fewer independent query groups than this never prove anything.")
    seed: int = _knob(0, "난수 시드. Seed of flips and resamples.")

    def __post_init__(self) -> None:
        if not (0 < self.alpha < 1 and 0 < self.power < 1):
            raise ValueError("alpha and power are probabilities between 0 and 1")
        if self.margin < 0 or min(self.n_flips, self.n_bootstraps, self.min_clusters) < 1:
            raise ValueError("margin must not be negative; n_flips, n_bootstraps and min_clusters are at least 1")


@dataclass(frozen=True)
class Comparison:
    """One system against its baseline on one metric, over the same queries.

    `difference` is system minus baseline; `low`..`high` its (1 - alpha) cluster-bootstrap interval; `p` the two-sided
    cluster sign-flip p, `p_holm` after correction for the systems compared together; `smallest_detectable` the true
    difference found with probability `power`, None when the two systems never differ."""

    baseline: str
    system: str
    metric: str
    query_set: str
    n: int
    n_clusters: int
    baseline_mean: float
    system_mean: float
    difference: float
    low: float
    high: float
    p: float
    p_holm: float
    smallest_detectable: float | None
    won: int
    lost: int
    tied: int
    verdict: Outcome
    reason: str
    config: ComparisonConfig

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; an unbounded end becomes null."""
        bounds = {
            name: value if math.isfinite(value) else None for name, value in (("low", self.low), ("high", self.high))
        }
        return asdict(self) | bounds

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Comparison:
        """Inverse of `to_dict`."""
        low, high = (
            (-math.inf if raw["low"] is None else raw["low"]),
            (math.inf if raw["high"] is None else raw["high"]),
        )
        return cls(**{**raw, "low": low, "high": high, "config": ComparisonConfig(**raw["config"])})


def sign_flip_p(differences: np.ndarray, clusters: np.ndarray, n_flips: int = 100_000, seed: int = 0) -> float:
    """Two-sided p that the mean difference is 0, flipping the sign of whole clusters.

    Args:
        differences: (n_queries,) float. clusters: (n_queries,) labels.

    Exact by enumeration up to 16 clusters that differ; otherwise (1 + extreme) / (1 + n_flips).
    """
    sums = _cluster_sums(differences, clusters)[0]
    sums = sums[sums != 0]
    if sums.size == 0:
        return 1.0
    observed = abs(sums.sum()) - 1e-9 * np.abs(sums).sum()
    if sums.size <= _EXACT_CLUSTERS:
        codes = np.arange(1 << sums.size, dtype="<u2").view(np.uint8).reshape(-1, 2)
        return float(np.mean(np.abs(_flipped(sums, codes)) >= observed))
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, (-(-sums.size // 8), n_flips), dtype=np.uint8).T
    return float((1 + np.count_nonzero(np.abs(_flipped(sums, codes)) >= observed)) / (1 + n_flips))


def _flipped(sums: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """(n_flips,) totals, one per row of `codes`: each byte holds the signs of eight clusters and its partial total is
    looked up, which is eight times less work than multiplying by signs."""
    padded = np.zeros(codes.shape[1] * 8)
    padded[: sums.size] = sums
    tables = padded.reshape(-1, 8) @ _BYTE_SIGNS.T
    totals = np.zeros(codes.shape[0])
    for column, table in enumerate(tables):
        totals += table[codes[:, column]]
    return totals


def bootstrap_interval(
    differences: np.ndarray, clusters: np.ndarray, alpha: float = 0.05, n_bootstraps: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """(low, high) of the mean difference from resampling whole clusters.

    The percentiles are widened for few clusters (Hesterberg's expanded percentile interval): the plain ones are too
    narrow exactly where a team would like to believe them."""
    sums, sizes = _cluster_sums(differences, clusters)
    if sums.size < 2:
        return -math.inf, math.inf
    rng = np.random.default_rng(seed)
    rows = max(1, _CHUNK // sums.size)
    parts = [_resampled(sums, sizes, min(rows, n_bootstraps - done), rng) for done in range(0, n_bootstraps, rows)]
    widened = math.sqrt(sums.size / (sums.size - 1)) * _t_quantile(1 - alpha / 2, sums.size - 1)
    tail = NormalDist().cdf(-widened)
    low, high = np.quantile(np.concatenate(parts), [tail, 1 - tail])
    return float(low), float(high)


def _resampled(sums: np.ndarray, sizes: np.ndarray, n: int, rng: np.random.Generator) -> np.ndarray:
    drawn = rng.integers(0, sums.size, (n, sums.size), dtype=np.uint32)
    totals = np.take(sums, drawn).sum(axis=1)
    if (sizes == sizes[0]).all():
        return totals / sizes.sum()
    return totals / np.take(sizes, drawn).sum(axis=1)


def smallest_detectable_effect(
    interval: tuple[float, float], n_clusters: int, alpha: float = 0.05, power: float = 0.8
) -> float | None:
    """The true mean difference that a two-sided test at `alpha` finds with probability `power`, from the width of the
    (1 - alpha) bootstrap interval. None when the systems never differ or there is one cluster: nothing can be said.

    Not from the linearised variance of a ratio: where one cluster holds most of the queries that promises an effect three
    times too small."""
    low, high = interval
    if not math.isfinite(high - low) or high == low:
        return None
    quantiles = _t_quantile(power, n_clusters - 1) / _t_quantile(1 - alpha / 2, n_clusters - 1)
    return (high - low) / 2 * (1 + quantiles)


def _t_quantile(probability: float, degrees: int) -> float:
    """Student's t by the Cornish-Fisher expansion, capped where it no longer holds (below 3 degrees)."""
    z, v = NormalDist().inv_cdf(probability), max(degrees, 3)
    terms = (
        (z**3 + z) / (4 * v),
        (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2),
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3),
    )
    return z + sum(terms)


def _cluster_sums(differences: np.ndarray, clusters: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(sums, sizes) per cluster, in label order so that the row order of the input does not matter."""
    _, index = np.unique(clusters, return_inverse=True)
    return np.bincount(index, differences), np.bincount(index).astype(float)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjusted p-values, in the order given."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted, highest = [0.0] * len(p_values), 0.0
    for step, i in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - step) * p_values[i]))
        adjusted[i] = highest
    return adjusted


def compare(
    scores: pl.DataFrame,
    baseline: str,
    system: str,
    metric: str,
    clusters: pl.DataFrame | None = None,
    config: ComparisonConfig | None = None,
    query_set: str = "test",
) -> Comparison:
    """`system` against `baseline` on the same queries.

    Args:
        scores: what `metrics.per_query` returns, holding both systems.
        clusters: (query_id, split_group), such as the table `queries`; without it each query stands for itself.
        query_set: the split set that the queries belong to; the promotion gate refuses all but "promotion".

    Raises EvaluationError when a system or metric is absent, the query sets differ, or a query has no split group.
    """
    config = config or ComparisonConfig()
    paired = _paired(scores, baseline, system, metric, clusters)
    before, after = paired["baseline"].to_numpy(), paired["system"].to_numpy()
    difference, groups = after - before, paired["split_group"].to_numpy()
    low, high = bootstrap_interval(difference, groups, config.alpha, config.n_bootstraps, config.seed)
    n_clusters = paired["split_group"].n_unique()
    p = sign_flip_p(difference, groups, config.n_flips, config.seed)
    unjudged = Comparison(
        baseline=baseline,
        system=system,
        metric=metric,
        query_set=query_set,
        n=paired.height,
        n_clusters=n_clusters,
        baseline_mean=float(before.mean()),
        system_mean=float(after.mean()),
        difference=float(difference.mean()),
        low=low,
        high=high,
        p=p,
        p_holm=p,
        smallest_detectable=smallest_detectable_effect((low, high), n_clusters, config.alpha, config.power),
        won=int((difference > 0).sum()),
        lost=int((difference < 0).sum()),
        tied=int((difference == 0).sum()),
        verdict="insufficient",
        reason="",
        config=config,
    )
    return _judge(unjudged)


def compare_all(
    scores: pl.DataFrame,
    pairs: Sequence[tuple[str, str]],
    metric: str,
    clusters: pl.DataFrame | None = None,
    config: ComparisonConfig | None = None,
    query_set: str = "test",
) -> list[Comparison]:
    """`compare` for each (baseline, system), the p-values corrected together by Holm."""
    return correct(
        [compare(scores, baseline, system, metric, clusters, config, query_set) for baseline, system in pairs]
    )


def correct(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """The comparisons with Holm's correction over all of them, judged again."""
    adjusted = holm([one.p for one in comparisons])
    return [_judge(replace(one, p_holm=p)) for one, p in zip(comparisons, adjusted, strict=True)]


def agree(comparisons: Sequence[Comparison]) -> Outcome:
    """The verdict over several training seeds: better (or worse) only when every seed says so."""
    verdicts = {one.verdict for one in comparisons}
    return verdicts.pop() if len(verdicts) == 1 else "insufficient"


def agreeing(one: Comparison, seeds: Sequence[Comparison]) -> Comparison:
    """`one` as it stands when its other training seeds say the same, else insufficient evidence."""
    if agree([one, *seeds]) == one.verdict:
        return one
    return replace(one, verdict="insufficient", reason="seeds_disagree")


def _paired(
    scores: pl.DataFrame, baseline: str, system: str, metric: str, clusters: pl.DataFrame | None
) -> pl.DataFrame:
    """(query_id, baseline, system, split_group), sorted by query."""
    if metric not in scores.columns:
        raise EvaluationError(f"metric {metric} was not computed; add it to the metrics of per_query")
    sides = [_side(scores, name, metric, alias) for name, alias in ((baseline, "baseline"), (system, "system"))]
    only_one = pl.concat(
        [sides[0].join(sides[1], on="query_id", how="anti"), sides[1].join(sides[0], on="query_id", how="anti")],
        how="diagonal",
    )["query_id"]
    if len(only_one):
        raise EvaluationError(
            f"{baseline} and {system} were scored on different queries, for example {min(only_one)}; "
            "score both on one test set"
        )
    paired = sides[0].join(sides[1], on="query_id").sort("query_id")
    return paired.join(_groups(paired, clusters), on="query_id", how="left", maintain_order="left")


def _side(scores: pl.DataFrame, system: str, metric: str, alias: str) -> pl.DataFrame:
    side = scores.filter(pl.col("system") == system).select("query_id", pl.col(metric).alias(alias))
    if side.is_empty():
        raise EvaluationError(f"no scores of system {system}; add its run")
    if side[alias].is_nan().any() or side[alias].null_count():
        raise EvaluationError(f"scores of system {system} hold NaN in {metric}; score it again")
    if side["query_id"].is_duplicated().any():
        raise EvaluationError(f"scores of system {system} hold a query more than once; score each query once")
    return side


def _groups(paired: pl.DataFrame, clusters: pl.DataFrame | None) -> pl.DataFrame:
    if clusters is None:
        return paired.select("query_id", pl.col("query_id").alias("split_group"))
    groups = clusters.select("query_id", "split_group").unique()
    without = paired.join(groups, on="query_id", how="anti")["query_id"]
    if len(without):
        raise EvaluationError(f"query {min(without)} has no split group; pass the queries that were scored")
    return groups


def _judge(one: Comparison) -> Comparison:
    """Sets verdict and reason. Better needs the mean at or above the margin, the interval above 0, the corrected p
    below alpha and enough clusters; worse is the mirror image; all else is insufficient evidence."""
    config, size = one.config, abs(one.difference)
    outside = one.low > 0 or one.high < 0
    if one.won == one.lost == 0:
        return replace(one, verdict="insufficient", reason="identical")
    if one.n_clusters < config.min_clusters:
        return replace(one, verdict="insufficient", reason="few_clusters")
    if not outside:
        return replace(one, verdict="insufficient", reason="interval_holds_zero")
    if one.p_holm >= config.alpha:
        return replace(one, verdict="insufficient", reason="p_above_alpha")
    if size < config.margin:
        return replace(one, verdict="insufficient", reason="below_margin")
    return replace(one, verdict="better" if one.difference > 0 else "worse", reason="clear")


REASONS: dict[str, tuple[str, str]] = {
    "clear": ("차이가 기준폭을 넘고 신뢰구간이 0을 포함하지 않음", "above the margin, interval clear of zero"),
    "identical": ("두 시스템의 결과가 같음", "the two systems score the same on every query"),
    "few_clusters": ("독립된 질의 묶음이 너무 적음", "too few independent query groups"),
    "interval_holds_zero": ("신뢰구간이 0을 포함함", "the interval includes zero"),
    "p_above_alpha": ("다중비교 보정 후 유의하지 않음", "not significant after Holm's correction"),
    "seeds_disagree": ("학습 시드에 따라 판정이 다름", "the training seeds do not agree"),
    "below_margin": ("유의하지만 기준폭보다 작음", "significant, but smaller than the margin"),
}
"""What `Comparison.reason` says, in Korean and English."""
