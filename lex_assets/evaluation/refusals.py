"""What must not be scored: runs and labels that would silently score 0 or drop a query. Every refusal names the first
culprit and how many there are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import polars as pl

from lex_assets.schemas import QRELS, RUN, LexError, TableSchema

OnMissing = Literal["error", "zero"]
NOT_IN_CORPUS = "is not in the corpus; give the corpus that was searched, or correct the id"


class EvaluationError(LexError):
    """Runs or labels that cannot be scored honestly."""


def refuse(ids: Iterable[object], what: str, problem: str) -> None:
    """Raises EvaluationError naming the first id and how many there are; nothing when `ids` is empty."""
    distinct = sorted({str(one) for one in ids})
    if distinct:
        others = f" (and {len(distinct) - 1} more)" if len(distinct) > 1 else ""
        raise EvaluationError(f"{what} {distinct[0]} {problem}{others}")


def check_columns(frame: pl.DataFrame, schema: TableSchema, remedy: str) -> None:
    """Raises EvaluationError when a column is absent or of another type: an id of another type matches nothing."""
    for name, column in schema.columns.items():
        if name not in frame.columns:
            raise EvaluationError(f"{schema.name}: column {name} is missing; {remedy}")
        found = frame.schema[name]
        if found != column.dtype and not (found.is_numeric() and column.dtype().is_numeric()):
            raise EvaluationError(f"{schema.name}: column {name} is {found}, expected {column.dtype}; {remedy}")


def check_qrels(qrels: pl.DataFrame, min_grade: int = 1) -> None:
    """Raises EvaluationError when there are no labels, a value is missing, a label occurs twice, or a query has nothing
    relevant."""
    if qrels.is_empty():
        raise EvaluationError("qrels are empty; build labelled queries first")
    check_columns(qrels, QRELS, "write query_id and passage_id as text and grade as a whole number")
    _refuse_nulls(qrels, QRELS.names, "qrels")
    twice = qrels.filter(qrels.select("query_id", "passage_id").is_duplicated())
    refuse(twice["passage_id"], "qrels: passage", "is labelled more than once for one query")
    with_gold = qrels.filter(pl.col("grade") >= min_grade).select("query_id").unique()
    without = qrels.select("query_id").unique().join(with_gold, on="query_id", how="anti")
    refuse(
        without["query_id"], "qrels: query", f"has no document of grade {min_grade} or above; leave it out of the test"
    )


def check_run(run: pl.DataFrame, qrels: pl.DataFrame, on_missing: OnMissing = "error") -> None:
    """Raises EvaluationError for an empty run, a value that is missing or NaN, a document or rank given twice in a ranking,
    a query without labels, or (unless `on_missing` is "zero") a labelled query without a ranking."""
    if run.is_empty():
        raise EvaluationError("run is empty; search first, or check that the queries are of this domain")
    check_columns(run, RUN, "write ids as text, rank and score as numbers")
    _refuse_nulls(run, RUN.names, "run")
    refuse(run.filter(pl.col("score").is_nan())["query_id"], "run: query", "has a score that is NaN; encode again")
    key = ["system", "query_id"]
    for column, what in (("passage_id", "a document"), ("rank", "a rank")):
        twice = run.filter(run.select(*key, column).is_duplicated())
        refuse(twice["query_id"], "run: query", f"has {what} more than once in one ranking; keep the best")
    known = qrels.select("query_id").unique()
    unknown = run.select("query_id").unique().join(known, on="query_id", how="anti")
    refuse(unknown["query_id"], "run: query", "has no labels; filter the run to the queries of the qrels")
    if on_missing == "error":
        expected = run.select("system").unique().join(known, how="cross")
        missing = expected.join(run.select(key).unique(), on=key, how="anti").sort(key)
        systems = ", ".join(missing["system"].unique().sort())
        refuse(
            missing["query_id"], f"run of {systems}: query", "is missing; search it, or let it count 0 (missing: zero)"
        )


def _refuse_nulls(frame: pl.DataFrame, columns: Sequence[str], what: str) -> None:
    for name in columns:
        rows = frame[name].is_null().arg_true()
        if len(rows):
            others = f" (and {len(rows) - 1} more)" if len(rows) > 1 else ""
            raise EvaluationError(f"{what}: row {rows[0] + 1} has no {name}; write it or remove the row{others}")
