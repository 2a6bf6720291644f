"""law.go.kr law JSON (`{"법령": {...}}` or its inside) ─► Document.

Taken: 기본정보, 조문, 부칙, 별표. Left: 개정문, 제개정이유, 연락부서 and 전화번호 (officials never enter a document).
"""

from __future__ import annotations

from typing import Any

from lex_assets.schemas import Document, Unit
from lex_assets.sources.annex import annexes, words_of
from lex_assets.sources.statute import Outline, article_head, family_title
from lex_assets.sources.text import clean, is_deleted
from lex_assets.sources.values import SourceError, as_dict, as_list, as_text, field


def is_law(value: dict[str, Any]) -> bool:
    """Whether this JSON object looks like a law."""
    return "법령" in value or ("기본정보" in value and "조문" in value)


def read_law(value: dict[str, Any]) -> Document:
    """One law as a tree of 편 장 절 관 ─► 조 ─► 항 ─► 호 ─► 목, then 부칙 and 별표. SourceError names a bad field."""
    law = as_dict(value.get("법령", value), "법령")
    info = as_dict(law.get("기본정보"), "기본정보")
    law_id, title = field(info, "법령ID"), field(info, "법령명_한글")
    if not law_id or not title:
        raise SourceError("기본정보 has no 법령ID or no 법령명_한글; download the law again")
    addenda = _addenda(law.get("부칙"))
    root = _articles(law.get("조문"))
    root.children += addenda + annexes(law.get("별표"), words_of(root))
    promulgated = [unit.effective_date for unit in addenda if unit.effective_date]
    return Document(
        doc_id=f"LAW_{law_id}",
        source_type="law",
        title=title,
        tree=root,
        abbreviation=field(info, "법령명약칭"),
        authority=field(info, "소관부처"),
        effective_date=field(info, "시행일자"),
        version=field(info, "공포번호"),
        family=family_title(title),
        meta={
            "kind": field(info, "법종구분"),
            "promulgated": field(info, "공포일자"),
            "parent_title": family_title(title) if family_title(title) != title else "",
            "former_title": field(info, "이전법령명"),
            "first_promulgated": min(promulgated, default=""),
        },
    )


def _articles(block: Any) -> Unit:
    """Root unit holding headings and articles. 전문 entries are headings that share the next article's number."""
    outline = Outline()
    for raw in as_list(as_dict(block, "조문").get("조문단위"), "조문단위") if block else []:
        entry = as_dict(raw, "조문단위")
        if field(entry, "조문여부") == "전문":
            outline.add_heading_lines(as_text(entry.get("조문내용"), "조문내용"))
        else:
            outline.add(_article(entry))
    return outline.root


def _article(entry: dict[str, Any]) -> Unit:
    text = as_text(entry.get("조문내용"), "조문내용")
    head = article_head(text, field(entry, "조문제목"))
    branch = field(entry, "조문가지번호")
    number = head.number if head else field(entry, "조문번호") + (f"의{branch}" if branch else "")
    title, body = (head.title, head.body) if head else (field(entry, "조문제목"), text)
    deleted = is_deleted(body)
    unit = Unit(
        "조" if number else "text",
        number,
        clean(title).replace("\n", " "),
        "" if deleted else clean(body),
        effective_date=field(entry, "조문시행일자"),
        deleted=deleted,
        meta=_article_meta(entry),
    )
    for raw in as_list(entry.get("항"), "항"):
        _add_paragraph(unit, as_dict(raw, "항"))
    return unit


def _article_meta(entry: dict[str, Any]) -> dict[str, Any]:
    named = {"moved_from": "조문이동이전", "moved_to": "조문이동이후", "note": "조문참고자료"}
    values = {key: " ".join(as_text(entry.get(name), name).split()) for key, name in named.items()}
    return {key: value for key, value in values.items() if value}


def _add_paragraph(article: Unit, raw: dict[str, Any]) -> None:
    """A 항 under its article. Undivided articles have one 항 without number that only holds the 호."""
    items = [_item("호", "목", as_dict(item, "호")) for item in as_list(raw.get("호"), "호")]
    paragraph = _unit("항", raw)
    if paragraph.number:
        paragraph.children = items
        article.children.append(paragraph)
        return
    if paragraph.text:
        article.text = f"{article.text}\n{paragraph.text}".strip()
    article.children += items


def _item(kind: str, below: str, raw: dict[str, Any]) -> Unit:
    unit = _unit(kind, raw)
    unit.children = [_unit(below, as_dict(item, below)) for item in as_list(raw.get(below), below)]
    return unit


def _unit(kind: str, raw: dict[str, Any]) -> Unit:
    """A 항, 호 or 목 whose text repeats its number."""
    number = field(raw, f"{kind}번호")
    branch = field(raw, f"{kind}가지번호")
    text = as_text(raw.get(f"{kind}내용"), f"{kind}내용").lstrip()
    if number and branch and "의" not in number:
        number = f"{number.rstrip('.')}의{branch}."
    body = text[len(number) :] if number and text.startswith(number) else text
    deleted = is_deleted(body)
    return Unit(kind, number, text="" if deleted else clean(body), deleted=deleted)


def _addenda(block: Any) -> list[Unit]:
    """부칙, oldest first: number = promulgation number, effective_date = promulgation date."""
    entries = as_list(as_dict(block, "부칙").get("부칙단위"), "부칙단위") if block else []
    return [_addendum(as_dict(entry, "부칙단위")) for entry in entries]


def _addendum(entry: dict[str, Any]) -> Unit:
    text = clean(as_text(entry.get("부칙내용"), "부칙내용"))
    number, date = field(entry, "부칙공포번호").lstrip("0"), field(entry, "부칙공포일자")
    return Unit("부칙", number, "부칙", text, effective_date=date)
