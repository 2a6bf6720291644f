"""Many requests to one model: stored answers first, then within the limits and the budget, retried, re-asked, counted.

Here: the order in which these act. Not here: what is asked and what an answer means (callers give a `read`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from lex_assets.llm.budget import Budget, BudgetSpent, Estimate, Meter, Price, Usage, about_tokens
from lex_assets.llm.cache import ReplyCache
from lex_assets.llm.chat import Chat, Parameters, Reply
from lex_assets.llm.endpoint import Endpoint
from lex_assets.llm.limits import Clock, RateLimiter
from lex_assets.llm.structured import AnswerError
from lex_assets.llm.transport import Fault, Transport
from lex_assets.schemas import LexError

GIVE_UP_AFTER = 3
"""Requests in a row without a usable answer: then it is the endpoint, not the request."""

_LONGEST_BACKOFF_S = 60.0

T = TypeVar("T")
Progress = Callable[[int, int, Usage], None]
"""(requests done, in all, spent so far)."""


class StoppedError(LexError):
    """The endpoint will not answer, whatever is retried; what it did answer is stored."""


@dataclass(frozen=True)
class Unanswered:
    """A request that ended without a usable answer, and why in one line. kind: budget, endpoint or answer."""

    kind: str
    reason: str


@dataclass(frozen=True)
class Ask(Generic[T]):
    """A request and how its reply is read; `read` raises AnswerError, which the model is told before it is asked again."""

    chat: Chat
    read: Callable[[Reply], T]


class ClientConfig(BaseModel):
    """How hard an endpoint is asked."""

    model_config = ConfigDict(frozen=True)

    concurrency: int = Field(default=8, ge=1, description="동시에 보내는 요청 수. Requests under way at once.")
    requests_per_minute: int = Field(default=0, ge=0, description="분당 요청 수, 0은 제한 없음. 0 means no limit.")
    tokens_per_minute: int = Field(default=0, ge=0, description="분당 토큰 수, 0은 제한 없음. 0 means no limit.")
    timeout_s: float = Field(default=60, gt=0, description="한 요청을 기다리는 시간(초). Seconds for one request.")
    attempts: int = Field(default=6, ge=1, description="일시적 오류에 다시 시도하는 횟수. Attempts at one request.")
    reasks: int = Field(
        default=2, ge=0, description="쓸 수 없는 답에 이유를 말하고 다시 묻는 횟수. Times a bad answer is asked again."
    )


class LlmClient:
    """Asks one model. Share a `meter` between clients to share a budget.

    Every reply is stored before it is read, also one that turns out to be unusable: the same requests give the same
    results and cost nothing. Only what brought no reply is asked anew by the next run.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        cache: ReplyCache,
        config: ClientConfig | None = None,
        parameters: Parameters | None = None,
        price: Price | None = None,
        meter: Meter | None = None,
        clock: Clock | None = None,
        limiter: RateLimiter | None = None,
        jitter: Random | None = None,
    ) -> None:
        self.endpoint, self.cache = endpoint, cache
        self.config, self.parameters = config or ClientConfig(), parameters or Parameters()
        self.price, self.meter = price or Price(), meter or Meter(Budget())
        self.meter.admit(self.price)
        self._clock, self._jitter = clock or Clock(), jitter or Random()
        self._limiter = limiter or RateLimiter(
            self.config.requests_per_minute, self.config.tokens_per_minute, self._clock
        )

    @property
    def model(self) -> str:
        """The model's name at its endpoint."""
        return self.endpoint.model

    def estimate(self, chats: Iterable[Chat]) -> Estimate:
        """What asking `chats` would cost; nothing is sent."""
        requests = cached = prompt = 0
        for chat in chats:
            if self.cache.get(chat.key(self.model, self.parameters)) is not None:
                cached += 1
                continue
            requests += 1
            prompt += sum(about_tokens(text) for _, text in chat.messages)
        completion = requests * self.parameters.max_tokens
        money = self.price.of(prompt, completion) if self.price.known else None
        return Estimate(requests, cached, prompt, completion, money)

    def ask_all(self, asks: Sequence[Ask[T]], progress: Progress | None = None) -> list[T | Unanswered]:
        """What each request's reply was read as, in order, or why there is none.

        Raises StoppedError when the endpoint refuses (key, model, address) or fails for several requests in a row.
        """
        return asyncio.run(self.ask_all_async(asks, progress))

    async def ask_all_async(self, asks: Sequence[Ask[T]], progress: Progress | None = None) -> list[T | Unanswered]:
        """As `ask_all`, inside a running event loop."""
        transport = Transport(self.endpoint, self.config.timeout_s, self.config.concurrency, self._clock.wall)
        try:
            return await _Round(self, transport, asks, progress).run()
        finally:
            await transport.close()

    def _backoff_s(self, attempt: int, asked_s: float | None) -> float:
        if asked_s is not None:
            return asked_s + self._jitter.random()
        return min(_LONGEST_BACKOFF_S, 2.0 ** (attempt - 1)) * self._jitter.uniform(0.5, 1.5)


class _Round(Generic[T]):
    """One `ask_all`: the workers, and what they know of each other.

    Until the endpoint has answered once, requests go one at a time: a wrong key or model is noticed by the first.
    """

    def __init__(
        self, client: LlmClient, transport: Transport, asks: Sequence[Ask[T]], progress: Progress | None
    ) -> None:
        self.client, self.transport, self.asks, self.progress = client, transport, asks, progress
        self.results: list[Any] = [None] * len(asks)
        self.done = self.failures = 0
        self.proven = False
        self.stopped: StoppedError | None = None
        self.probe = asyncio.Lock()

    async def run(self) -> list[T | Unanswered]:
        numbers = iter(range(len(self.asks)))
        workers = [asyncio.create_task(self._work(numbers)) for _ in range(self.client.config.concurrency)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)
        return self.results

    async def _work(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self.results[number] = await self._answered(self.asks[number])
            self.done += 1
            if self.progress:
                self.progress(self.done, len(self.asks), self.client.meter.usage)

    async def _answered(self, ask: Ask[T]) -> T | Unanswered:
        chat = ask.chat
        for again in range(self.client.config.reasks + 1):
            if again:
                self.client.meter.reasked()
            reply = await self._reply(chat)
            if isinstance(reply, Unanswered):
                return reply
            try:
                return ask.read(reply)
            except AnswerError as error:
                reason, final = str(error), error.final
            if final:
                break
            chat = chat.again(reply.text, reason)
        return Unanswered("answer", reason)

    async def _reply(self, chat: Chat) -> Reply | Unanswered:
        """The stored reply, or a new one, stored."""
        client = self.client
        key = chat.key(client.model, client.parameters)
        if stored := client.cache.get(key):
            client.meter.found(stored, client.price)
            return stored
        try:
            reply = await self._asked_in_turn(chat, key)
        except BudgetSpent as spent:
            return Unanswered("budget", str(spent))
        if isinstance(reply, Reply):
            client.cache.put(key, client.model, client.parameters.canonical, chat.prompt_version, reply)
        return reply

    async def _asked_in_turn(self, chat: Chat, key: str) -> Reply | Unanswered:
        """Ask; as long as nothing was answered, alone."""
        if not self.proven:
            async with self.probe:
                if self.stopped:
                    raise self.stopped
                if not self.proven:
                    return self._judged(await self._asked(chat, key))
        return self._judged(await self._asked(chat, key))

    async def _asked(self, chat: Chat, key: str) -> Reply | Fault:
        client = self.client
        attempt = 0
        while True:
            attempt += 1
            reply = await self._attempt(chat, key)
            if isinstance(reply, Reply) or reply.verdict != "retry" or attempt == client.config.attempts:
                return reply
            if reply.wait_s is not None:
                client._limiter.pause(reply.wait_s)
            await client._clock.sleep(client._backoff_s(attempt, reply.wait_s))

    async def _attempt(self, chat: Chat, key: str) -> Reply | Fault:
        client, used = self.client, 0
        reserved = client.meter.reserve(chat, client.parameters, client.price)
        held = await client._limiter.acquire(reserved.tokens)
        try:
            reply = await self.transport.send(chat, client.parameters, key)
            if isinstance(reply, Fault):
                used = reserved.tokens if reply.lost else 0
                client.meter.give_back(reserved, reply.lost)
            else:
                used = reply.prompt_tokens + reply.completion_tokens
                client.meter.settle(reserved, reply, client.price)
        finally:
            client._limiter.release(held, used)
        return reply

    def _judged(self, reply: Reply | Fault) -> Reply | Unanswered:
        """The reply, or why this request has none. Raises StoppedError when the fault is not this request's alone."""
        if isinstance(reply, Reply):
            self.proven, self.failures = True, 0
            return reply
        self.failures += 1
        if reply.verdict == "stop":
            self.stopped = StoppedError(reply.cause)
        elif (reply.verdict == "retry" and not self.proven) or self.failures >= GIVE_UP_AFTER:
            self.stopped = StoppedError(
                f"{reply.cause}; requests in a row without an answer: {self.failures}; "
                f"check {self.client.endpoint.variables[0]} and the endpoint, then run again to go on"
            )
        if self.stopped:
            raise self.stopped
        return Unanswered("endpoint", reply.cause)
