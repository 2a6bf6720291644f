"""Ids and labels of units: `LAW_000030_제53조의2_①_3.`, `LAW_000030_별표2`, 제53조의2제1항제3호.

Ids depend on the source's own numbering only, never on a model or on the order of reading.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

from lex_assets.schemas import Unit


def article_label(number: str) -> str:
    """ "53의2" ─► "제53조의2"; "4-2의3" ─► "제4-2조의3"."""
    base, _, branch = number.partition("의")
    return f"제{base}조" + (f"의{branch}" if branch else "")


def article_id(doc_id: str, number: str) -> str:
    """Parent id of an article: ("LAW_000030", "53의2") ─► "LAW_000030_제53조의2"."""
    return f"{doc_id}_{article_label(number)}"


def segment(unit: Unit) -> str:
    """What a unit adds to the id of the unit above it."""
    if unit.kind == "조":
        return article_label(unit.number)
    if unit.kind == "별표":
        return f"{unit.meta.get('section', '별표')}{unit.number}"
    if unit.kind == "부칙":
        return f"부칙{unit.number}"
    return unit.number or unit.kind


def label(units: Sequence[Unit]) -> str:
    """How lawyers cite the innermost of `units`: 제839조의2제1항제3호가목, 별표 2, 부칙 제123호."""
    return "".join(_label(unit) for unit in units)


def _label(unit: Unit) -> str:
    if unit.kind == "조":
        return article_label(unit.number)
    if unit.kind == "항":
        value = unicodedata.numeric(unit.number, 0) if len(unit.number) == 1 else 0
        return f"제{int(value)}항" if value else unit.number
    if unit.kind in ("호", "목"):
        return _item_label(unit.number.rstrip("."), unit.kind)
    if unit.kind == "별표":
        return f"{unit.meta.get('section', '별표')} {unit.number}".strip()
    return f"부칙 제{unit.number}호" if unit.kind == "부칙" and unit.number else unit.kind


def _item_label(number: str, kind: str) -> str:
    base, _, branch = number.partition("의")
    suffix = f"의{branch}" if branch else ""
    return f"제{base}호{suffix}" if kind == "호" else f"{base}목{suffix}"
