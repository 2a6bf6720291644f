"""The leaderboard: append-only, idempotent, and never across test sets."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from lex_assets.evaluation.history import board, by_test_set, lines, plots
from lex_assets.evaluation.report import HEADLINE
from lex_assets.registry.leaderboard import (
    LEADERBOARD,
    LEADERBOARD_FILE,
    append,
    history,
    history_with,
    leaderboard_rows,
    merge,
    read,
    write_page,
)
from lex_assets.schemas import LexError
from lex_assets_tests.evaluation import made_up


@pytest.fixture(scope="module")
def rows() -> pl.DataFrame:
    return leaderboard_rows(made_up.report(), "r1", "k1", "2026-01-01T00:00:00+00:00")


def test_a_report_becomes_one_row_per_regime_and_system(rows: pl.DataFrame) -> None:
    assert rows.height == 18 and set(HEADLINE.names) < set(rows.columns)
    assert set(rows["retriever"]) == {"r1"} and rows["test_hash"].n_unique() == 1


def test_appending_twice_keeps_the_first_and_a_later_report_is_added(tmp_path: Path, rows: pl.DataFrame) -> None:
    path = tmp_path / "registry" / "leaderboard.parquet"
    assert append(path, rows).height == 18
    assert append(path, rows.with_columns(at=pl.lit("2027"))).equals(append(path, rows))
    later = rows.with_columns(report=pl.lit("later"), at=pl.lit("2026-02-01T00:00:00+00:00"))
    assert append(path, later).height == 36 and read(path)["report"].to_list()[-1] == "later"


def test_history_keeps_to_one_frozen_test_set(rows: pl.DataFrame) -> None:
    other = rows.with_columns(report=pl.lit("other"), test_hash=pl.lit("f" * 64))
    table = merge([rows, other])
    assert history(table, "law", "f" * 64)["report"].unique().to_list() == ["other"]
    with pytest.raises(LexError, match="no report on test set 0000"):
        history(table, "law", "0" * 64)


def test_a_file_that_is_no_leaderboard_is_refused(tmp_path: Path, rows: pl.DataFrame) -> None:
    path = tmp_path / "leaderboard.parquet"
    path.write_bytes(b"not parquet")
    with pytest.raises(LexError, match="not a leaderboard"):
        append(path, rows)
    assert path.read_bytes() == b"not parquet" and LEADERBOARD.key


def test_the_page_keeps_test_sets_apart(tmp_path: Path, rows: pl.DataFrame) -> None:
    later = rows.with_columns(report=pl.lit("later"), at=pl.lit("2026-02-01T00:00:00+00:00"), retriever=pl.lit("r2"))
    other = rows.with_columns(report=pl.lit("other"), test_hash=pl.lit("f" * 64), at=pl.lit("2026-03-01"))
    table = merge([rows, later, other])
    found = [(test_hash[:4], own["report"].n_unique()) for _, test_hash, own in by_test_set(table)]
    assert found == [("ffff", 1), (rows["test_hash"][0][:4], 2)], "the latest first"
    own = history(table, "law", rows["test_hash"][0])
    assert len(lines(own)) == 2 + 2 * 2 and "| r2 |" in lines(own)[2] and ">02-01<" in "".join(plots(own).values())
    write_page(tmp_path / "leaderboard.html", table)
    page = (tmp_path / "leaderboard.html").read_text("utf-8")
    assert (
        page.count("<section>") == 2 and "ffffffffffff" in page and "http" not in page.replace("http://www.w3.org", "")
    )
    assert "아직 보고서가 없습니다" in board(LEADERBOARD.frame([]))


def test_a_new_report_follows_the_earlier_ones(tmp_path: Path, rows: pl.DataFrame) -> None:
    path = tmp_path / LEADERBOARD_FILE
    new = rows.with_columns(report=pl.lit("new"), at=pl.lit("2027"))
    assert history_with(path, new)["report"].unique().to_list() == ["new"]
    append(path, rows)
    append(path, rows.with_columns(report=pl.lit("other"), test_hash=pl.lit("f" * 64)))
    assert history_with(path, new)["report"].unique(maintain_order=True).to_list() == [rows["report"][0], "new"]
    assert history_with(path, rows.clear()).is_empty(), "a report without human queries has no history"
