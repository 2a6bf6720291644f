"""Official replies to questions of law ─► Document: question, answer, reason.

법령해석례 (law.go.kr target expc, and the ministries' own), 비조치의견서 and 법령해석 회신 of the financial authorities as plain
objects, and the decisions of the financial commissions (조치내용 · 조치이유), in their envelope or without it. Whoever asked,
whoever answered the telephone and the person a measure is taken against (조치대상자의인적사항) are never read.
"""

from __future__ import annotations

import re
from typing import Any

from lex_assets.schemas import Document, Unit
from lex_assets.sources.precedent import numbered_units, plain
from lex_assets.sources.statute import family_title
from lex_assets.sources.values import SourceError, date_field, field, first_field, unwrapped

_SERIALS = {
    "법령해석례일련번호": (),
    "법령해석일련번호": ("해석기관명", "회신기관명", "기관명"),
    "결정문일련번호": ("기관명",),
    "일련번호": ("구분",),
    "회신번호": ("구분",),
    "안건번호": ("구분",),
    "id": ("구분",),
}
"""Serial number ─► fields that say whose or which series it counts in; only the first series is unique by itself."""

_TITLES = ("안건명", "제목", "사건명")
_QUESTIONS = ("질의요지", "질의", "질의내용", "요청대상행위")
_ANSWERS = ("회답", "회신", "회신내용", "판단", "조치내용")
_REASONS = ("이유", "회답이유", "판단이유", "회신이유", "조치이유")
_DATES = ("해석일자", "회신일자", "회신일", "의결일자", "등록일자")
_AUTHORITIES = ("해석기관명", "회신기관명", "회신기관", "기관명", "소관부처명", "소관부처")
_CITED = ("관련법령", "관련조문", "관련규정", "참조조문")
_NO_ACTION, _NO_ACTION_AUTHORITY = "비조치", "금융위원회"
_NAMED_LAW = re.compile(r"「([^「」]{2,80})」")


def is_interpretation(value: dict[str, Any]) -> bool:
    """Whether this JSON object looks like an official reply."""
    raw = _record(value)
    wrapped = len(value) == 1 and next(iter(value)).endswith("ExpcService")
    asked = any(name in raw for name in _QUESTIONS) and any(name in raw for name in (*_ANSWERS, *_REASONS))
    return wrapped or asked or "법령해석례일련번호" in raw or ("결정문일련번호" in raw and "조치내용" in raw)


def read_interpretation(value: dict[str, Any]) -> Document:
    """One reply. Raises SourceError when it has no serial number, no title or nothing that was answered."""
    raw = _record(value)
    serial, title = _serial(raw), first_field(raw, _TITLES)
    units = [*_asked_and_answered(raw), *_single(raw, _REASONS, "reason")]
    units += _single(raw, _CITED, "cited_articles")
    if not serial or not any(unit.kind in ("answer", "reason") for unit in units):
        raise SourceError(
            f"the interpretation needs one of {', '.join(_SERIALS)} and one of {', '.join((*_ANSWERS, *_REASONS))}"
        )
    doc_id = f"INTERP_{serial}"
    act = _act(title, units)
    return Document(
        doc_id=doc_id,
        source_type="interpretation",
        title=title or next((u.text.split("\n")[0][:80] for u in units), ""),
        tree=Unit("root", children=units),
        authority=_authority(raw, title),
        effective_date=next(filter(None, (date_field(raw, name) for name in _DATES)), ""),
        version=first_field(raw, ("안건번호", "의결번호", "회신번호", "일련번호")),
        family=act or doc_id,
        meta={
            "kind": field(raw, "구분"),
            "parent_title": act,
            "asked_by": field(raw, "질의기관명"),
        },
    )


def _record(value: dict[str, Any]) -> dict[str, Any]:
    """The record, field names without the spaces that some exports put into them (결정문 일련번호, 요청대상 행위)."""
    return {"".join(name.split()): content for name, content in unwrapped(value).items()}


def _serial(raw: dict[str, Any]) -> str:
    """The serial number, behind the name of its series where the number alone is not unique."""
    for name, series in _SERIALS.items():
        if number := "_".join(field(raw, name).split()):
            return "-".join(filter(None, ("".join(first_field(raw, series).split()), number)))
    return ""


def _authority(raw: dict[str, Any], title: str) -> str:
    """Who answered. Only the financial authorities write 비조치의견서, so one that does not say so is theirs."""
    named = first_field(raw, _AUTHORITIES)
    no_action = _NO_ACTION in field(raw, "구분") or _NO_ACTION in title
    return named or (_NO_ACTION_AUTHORITY if no_action else "")


def _act(title: str, units: list[Unit]) -> str:
    """The act that the reply is about: the first law named by what was asked, else by what was answered; or empty."""
    order = {"question": 0, "cited_articles": 1, "answer": 2, "reason": 3}
    texts = [title, *(unit.text for unit in sorted(units, key=lambda unit: order[unit.kind]))]
    match = next(filter(None, map(_NAMED_LAW.search, texts)), None)
    return family_title(" ".join(match[1].split())) if match else ""


def _asked_and_answered(raw: dict[str, Any]) -> list[Unit]:
    """Questions and answers, numbered where both are numbered alike (가. 나. …), else one of each."""
    asked, answered = (_numbered(raw, names, kind) for names, kind in ((_QUESTIONS, "question"), (_ANSWERS, "answer")))
    if [unit.number for unit in asked] == [unit.number for unit in answered]:
        return asked + answered
    return _single(raw, _QUESTIONS, "question") + _single(raw, _ANSWERS, "answer")


def _numbered(raw: dict[str, Any], names: tuple[str, ...], kind: str) -> list[Unit]:
    return next(filter(None, (numbered_units(raw, name, kind) for name in names)), [])


def _single(raw: dict[str, Any], names: tuple[str, ...], kind: str) -> list[Unit]:
    text = next(filter(None, (plain(raw, name) for name in names)), "")
    return [Unit(kind, "1", text=text)] if text else []
