"""Plain records, one JSON object per line: `{docid|id, content|text, title?, src?, questions?}` ─► Document."""

from __future__ import annotations

from typing import Any

from lex_assets.schemas import Document, Unit
from lex_assets.sources.text import tidy
from lex_assets.sources.values import SourceError, as_dict, as_list, as_text, field

_IDS = ("docid", "doc_id", "id", "_id")
_TEXTS = ("content", "text", "contents")


def read_record(value: Any) -> Document:
    """One record. Raises SourceError when it has no id or no text."""
    raw = as_dict(value, "record")
    name = next((field(raw, key) for key in _IDS if raw.get(key) not in (None, "")), "")
    text = next((tidy(as_text(raw[key], key)) for key in _TEXTS if raw.get(key)), "")
    if not name or not text:
        raise SourceError(f"the record needs one of {', '.join(_IDS)} and one of {', '.join(_TEXTS)}")
    doc_id = f"DOC_{'_'.join(name.split())}"
    units = [Unit("text", "1", text=text), *_questions(raw.get("questions"))]
    return Document(
        doc_id=doc_id,
        source_type="jsonl",
        title=field(raw, "title"),
        tree=Unit("root", children=units),
        authority=field(raw, "src"),
        family=doc_id,
    )


def _questions(value: Any) -> list[Unit]:
    values = [value] if isinstance(value, str) else as_list(value, "questions")
    texts = [_question(item) for item in values]
    return [
        Unit("question", str(number), text=text, meta={"question_id": str(number), "answer": ""})
        for number, text in enumerate(filter(None, texts), start=1)
    ]


def _question(value: Any) -> str:
    return field(value, "question") if isinstance(value, dict) else tidy(as_text(value, "questions"))
