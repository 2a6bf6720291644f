"""AI-Hub style MRC JSON (`data[].paragraphs[]`) ─► one Document per context, its questions as units."""

from __future__ import annotations

from typing import Any

from lex_assets.schemas import Document, Unit
from lex_assets.sources.text import strip_tags, tidy, unescape
from lex_assets.sources.values import SourceError, as_dict, as_list, as_text, field


def is_mrc(value: dict[str, Any]) -> bool:
    """Whether this JSON object looks like an MRC file."""
    data = value.get("data")
    return isinstance(data, list) and any(isinstance(item, dict) and "paragraphs" in item for item in data)


def paragraphs(value: dict[str, Any]) -> list[tuple[str, dict[str, Any], Any]]:
    """(record name, the article around it, raw paragraph) for every paragraph; raw values are not checked yet."""
    found = []
    for position, item in enumerate(value["data"]):
        article = item if isinstance(item, dict) else {}
        entries = article.get("paragraphs", item)
        for place, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            found.append((f"data[{position}].paragraphs[{place}]", article, entry))
    return found


def read_context(article: dict[str, Any], raw: Any) -> Document:
    """One context with its questions. Raises SourceError when the id or the text is missing."""
    entry = as_dict(raw, "paragraph")
    context_id = "_".join(field(entry, "context_id").split())
    context = _text(entry, "context")
    if not context_id or not context:
        raise SourceError("the paragraph has no context_id or no context; leave it out or complete it")
    units = [Unit("context", "1", text=context)]
    if tables := _strings(entry.get("tbs")):
        units.append(Unit("context", "2", "표", tables))
    units += [_question(as_dict(item, "qas")) for item in as_list(entry.get("qas"), "qas")]
    doc_id = f"MRC_{context_id}"
    return Document(
        doc_id=doc_id,
        source_type="mrc",
        title=field(article, "doc_title") or field(article, "title"),
        tree=Unit("root", children=units),
        authority=field(article, "doc_source"),
        effective_date="".join(c for c in field(article, "doc_published") if c.isdigit())[:8],
        family=doc_id,
        meta={"source_doc_id": field(article, "doc_id")} if field(article, "doc_id") else {},
    )


def _text(entry: dict[str, Any], name: str) -> str:
    return tidy(strip_tags(unescape(as_text(entry.get(name), name))))


def _question(raw: dict[str, Any]) -> Unit:
    answers = as_list(raw["answer"] if "answer" in raw else raw.get("answers"), "answer") if not _plain(raw) else []
    first = answers[0] if answers and isinstance(answers[0], dict) else {}
    texts = [_answer_text(answer) for answer in answers] or [_plain(raw)]
    meta: dict[str, Any] = {
        "question_id": field(raw, "question_id") or field(raw, "id"),
        "answer": "; ".join(dict.fromkeys(filter(None, texts))),
        "qa_type": field(raw, "qa_type"),
        "is_impossible": raw.get("is_impossible") in (True, "true", "True", 1, "1"),
    }
    start = first.get("answer_start")
    if isinstance(start, int) and not isinstance(start, bool) and start >= 0:
        meta["answer_start"] = start
    return Unit("question", meta["question_id"], text=_text(raw, "question"), meta=meta)


def _plain(raw: dict[str, Any]) -> str:
    """An answer that is a bare string or number."""
    value = raw.get("answer", raw.get("answers"))
    return as_text(value, "answer").strip() if isinstance(value, str | int | float) else ""


def _answer_text(answer: Any) -> str:
    if isinstance(answer, dict):
        for name in ("answer_text", "text", "clue_text"):
            if answer.get(name):
                return _text(answer, name)
        return ""
    return tidy(as_text(answer, "answer"))


def _strings(value: Any) -> str:
    """All text inside a table structure of unknown shape."""
    if isinstance(value, str):
        return tidy(strip_tags(unescape(value)))
    if isinstance(value, dict):
        value = list(value.values())
    return "\n".join(filter(None, map(_strings, value))) if isinstance(value, list) else ""
