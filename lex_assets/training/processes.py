"""The processes that one run is spread over, one per device, and how they agree.

Every process makes the same batches and takes the same loss over all outputs of a batch; only the passes through the
model are shared out. The outcome is therefore that of one process, in-batch negatives of the others included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lex_assets.schemas import LexError

T = TypeVar("T")


@dataclass(frozen=True)
class Processes:
    """This process among the `count` of its run. The first, of rank 0, is the one that reports and writes."""

    rank: int = 0
    count: int = 1

    @classmethod
    def current(cls) -> Processes:
        """As torch.distributed was set up; a process of its own otherwise."""
        together = dist.is_available() and dist.is_initialized()
        return cls(dist.get_rank(), dist.get_world_size()) if together else cls()

    @property
    def first(self) -> bool:
        """Whether this process reports and writes."""
        return self.rank == 0

    def own(self, parts: Sequence[Sequence[int]]) -> range:
        """Numbers of the parts of a batch that are this process's. Raises LexError when there are fewer than processes."""
        if len(parts) < self.count:
            raise LexError(
                f"training: {len(parts)} sequences at once cannot be shared among {self.count} processes; raise batch_size "
                "or valid_queries, or use fewer devices"
            )
        return range(self.rank, len(parts), self.count)

    def everything(self, parts: Sequence[Sequence[int]], own: Mapping[int, Tensor]) -> Tensor:
        """Outputs of all `parts` in their order, without a graph, from each process's `own` by number."""
        if self.count == 1:
            return torch.cat([own[number].detach() for number in range(len(parts))])
        some = next(iter(own.values()))
        whole = some.new_zeros(sum(map(len, parts)), *some.shape[1:])
        for number, place in enumerate(whole.split([len(part) for part in parts])):
            if number in own:
                place.copy_(own[number].detach())
        dist.all_reduce(whole)  # the others hold zeros there
        return whole

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Give every process the sum of all processes' gradients."""
        for parameter in parameters if self.count > 1 else ():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            dist.all_reduce(parameter.grad)

    def any(self, here: bool) -> bool:
        """Whether it is so in any process."""
        if self.count == 1:
            return here
        flag = torch.tensor(int(here), device="cuda" if dist.get_backend() == "nccl" else "cpu")
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag)

    def together(self, work: Callable[[], T]) -> T:
        """`work()`. Out of memory in one process is out of memory in all, so that all go on with the same micro-batches."""
        result, cause = None, ""
        try:
            result = work()
        except torch.OutOfMemoryError as error:
            cause = str(error) or "out of memory"
        if self.any(bool(cause)):
            raise torch.OutOfMemoryError(cause or "another process is out of memory")
        return result  # type: ignore[return-value]
