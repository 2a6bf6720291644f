"""Question and passage pairs made elsewhere, one JSON object per line ─► Documents: each passage once, and the question.

FlagEmbedding `{query, pos, neg}`, reranker rows `{query_text, positives, negatives}` and LexDPR pairs `{query_text,
positive_passages, hard_negatives}`. A passage is a text, an object with an id and a text, or in the LexDPR lists an id
alone, which names a passage of another file. Given negatives become documents and nothing more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from lex_assets.schemas import Document, Unit, content_hash
from lex_assets.sources.text import tidy
from lex_assets.sources.values import SourceError, as_dict, as_text, field, first_field

IDS = ("docid", "doc_id", "passage_id", "id", "_id", "pid")
"""Names of a passage's id."""

TEXTS = ("content", "text", "contents", "passage")
"""Names of a passage's text."""

CARRIED = "carried"
"""Key of `Document.meta` that marks a passage which came with a question: another text under its id is a further piece."""

_QUERIES = ("query", "query_text", "question")
_POSITIVES = ("pos", "positives", "positive_passages")
_NEGATIVES = ("neg", "negatives", "hard_negatives", "negative_passages")
_BY_ID = ("positive_passages", "hard_negatives", "negative_passages")


def is_pair(value: dict[str, Any]) -> bool:
    """Whether this JSON object is a question with its passages."""
    return any(name in value for name in _QUERIES) and any(name in value for name in _POSITIVES)


def read_pair(value: Any) -> list[Document]:
    """The passages of one row, then its question. Raises SourceError when there is no question or no positive."""
    raw = as_dict(value, "row")
    question = next(filter(None, (tidy(as_text(raw.get(name), name)) for name in _QUERIES)), "")
    positives = list(_passages(raw, _POSITIVES))
    if not question or not positives:
        raise SourceError(f"the row needs one of {', '.join(_QUERIES)} and a passage in one of {', '.join(_POSITIVES)}")
    carried = [document for _, document in (*positives, *_passages(raw, _NEGATIVES)) if document]
    return [*carried, paired_question(question, [name for name, _ in positives])]


def text_document(name: str, text: str, title: str = "", authority: str = "", carried: bool = False) -> Document:
    """A plain text as a document: DOC_<name>. carried: see CARRIED."""
    doc_id = document_id(name)
    tree = Unit("root", children=[Unit("text", "1", text=text)])
    return Document(
        doc_id, "jsonl", title, tree, authority=authority, family=doc_id, meta={CARRIED: True} if carried else {}
    )


def paired_question(text: str, positives: Sequence[str], authority: str = "") -> Document:
    """A question that people gave passages to; `positives` are the passages' own ids. Equal texts are one document."""
    doc_id = f"PAIR_{content_hash(text)[:16]}"
    unit = Unit("question", "1", text=text, meta={"positives": list(dict.fromkeys(positives))})
    return Document(doc_id, "pair", "", Unit("root", children=[unit]), authority=authority, family=doc_id)


def document_id(name: str) -> str:
    """ "FAQ 1" ─► "DOC_FAQ_1"."""
    return f"DOC_{'_'.join(name.split())}"


def passage_title(raw: dict[str, Any]) -> str:
    """A passage's own title, or its law and article."""
    return field(raw, "title") or " ".join(filter(None, (first_field(raw, ("law_name", "law")), field(raw, "article"))))


def _passages(raw: dict[str, Any], names: Sequence[str]) -> Iterator[tuple[str, Document | None]]:
    """(own id, its document or None for a bare id) of every passage in the fields `names`."""
    for name in names:
        value = raw.get(name)
        for item in value if isinstance(value, list) else [] if value is None else [value]:
            if passage := _passage(item, name):
                yield passage


def _passage(item: Any, name: str) -> tuple[str, Document | None] | None:
    if isinstance(item, dict):
        own, title = first_field(item, IDS), passage_title(item)
        text = next(filter(None, (tidy(as_text(item.get(key), key)) for key in TEXTS)), "")
    else:
        own, title, text = "", "", tidy(as_text(item, name))
        if name in _BY_ID and len(text.split()) == 1:
            own, text = text, ""
    if not text:
        return (own, None) if own else None
    own = own or content_hash(text)[:16]
    document = text_document(own, text, title, carried=True)
    document.content_hash = content_hash(text)
    return own, document
