"""MRC JSON (AI-Hub, SQuAD, KorQuAD, KLUE: `data[].paragraphs[]`) ─► one Document per context, its questions as units.

Spans, how, yes/no, tables and multiple choice: `answer` and `answers` may be a text, a number, an object, a list of them
or SQuAD's lists in an object; `options` may be beside the answer or inside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from lex_assets.schemas import Document, Unit, content_hash
from lex_assets.sources.html_text import readable, table_text
from lex_assets.sources.values import SourceError, as_dict, as_list, as_text, date_field, field, first_field

_ANSWER_TEXTS = ("answer_text", "text", "answer")
_CLUES = ("clue_text", "clue", "evidence")
_OPTIONS = ("options", "choices", "candidates")
_YES_NO = frozenset({"예", "네", "아니오", "아니요", "yes", "no", "true", "false", "o", "x", "y", "n"})


def is_mrc(value: dict[str, Any]) -> bool:
    """Whether this JSON object looks like an MRC file."""
    data = value.get("data")
    return isinstance(data, list) and any(isinstance(item, dict) and _holds_contexts(item) for item in data)


def _holds_contexts(item: dict[str, Any]) -> bool:
    return "paragraphs" in item or ("context" in item and "qas" in item)


def paragraphs(value: Any) -> Iterator[tuple[str, dict[str, Any], Any]]:
    """(record name, the article around it, raw paragraph) for every paragraph; raw values are not checked yet. A value
    without `data` is itself the one paragraph."""
    data = value.get("data") if isinstance(value, dict) else None
    if not isinstance(data, list):
        yield "", {}, value
        return
    for position, item in enumerate(data):
        article = item if isinstance(item, dict) else {}
        entries = article.get("paragraphs", item)
        for place, entry in enumerate(entries if isinstance(entries, list) else [entries]):
            yield f"data[{position}].paragraphs[{place}]", article, entry


def read_context(article: dict[str, Any], raw: Any) -> Document:
    """One context with its questions; without a context_id it is named by its content. SourceError without a text."""
    entry = as_dict(raw, "paragraph")
    context, tables = readable(as_text(entry.get("context"), "context")), table_text(entry.get("tbs") or "")
    if not context and not tables:
        raise SourceError("the paragraph has neither context nor tbs; leave it out or complete it")
    texts = [("", context), ("표", tables)]
    units = [Unit("context", str(place), title, text) for place, (title, text) in enumerate(texts, start=1) if text]
    units += [_question(as_dict(item, "qas")) for item in as_list(entry.get("qas"), "qas")]
    own = "_".join(field(entry, "context_id").split()) or content_hash(context, tables)[:16]
    doc_id = f"MRC_{own}"
    return Document(
        doc_id=doc_id,
        source_type="mrc",
        title=first_field(article, ("doc_title", "title")),
        tree=Unit("root", children=units),
        authority=field(article, "doc_source"),
        effective_date=date_field(article, "doc_published"),
        family=doc_id,
        meta={"source_doc_id": field(article, "doc_id")} if field(article, "doc_id") else {},
        content_hash=content_hash(json.dumps(entry, ensure_ascii=False, sort_keys=True)),
    )


def _question(raw: dict[str, Any]) -> Unit:
    """meta: answer for people; evidence: what the context holds of it (a yes or no proves nothing); options."""
    answers = _answers(raw.get("answer") if raw.get("answer") is not None else raw.get("answers"))
    options = next(filter(None, (_options(holder) for holder in (raw, *answers))), [])
    texts = list(dict.fromkeys(filter(None, (_chosen(_first(answer, _ANSWER_TEXTS), options) for answer in answers))))
    clues = list(filter(None, (_first(holder, _CLUES) for holder in (*answers, raw))))
    proofs = clues or [text for text in texts if text.lower() not in _YES_NO]
    meta: dict[str, Any] = {
        "question_id": first_field(raw, ("question_id", "id", "guid")),
        "answer": "; ".join(texts or clues[:1]),
        "evidence": proofs,
        "qa_type": first_field(raw, ("qa_type", "question_type", "type")),
        "is_impossible": raw.get("is_impossible") in (True, "true", "True", 1, "1"),
    }
    if options:
        meta["options"] = options
    start = answers[0].get("answer_start") if answers else None
    if isinstance(start, int) and not isinstance(start, bool) and start >= 0:
        meta["answer_start"] = start
    text = readable(as_text(raw.get("question"), "question"))
    return Unit("question", meta["question_id"], text=text, meta=meta)


def _answers(value: Any) -> list[dict[str, Any]]:
    """Every answer as an object, from any of the shapes."""
    if isinstance(value, list):
        return [answer for item in value for answer in _answers(item)]
    if not isinstance(value, dict):
        text = as_text(value, "answer")
        return [{"text": text}] if text else []
    if isinstance(value.get("text"), list):
        starts = as_list(value.get("answer_start"), "answer_start")
        return [{"text": text, "answer_start": start} for text, start in zip(value["text"], starts, strict=False)]
    return [value]


def _first(holder: dict[str, Any], names: tuple[str, ...]) -> str:
    return next(filter(None, (readable(as_text(holder.get(name), name)) for name in names)), "")


def _options(holder: dict[str, Any]) -> list[str]:
    """The choices of a multiple-choice question: a list, or an object whose keys are their marks."""
    value = next((holder[name] for name in _OPTIONS if holder.get(name)), None)
    values = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    return [readable(as_text(option, "options")) for option in values]


def _chosen(text: str, options: list[str]) -> str:
    """The answer's own words: "2", "②" and "2번" name the second option."""
    mark = text.removesuffix("번").strip("().")
    place = "①②③④⑤".find(mark) if len(mark) == 1 else -1
    place = int(mark) - 1 if re.fullmatch(r"[0-9]{1,2}", mark) else place
    return options[place] if 0 <= place < len(options) else text
