"""A run's history as plots: the loss against chance, and the validation metric against the base model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lex_assets.plots import curves

History = Sequence[Mapping[str, Any]]
"""Rows of a training history: step, loss, metric, …; null where a row does not measure it."""


def loss_curve(history: History, chance: float) -> str:
    """SVG of the loss per step; the dashed line is what a model scores that knows nothing."""
    return curves({"loss": series(history, "loss")}, "loss", "step", {"chance": chance})


def metric_curve(history: History, name: str, base: float | None) -> str:
    """SVG of the validation metric; the dashed line is the base model, where it is known."""
    return seed_curves({name: history}, base)


def seed_curves(histories: Mapping[str, History], base: float | None) -> str:
    """SVG of the validation metric, one line per seed; the dashed line is the base model, where it is known."""
    known = {} if base is None else {"base": base}
    lines = {name: series(history, "metric") for name, history in histories.items()}
    return curves(lines, "validation", "step", known)


def series(history: History, name: str) -> list[tuple[float, float]]:
    """(step, value) wherever `name` was measured."""
    return [(row["step"], row[name]) for row in history if row.get(name) is not None]
