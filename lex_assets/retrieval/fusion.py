"""One ranking from two: by weighted scores or by ranks, with the weight learnt where it can be.

A fixed fusion can fall below its better half, so `learn_weight` looks at both ends too.
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
    """The fusion that scored best on validation, with the scores of its halves beside it."""

    method: str
    weight: float
    score: float
    lexical_score: float
    dense_score: float


def learn_weight(
    lexical: Hits,
    dense: Hits,
    metric: Callable[[Hits], float],
    k: int = 100,
    methods: Sequence[str] = METHODS,
    grid: Sequence[float] = GRID,
) -> LearntFusion:
    """The (method, weight) with the highest `metric` on validation hits; equal scores prefer the lexical side.

    The ends of the grid are the halves themselves, so the result is never below the better one on this sample.
    """
    scored = {(m, w): metric(fuse(lexical, dense, w, k, m)) for m in methods for w in grid if 0 < w < 1}
    ends = {("minmax", w): metric(fuse(lexical, dense, w, k)) for w in (0.0, 1.0)}
    method, weight = max(ends | scored, key=lambda key: ((ends | scored)[key], -key[1]))
    best = (ends | scored)[method, weight]
    return LearntFusion(method, weight, best, ends["minmax", 0.0], ends["minmax", 1.0])
