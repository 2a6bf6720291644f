"""Court decisions (law.go.kr DRF fields) ─► Document: numbered issues, holdings, cited articles, cited decisions.

판시사항, 판결요지, 참조조문 and 참조판례 are numbered [1] [2] … and align by number; a field without numbers is "1".
The numbering is also that of other decisions and replies: `numbered_units` reads one field for all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from lex_assets.schemas import Document, Unit
from lex_assets.sources.text import strip_tags, tidy, unescape
from lex_assets.sources.values import SourceError, as_dict, as_text, field

FIELDS = {"판시사항": "issue", "판결요지": "holding", "참조조문": "cited_articles", "참조판례": "cited_decisions"}
"""Source field ─► unit kind, in tree order."""

_NUMBER = r"[\[〔［]\s*\d{1,2}\s*[\]〕］]"
_MARKER = {
    "\n": re.compile(rf"(?:^|(?<=\n))\s*((?:{_NUMBER}\s*[,ㆍ·]?\s*)+)"),
    "/": re.compile(rf"((?:{_NUMBER}\s*[,ㆍ·]?\s*)+)"),
}
_LETTERS = "가나다라마바사아자차카타파하"
_ORDINALS = tuple(str(number) for number in range(1, 31))
_LISTED = {
    (order, separator): re.compile(rf"(?:^|(?<=[\n{separator}]))\s*(?:\(?({mark})[.)]\s{space})")
    for separator in ("\n", "/")
    for order, mark, space in ((tuple(_LETTERS), f"[{_LETTERS}]", "*"), (_ORDINALS, r"\d{1,2}", "+"))
}
_EDGES = " \n/,"


def is_precedent(value: dict[str, Any]) -> bool:
    """Whether this JSON object looks like a court decision."""
    return "PrecService" in value or "판례일련번호" in value or "판례정보일련번호" in value


def read_precedent(value: dict[str, Any]) -> Document:
    """One decision. Raises SourceError when it has no 판례일련번호 or no 사건번호."""
    raw = as_dict(value.get("PrecService", value), "PrecService")
    serial = field(raw, "판례일련번호") or field(raw, "판례정보일련번호")
    case_number = field(raw, "사건번호")
    if not serial or not case_number:
        raise SourceError("the decision has no 판례일련번호 or no 사건번호; download it again")
    court, decided = field(raw, "법원명"), re.sub(r"\D", "", field(raw, "선고일자"))
    decision_type = field(raw, "판결유형")
    title = decision_title(court, decided, case_number, decision_type)
    root = Unit("root", children=[unit for name, kind in FIELDS.items() for unit in numbered_units(raw, name, kind)])
    if judgment := plain(raw, "판례내용") or plain(raw, "판결본문"):
        root.children.append(Unit("text", "1", "판례내용", judgment))
    return Document(
        doc_id=f"PREC_{serial}",
        source_type="precedent",
        title=title,
        tree=root,
        authority=court,
        effective_date=decided,
        version=case_number,
        family=f"PREC_{serial}",
        meta={
            "case_name": field(raw, "사건명"),
            "case_number": case_number,
            "case_type": field(raw, "사건유형") or field(raw, "사건종류명"),
            "court": court,
            "decided": decided,
            "decision_type": decision_type,
        },
    )


def decision_title(court: str, decided: str, case_number: str, decision_type: str) -> str:
    """`대법원 2010. 1. 28. 선고 2009다1234 판결`; an order (결정) is dated `2010. 1. 28.자`."""
    kind = decision_type.split(":")[0].strip() or "판결"
    day = written_day(decided)
    dated = (f"{day}자" if kind in ("결정", "명령") else f"{day} 선고") if day else ""
    return " ".join(filter(None, (court, dated, case_number, kind)))


def written_day(day: str) -> str:
    """ "20100128" ─► "2010. 1. 28."; anything else stays as it is."""
    return f"{day[:4]}. {int(day[4:6])}. {int(day[6:8])}." if re.fullmatch(r"\d{8}", day) else day


def plain(raw: dict[str, Any], name: str) -> str:
    """Text of a field without entities and tags, lines kept."""
    return tidy(strip_tags(unescape(as_text(raw.get(name), name))))


def numbered_units(raw: dict[str, Any], name: str, kind: str) -> list[Unit]:
    """The field `name` as units of `kind`, one per number, in order; a field without numbers is "1", an empty one none."""
    cites = kind.startswith("cited")
    text = plain(raw, name)
    if not text:
        return []
    parts = numbered(text, "/" if cites else "\n")
    merged: dict[str, list[str]] = {}
    for number, part in parts if cites else _renumbered(parts):
        merged.setdefault(number, []).append(part)
    joint = " / " if cites else "\n"
    return [Unit(kind, number, text=joint.join(dict.fromkeys(texts))) for number, texts in merged.items()]


def _renumbered(parts: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Issues and holdings count upwards; a number that the source repeats by mistake becomes the next one."""
    last, joint = 0, ""
    for number, text in parts:
        repeated = int(number) <= last and text != joint
        last, joint = (last + 1 if repeated else max(last, int(number))), text
        yield str(last), text


def numbered(text: str, separator: str) -> list[tuple[str, str]]:
    """(number, text) per numbered part; "[1][2] …" gives its text under both numbers.

    separator: "/" for citation lists, where a marker may stand anywhere (some lack the slash before it), "\\n" for prose,
    where it must start a line.
    """
    marks = list(_MARKER[separator].finditer(text))
    if marks:
        numbers = [re.findall(r"\d+", mark[1]) for mark in marks]
    else:
        marks = _listed(text, separator)
        numbers = [[str(place)] for place in range(1, len(marks) + 1)]
    if not marks:
        return [("1", text.strip(_EDGES))]
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    lead = text[: marks[0].start()].strip(_EDGES)
    parts = [("1", lead)] if lead else []
    for mark, group, end in zip(marks, numbers, ends, strict=True):
        body = text[mark.end() : end].strip(_EDGES)
        parts += [(str(int(number)), body) for number in group if body]
    return parts


def _listed(text: str, separator: str) -> list[re.Match[str]]:
    """가. 나. 다. (older decisions) or 1. 2. 3. (Constitutional Court), only when they start the text and come in order."""
    for (order, allowed), pattern in _LISTED.items():
        found = list(pattern.finditer(text)) if allowed == separator else []
        in_order = tuple(mark[1] for mark in found) == order[: len(found)]
        if len(found) > 1 and in_order and not text[: found[0].start()].strip():
            return found
    return []
