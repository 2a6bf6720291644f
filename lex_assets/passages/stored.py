"""Passages that lie on a disk: a store's corpus, or a JSONL file; and the tables that a pipeline has published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.schemas import PASSAGES, LexError, content_hash
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
