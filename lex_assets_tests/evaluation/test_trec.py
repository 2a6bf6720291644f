"""TREC text: what is written comes back, and what is malformed is named by line."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from lex_assets.evaluation.refusals import EvaluationError
from lex_assets.evaluation.trec import read_qrels, read_run, write_qrels, write_run
from lex_assets.schemas import QRELS, RUN

A_RUN = """\
q1 Q0 LAW_000030_제53조의2_① 1 3.5 bm25
q1\tQ0\tLAW_000030_제5조\t2\t1.25\tbm25

q2 Q0 PREC_147381_h1 1 0.1 bm25
"""


def written(tmp_path: Path, text: str, name: str = "file.txt") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["run.trec", "run.trec.gz"])
def test_a_run_survives_writing_and_reading(tmp_path: Path, name: str) -> None:
    run = read_run(written(tmp_path, A_RUN))
    assert run["passage_id"].to_list() == ["LAW_000030_제53조의2_①", "LAW_000030_제5조", "PREC_147381_h1"]
    assert run["score"].to_list()[2] == pytest.approx(0.1, rel=1e-7)
    write_run(run, tmp_path / name)
    assert read_run(tmp_path / name).equals(run)
    first = (tmp_path / name).read_bytes()
    write_run(run, tmp_path / name)
    assert (tmp_path / name).read_bytes() == first, "the same run gives the same bytes"


def test_qrels_survive_writing_and_reading(tmp_path: Path) -> None:
    qrels = read_qrels(written(tmp_path, "q1 0 a 2\nq1 0 b 0\n"))
    assert qrels["grade"].to_list() == [2, 0]
    write_qrels(qrels, tmp_path / "qrels.gz")
    assert gzip.decompress((tmp_path / "qrels.gz").read_bytes()) == b"q1 0 a 2\nq1 0 b 0\n"
    assert read_qrels(tmp_path / "qrels.gz").equals(qrels)


def test_beir_qrels_with_a_header_are_read(tmp_path: Path) -> None:
    assert read_qrels(written(tmp_path, "query-id\tcorpus-id\tscore\nq1\ta\t1\n")).rows() == [("q1", "a", 1)]


def test_ranks_from_zero_with_gaps_count_from_one(tmp_path: Path) -> None:
    run = read_run(written(tmp_path, "q Q0 a 7 1 s\nq Q0 b 0 1 s\n"))
    assert run.select("passage_id", "rank").rows() == [("b", 1), ("a", 2)]


def test_a_run_without_ranks_is_ranked_by_score_then_id(tmp_path: Path) -> None:
    run = read_run(written(tmp_path, "q Q0 c 0 1 s\nq Q0 b 0 1 s\nq Q0 a 0 0.5 s\n"), system="mine")
    assert run["passage_id"].to_list() == ["b", "c", "a"] and run["system"].unique().to_list() == ["mine"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "run is empty"),
        ("q Q0 a 1 1 s\nq Q0 b 2 1\n", ":2: 5 columns, expected 6"),
        ("q Q0 a 1 high s\n", ":1: could not convert"),
        ("q Q0 a one 1 s\n", ":1: invalid literal"),
        ("q Q0 a 1 nan s\n", ":1: score nan is not a finite number"),
        ("q Q0 a 1 2 s\nq Q0 a 2 1 s\n", ":2: q a was given on line 1"),
        ("q Q0 a 1 2 s\nq Q0 b 2 2 s\nq Q0 c 2 1 s\n", ":3: q 2 was given on line 2"),
    ],
)
def test_malformed_runs_are_named_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        read_run(written(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("\n", "qrels are empty"),
        ("q 0 a x\n", ":1: invalid literal"),
        ("q 0 a 1\nq 0 a 2\n", ":2: q a was given on line 1"),
    ],
)
def test_malformed_qrels_are_named_by_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        read_qrels(written(tmp_path, text))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="no such file"):
        read_run(tmp_path / "absent")
    with pytest.raises(EvaluationError, match="cannot be read"):
        read_run(written(tmp_path, "plain", "run.gz"))
    (tmp_path / "cp949").write_bytes("q Q0 민법 1 1 s".encode("cp949"))
    with pytest.raises(EvaluationError, match="not UTF-8"):
        read_run(tmp_path / "cp949")


def test_ids_that_trec_cannot_carry_are_refused(tmp_path: Path) -> None:
    row = {"query_id": "q 1", "passage_id": "a", "rank": 1, "score": 1.0, "system": "s"}
    with pytest.raises(EvaluationError, match="'q 1' is empty or holds a space"):
        write_run(RUN.frame([row]), tmp_path / "run")
    with pytest.raises(EvaluationError, match="passage_id"):
        write_qrels(QRELS.frame([{"query_id": "q", "passage_id": "", "grade": 1}]), tmp_path / "qrels")
    assert not list(tmp_path.iterdir())


def test_a_single_ranked_document_keeps_its_place(tmp_path: Path) -> None:
    run = read_run(written(tmp_path, "q Q0 a 5 1 s\n"))
    assert run["rank"].to_list() == [1] and run.schema["rank"] == pl.Int32
