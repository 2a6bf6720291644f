"""A language model's endpoint of our own on this machine: answers and faults on demand, and a record of what it saw."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread
from types import TracebackType
from typing import Any

KEY = "up_gildong-4711-secret"
_SWITCH_S = 2e-4  # client and server take turns in one process: the usual 5 ms would be most of a request
PHRASES = {200: "OK", 302: "Found", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Answer:
    """A chat completion with this text."""

    text: str
    finish_reason: str = "stop"
    usage: tuple[int, int] | None = (100, 20)


@dataclass(frozen=True)
class Status:
    """An HTTP answer as it is."""

    code: int
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Broken:
    """slow: no answer until the client goes. drop: the connection is closed. cut: half of the body, then closed."""

    how: str


Behaviour = Answer | Status | Broken


def error(code: int, message: str = "", **headers: str) -> Status:
    names = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Status(code, json.dumps({"error": {"message": message, "code": message}}).encode(), names)


@dataclass
class Seen:
    """A request as the server saw it. served: a chat completion went out whole."""

    at: float
    body: dict[str, Any]
    headers: dict[str, str]
    behaviour: Behaviour
    served: bool = False

    @property
    def prompt(self) -> str:
        """The first user message."""
        return next(m["content"] for m in self.body["messages"] if m["role"] == "user")


@dataclass
class LlmServer:
    """behave: what to do with the body of a request. Runs in a thread of its own between `with` and its end."""

    behave: Callable[[dict[str, Any]], Behaviour]
    clock: Callable[[], float] = time.monotonic
    seen: list[Seen] = field(default_factory=list)
    record: bool = True

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> LlmServer:
        self._switch_s = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_S)
        self._loop = asyncio.new_event_loop()
        self._server = self._loop.run_until_complete(
            asyncio.start_server(self._connection, "127.0.0.1", 0, limit=2**20)
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        sys.setswitchinterval(self._switch_s)
        self._loop.close()

    async def _stop(self) -> None:
        self._server.close()
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head[1:] if line)}
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        behaviour = self.behave(body) if head[0].startswith("POST /v1/chat/completions ") else Status(404)
        seen = Seen(self.clock(), body, headers, behaviour)
        if self.record:
            self.seen.append(seen)
        if isinstance(behaviour, Broken):
            await self._break(behaviour.how, reader, writer)
            return False
        writer.write(response(behaviour))
        await writer.drain()
        seen.served = isinstance(behaviour, Answer)
        return True

    async def _break(self, how: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if how == "slow":
            await reader.read()
        elif how == "cut":
            whole = response(Answer("{}"))
            writer.write(whole[: len(whole) - 10])
            await writer.drain()


def response(behaviour: Answer | Status) -> bytes:
    """The bytes of an HTTP answer."""
    if isinstance(behaviour, Answer):
        behaviour = Status(200, json.dumps(completion(behaviour), ensure_ascii=False).encode())
    phrase = PHRASES.get(behaviour.code, "Answer")
    lines = [f"HTTP/1.1 {behaviour.code} {phrase}", "Content-Type: application/json"]
    lines += [f"{name}: {value}" for name, value in behaviour.headers]
    head = "\r\n".join([*lines, f"Content-Length: {len(behaviour.body)}", "", ""])
    return head.encode() + behaviour.body


def completion(answer: Answer) -> dict[str, Any]:
    """The JSON of a chat completion."""
    message = {"role": "assistant", "content": answer.text}
    body: dict[str, Any] = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    body["choices"] = [{"index": 0, "finish_reason": answer.finish_reason, "message": message}]
    if answer.usage:
        prompt, completed = answer.usage
        body["usage"] = {"prompt_tokens": prompt, "completion_tokens": completed, "total_tokens": prompt + completed}
    return body
