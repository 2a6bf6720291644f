"""Requests and tokens per minute, never exceeded as the server counts them, and the pause that a server asks for."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

WINDOW_S = 60.0


@dataclass(frozen=True)
class Clock:
    """Time as the client sees it; tests give it another."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    wall: Callable[[], float] = time.time


class RateLimiter:
    """At most `requests` and `tokens` in any `window_s`, 0 for no limit.

    A request counts from before it leaves until a window after its answer arrived. Its arrival at the server lies
    between the two, so that the server cannot count more, however long the network holds it. First come, first served.
    """

    def __init__(
        self, requests: int = 0, tokens: int = 0, clock: Clock | None = None, window_s: float = WINDOW_S
    ) -> None:
        self.requests, self.tokens, self.window_s = requests, tokens, window_s
        self._clock = clock or Clock()
        self._recent: deque[tuple[float, int]] = deque()
        self._recent_tokens = 0
        self._under_way = self._under_way_tokens = 0
        self._paused_until = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None

    async def acquire(self, tokens: int) -> int:
        """Wait for room for a request of at most `tokens`; returns what `release` is to be given back.

        A request larger than the limit itself goes alone.
        """
        self._belong_to_loop()
        held = min(tokens, self.tokens) if self.tokens else tokens
        async with self._turn:
            while (wait_s := self._wait_s(held)) > 0:
                await self._changed_within(wait_s)
            self._under_way += 1
            self._under_way_tokens += held
        return held

    def release(self, held: int, used: int) -> None:
        """The answer is there, or there will be none: `used` tokens count for a window from now."""
        self._under_way -= 1
        self._under_way_tokens -= held
        if self.requests or self.tokens:
            self._recent.append((self._clock.monotonic() + self.window_s, used))
            self._recent_tokens += used
        self._changed.set()

    def pause(self, seconds: float) -> None:
        """Let nobody through for so long: the server asked for it."""
        self._paused_until = max(self._paused_until, self._clock.monotonic() + seconds)

    def _belong_to_loop(self) -> None:
        """What was asked a moment ago counts in the next event loop too; locks do not outlive theirs."""
        if self._loop is not asyncio.get_running_loop():
            self._loop = asyncio.get_running_loop()
            self._turn, self._changed = asyncio.Lock(), asyncio.Event()
            self._under_way = self._under_way_tokens = 0

    def _wait_s(self, tokens: int) -> float:
        """Seconds after which to look again; 0 when there is room now."""
        now = self._clock.monotonic()
        while self._recent and self._recent[0][0] < now:
            self._recent_tokens -= self._recent.popleft()[1]
        if now < self._paused_until:
            return self._paused_until - now
        crowded = self.requests and self._under_way + len(self._recent) >= self.requests
        heavy = self.tokens and self._under_way_tokens + self._recent_tokens + tokens > self.tokens
        if not (crowded or heavy) or not (self._under_way or self._recent):
            return 0.0
        return max(self._recent[0][0] - now, 1e-6) if self._recent else self.window_s

    async def _changed_within(self, seconds: float) -> None:
        self._changed.clear()
        waiting = [asyncio.ensure_future(self._clock.sleep(seconds)), asyncio.ensure_future(self._changed.wait())]
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
