"""law.go.kr administrative-rule JSON (`{"AdmRulService": {...}}`) ─► Document.

조문내용 is a list of articles and headings, or the whole rule as one string; both go through the same splitter. The
officials in 담당자명 and 전화번호 are never read.
"""

from __future__ import annotations

import re
from itertools import pairwise, zip_longest
from typing import Any

from lex_assets.schemas import Document, Unit
from lex_assets.sources.annex import annexes, words_of
from lex_assets.sources.statute import (
    Outline,
    article_from_text,
    article_head,
    article_key,
    family_title,
    heading,
    heaviest_ascending,
)
from lex_assets.sources.text import clean, strip_marks, tidy
from lex_assets.sources.values import SourceError, as_dict, as_list, as_text, field

_ACT = re.compile(r"「([^」]{2,80})」[^「」]{0,20}?\(\s*이하\s*[\"“'‘]법[\"”'’]")
_ARTICLE_START = re.compile(
    r"(?:^|(?<=\s))제\d+(?:-\d+)?조(?:의\d+)?(?=\s*\([^()]*(?:\([^()]*\)[^()]*)*\)(?:\s(?!각\s*호)|$|[①-⑳<]|삭)|\s*<?\s*삭\s*제)"
)
_SENTENCE_END = re.compile(r"[.>＞\]。]\s*$")
_CITES = re.compile(r"[,ㆍ·(「]\s*$|(?:^|\s)(?:법|영|규정|규칙|세칙|같은|동|및|또는|이나|내지|따라|의한|따른)\s*$")
_HEADING_START = re.compile(r"(?:^|(?<=[\s>＞\]」)]))(?=제\d+(?:편|장|절|관)(?:의\d+)?\s)")
_NO_HEADING = re.compile(r"[.①-⑳]")
_LONGEST_HEADING = 100


def is_admin_rule(value: dict[str, Any]) -> bool:
    """Whether this JSON object looks like an administrative rule."""
    return "AdmRulService" in value or "행정규칙기본정보" in value


def read_admin_rule(value: dict[str, Any]) -> Document:
    """One rule as a tree like a law's. Raises SourceError naming the field that is wrong."""
    rule = as_dict(value.get("AdmRulService", value), "AdmRulService")
    info = as_dict(rule.get("행정규칙기본정보"), "행정규칙기본정보")
    rule_id, title = field(info, "행정규칙일련번호"), field(info, "행정규칙명")
    if not rule_id or not title:
        raise SourceError("행정규칙기본정보 has no 행정규칙일련번호 or no 행정규칙명; download the rule again")
    root = _articles(rule.get("조문내용"))
    parent = _parent_act(root)
    root.children += _addenda(rule.get("부칙")) + annexes(rule.get("별표"), words_of(root))
    return Document(
        doc_id=f"ADM_{rule_id}",
        source_type="admin_rule",
        title=title,
        tree=root,
        authority=field(info, "소관부처명"),
        effective_date=field(info, "시행일자"),
        version=field(info, "발령번호"),
        family=family_title(parent or title),
        meta={
            "kind": field(info, "행정규칙종류"),
            "promulgated": field(info, "발령일자"),
            "parent_title": family_title(parent),
            "rule_id": field(info, "행정규칙ID"),
            "in_force": field(info, "현행여부"),
        },
    )


def _parent_act(root: Unit) -> str:
    """The act that the first articles call "법", or empty."""
    articles = [unit for unit in root.walk() if unit.kind == "조"][:3]
    text = " ".join(part.text for article in articles for part in article.walk())
    match = _ACT.search(text)
    return " ".join(match[1].split()) if match else ""


def _articles(value: Any) -> Unit:
    outline = Outline()
    items = value if isinstance(value, list) else [value]
    for item in items:
        for piece in _pieces(as_text(item, "조문내용")):
            _add_piece(outline, piece)
    return outline.root


def _pieces(text: str) -> list[str]:
    """`text` cut before every heading and article; joining the pieces gives the text again.

    A citation (`제4-4조(예외) 각 호의 …`) looks like an article's start. The starts kept are the heaviest ascending
    run: a citation ahead or back breaks the order, and one behind a particle weighs less than one after a full stop.
    """
    found = list(_ARTICLE_START.finditer(text))
    weights = [_weight(text[: match.start()][-40:]) for match in found]
    cuts = {0, len(text)}
    last = 0
    for place in heaviest_ascending([article_key(match[0]) for match in found], weights):
        start = found[place].start()
        cuts |= {start, *_heading_cuts(text, max(last, start - 4 * _LONGEST_HEADING), start)}
        last = start
    return [piece for begin, end in pairwise(sorted(cuts)) if (piece := text[begin:end]).strip()]


def _weight(before: str) -> float:
    """How surely an article starts behind `before`."""
    if not before.strip():
        return 1000.0
    if _SENTENCE_END.search(before):
        return 2.0
    return 0.1 if _CITES.search(before) else 1.0


def _heading_cuts(text: str, begin: int, end: int) -> list[int]:
    """Starts of the headings that stand directly before `end`: nothing but titles and marks may lie between."""
    cuts: list[int] = []
    after = end
    for match in reversed(list(_HEADING_START.finditer(text, begin, end))):
        title = strip_marks(text[match.start() : after])
        if _NO_HEADING.search(title) or len(title) > _LONGEST_HEADING:
            break
        after = match.start()
        cuts.append(after)
    return cuts


def _add_piece(outline: Outline, piece: str) -> None:
    head = article_head(tidy(piece))
    if head:
        outline.add(article_from_text(head.number, head.title, head.body))
    elif heading(piece) and len(piece) < 200:
        outline.add_heading_lines(" ".join(piece.split()))
    elif text := clean(piece):
        outline.add(Unit("text", text=text))


def _addenda(block: Any) -> list[Unit]:
    """부칙 come as three parallel lists."""
    if not block:
        return []
    names = ("부칙공포번호", "부칙공포일자", "부칙내용")
    columns = [_column(as_dict(block, "부칙").get(name), name) for name in names]
    return [
        Unit("부칙", number, "부칙", clean(text), effective_date=date)
        for number, date, text in zip_longest(*columns, fillvalue="")
    ]


def _column(value: Any, name: str) -> list[str]:
    values = value if isinstance(value, list) else as_list(value, name) if isinstance(value, dict) else [value]
    return [as_text(item, name).strip() for item in values]
