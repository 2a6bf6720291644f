"""Answers survive the process that asked for them: killed at any answer, the next run asks for the rest only."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from lex_assets.llm.cache import ReplyCache
from lex_assets.llm.chat import Reply
from lex_assets.schemas import LexError
from lex_assets_tests.llm.server import Answer, LlmServer

REPLY = Reply("글 \u2028 {}", "stop", 3, 4)
CHILD = """
import os, signal, sys
from pathlib import Path
from lex_assets.llm.cache import ReplyCache
from lex_assets_tests.llm.asking import ask, client

url, folder, concurrency, dies_at = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
put, stored = ReplyCache.put, []

def put_and_die(*values):
    put(*values)
    stored.append(1)
    if len(stored) == dies_at:
        os.kill(os.getpid(), signal.SIGKILL)

ReplyCache.put = put_and_die
client(url, folder, {"concurrency": concurrency}).ask_all([ask(n) for n in range(60)])
"""


def run(server: LlmServer, folder: Path, concurrency: int, dies_at: int) -> int:
    command = [sys.executable, "-c", CHILD, server.base_url, str(folder), str(concurrency), str(dies_at)]
    return subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, timeout=60).returncode


@pytest.mark.parametrize(("concurrency", "under_way"), [(1, 0), (8, 7)])
def test_killed_in_the_middle_nothing_is_lost_and_nothing_that_was_stored_is_asked_again(
    concurrency: int, under_way: int, tmp_path: Path
) -> None:
    with LlmServer(lambda body: Answer('{"value": 7}')) as server:
        assert run(server, tmp_path, concurrency, dies_at=23) == -signal.SIGKILL
        assert len(ReplyCache(tmp_path / "replies.sqlite")) == 23
        before = len(server.seen)
        assert 23 <= before <= 23 + under_way
        assert run(server, tmp_path, concurrency, dies_at=0) == 0
        asked = Counter(seen.prompt for seen in server.seen)
    assert len(server.seen) - before == 60 - 23
    assert len(asked) == 60 and sum(asked.values()) - 60 == before - 23  # only what was under way is asked twice


def test_a_reply_comes_back_as_it_was_and_the_first_one_stays(tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "deep" / "replies.sqlite")
    assert cache.get("k") is None
    cache.put("k", "m", "{}", "p-1", REPLY)
    cache.put("k", "m", "{}", "p-1", Reply("another", "stop", 1, 1))
    cache.close()
    again = ReplyCache(tmp_path / "deep" / "replies.sqlite")
    assert again.get("k") == REPLY and len(again) == 1


def test_two_processes_may_write(tmp_path: Path) -> None:
    one, other = ReplyCache(tmp_path / "r.sqlite"), ReplyCache(tmp_path / "r.sqlite")
    for n in range(20):
        (one, other)[n % 2].put(str(n), "m", "{}", "p", REPLY)
    assert len(one) == len(other) == 20


def test_what_is_no_cache_is_named(tmp_path: Path) -> None:
    (tmp_path / "r.sqlite").write_bytes(b"no database, and long enough to be looked at as one" * 40)
    with pytest.raises(LexError, match=r"r\.sqlite: the cache of answers cannot be used"):
        ReplyCache(tmp_path / "r.sqlite")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LexError, match="must be writable"):
        ReplyCache(tmp_path / "file" / "r.sqlite")
