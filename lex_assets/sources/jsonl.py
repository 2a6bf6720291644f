"""Plain records, one JSON object per line: `{docid|id, content|text, title?, src?, questions?}` ─► Documents.

A record's questions become paired questions, so that one that several records answer is one query.
"""

from __future__ import annotations

from typing import Any

from lex_assets.schemas import Document
from lex_assets.sources.pairs import IDS, TEXTS, paired_question, passage_title, text_document
from lex_assets.sources.text import tidy
from lex_assets.sources.values import SourceError, as_dict, as_list, as_text, field, first_field


def is_record(value: dict[str, Any]) -> bool:
    """Whether this JSON object has an id and a text."""
    return any(name in value for name in IDS) and any(name in value for name in TEXTS)


def read_record(value: Any) -> list[Document]:
    """One record, then its questions. Raises SourceError when it has no id or no text."""
    raw = as_dict(value, "record")
    name = first_field(raw, IDS)
    text = next(filter(None, (tidy(as_text(raw.get(key), key)) for key in TEXTS)), "")
    if not name or not text:
        raise SourceError(f"the record needs one of {', '.join(IDS)} and one of {', '.join(TEXTS)}")
    authority = field(raw, "src")
    questions = [paired_question(question, [name], authority) for question in _questions(raw.get("questions"))]
    return [text_document(name, text, passage_title(raw), authority), *questions]


def _questions(value: Any) -> list[str]:
    values = [value] if isinstance(value, str) else as_list(value, "questions")
    return [text for text in map(_question, values) if text]


def _question(value: Any) -> str:
    return field(value, "question") if isinstance(value, dict) else tidy(as_text(value, "questions"))
