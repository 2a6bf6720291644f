"""Did a run learn? The pattern that its losses and validation metrics show, and an error where it is a failure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lex_assets.schemas import LexError

MIN_STEPS_TO_JUDGE = 10
"""A shorter run cannot be told from noise around chance, so that it is not called a failure."""

AT_CHANCE = 0.99
WORSE = 0.95
"""Shares below which a loss has left chance, and a metric has fallen."""

CONVERGED, OVERFIT, NO_CONVERGENCE, LOSS_ONLY = "converged", "overfit", "no_convergence", "loss_only"
_REMEDIES = {
    NO_CONVERGENCE: "raise learning_rate or max_steps",
    OVERFIT: "lower learning_rate or epochs, raise lora_dropout, or add documents",
    LOSS_ONLY: "check that training and validation ask the same kind of question, or lower learning_rate",
}


class TrainingError(LexError):
    """A run that did not learn; the message names the pattern."""


@dataclass(frozen=True)
class Course:
    """How a run went. Losses: of the first step and the mean of the last fifth, each with its chance, `chance` the mean of
    all steps · metrics: of the base, the best and the last validation."""

    steps: int
    initial_loss: float
    final_loss: float
    chance: float
    final_chance: float
    base_metric: float
    best_metric: float
    last_metric: float

    @classmethod
    def of(cls, history: Sequence[Mapping[str, Any]]) -> Course:
        """From the rows of a complete run: steps have a loss, validations a metric, the base's first."""
        steps = [row for row in history if row["loss"] is not None]
        base, *metrics = [row["metric"] for row in history if row["metric"] is not None]
        tail = steps[-max(1, len(steps) // 5) :]
        return cls(
            steps=len(steps),
            initial_loss=steps[0]["loss"],
            final_loss=_mean([row["loss"] for row in tail]),
            chance=_mean([row["chance"] for row in steps]),
            final_chance=_mean([row["chance"] for row in tail]),
            base_metric=base,
            best_metric=max(metrics),
            last_metric=metrics[-1],
        )

    @property
    def gained(self) -> bool:
        """Whether a checkpoint beats the base, or nothing could."""
        return self.best_metric > self.base_metric or self.best_metric >= 1

    @property
    def pattern(self) -> str:
        """`converged`: validation rose above the base · `overfit`: it fell again, or below the base · `no_convergence`: the
        loss stayed at chance · `loss_only`: the loss left chance and validation gained nothing."""
        if self.gained:
            return OVERFIT if self.last_metric < WORSE * self.best_metric else CONVERGED
        if self.final_loss >= AT_CHANCE * self.final_chance:
            return NO_CONVERGENCE
        return OVERFIT if self.last_metric < WORSE * self.base_metric else LOSS_ONLY

    def require_learning(self, metric_name: str, require_gain: bool) -> None:
        """Raise TrainingError, naming the pattern and what to do, when the run did not learn. Without `require_gain` only a
        loss at chance is a failure."""
        failed = not self.gained and (require_gain or self.pattern == NO_CONVERGENCE)
        if not failed or self.steps < MIN_STEPS_TO_JUDGE:
            return
        remedy = _REMEDIES[self.pattern]
        if self.pattern != NO_CONVERGENCE:
            remedy += ", or set require_gain to false to keep the best checkpoint anyway"
        raise TrainingError(
            f"training: {self.pattern.replace('_', ' ')}: loss {self.final_loss:.3f} (chance {self.final_chance:.3f}), {metric_name} "
            f"{self.base_metric:.4f} before, {self.best_metric:.4f} at best, {self.last_metric:.4f} at the end; {remedy}"
        )


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
