"""What the language-model client itself costs: CPU per request and memory, against a local server that answers at once.

    python -m benchmarks.llm_client --requests 10000

Prints process CPU per request of the whole client (hashing, cache, limits, budget, reading the answer), of one attempt
through the openai package as the client uses it (aiohttp, the untyped call), of the package's typed call on its default
transport, and of a rerun from the cache; and resident memory after a fifth and after all of the requests. The server
runs in a process of its own. Expected on an idle core: the client's own part (whole − attempt) well below 1 ms, the
whole about 1 ms, memory flat within a few MiB.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import tempfile
import time
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import openai
import psutil
from pydantic import BaseModel

from lex_assets.llm.cache import ReplyCache
from lex_assets.llm.chat import Chat, Parameters
from lex_assets.llm.client import Ask, ClientConfig, LlmClient
from lex_assets.llm.endpoint import Endpoint, endpoint
from lex_assets.llm.structured import read_answer
from lex_assets.llm.transport import Transport
from lex_assets_tests.llm.server import Answer, LlmServer

PASSAGE = "은행은 예금자의 청구가 있으면 지체 없이 예금을 반환하여야 한다. " * 25
REPLY = '{"questions": ["은행이 예금을 돌려주어야 하는 때는 언제인가요?", "예금자가 청구하면 은행은 무엇을 하나요?"]}'
CONCURRENCY = 16


class Questions(BaseModel):
    """What the server answers."""

    questions: list[str]


def serve(pipe: Connection) -> None:
    """A server that answers at once, until the other end closes."""
    with LlmServer(lambda body: Answer(REPLY), record=False) as server:
        pipe.send(server.base_url)
        pipe.poll(None)


def ask(number: int) -> Ask[Questions]:
    """Request `number`."""
    chat = Chat((("system", "질문을 만드십시오."), ("user", f"{number} {PASSAGE}")), "benchmark-1", Questions)
    return Ask(chat, lambda reply: read_answer(reply, Questions))


def cpu_ms(work: Callable[[], Any], requests: int) -> float:
    """Process CPU per request, in milliseconds."""
    start = time.process_time()
    work()
    return (time.process_time() - start) / requests * 1000


async def repeated(call: Callable[[int], Awaitable[Any]], requests: int) -> None:
    """`call` for every number, CONCURRENCY at a time."""
    numbers = iter(range(requests))

    async def work() -> None:
        for number in numbers:
            await call(number)

    await asyncio.gather(*(work() for _ in range(CONCURRENCY)))


async def attempts(where: Endpoint, requests: int) -> None:
    """Only the transport."""
    transport, parameters = Transport(where, 60, CONCURRENCY, time.time), Parameters()
    await repeated(lambda n: transport.send(ask(n).chat, parameters, str(n)), requests)
    await transport.close()


async def typed(where: Endpoint, requests: int) -> None:
    """The package as its documentation shows it."""
    async with openai.AsyncOpenAI(base_url=where.base_url, api_key="none", max_retries=0) as client:
        await repeated(lambda n: client.chat.completions.create(**ask(n).chat.body("m", Parameters())), requests)


def main(requests: int) -> None:
    """Print the figures."""
    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=serve, args=(there,), daemon=True)
    process.start()
    where = endpoint("question", here.recv(), "m", "")
    memory = psutil.Process().memory_info
    with tempfile.TemporaryDirectory() as folder:
        cache = ReplyCache(Path(folder) / "replies.sqlite")
        client = LlmClient(where, cache, ClientConfig(concurrency=CONCURRENCY))
        asks = [ask(n) for n in range(requests)]
        client.ask_all(asks[: requests // 5])
        early_mib = memory().rss / 2**20
        whole = cpu_ms(lambda: client.ask_all(asks[requests // 5 :]), requests - requests // 5)
        late_mib = memory().rss / 2**20
        rerun = cpu_ms(lambda: client.ask_all(asks), requests)
        sent = client.meter.usage.requests
    few = max(1, requests // 5)
    attempt = cpu_ms(lambda: asyncio.run(attempts(where, few)), few)
    package = cpu_ms(lambda: asyncio.run(typed(where, few)), few)
    print(f"requests {sent:,} · whole client {whole:.3f} ms CPU · from the cache {rerun:.3f} ms")
    print(
        f"one attempt {attempt:.3f} ms · the client's own part {whole - attempt:.3f} ms · typed call {package:.3f} ms"
    )
    print(f"memory {early_mib:.0f} MiB after {requests // 5:,} · {late_mib:.0f} MiB after {requests:,}")
    here.send(None)
    process.join()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=10_000)
    main(parser.parse_args().requests)
