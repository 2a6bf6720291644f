"""The gradients of one optimizer step, in micro-batches that fit the device.

How a step is cut changes memory and speed, never what is contrasted with what: the loss sees all rows of the batch.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from lex_assets.schemas import LexError
from lex_assets.training.processes import Processes

T = TypeVar("T")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepBatch:
    """Rows for the model with their lengths (tokens), and the loss over their outputs in row order."""

    rows: Sequence[Any]
    lengths: Sequence[int]
    loss: Callable[[Tensor], Tensor]
    chance: float

    def share(self, batches: int) -> StepBatch:
        """This batch as one of several whose mean loss makes a step."""
        whole = self.loss
        return replace(self, loss=lambda outputs: whole(outputs) / batches, chance=self.chance / batches)


@dataclass
class MicroBatches:
    """How much goes through the model at once: `tokens`, padding included; one sequence that is longer goes alone.

    cached: whether only one micro-batch keeps its activations (GradCache, Gao et al. 2021).
    """

    tokens: int
    cached: bool
    _single: int = field(default=0, init=False)  # longest row of a cut into single rows: nothing is left to halve

    def parts(self, lengths: Sequence[int]) -> list[list[int]]:
        """Row numbers by length, longest first, cut so that no part has more padded tokens than the budget, and that every
        process has one."""
        order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
        budget, most = self._per_part(lengths)
        parts, at = [], 0
        while at < len(order):
            fitting = max(min(budget // max(lengths[order[at]], 1), most), 1)
            parts.append(order[at : at + fitting])
            at += fitting
        self._single = max(lengths, default=0) if len(parts) == len(lengths) else 0
        return parts

    def _per_part(self, lengths: Sequence[int]) -> tuple[int, int]:
        """(tokens, rows) of a part at most."""
        processes = Processes.current().count
        if processes == 1:
            return self.tokens, len(lengths)
        return min(self.tokens, sum(lengths) // processes), len(lengths) // processes

    def fitting(self, work: Callable[[], T]) -> T:
        """`work()`, again with half the micro-batch whenever the device runs out of memory.

        Raises LexError when a single sequence does not fit.
        """
        while True:
            try:
                return work()
            except torch.OutOfMemoryError as error:  # its traceback holds the activations: leave it before going on
                cause = str(error).splitlines()[0] if str(error) else "out of memory"
            self._halve(cause)

    def _halve(self, cause: str) -> None:
        if self._single and self.cached:
            raise LexError(
                f"training: one sequence of {self._single} tokens does not fit into the device's memory ({cause}); lower "
                "the maximum lengths, set precision to bf16, or use a smaller base or a larger device"
            )
        self.tokens, self.cached = max(self.tokens // 2, 1), True
        log.warning("out of memory: micro-batch halved to %d tokens, gradients cached", self.tokens)
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def backward(forward: Callable[[Sequence[Any]], Tensor], batch: StepBatch, micro: MicroBatches, seed: str) -> Tensor:
    """Add the gradients of a batch to those of the parameters; returns the loss, detached.

    The loss is taken over the outputs without their graph and gives the gradients of each, which then go back through
    the micro-batches. With cached gradients no graph is kept between the two: each micro-batch is run again, memory is that
    of one, the result the same. Dropout is seeded per micro-batch, so that both passes see the same masks. With several
    processes each runs its share of the micro-batches, and the parameters hold its share of the gradients. seed: names the
    step and the batch.
    """
    processes, parts = Processes.current(), micro.parts(batch.lengths)
    back = torch.tensor([row for part in parts for row in part]).argsort()
    own, again = processes.own(parts), micro.cached and len(parts) > 1

    def outputs(number: int) -> Tensor:
        torch.manual_seed(random.Random(f"{seed}/{number}").getrandbits(63))
        return forward([batch.rows[row] for row in parts[number]])

    with torch.set_grad_enabled(not again):
        found = processes.together(lambda: {number: outputs(number) for number in own})
    whole = processes.everything(parts, found).requires_grad_()
    loss = batch.loss(whole[back])
    loss.backward()
    assert whole.grad is not None
    gradients = whole.grad.split([len(part) for part in parts])

    def learn() -> None:
        for number in own:
            (outputs(number) if again else found[number]).backward(gradients[number])

    processes.together(learn)
    return loss.detach()
