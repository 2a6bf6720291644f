"""How far two raters of the same items agree beyond chance, people and language models alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeVar

Label = TypeVar("Label")


def differ(one: object, other: object) -> float:
    """1 for two labels that are not the same: every disagreement weighs alike."""
    return float(one != other)


def distance(one: float, other: float) -> float:
    """How far two grades lie apart: linear weights, for grades that have an order."""
    return abs(one - other)


def cohen_kappa(
    first: Sequence[Label], second: Sequence[Label], cost: Callable[[Label, Label], float] = differ
) -> float:
    """Agreement of two raters of the same items beyond chance: 1 complete, 0 chance. 1 where both always say the same.

    cost: what a pair of labels weighs as a disagreement; `distance` gives Cohen's linearly weighted κ. Raises ValueError
    when the raters did not rate the same number of items.

    Cohen, J. (1960), A coefficient of agreement for nominal scales; (1968), Weighted kappa.
    """
    observed = sum(cost(a, b) for a, b in zip(first, second, strict=True)) * len(first)
    left, right = Counter(first), Counter(second)
    expected = sum(cost(a, b) * n * m for a, n in left.items() for b, m in right.items())
    return 1.0 if expected == 0 else 1 - observed / expected
