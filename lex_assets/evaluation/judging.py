"""Relevance as people see it: the best of every system pooled into a sheet, and filled sheets read back as labels.

A sheet is blind and shuffled: it does not say which system found a passage, or where. It is a CSV file that spreadsheets
open; every row carries a checksum of its ids, because spreadsheets rewrite what looks like a number. Not here: how a system
scores on the labels (`metrics`).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import polars as pl

from lex_assets.evaluation.refusals import NOT_IN_CORPUS, EvaluationError, refuse
from lex_assets.queries.agreement import cohen_kappa, distance
from lex_assets.schemas import QRELS, Column, TableSchema, content_hash

POOL_DEPTH = 10
GRADES = {"0": 0, "1": 1, "2": 2}
"""What a judge may write: 0 does not answer, 1 answers in part, 2 answers. An empty cell is not judged."""

SHEET = TableSchema(
    "sheet",
    {
        "item": Column(pl.String, "checksum of the ids"),
        "question": Column(pl.String, "what is asked"),
        "source": Column(pl.String, "where the passage is from, for people"),
        "passage": Column(pl.String, "the passage"),
        "grade": Column(pl.String, "the judge's grade: 0, 1, 2 or empty"),
        "note": Column(pl.String, "what the judge wants to say"),
        "query_id": Column(pl.String, "query"),
        "passage_id": Column(pl.String, "passage"),
    },
    ("query_id", "passage_id"),
)
_NEEDED = ("item", "grade", "query_id", "passage_id")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def pooled(run: pl.DataFrame, depth: int = POOL_DEPTH) -> pl.DataFrame:
    """(query_id, passage_id): the first `depth` of every system, each pair once. run: RUN of any number of systems."""
    return run.filter(pl.col("rank") <= depth).select("query_id", "passage_id").unique().sort("query_id", "passage_id")


def sheet(
    pool: pl.DataFrame, queries: pl.DataFrame, corpus: pl.DataFrame, max_queries: int = 0, seed: int = 0
) -> pl.DataFrame:
    """SHEET rows of `pool`, to be judged: queries and the passages of each in an order drawn by `seed`, so that what is
    judged first is a sample.

    pool: (query_id, passage_id) · queries: query_id, text · corpus: PASSAGES · max_queries: 0 for all. Raises EvaluationError
    for an empty pool and for ids that are not in `queries` or `corpus`."""
    if pool.is_empty():
        raise EvaluationError("nothing to judge: no system found a passage for these queries; check the runs")
    refuse(pool.join(queries, on="query_id", how="anti")["query_id"], "run: query", "is not among the queries")
    refuse(pool.join(corpus, on="passage_id", how="anti")["passage_id"], "run: passage", NOT_IN_CORPUS)
    drawn = _drawn(pool.select("query_id").unique(), str(seed)).sort("draw")
    drawn = drawn.head(max_queries) if max_queries else drawn
    rows = _drawn(pool.join(drawn.rename({"draw": "query_draw"}), on="query_id"), str(seed)).sort("query_draw", "draw")
    texts = rows.join(queries.select("query_id", question="text"), on="query_id", maintain_order="left").join(
        corpus.select("passage_id", "citation", "context", passage="text"), on="passage_id", maintain_order="left"
    )
    source = pl.when(pl.col("citation") == "").then("context").otherwise("citation")
    made = texts.with_columns(source=source, item=_checksums(texts), grade=pl.lit(""), note=pl.lit(""))
    return SHEET.validate(made)


def _drawn(frame: pl.DataFrame, seed: str) -> pl.DataFrame:
    """With the column `draw`, by which an order is the same in every run."""
    draws = [content_hash(seed, *map(str, row)) for row in frame.select(pl.col("^query_id|passage_id$")).iter_rows()]
    return frame.with_columns(draw=pl.Series(draws, dtype=pl.String))


def _checksums(frame: pl.DataFrame) -> pl.Series:
    return pl.Series([_checksum(*ids) for ids in frame.select("query_id", "passage_id").iter_rows()], dtype=pl.String)


def _checksum(query_id: str, passage_id: str) -> str:
    return f"#{content_hash(query_id, passage_id)[:8]}"


def write_sheet(rows: pl.DataFrame, path: Path) -> None:
    """SHEET `rows` as CSV with a byte-order mark, without which Excel reads Korean as another encoding; beside and renamed.

    Text that a spreadsheet would take for a formula gets an apostrophe before it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    shown = rows.select(SHEET.names).with_columns(_harmless(name) for name in ("question", "source", "passage", "note"))
    shown.write_csv(beside, include_bom=True, quote_style="non_numeric")
    beside.replace(path)


def _harmless(name: str) -> pl.Expr:
    risky = pl.col(name).str.slice(0, 1).is_in(_FORMULA)
    return pl.when(risky).then(pl.concat_str(pl.lit("'"), name)).otherwise(name).alias(name)


def read_sheet(path: Path) -> pl.DataFrame:
    """The judged rows of a filled sheet: SHEET with `grade` as Int32, so that QRELS can be taken from it. Rows without a grade
    are left out.

    Raises EvaluationError with file and row for what is not CSV in UTF-8, a column that is gone, ids that no longer fit their
    checksum, a grade other than 0, 1 or 2, a pair that occurs twice, and a sheet without a single grade."""
    rows = [row | {"grade": _grade(path, n, row)} for n, row in _rows(path) if row["grade"].strip()]
    if not rows:
        raise EvaluationError(f"{path}: no row has a grade; write {', '.join(GRADES)} into the column grade")
    frame = pl.DataFrame(rows, schema=SHEET.polars | {"grade": pl.Int32}, orient="row")
    twice = frame.filter(frame.select(SHEET.key).is_duplicated())
    refuse(twice["passage_id"], f"{path}: passage", "is judged more than once for one query; keep one row")
    return frame.sort(SHEET.key)


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Rows with their numbers in the file, the header being row 1; columns that are for people may be gone."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            missing = [name for name in _NEEDED if name not in (reader.fieldnames or ())]
            if missing:
                raise EvaluationError(f"{path}: column {missing[0]} is missing; export the sheet again")
            return [(n, {name: row.get(name) or "" for name in SHEET.names}) for n, row in enumerate(reader, 2)]
    except OSError as error:
        raise EvaluationError(f"{path}: cannot be read ({error.strerror}); check the path") from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path}: not UTF-8; save it as `CSV UTF-8` in the spreadsheet") from error
    except csv.Error as error:
        raise EvaluationError(f"{path}: not CSV ({error}); save it as `CSV UTF-8` in the spreadsheet") from error


def _grade(path: Path, number: int, row: Mapping[str, str]) -> int:
    if row["item"] != _checksum(row["query_id"], row["passage_id"]):
        raise EvaluationError(
            f"{path}: row {number}: the ids are not those that were exported (a spreadsheet may have rewritten them); "
            "restore item, query_id and passage_id from the exported sheet"
        )
    grade = row["grade"].strip()
    if grade not in GRADES:
        raise EvaluationError(f"{path}: row {number}: grade {grade!r} is not one of {', '.join(GRADES)}; correct it")
    return GRADES[grade]


@dataclass(frozen=True)
class Agreement:
    """Two judges on the pairs that both judged. kappa: Cohen's κ over grades · weighted: with linear weights, so that 0 for 2
    weighs twice 0 for 1 · relevant: κ over relevant (1, 2) or not. None where they share no pair."""

    first: str
    second: str
    pairs: int
    kappa: float | None
    weighted: float | None
    relevant: float | None


def agreements(judged: Mapping[str, pl.DataFrame]) -> list[Agreement]:
    """Every two judges. judged: judge → what `read_sheet` gave."""
    return [_agreement(one, other, judged[one], judged[other]) for one, other in combinations(judged, 2)]


def _agreement(first: str, second: str, one: pl.DataFrame, other: pl.DataFrame) -> Agreement:
    both = one.join(other, on=["query_id", "passage_id"], suffix="_other")
    left, right = both["grade"].to_list(), both["grade_other"].to_list()
    if not left:
        return Agreement(first, second, 0, None, None, None)
    relevant = cohen_kappa([grade > 0 for grade in left], [grade > 0 for grade in right])
    return Agreement(first, second, len(left), cohen_kappa(left, right), cohen_kappa(left, right, distance), relevant)


@dataclass(frozen=True)
class Settled:
    """Labels from several judges. qrels: QRELS of the queries with a relevant passage · without_answer: queries in which
    nobody found one, left out of `qrels` · disputed: SHEET rows on which judges differ, their grades in `note`."""

    qrels: pl.DataFrame
    without_answer: list[str]
    disputed: pl.DataFrame


def settle(judged: Mapping[str, pl.DataFrame], decided: pl.DataFrame | None = None) -> Settled:
    """One grade per pair: that of `decided` where it has one, else the median, the lower of two: a label that half of the
    judges deny does not count as an answer.

    judged: judge → what `read_sheet` gave · decided: the same, of disputes that were talked over; they are disputed no more.
    Raises EvaluationError for a decision on a pair that nobody judged."""
    grades = _by_pair(judged)
    final = grades
    if decided is not None:
        refuse(decided.join(grades, on=SHEET.key, how="anti")["passage_id"], "settled: passage", "was judged by nobody")
        grades = grades.join(decided, on=SHEET.key, how="anti", maintain_order="left")
        final = pl.concat([grades.select(QRELS.names), decided.select(QRELS.names)])
    answered = final.filter(pl.col("grade") > 0).select("query_id").unique()
    without = final.join(answered, on="query_id", how="anti")["query_id"].unique().sort().to_list()
    kept = final.join(answered, on="query_id", how="semi").sort(SHEET.key)
    disputed = grades.filter("differ").with_columns(grade=pl.lit(""))
    return Settled(QRELS.validate(kept), without, SHEET.validate(disputed))


def _by_pair(judged: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One row per pair: the columns of a sheet, the median grade, what everybody said, and whether they differ."""
    everybody = pl.concat([frame.with_columns(judge=pl.lit(judge)) for judge, frame in judged.items()])
    said = pl.concat_str("judge", pl.lit(" "), "grade").str.join(", ")
    shown = [pl.col(name).first() for name in ("item", "question", "source", "passage")]
    median = pl.col("grade").sort().get((pl.len() - 1) // 2)
    differ = (pl.col("grade").n_unique() > 1).alias("differ")
    return (
        everybody.group_by(SHEET.key, maintain_order=True)
        .agg(*shown, median, said.alias("note"), differ)
        .sort(SHEET.key)
    )
