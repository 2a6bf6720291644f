"""What lies on a disk: the documents and the corpus of a store, a JSONL corpus, JSONL queries, the tables that a pipeline has published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.schemas import DOCUMENTS, DOMAINS, PASSAGES, LexError, content_hash
from lex_assets.sources.lines import read_objects

TEXT_ROW = {"id": (str, int), "text": (str,)}
"""What every line of a corpus or query file needs."""


def read_corpus(path: Path) -> pl.DataFrame:
    """PASSAGES rows of a store folder (its corpus.parquet, or the pipeline's corpus asset) or of a JSONL file."""
    if not path.exists():
        raise LexError(f"{path}: no such file or folder; give a store folder or a JSONL file")
    if path.is_file():
        return PASSAGES.frame(_passage_row(row) for _, row in read_objects(path, TEXT_ROW))
    for candidate in (path / "corpus.parquet", *published(path / "tables" / "corpus", "passages")):
        if candidate.is_file():
            return PASSAGES.validate(read_parquet(candidate))
    raise LexError(f"{path}: holds no corpus; run `lex-assets ingest RAW --store {path}` first")


def read_queries(path: Path) -> pl.DataFrame:
    """query_id, text, exclude (list of passage ids) of a JSONL file."""
    rows = [
        {"query_id": str(row["id"]), "text": row["text"], "exclude": _excluded(row, path)}
        for _, row in read_objects(path, TEXT_ROW)
    ]
    schema: Any = {"query_id": pl.String, "text": pl.String, "exclude": pl.List(pl.String)}
    table = pl.DataFrame(rows, schema=schema, orient="row")
    if table.is_empty():
        raise LexError(f"{path}: holds no query; write one JSON object {{id, text}} per line")
    if table["query_id"].is_duplicated().any():
        raise LexError(
            f"{path}: query id {table.filter(pl.col('query_id').is_duplicated())['query_id'][0]} occurs twice"
        )
    return table


def _excluded(row: dict[str, Any], path: Path) -> list[str]:
    ids = row.get("exclude") or []
    if not isinstance(ids, list):
        raise LexError(f"{path}: exclude of query {row['id']} is not a list; write it as [id, …]")
    return [str(i) for i in ids]


def read_documents(store: Path) -> pl.DataFrame:
    """DOCUMENTS rows of a store folder: its documents.parquet, or the pipeline's raw_documents of every domain."""
    pipeline = [published(store / "tables" / "raw_documents" / domain, "documents") for domain in DOMAINS]
    for tables in ([store / "documents.parquet"], [path for paths in pipeline for path in paths]):
        if tables and all(path.is_file() for path in tables):
            return DOCUMENTS.validate(pl.concat([read_parquet(path) for path in tables]))
    raise LexError(f"{store}: holds no documents; run `lex-assets ingest RAW --store {store}` first")


def published(folder: Path, table: str) -> list[Path]:
    """The file of `table` in the current version of an asset's folder; none when it was not made."""
    pointer = folder / "CURRENT"
    return [folder / pointer.read_text().strip() / f"{table}.parquet"] if pointer.is_file() else []


def read_parquet(path: Path) -> pl.DataFrame:
    """The table in `path`. Raises LexError when it cannot be read."""
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        cause = str(error).splitlines()[0]
        raise LexError(f"{path}: cannot read the table ({cause}); make it again") from error


def _passage_row(row: dict[str, Any]) -> dict[str, Any]:
    identity, context = str(row["id"]), " ".join(str(row[k]) for k in ("law", "title") if row.get(k))
    text = row["text"]
    blank = dict.fromkeys(PASSAGES.names, "")
    return blank | {
        "passage_id": identity,
        "doc_id": identity,
        "parent_id": identity,
        "context": context,
        "text": text,
        "equivalence_id": identity,
        "content_hash": content_hash(context, text),
    }
