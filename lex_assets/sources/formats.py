"""The formats of JSON records and how each is told from the others; the one place where a new one is entered."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from lex_assets.schemas import Document
from lex_assets.sources.adjudication import is_appeal, is_constitutional, read_appeal, read_constitutional
from lex_assets.sources.admin_rule import is_admin_rule, read_admin_rule
from lex_assets.sources.interpretation import is_interpretation, read_interpretation
from lex_assets.sources.jsonl import is_record, read_record
from lex_assets.sources.law import is_law, read_law
from lex_assets.sources.mrc import is_mrc, paragraphs, read_context
from lex_assets.sources.pairs import is_pair, read_pair
from lex_assets.sources.precedent import is_precedent, read_precedent
from lex_assets.sources.values import as_dict

Reader = Callable[[], list[Document]]
Records = Iterator[tuple[str, Reader]]
Matches = Callable[[dict[str, Any]], bool]


@dataclass(frozen=True)
class Format:
    """One format of JSON. source_types: what its documents may be · matches: whether an object looks like it · records:
    (place inside the object or "", reader) of every record; a reader raises SourceError naming what is wrong."""

    source_types: tuple[str, ...]
    matches: Matches
    records: Callable[[Any], Records]


def _document(source_type: str, matches: Matches, read: Callable[[dict[str, Any]], Document]) -> Format:
    return _documents((source_type,), matches, lambda value: [read(as_dict(value, "record"))])


def _documents(source_types: tuple[str, ...], matches: Matches, read: Callable[[Any], list[Document]]) -> Format:
    return Format(source_types, matches, lambda value: iter([("", partial(read, value))]))


def _contexts(value: Any) -> Records:
    for place, article, entry in paragraphs(value):
        yield place, partial(lambda *raw: [read_context(*raw)], article, entry)


JSON_FORMATS = {
    "law": _document("law", is_law, read_law),
    "admin_rule": _document("admin_rule", is_admin_rule, read_admin_rule),
    "constitutional": _document("constitutional", is_constitutional, read_constitutional),
    "appeal": _document("appeal", is_appeal, read_appeal),
    "precedent": _document("precedent", is_precedent, read_precedent),
    "interpretation": _document("interpretation", is_interpretation, read_interpretation),
    "mrc": Format(("mrc",), is_mrc, _contexts),
    "pair": _documents(("pair", "jsonl"), is_pair, read_pair),
    "record": _documents(("jsonl", "pair"), is_record, read_record),
}
"""Name ─► format, in the order in which an object is tried."""

MARKDOWN = "markdown"
FORMATS = (*JSON_FORMATS, MARKDOWN)
"""All names; what an override may give."""


def format_of(value: Any) -> str | None:
    """The name of the first format that `value` looks like, or None."""
    found = (name for name, entry in JSON_FORMATS.items() if entry.matches(value))
    return next(found, None) if isinstance(value, dict) else None
