"""What tests of the client share: a clock that does not wait, requests to ask, a client with a cache."""

from __future__ import annotations

import asyncio
from pathlib import Path
from random import Random
from typing import Any

from pydantic import BaseModel, ConfigDict

from lex_assets.llm.cache import ReplyCache
from lex_assets.llm.chat import Chat
from lex_assets.llm.client import Ask, ClientConfig, LlmClient
from lex_assets.llm.endpoint import endpoint
from lex_assets.llm.limits import Clock
from lex_assets.llm.structured import read_answer
from lex_assets_tests.llm.server import KEY, LlmServer


class Value(BaseModel):
    """What the tests' model is asked for."""

    model_config = ConfigDict(extra="forbid")

    value: int


class FastClock:
    """Time that passes only where somebody sleeps, and then at once."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        until = self.now + seconds
        self.slept.append(seconds)
        await asyncio.sleep(0)
        self.now = max(self.now, until)

    def clock(self) -> Clock:
        return Clock(self.monotonic, self.sleep, lambda: 0.0)


def ask(number: int) -> Ask[Value]:
    return Ask(Chat((("user", f"표지 {number} 값은?"),), "test-1", Value), lambda reply: read_answer(reply, Value))


def client(server: LlmServer | str, folder: Path, config: dict[str, Any] | None = None, **options: Any) -> LlmClient:
    url = server if isinstance(server, str) else server.base_url
    options = {"clock": FastClock().clock(), "jitter": Random(0)} | options
    where = endpoint("question", url, options.pop("model", "solar-pro2"), options.pop("key", KEY))
    return LlmClient(where, ReplyCache(folder / "replies.sqlite"), ClientConfig(**(config or {})), **options)
