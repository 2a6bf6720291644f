"""`lex-assets mine` on real models: what it writes, that it is repeatable, and what a killed or wrong run leaves."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest

from lex_assets.schemas import TRIPLETS
from lex_assets_tests.commands import done, refused

TABLES = ("triplets", "candidates", "qrels", "positives")
FAST = ("question_similarity=0", "hard=2", "mid=1")


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """--corpus, --queries and --qrels of a small collection with a repeated text and a question that is a passage."""
    texts = [f"제{n}조 임대인은 보증금 {n}원을 {n * 7 % 13}일 안에 반환하여야 한다." for n in range(40)]
    asked = [f"보증금 {n}원을 반환할 기한" for n in range(6)] + [texts[30]]
    written = {"corpus": [*texts, texts[0]], "queries": asked}
    for name, rows in written.items():
        lines = [json.dumps({"id": f"{name[0]}{n}", "text": text}, ensure_ascii=False) for n, text in enumerate(rows)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    (tmp_path / "qrels.tsv").write_text("".join(f"q{n} 0 c{n} 1\n" for n in range(7)), "utf-8")
    names = {"corpus": "corpus.jsonl", "queries": "queries.jsonl", "qrels": "qrels.tsv"}
    return [part for option, name in names.items() for part in (f"--{option}", str(tmp_path / name))]


def same(one: Path, other: Path) -> bool:
    return all((one / f"{name}.parquet").read_bytes() == (other / f"{name}.parquet").read_bytes() for name in TABLES)


def test_tables_and_audit_are_written_once_and_no_repeated_text_is_a_negative(files: list[str], tmp_path: Path) -> None:
    done("mine", *files, "--out", tmp_path / "one", "--cache", tmp_path / "cache", *FAST)
    triplets = TRIPLETS.validate(pl.read_parquet(tmp_path / "one" / "triplets.parquet"))
    chosen = {row["query_id"]: [n["passage_id"] for n in row["negatives"]] for row in triplets.to_dicts()}
    assert len(chosen) == 7 and not {"c0", "c40"} & set(chosen["q0"]) and "c30" not in chosen["q6"]
    assert "오답 채굴" in (tmp_path / "one" / "audit.md").read_text("utf-8")
    again = ("mine", *files, "--out", tmp_path / "one", "--cache", tmp_path / "cache")
    assert "the same was there" in done(*again, *FAST, "memory_mib=8")
    assert "--out" in refused(*again, *FAST, "seed=7")


@pytest.mark.slow
def test_killed_in_the_middle_the_same_command_gives_the_same_tables(files: list[str], tmp_path: Path) -> None:
    """The run dies by kill -9 as soon as scores are kept; nothing half-mined is there, and the rerun equals an undisturbed one."""
    out, cache = tmp_path / "killed", tmp_path / "cache"
    program = [sys.executable, "-c", "from lex_assets.cli import app; app()", "mine", *files, *FAST]
    run = subprocess.Popen(
        [*program, "--out", str(out), "--cache", str(cache)], stderr=subprocess.DEVNULL, env=os.environ
    )
    while run.poll() is None and not list(cache.glob("*.sqlite")):
        time.sleep(0)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL and not out.exists()
    done("mine", *files, *FAST, "--out", out, "--cache", cache)
    done("mine", *files, *FAST, "--out", tmp_path / "undisturbed")
    assert same(out, tmp_path / "undisturbed")


def test_wrong_input_is_one_line(files: list[str], tmp_path: Path) -> None:
    assert "did you mean hard" in refused("mine", *files, "--out", tmp_path / "x", "hrad=2")
    (tmp_path / "queries.jsonl").write_text('{"id": 1, "text": "a", "set": "training"}\n', "utf-8")
    assert "set 'training'" in refused("mine", *files, "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()
