"""TREC runs and qrels as text, so that results can be checked with anyone's tools.

A run line is `query_id Q0 passage_id rank score system`, a qrels line `query_id 0 passage_id grade`, separated by
spaces or tabs. Names ending in .gz are compressed; those ending in .parquet hold the tables `run` and `qrels`. Reading
refuses what is malformed with file and line; nothing is skipped but blank lines and a qrels header.
"""

from __future__ import annotations

import gzip
import io
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.evaluation.metrics import rank_by_score
from lex_assets.evaluation.refusals import EvaluationError, check_columns
from lex_assets.schemas import QRELS, QUERIES, RUN, TableSchema

_HEADERS = {"query", "query_id", "qid", "query-id", "queryid"}


def read_run(path: Path, system: str | None = None) -> pl.DataFrame:
    """Table `run` from a TREC run. `system` replaces the file's own tag.

    Ranks count from 1 in the file's order of ranks, which may start at 0 and have gaps; where the ranks of a query are
    all equal, they are made from the scores (ties by id). Raises EvaluationError with file and line."""
    if path.suffix == ".parquet":
        table = _read_parquet(path, RUN)
        return table if system is None else table.with_columns(pl.lit(system).alias("system"))
    rows = _read(path, 6, _run_row)
    if not rows:
        raise EvaluationError(f"{path}: run is empty; expected lines `query Q0 passage rank score system`")
    frame = pl.DataFrame(rows, schema={**RUN.polars, "line": pl.Int64}, orient="row")
    if system is not None:
        frame = frame.with_columns(pl.lit(system).alias("system"))
    _refuse_repeated(path, frame, ["system", "query_id", "passage_id"])
    group = ["system", "query_id"]
    constant = pl.col("rank").min().over(group) == pl.col("rank").max().over(group)
    unranked = frame.filter(constant)
    ranked = frame.filter(~constant)
    _refuse_repeated(path, ranked, [*group, "rank"])
    order = pl.col("rank").rank("ordinal").over(group).cast(pl.Int32)
    both = pl.concat([ranked.with_columns(order), rank_by_score(unranked)])
    return RUN.validate(both.sort("system", "query_id", "rank"))


def read_qrels(path: Path) -> pl.DataFrame:
    """Table `qrels` from a TREC qrels file, or from `query passage grade` with three columns (BEIR), header or not.

    Raises EvaluationError with file and line."""
    if path.suffix == ".parquet":
        return _read_parquet(path, QRELS)
    rows = _read(path, (3, 4), _qrels_row)
    if not rows:
        raise EvaluationError(f"{path}: qrels are empty; expected lines `query 0 passage grade`")
    frame = pl.DataFrame(rows, schema={**QRELS.polars, "line": pl.Int64}, orient="row")
    _refuse_repeated(path, frame, ["query_id", "passage_id"])
    return QRELS.validate(frame.sort("query_id", "passage_id"))


def read_groups(path: Path) -> pl.DataFrame:
    """(query_id, split_group) from lines `query group`, header or not, or from Parquet, such as the table `queries`.

    Raises EvaluationError with file and line, also when a query is in two groups."""
    if path.suffix == ".parquet":
        return _read_parquet(path, _GROUPS).unique()
    rows = _read(path, 2, lambda fields: {"query_id": fields[0], "split_group": fields[1]})
    frame = pl.DataFrame(rows, schema={**_GROUPS.polars, "line": pl.Int64}, orient="row")
    _refuse_repeated(path, frame.unique(_GROUPS.names, keep="first", maintain_order=True), ["query_id"])
    return frame.select(_GROUPS.names).unique(maintain_order=True)


_GROUPS = TableSchema(
    "groups",
    {name: QUERIES.columns[name] for name in ("query_id", "split_group")},
    (),
)


def _read_parquet(path: Path, schema: TableSchema) -> pl.DataFrame:
    """The columns of `schema`; keys are left to whoever scores, which names the query."""
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise EvaluationError(f"{path}: cannot be read ({str(error).splitlines()[0]}); write it again") from error
    if frame.is_empty():
        raise EvaluationError(f"{path}: {schema.name} is empty; write at least one row")
    check_columns(frame, schema, f"correct {path}")
    return frame.select(schema.names).cast(schema.polars)


def write_run(run: pl.DataFrame, path: Path) -> None:
    """`run` as TREC text, ordered by system, query and rank. Scores are written with nine digits, so that a float32
    comes back as it was."""
    _refuse_spaces(run, ["query_id", "passage_id", "system"], path)
    columns = run.sort("system", "query_id", "rank").select(RUN.names)
    _write(path, (f"{q} Q0 {p} {rank} {score:.9g} {system}\n" for q, p, rank, score, system in columns.iter_rows()))


def write_qrels(qrels: pl.DataFrame, path: Path) -> None:
    """`qrels` as TREC text, ordered by query and passage."""
    _refuse_spaces(qrels, ["query_id", "passage_id"], path)
    columns = qrels.sort("query_id", "passage_id").select(QRELS.names)
    _write(path, (f"{q} 0 {p} {grade}\n" for q, p, grade in columns.iter_rows()))


def _run_row(fields: list[str]) -> dict[str, Any]:
    query, _, passage, rank, score, system = fields
    value = float(score)
    if not math.isfinite(value):
        raise ValueError(f"score {score} is not a finite number")
    return {"query_id": query, "passage_id": passage, "rank": int(rank), "score": value, "system": system}


def _qrels_row(fields: list[str]) -> dict[str, Any]:
    query, passage, grade = fields[0], fields[-2], int(fields[-1])
    return {"query_id": query, "passage_id": passage, "grade": grade}


def _read(
    path: Path, widths: int | tuple[int, ...], parse: Callable[[list[str]], dict[str, Any]]
) -> list[dict[str, Any]]:
    """Parsed rows, each with its line number."""
    allowed = (widths,) if isinstance(widths, int) else widths
    rows: list[dict[str, Any]] = []
    for number, line in _lines(path):
        fields = line.split()
        if not fields or (number == 1 and fields[0].lower() in _HEADERS):
            continue
        if len(fields) not in allowed:
            raise EvaluationError(f"{path}:{number}: {len(fields)} columns, expected {' or '.join(map(str, allowed))}")
        try:
            rows.append(parse(fields) | {"line": number})
        except ValueError as error:
            raise EvaluationError(f"{path}:{number}: {error}; correct the line") from error
    return rows


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with _open(path, "rb") as raw, io.TextIOWrapper(raw, encoding="utf-8-sig") as text:
            yield from enumerate(text, start=1)
    except FileNotFoundError as error:
        raise EvaluationError(f"{path}: no such file; check the path") from error
    except UnicodeDecodeError as error:
        raise EvaluationError(f"{path}: not UTF-8 text; convert it, for example with iconv") from error
    except (OSError, EOFError) as error:
        raise EvaluationError(f"{path}: cannot be read ({error}); check that it is a text or gzip file") from error


def _write(path: Path, lines: Iterator[str]) -> None:
    """Beside and renamed, so that a reader never sees half a file. Compressed bytes do not depend on name or time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as target:
        if path.suffix == ".gz":
            with gzip.GzipFile(filename="", fileobj=target, mode="wb", mtime=0) as packed:
                packed.writelines(line.encode() for line in lines)
        else:
            target.writelines(line.encode() for line in lines)
    beside.replace(path)


def _open(path: Path, mode: str) -> Any:
    return gzip.open(path, mode) if path.suffix == ".gz" else path.open(mode)


def _refuse_repeated(path: Path, frame: pl.DataFrame, key: list[str]) -> None:
    repeated = frame.filter(frame.select(key).is_duplicated())
    if repeated.is_empty():
        return
    first = repeated.sort("line")
    values = " ".join(str(first[name][0]) for name in key if name != "system")
    twin = first.filter(pl.all_horizontal(pl.col(name) == first[name][0] for name in key))["line"]
    raise EvaluationError(f"{path}:{twin[1]}: {values} was given on line {twin[0]} already; keep one of them")


def _refuse_spaces(frame: pl.DataFrame, columns: list[str], path: Path) -> None:
    for column in columns:
        spaced = frame.filter(pl.col(column).str.contains(r"\s|^$"))[column]
        if len(spaced):
            raise EvaluationError(
                f"{path}: {column} {spaced[0]!r} is empty or holds a space, which TREC text cannot carry"
            )
