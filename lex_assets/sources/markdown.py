"""Statutes in Markdown with YAML front matter (제목, 법령ID, 법령구분, …) ─► Document.

Articles are `##### 제1조 (목적)`, headings `#` to `####`, paragraphs `**①** …`, items `  1\\. …` and `    가\\. …`.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

import yaml

from lex_assets.schemas import Document, Unit
from lex_assets.sources.statute import CIRCLED, SYLLABLES, Outline, article_head, family_title, heading
from lex_assets.sources.text import clean, is_deleted
from lex_assets.sources.values import SourceError, as_text, field

_FRONT = re.compile(r"---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|$)", re.DOTALL)
_TITLE = re.compile(r"#{1,6}\s+(.*)")
_PARAGRAPH = re.compile(rf"\s*(?:\*\*)?([{CIRCLED}])(?:\*\*)?\s*(.*)", re.DOTALL)
_ITEM = re.compile(r"\s+(\d{1,3}(?:의\d{1,2})?)\\?\.\s+(.*)|(\d{1,3}(?:의\d{1,2})?)\\\.\s+(.*)", re.DOTALL)
_SUBITEM = re.compile(rf"\s+([{SYLLABLES}](?:의\d{{1,2}})?)\\?\.\s+(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\([\\`*_{}\[\]()#+\-.!~<>|])")
_ADDENDUM = re.compile(r"부칙\s*(?:\([^)]*\))?\s*<제?\s*([\d-]+)\s*호?\s*,\s*(\d{4})\.\s*(\d{1,2})\.\s*(\d{1,2})")
_LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)


def is_statute(text: str) -> bool:
    """Whether the text starts with a front matter block that names a law."""
    match = _FRONT.match(text)
    return match is not None and "법령ID" in match[1]


def read_statute(text: str) -> Document:
    """One statute; source_type is `law`, as for law JSON. Raises SourceError for a bad front matter."""
    front, body = _front_matter(text)
    law_id, title = field(front, "법령ID"), field(front, "제목")
    if not law_id or not title:
        raise SourceError("the front matter has no 법령ID or no 제목; complete it")
    root = _tree(body, title)
    promulgated = [unit.effective_date for unit in root.children if unit.kind == "부칙" and unit.effective_date]
    return Document(
        doc_id=f"LAW_{law_id}",
        source_type="law",
        title=title,
        tree=root,
        abbreviation=field(front, "약칭"),
        authority=", ".join(as_text(front.get("소관부처"), "소관부처").split("\n")),
        effective_date=field(front, "시행일자").replace("-", ""),
        version=field(front, "공포번호").lstrip("0"),
        family=family_title(title),
        meta={
            "kind": field(front, "법령구분"),
            "promulgated": field(front, "공포일자").replace("-", ""),
            "parent_title": family_title(title) if family_title(title) != title else "",
            "first_promulgated": min(promulgated, default=""),
            "format": "markdown",
        },
    )


def _front_matter(text: str) -> tuple[dict[str, Any], str]:
    match = _FRONT.match(text)
    if not match:
        raise SourceError("no YAML front matter between --- lines; statutes in Markdown need 제목 and 법령ID there")
    try:
        front = yaml.load(match[1], Loader=_LOADER)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise SourceError(f"front matter is not YAML: {' '.join(str(error).split())[:120]}") from None
    if not isinstance(front, dict):
        raise SourceError("front matter is not a mapping; write `제목: …` and `법령ID: …` lines")
    return front, text[match.end() :]


def _tree(body: str, title: str) -> Unit:
    main, addenda = _split_addenda(body)
    outline = Outline()
    article: list[str] = []
    head = ""
    for line in [*main.splitlines(), "# end"]:
        match = _TITLE.match(line)
        if not match:
            article.append(line)
            continue
        _close(outline, head, article)
        head, article = match[1].strip(), []
        if head == title:
            head = ""
    outline.root.children += addenda
    return outline.root


def _close(outline: Outline, head: str, lines: list[str]) -> None:
    """Adds the block under one Markdown heading: an article, a chapter heading, or loose text."""
    parsed = article_head(_unescape(head))
    if parsed:
        outline.add(_article(parsed.number, parsed.title, parsed.body, lines))
        return
    if unit := heading(_unescape(head)):
        outline.add_heading(unit)
    elif head:
        lines = [head, *lines]
    if text := clean(_unescape("\n".join(lines))):
        outline.add(Unit("text", text=text))


def _article(number: str, title: str, rest: str, lines: list[str]) -> Unit:
    article = Unit("조", number, clean(title).replace("\n", " "), rest)
    current = article
    for line in lines:
        if line.strip():
            current = _add_line(article, current, line)
    for unit in article.walk():
        unit.deleted = is_deleted(unit.text)
        unit.text = "" if unit.deleted else clean(unit.text)
    return article


def _add_line(article: Unit, current: Unit, line: str) -> Unit:
    """Puts one line into the article's tree and returns the unit that a continuation line belongs to."""
    paragraph = next((unit for unit in reversed(article.children) if unit.kind == "항"), article)
    if (match := _PARAGRAPH.match(line)) and _is_next(match[1], paragraph):
        return _append(article, Unit("항", match[1], text=_unescape(match[2])))
    if match := _ITEM.match(line):
        number, text = match[1] or match[3], match[2] or match[4]
        return _append(paragraph, Unit("호", f"{number}.", text=_unescape(text or "")))
    item = next((unit for unit in reversed(paragraph.children) if unit.kind == "호"), paragraph)
    if match := _SUBITEM.match(line):
        return _append(item, Unit("목", f"{match[1]}.", text=_unescape(match[2])))
    current.text = f"{current.text}\n{_unescape(line)}".strip()
    return current


def _is_next(mark: str, last: Unit) -> bool:
    """A circled numeral starts a 항 only when it counts on from the one before."""
    return last.kind != "항" or CIRCLED.index(mark) > CIRCLED.index(last.number)


def _append(parent: Unit, unit: Unit) -> Unit:
    parent.children.append(unit)
    return unit


def _unescape(text: str) -> str:
    return _ESCAPE.sub(r"\1", text)


def _split_addenda(body: str) -> tuple[str, list[Unit]]:
    """The main part, and the 부칙 after `## 부칙`, one unit per promulgation."""
    match = re.search(r"^#{1,6}[ \t]+부칙[ \t\r]*$", body, re.MULTILINE)
    if not match:
        return body, []
    text = body[match.end() :]
    starts = [found.start() for found in re.finditer(r"^[ \t]*부칙", text, re.MULTILINE)] or [0]
    blocks = [text[begin:end] for begin, end in pairwise(sorted({0, *starts, len(text)}))]
    return body[: match.start()], [_addendum(block) for block in blocks if block.strip()]


def _addendum(block: str) -> Unit:
    match = _ADDENDUM.search(block)
    number = match[1].lstrip("0") if match else ""
    date = f"{match[2]}{int(match[3]):02d}{int(match[4]):02d}" if match else ""
    return Unit("부칙", number, "부칙", clean(_unescape(block)), effective_date=date)
