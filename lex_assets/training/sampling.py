"""Order and sampling, as pure functions of (seed, epoch, query): a resumed run draws what the first run would have."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from lex_assets.training.config import TrainingConfig
from lex_assets.training.data import TrainingData


def draw(items: Sequence[str], count: int, seed: int, epoch: int, query_id: str, purpose: str) -> list[str]:
    """`count` of `items` without repetition, or all of them, in drawn order."""
    generator = random.Random(f"{seed}/{epoch}/{query_id}/{purpose}")
    return generator.sample(items, min(count, len(items)))


def epoch_batches(query_ids: Sequence[str], batch_size: int, seed: int, epoch: int) -> list[list[str]]:
    """The epoch's queries, shuffled, in batches of equal size up to one: a small last batch would have few in-batch
    negatives. Lengths are sorted inside a step, where that changes speed and not what is contrasted with what."""
    order = sorted(query_ids)
    random.Random(f"{seed}/{epoch}/order").shuffle(order)
    batches = math.ceil(len(order) / batch_size)
    return [order[n::batches] for n in range(batches)]


def steps_per_pass(queries: int, config: TrainingConfig) -> int:
    """Optimizer steps in which every one of `queries` training queries is taken once."""
    return math.ceil(math.ceil(queries / config.batch_size) / config.accumulation)


@dataclass(frozen=True)
class Sampler:
    """Positives and negatives of a query, drawn anew every epoch."""

    data: TrainingData
    seed: int
    hard_ratio: float

    def positives(self, query_id: str, count: int, epoch: int) -> list[str]:
        """At most `count` positives."""
        return self._draw("positive", self.data.positives[query_id], count, epoch, query_id)

    def negatives(self, query_id: str, count: int, epoch: int) -> list[str]:
        """Mined negatives, then a share of random ones; a query with few mined ones gets no more random ones."""
        random_count = count - round(count * self.hard_ratio)
        hard = self._draw("hard", self.data.negatives[query_id], count - random_count, epoch, query_id)
        unfit = self.data.unfit[query_id] | set(hard)
        spare = self._draw("random", self.data.passage_ids, random_count + len(unfit), epoch, query_id)
        return hard + [passage for passage in spare if passage not in unfit][:random_count]

    def _draw(self, purpose: str, items: Sequence[str], count: int, epoch: int, query_id: str) -> list[str]:
        return draw(items, count, self.seed, epoch, query_id, purpose)
