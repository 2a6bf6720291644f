"""The corpus: passages of all domains in one table, ids unique, equivalence decided across documents."""

from __future__ import annotations

import re
from collections.abc import Sequence

import polars as pl

from lex_assets.passages.build import text_key
from lex_assets.schemas import PASSAGES, LexError, frame_hash

_VERSION = re.compile(r"@\d{8}(?=_|#|$)")


def build_corpus(passages: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """PASSAGES sorted by passage_id with equivalence_id = smallest passage_id among equal texts and versions.

    Raises LexError when an id occurs twice or there are no passages.
    """
    if not passages or not sum(frame.height for frame in passages):
        raise LexError("the corpus has no passages; materialize `passages` for at least one domain first")
    frame = pl.concat([table.select(PASSAGES.names) for table in passages]).sort("passage_id")
    repeated = frame.filter(pl.col("passage_id").is_duplicated())
    if repeated.height:
        first = repeated.row(0, named=True)
        raise LexError(
            f"passage id {first['passage_id']} (document {first['doc_id']}) occurs {_times(repeated, first)} times; "
            "a document was ingested into two domains or twice: rebuild `documents` with one domain rule for it"
        )
    return PASSAGES.validate(frame.with_columns(pl.Series("equivalence_id", _equivalence(frame))))


def corpus_hash(corpus: pl.DataFrame) -> str:
    """Hash of what is searched: ids, contents and equivalence, in id order."""
    return frame_hash(corpus.select("passage_id", "domain", "content_hash", "equivalence_id").sort("passage_id"))


def _times(repeated: pl.DataFrame, first: dict[str, str]) -> int:
    return repeated.filter(pl.col("passage_id") == first["passage_id"]).height


def _equivalence(frame: pl.DataFrame) -> list[str]:
    """Smallest id per group; equal text and equal id without its version date join two passages."""
    ids = frame["passage_id"].to_list()
    leader = {passage_id: passage_id for passage_id in ids}

    def find(passage_id: str) -> str:
        while leader[passage_id] != passage_id:
            leader[passage_id] = leader[leader[passage_id]]
            passage_id = leader[passage_id]
        return passage_id

    first: dict[str, str] = {}
    for passage_id, text in zip(ids, frame["text"], strict=True):
        for key in (text_key(text), f"id {_VERSION.sub('', passage_id)}"):
            low, high = sorted((find(passage_id), find(first.setdefault(key, passage_id))))
            leader[high] = low
    return [find(passage_id) for passage_id in ids]
