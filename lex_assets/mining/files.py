"""The questions of a mining without a pipeline, read from a file."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from lex_assets.passages.stored import TEXT_ROW, read_parquet
from lex_assets.schemas import QUERIES, SETS, LexError
from lex_assets.sources.lines import read_objects

_GIVEN = ("domain", "origin", "regime", "doc_id", "decided")
_DEFAULTS = {"origin": "pair", "regime": "unseen_query"}


def read_questions(path: Path) -> pl.DataFrame:
    """QUERIES of a Parquet file, or of JSONL {id, text, set?, split_group?, origin?, doc_id?}; the set is train without one.

    Raises LexError, naming the file, when it is missing, a set is not known or an id occurs twice."""
    if not path.is_file():
        raise LexError(f"{path}: no such file; give Parquet of the queries table or JSONL with {{id, text}} per line")
    if path.suffix == ".parquet":
        return QUERIES.validate(read_parquet(path))
    table = QUERIES.frame(_row(row) for _, row in read_objects(path, TEXT_ROW))
    unknown = table.filter(~pl.col("set").is_in([*SETS, "dropped"]))
    if len(unknown):
        query, name = unknown.select("query_id", "set").row(0)
        raise LexError(f"{path}: query {query} has the set {name!r}; use {', '.join(SETS)} or leave it out")
    twice = table.filter(pl.col("query_id").is_duplicated())["query_id"]
    if len(twice):
        raise LexError(f"{path}: query id {twice[0]} occurs twice; ids must be unique")
    return table


def _row(row: dict) -> dict[str, str]:
    identity = str(row["id"])
    known = {name: str(row.get(name) or _DEFAULTS.get(name, "")) for name in _GIVEN}
    group, part = str(row.get("split_group") or identity), str(row.get("set") or "train")
    return {"query_id": identity, "text": row["text"], "split_group": group, "set": part, "meta": "{}"} | known
