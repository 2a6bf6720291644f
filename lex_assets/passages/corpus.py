"""The corpus: passages of all domains in one table, ids unique, equivalence decided across documents.

Equivalent are equal texts, versions of one provision, and texts outside of statutes that are nearly the same: a holding
that sister decisions repeat. Two provisions that are nearly the same are not: the law that they stand in makes them
different. Equivalence is for masking and for mining exclusions; it merges nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

import polars as pl

from lex_assets.passages.groups import Groups
from lex_assets.passages.overlap import near_duplicates
from lex_assets.schemas import DECISION_TYPES, PASSAGES, STATUTE_TYPES, LexError, frame_hash

NEAR_DUPLICATE = 0.9
"""Jaccard similarity of character n-grams from which two texts outside of statutes count as one."""

_VERSION = re.compile(r"@\d{8}(?=_|#|$)")
# What decides although it is short: the answer to an issue, and in texts of facts every number.
_ANSWERS = re.compile("적극|소극")
_FACTS = re.compile(r"적극|소극|\d+")


def build_corpus(passages: Sequence[pl.DataFrame], near_duplicate: float = NEAR_DUPLICATE) -> pl.DataFrame:
    """PASSAGES sorted by passage_id; equivalence_id is the smallest passage_id of an equivalence class.

    near_duplicate: see NEAR_DUPLICATE. Raises LexError when an id occurs twice or there are no passages.
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
    return PASSAGES.validate(frame.with_columns(pl.Series("equivalence_id", _equivalence(frame, near_duplicate))))


def corpus_hash(corpus: pl.DataFrame) -> str:
    """Hash of what is searched: ids, contents and equivalence, in id order."""
    return frame_hash(corpus.select("passage_id", "domain", "content_hash", "equivalence_id").sort("passage_id"))


def _times(repeated: pl.DataFrame, first: dict[str, str]) -> int:
    return repeated.filter(pl.col("passage_id") == first["passage_id"]).height


def _equivalence(frame: pl.DataFrame, near_duplicate: float) -> list[str]:
    """Smallest id per class; `frame` is sorted by id, its equivalence_id is still the key of the text alone."""
    groups = Groups()
    first: dict[str, str] = {}
    for passage_id, source_type, text_key in frame.select("passage_id", "source_type", "equivalence_id").iter_rows():
        unversioned = _VERSION.sub("", passage_id) if source_type in STATUTE_TYPES else passage_id
        for key in (text_key, unversioned):
            groups.union(passage_id, first.setdefault(key, passage_id))
    for left, right in _nearly_equal(frame, near_duplicate):
        groups.union(left, right)
    return [groups.find(passage_id) for passage_id in frame["passage_id"]]


def _nearly_equal(frame: pl.DataFrame, threshold: float) -> Iterator[tuple[str, str]]:
    """Ids of two passages of one source type whose texts nearly agree, and agree in what decides."""
    others = frame.filter(~pl.col("source_type").is_in(STATUTE_TYPES)).unique("equivalence_id", maintain_order=True)
    for (source_type,), table in others.group_by(["source_type"], maintain_order=True):
        decisive = _ANSWERS if source_type in DECISION_TYPES else _FACTS
        ids, texts = table["passage_id"].to_list(), table["text"].to_list()
        for left, right in near_duplicates(texts, threshold).select("left", "right").iter_rows():
            if Counter(decisive.findall(texts[left])) == Counter(decisive.findall(texts[right])):
                yield ids[left], ids[right]
