"""Every report's headline over time, in one append-only table.

Rows of different test sets stand side by side and are never compared: `test_hash` says which belong together.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import polars as pl
from filelock import FileLock, Timeout

from lex_assets.evaluation.history import board
from lex_assets.evaluation.report import HEADLINE, EvalReport
from lex_assets.schemas import Column, LexError, TableSchema

LEADERBOARD_FILE, PAGE_FILE = "leaderboard.parquet", "leaderboard.html"
"""Below the registry's folder: the table, and the page that is drawn from it."""

LEADERBOARD = TableSchema(
    "leaderboard",
    {
        "report": Column(pl.String, "hash of the report"),
        "test_hash": Column(pl.String, "hash of the test set; only rows with equal values compare"),
        "at": Column(pl.String, "when the report was made, ISO 8601, or empty"),
        "retriever": Column(pl.String, "adapter id of the retriever, or empty"),
        "reranker": Column(pl.String, "adapter id of the reranker, or empty"),
        **HEADLINE.columns,
    },
    ("report", "domain", "regime", "system"),
)


def leaderboard_rows(report: EvalReport, retriever: str = "", reranker: str = "", at: str = "") -> pl.DataFrame:
    """Table `leaderboard` of one report. `at` is the caller's clock: equal input gives equal rows."""
    facts = {
        "report": report.report_hash,
        "test_hash": report.data["test_hash"],
        "at": at,
        "retriever": retriever,
        "reranker": reranker,
    }
    constants = [pl.lit(value, pl.String).alias(name) for name, value in facts.items()]
    return LEADERBOARD.validate(report.headline().with_columns(constants))


def merge(frames: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """One table; a report that occurs again keeps its first rows. Sorted by domain, time, report, regime and system."""
    kept = pl.concat([LEADERBOARD.frame([]), *frames]).unique(LEADERBOARD.key, keep="first", maintain_order=True)
    return LEADERBOARD.validate(kept.sort("domain", "at", "report", "regime", "system"))


def append(path: Path, rows: pl.DataFrame, lock_timeout_s: float = 30.0) -> pl.DataFrame:
    """Adds `rows` to the Parquet file at `path` under a lock, replacing the file as a whole, and returns the table.

    Rows that are there already stay as they are. Raises LexError when it cannot be read, locked or written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_name(f".{path.name}.lock"), timeout=lock_timeout_s):
            table = merge([*([read(path)] if path.exists() else []), LEADERBOARD.validate(rows)])
            beside = path.with_name(f".{path.name}.{os.getpid()}.part")
            table.write_parquet(beside, compression="zstd")
            beside.replace(path)
    except Timeout as error:
        raise LexError(f"{path}: locked by another process for {lock_timeout_s:g} s; try again") from error
    except OSError as error:
        raise LexError(f"{path}: cannot write ({error.strerror or error}); make the folder writable") from error
    return table


def history_with(path: Path, rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` of one report after those of earlier reports on the same test set, from the file at `path` where there is one."""
    if rows.is_empty() or not path.exists():
        return rows
    return history(merge([read(path), rows]), rows.item(0, "domain"), rows.item(0, "test_hash"))


def write_page(path: Path, table: pl.DataFrame) -> None:
    """Draws the table at `path`, beside and renamed. Raises LexError when it cannot be written."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        beside.write_text(board(table), encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        raise LexError(f"{path}: cannot write ({error.strerror or error}); make the folder writable") from error


def read(path: Path) -> pl.DataFrame:
    """The table at `path`. Raises LexError when it is not a leaderboard."""
    try:
        return LEADERBOARD.validate(pl.read_parquet(path))
    except (OSError, pl.exceptions.PolarsError) as error:
        raise LexError(f"{path}: not a leaderboard ({error}); restore it or remove it") from error


def history(table: pl.DataFrame, domain: str, test_hash: str) -> pl.DataFrame:
    """Rows of one domain on one frozen test set, oldest first.

    Raises LexError when the domain was never scored on this test set, naming those it was."""
    own = table.filter(pl.col("domain") == domain)
    kept = own.filter(pl.col("test_hash") == test_hash)
    if kept.is_empty():
        known = ", ".join(one[:12] for one in own["test_hash"].unique().sort()) or "none"
        raise LexError(f"leaderboard {domain}: no report on test set {test_hash[:12]}; known test sets: {known}")
    return kept.sort("at", "report", "regime", "system")
