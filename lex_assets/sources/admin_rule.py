"""law.go.kr administrative-rule JSON (`{"AdmRulService": {...}}`) ─► Document.

조문내용 is a list of articles and headings, or the whole rule as one string; both go through the same splitter. The
officials in 담당자명 and 전화번호 are never read.
"""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import Any

from lex_assets.schemas import Document, Unit
from lex_assets.sources.annex import annexes
from lex_assets.sources.statute import Outline, article_from_text, article_head, article_key, family_title, heading
from lex_assets.sources.text import clean, tidy
from lex_assets.sources.values import SourceError, as_dict, as_list, as_text, field

_ACT = re.compile(r"「([^」]{2,80})」[^「」]{0,20}?\(\s*이하\s*[\"“'‘]법[\"”'’]")
_ARTICLE_START = re.compile(
    r"(?:^|(?<=\s))제\d+(?:-\d+)?조(?:의\d+)?(?=\s*\([^()]*(?:\([^()]*\)[^()]*)*\)(?:\s|$|[①-⑳<]|삭)|\s*<?\s*삭\s*제)"
)
_HEADING_RUN = re.compile(
    r"(?:^|(?<=[.>＞\]」)\s]))((?:제\d+(?:편|장|절|관)(?:의\d+)?\s(?:<[^<>]*>|\[[^\[\]]*\]|[^.①-⑳<>\[\]]){0,80}?)+)$"
)
_HEADING_START = re.compile(r"(?<=\s)(?=제\d+(?:편|장|절|관)(?:의\d+)?\s)")


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
    root.children += _addenda(rule.get("부칙")) + annexes(rule.get("별표"))
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
    last: tuple[int, ...] = ()
    for item in items:
        for piece in _pieces(as_text(item, "조문내용"), last):
            last = _add_piece(outline, piece, last)
    return outline.root


def _pieces(text: str, last: tuple[int, ...]) -> list[str]:
    """`text` cut before every heading and article in ascending order; joining the pieces gives the text again."""
    cuts = [0]
    for match in _ARTICLE_START.finditer(text):
        key = article_key(match[0])
        if match.start() and key > last and _ends_sentence(text[cuts[-1] : match.start()]):
            run = _HEADING_RUN.search(text, max(cuts[-1], match.start() - 400), match.start())
            cuts += [*_heading_cuts(text, run), match.start()]
            last = key
        elif not match.start():
            last = max(last, key)
    return [piece for begin, end in zip(cuts, [*cuts[1:], len(text)], strict=True) if (piece := text[begin:end]).strip()]


def _heading_cuts(text: str, run: re.Match[str] | None) -> list[int]:
    if not run:
        return []
    return [run.start(1), *(m.start() for m in _HEADING_START.finditer(text, run.start(1) + 1, run.end(1)))]


def _ends_sentence(before: str) -> bool:
    """An article starts after a finished text, not behind a particle or a comma as a citation in a sentence does."""
    return not re.search(r"(?:[,ㆍ·(「]|및|또는|이나|법|영|규정|규칙|세칙|따라|의한|따른|같은)\s*$", before)


def _add_piece(outline: Outline, piece: str, last: tuple[int, ...]) -> tuple[int, ...]:
    head = article_head(tidy(piece))
    if head:
        outline.add(article_from_text(head.number, head.title, head.body))
        return article_key(head.number)
    if heading(piece) and len(piece) < 200:
        outline.add_heading_lines(" ".join(piece.split()))
    elif text := clean(piece):
        outline.add(Unit("text", text=text))
    return last


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
