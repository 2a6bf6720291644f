"""Requests and tokens per minute, as the server counts them, in an event loop whose time is virtual."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from typing import Any

import pytest

from lex_assets.llm.limits import Clock, RateLimiter


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that, instead of waiting for its next timer, moves its clock there."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:
            self.now = max(self.now, self._scheduled[0]._when)
        super()._run_once()


def run(work: Coroutine[Any, Any, Any]) -> float:
    """Run `work`; the virtual seconds that it took."""
    loop = VirtualLoop()
    try:
        loop.run_until_complete(work)
        return loop.now
    finally:
        loop.close()


def limiter(requests: int = 0, tokens: int = 0) -> RateLimiter:
    return RateLimiter(requests, tokens, Clock(lambda: asyncio.get_running_loop().time()))


async def traffic(limit: RateLimiter, number: int, seed: int) -> list[tuple[float, int]]:
    """(arrival, tokens) at the server of `number` requests whose way and answer take their time."""
    rng, arrived = random.Random(seed), []

    async def one() -> None:
        most = rng.randint(100, 900)
        held = await limit.acquire(most)
        await asyncio.sleep(rng.random() * 5)
        used = rng.randint(50, most)
        arrived.append((asyncio.get_running_loop().time(), used))
        await asyncio.sleep(rng.random() * 9)
        limit.release(held, used)

    await asyncio.gather(*(one() for _ in range(number)))
    return sorted(arrived)


def busiest(arrivals: list[tuple[float, int]], what: int) -> int:
    """The most requests (what 0) or tokens (1) in any 60 seconds."""
    sums = [sum((1, tokens)[what] for at, tokens in arrivals if start <= at <= start + 60) for start, _ in arrivals]
    return max(sums)


@pytest.mark.parametrize("seed", range(5))
def test_requests_per_minute_are_never_exceeded_however_slow_the_network(seed: int) -> None:
    seen: list[tuple[float, int]] = []

    async def work() -> None:
        seen.extend(await traffic(limiter(requests=20), 200, seed))

    took_s = run(work())
    assert len(seen) == 200
    assert busiest(seen, 0) <= 20
    assert took_s < 9 * (60 + 14) + 60  # 200 requests are ten full windows, each as long as a minute and an answer


@pytest.mark.parametrize("seed", range(5))
def test_tokens_per_minute_are_never_exceeded(seed: int) -> None:
    seen: list[tuple[float, int]] = []

    async def work() -> None:
        seen.extend(await traffic(limiter(tokens=5_000), 120, seed))

    run(work())
    assert len(seen) == 120
    assert busiest(seen, 1) <= 5_000


def test_a_request_larger_than_the_limit_goes_alone() -> None:
    async def work() -> None:
        limit = limiter(tokens=1_000)
        for _ in range(3):
            limit.release(await limit.acquire(50_000), 800)

    assert run(work()) == pytest.approx(120, abs=1)


def test_without_limits_nobody_waits_and_a_pause_holds_everybody() -> None:
    async def work() -> None:
        limit = limiter()
        await traffic(limit, 50, 0)
        before = asyncio.get_running_loop().time()
        limit.pause(30)
        await asyncio.gather(*(limit.acquire(1) for _ in range(5)))
        assert asyncio.get_running_loop().time() == pytest.approx(before + 30, abs=0.1)

    assert run(work()) < 14 + 31


def test_the_next_event_loop_remembers_the_last_minute() -> None:
    now = [0.0]

    async def sleep(seconds: float) -> None:
        now[0] += seconds

    limit = RateLimiter(2, 0, Clock(lambda: now[0], sleep))

    async def two() -> None:
        for _ in range(2):
            limit.release(await limit.acquire(1), 1)

    asyncio.run(two())
    assert now[0] == 0
    asyncio.run(two())
    assert now[0] >= 60
