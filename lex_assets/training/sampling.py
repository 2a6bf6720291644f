"""Order and sampling, as pure functions of (seed, epoch, query): a resumed run draws what the first run would have."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence


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
