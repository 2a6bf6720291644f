"""One ranking from two: by weighted scores or by ranks, with the weight learnt where it can be.

A fixed fusion can fall below its better half, and so can a weight learnt on few questions: `learn_weight` keeps the better
half unless mixing gains more than its standard error.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lex_assets.retrieval.types import Hit, Hits, ranked
from lex_assets.schemas import LexError

RRF_K = 60
METHODS = ("minmax", "zscore", "rrf")
GRID = tuple(np.linspace(0, 1, 21).round(2).tolist())


def minmax(hits: Sequence[Hit]) -> dict[str, float]:
    """Scores from 0 (last hit) to 1 (best); 1 where all are equal."""
    if not hits:
        return {}
    scores = np.array([score for _, score in hits], dtype=np.float64)
    low, span = scores.min(), np.ptp(scores)
    scaled = (scores - low) / span if span else np.ones_like(scores)
    return {passage_id: float(s) for (passage_id, _), s in zip(hits, scaled, strict=True)}


def zscore(hits: Sequence[Hit]) -> dict[str, float]:
    """Scores in standard deviations above the last hit, which is what a passage that was not found counts as."""
    if not hits:
        return {}
    scores = np.array([score for _, score in hits], dtype=np.float64)
    deviation = scores.std() or 1.0
    return {passage_id: float((s - scores.min()) / deviation) for (passage_id, _), s in zip(hits, scores, strict=True)}


def reciprocal_rank(hits: Sequence[Hit]) -> dict[str, float]:
    """1 / (60 + rank)."""
    return {passage_id: 1 / (RRF_K + rank) for rank, (passage_id, _) in enumerate(hits, 1)}


_SCALES: dict[str, Callable[[Sequence[Hit]], dict[str, float]]] = {
    "minmax": minmax,
    "zscore": zscore,
    "rrf": reciprocal_rank,
}


def fuse(lexical: Hits, dense: Hits, weight: float = 0.5, k: int = 100, method: str = "minmax") -> Hits:
    """Per query (1 - weight) × lexical + weight × dense over scaled scores; what one side did not find counts 0 there.

    At weight 0 or 1 the ranking is that side's own. Raises LexError for an unknown method or a weight outside [0, 1].
    """
    if method not in _SCALES:
        raise LexError(f"fusion {method} is not known; use one of {', '.join(METHODS)}")
    if not 0 <= weight <= 1:
        raise LexError(f"fusion weight {weight} must lie in [0, 1]")
    if weight in (0, 1):
        return [hits[:k] for hits in (dense if weight else lexical)]
    scale = _SCALES[method]
    return [_weighted(scale(a), scale(b), weight, k) for a, b in zip(lexical, dense, strict=True)]


def _weighted(lexical: dict[str, float], dense: dict[str, float], weight: float, k: int) -> list[Hit]:
    sums = {i: (1 - weight) * lexical.get(i, 0) + weight * dense.get(i, 0) for i in lexical.keys() | dense.keys()}
    return ranked(sums.items(), k)


@dataclass(frozen=True)
class LearntFusion:
    """The fusion that validation chose. Mean scores of it and of its halves; `gain` over the better half and its standard
    error are of the best mixture, also when it was not chosen."""

    method: str
    weight: float
    score: float
    lexical_score: float
    dense_score: float
    gain: float = 0.0
    standard_error: float = 0.0


def learn_weight(
    lexical: Hits,
    dense: Hits,
    metric: Callable[[Hits], np.ndarray],
    k: int = 100,
    methods: Sequence[str] = METHODS,
    grid: Sequence[float] = GRID,
    groups: Sequence[str] | None = None,
) -> LearntFusion:
    """The (method, weight) for these validation hits, or the better half where no mixture gains more than one standard error.

    metric: hits → (n_queries,) scores · groups: per query what it rises and falls with; each is its own without. The best
    mixture is the one with the highest mean over neighbouring weights, so that a lucky weight does not win.
    """
    halves = [metric(fuse(lexical, dense, end, k)) for end in (0.0, 1.0)]
    inner = [weight for weight in grid if 0 < weight < 1]
    curves = {m: np.array([metric(fuse(lexical, dense, w, k, m)) for w in inner]) for m in methods}
    level = {m: _smoothed([halves[0].mean(), *curves[m].mean(axis=1), halves[1].mean()]) for m in methods}
    method, place = max(((m, n) for m in methods for n in range(len(inner))), key=lambda key: level[key[0]][key[1]])
    weight, better = inner[place], int(halves[1].mean() > halves[0].mean())
    difference = curves[method][place] - halves[better]
    gain, error = float(difference.mean()), _standard_error(difference, groups)
    scores = curves[method][place] if gain > error else halves[better]
    chosen = (method, weight) if gain > error else ("minmax", float(better))
    return LearntFusion(*chosen, float(scores.mean()), float(halves[0].mean()), float(halves[1].mean()), gain, error)


def _smoothed(curve: Sequence[float]) -> np.ndarray:
    """Means over up to five neighbours of every inner point of `curve`."""
    return np.array([np.mean(curve[max(0, n - 2) : n + 3]) for n in range(1, len(curve) - 1)])


def _standard_error(difference: np.ndarray, groups: Sequence[str] | None) -> float:
    """Of the mean, with groups that rise and fall together."""
    _, index = np.unique(range(len(difference)) if groups is None else groups, return_inverse=True)
    sums = np.bincount(index, difference - difference.mean())
    return float(np.sqrt(len(sums) / max(1, len(sums) - 1) * (sums @ sums)) / len(difference))
