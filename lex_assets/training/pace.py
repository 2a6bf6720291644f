"""How fast a run goes, and how much longer it takes."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass
class Pace:
    """Steps and validation passes of this process so far, which differ in length, with the seconds that they took."""

    started: float = field(default_factory=time.monotonic)
    steps: int = 0
    examples: int = 0
    step_s: float = 0.0
    passes: int = 0
    pass_s: float = 0.0

    def stepped(self, examples: int, seconds: float) -> None:
        """Count an optimizer step over `examples` training queries."""
        self.steps += 1
        self.examples += examples
        self.step_s += seconds

    def validated(self, seconds: float) -> None:
        """Count a validation pass."""
        self.passes += 1
        self.pass_s += seconds

    @property
    def elapsed_s(self) -> float:
        """Seconds since this process began."""
        return time.monotonic() - self.started

    @property
    def examples_per_s(self) -> float:
        """Training queries per second of training; 0 before the first step."""
        return self.examples / self.step_s if self.step_s else 0.0

    def left_s(self, steps: int, passes: int) -> float:
        """Seconds that `steps` and `passes` more will take, as far as this process can tell."""
        return self.step_s / max(self.steps, 1) * steps + self.pass_s / max(self.passes, 1) * passes
