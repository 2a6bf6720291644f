"""The language-model client against an endpoint that fails, and against kill -9.

    python -m benchmarks.llm_faults --passages 2000 --share 0.3

A server of our own speaks the API in a process of its own and answers a share of the requests with 429, 500, a dropped
or cut connection, HTML, prose, a wrong schema, half of a JSON object, or not at all. First all passages are asked about
once, then again in another cache by a process that is killed three times with SIGKILL while it asks and started anew.
Clocks of client and server run SPEED times as fast, so that limits a minute take seconds. Exits with 1 when a line says
no. Seen on two busy cores, all lines yes: 2,877 requests of which 883 failed, 1,994 passages kept and 6 with a reason, none
asked about after a usable answer, 294 requests in the fullest minute of 300 allowed; after three kills no stored answer
was asked for again, 5 answers that were under way were.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from lex_assets.llm.cache import ReplyCache
from lex_assets.llm.client import ClientConfig, LlmClient
from lex_assets.llm.endpoint import endpoint
from lex_assets.llm.limits import Clock
from lex_assets.queries.llm_questions import LlmGenerator
from lex_assets.queries.questions import Made, Rejected, SyntheticQuestion
from lex_assets_tests.llm.server import Answer, LlmServer
from lex_assets_tests.queries.writer import Faulty, documents, passage, writes

SPEED = 60
PER_MINUTE = 300
CONCURRENCY = 16
TIMEOUT_S = 2.0
KILLS = 3
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Request:
    """A request as the server saw it. at: seconds of the fast clock · key: its Idempotency-Key · good: answered whole, and
    with questions that can be used."""

    at: float
    key: str
    document: str
    asked: str
    served: bool
    good: bool


def fast() -> float:
    """Seconds of the fast clock, the same in all processes of this machine."""
    return time.monotonic() * SPEED


def serve(pipe: Connection, share: float) -> None:
    """The endpoint; sends what it saw when asked to, until the other end closes."""
    with LlmServer(Faulty(share), fast) as server:
        pipe.send(server.base_url)
        while pipe.recv() == "seen":
            pipe.send(
                [
                    Request(
                        one.at,
                        one.headers.get("idempotency-key", ""),
                        documents(one.body)[0],
                        str(one.body["messages"]),
                        one.served,
                        one.served and isinstance(one.behaviour, Answer) and one.behaviour == writes(one.body),
                    )
                    for one in list(server.seen)
                ]
            )


def ask(url: str, folder: str, passages: int) -> list[Made]:
    """Questions about all passages, with the cache in `folder`."""
    clock = Clock(fast, lambda seconds: asyncio.sleep(seconds / SPEED))
    config = ClientConfig(concurrency=CONCURRENCY, requests_per_minute=PER_MINUTE, timeout_s=TIMEOUT_S)
    cache = ReplyCache(Path(folder) / "replies.sqlite")
    client = LlmClient(endpoint("question", url, "m", ""), cache, config, clock=clock)
    return LlmGenerator(client).generate([passage(n) for n in range(passages)])


class Endpoint:
    """The server's process."""

    def __init__(self, share: float) -> None:
        self.pipe, there = SPAWN.Pipe()
        self.process: BaseProcess = SPAWN.Process(target=serve, args=(there, share), daemon=True)
        self.process.start()
        self.url: str = self.pipe.recv()

    def seen(self) -> list[Request]:
        """All requests so far."""
        self.pipe.send("seen")
        return self.pipe.recv()

    def close(self) -> None:
        """End the server."""
        self.pipe.send("end")
        self.process.join()


def stored(folder: str) -> set[str]:
    """Keys of the answers in the cache."""
    with sqlite3.connect(Path(folder) / "replies.sqlite") as connection:
        return {key for (key,) in connection.execute("SELECT key FROM replies")}


def most_in_a_minute(requests: Sequence[Request]) -> int:
    """The largest number of requests that arrived within 60 s of the fast clock."""
    times, first, most = sorted(one.at for one in requests), 0, 0
    for last, at in enumerate(times):
        while at - times[first] > 60:
            first += 1
        most = max(most, last - first + 1)
    return most


class Findings:
    """Lines that say yes or no."""

    def __init__(self) -> None:
        self.failed = False

    def say(self, holds: bool, line: str) -> None:
        """Print one."""
        self.failed |= not holds
        print(f"{'yes' if holds else 'NO '}  {line}", flush=True)


def accounted(made: Sequence[Made], passages: int, say: Findings) -> None:
    """Whether every passage is kept or has a reason."""
    kept = {one.passage_id for one in made if isinstance(one, SyntheticQuestion)}
    reasons = Counter(one.filter for one in made if isinstance(one, Rejected))
    named = {one.passage_id for one in made if isinstance(one, Rejected) and one.detail}
    lost = passages - len(kept | named)
    say.say(lost == 0, f"every passage is kept ({len(kept):,}) or has a reason ({dict(reasons)}); lost: {lost}")


def faults(passages: int, share: float, say: Findings) -> None:
    """One run, and a rerun."""
    server = Endpoint(share)
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        made = ask(server.url, folder, passages)
        requests = server.seen()
        bad = sum(not one.good for one in requests)
        print(f"{len(requests):,} requests, {bad:,} of them failed, {time.perf_counter() - began:.0f} s", flush=True)
        accounted(made, passages, say)
        twice = sum(count - 1 for count in Counter(one.document for one in requests if one.good).values())
        say.say(twice == 0, f"passages asked about again after a usable answer: {twice}")
        most = most_in_a_minute(requests)
        say.say(most <= PER_MINUTE, f"most requests in any minute, as the server counts: {most:,} of {PER_MINUTE:,}")
        answered = stored(folder)
        ask(server.url, folder, passages)
        repeated = sum(one.key in answered for one in server.seen()[len(requests) :])
        say.say(repeated == 0, f"stored answers that a rerun asks for again: {repeated}")
    server.close()


def killed(passages: int, share: float, say: Findings) -> None:
    """Runs that are killed while they ask, and one that ends."""
    server = Endpoint(share)
    with tempfile.TemporaryDirectory() as folder:
        repeated = under_way = start = 0
        answered: set[str] = set()
        for number in range(1, KILLS + 1):
            child = SPAWN.Process(target=ask, args=(server.url, folder, passages))
            child.start()
            while child.is_alive() and len(server.seen()) < passages * number // (KILLS + 1):
                time.sleep(0.02)
            os.kill(child.pid or 0, signal.SIGKILL)
            child.join()
            requests = server.seen()
            repeated += sum(one.key in answered for one in requests[start:])
            answered, start = stored(folder), len(requests)
            under_way += len({one.key for one in requests if one.served} - answered)
            print(f"killed ({child.exitcode}) after {start:,} requests, {len(answered):,} answers stored", flush=True)
        made = ask(server.url, folder, passages)
        requests = server.seen()
        repeated += sum(one.key in answered for one in requests[start:])
        accounted(made, passages, say)
        say.say(repeated == 0, f"stored answers that were asked for again after a kill: {repeated}")
        most = KILLS * CONCURRENCY
        twice = sum(count - 1 for count in Counter(one.document for one in requests if one.good).values())
        say.say(
            twice <= under_way <= most,
            f"answered while the process died, and so asked again: {twice} (under way {under_way}, at most {most})",
        )
        keys: dict[str, set[str]] = {}
        for one in requests:
            keys.setdefault(one.asked, set()).add(one.key)
        say.say(
            all(len(found) == 1 for found in keys.values()),
            "a repeat carries the Idempotency-Key of the first: an endpoint that honours it answers once",
        )
    server.close()


def main(passages: int, share: float) -> int:
    """Print the findings; the exit status."""
    say = Findings()
    print(f"— {passages:,} passages, {share:.0%} faults, {CONCURRENCY} at once")
    faults(passages, share, say)
    print(f"— the same, killed {KILLS} times")
    killed(passages, share, say)
    return int(say.failed)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=2_000)
    parser.add_argument("--share", type=float, default=0.3)
    arguments = parser.parse_args()
    sys.exit(main(arguments.passages, arguments.share))
