"""Which provisions of a statute are in force on a day.

A law file may hold several versions of an article (조문시행일자) and provisions that take effect later, whole articles or
parts of one (`[시행일: 2026.6.1] 제42조의2제3호` in the article's note). Here: the state of each. Not here: ids, text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from lex_assets.passages.ids import label, segment
from lex_assets.schemas import STATUTE_TYPES, Unit

State = Literal["in_force", "pending", "superseded"]
"""pending: takes effect after the reference day. superseded: a later version of the same provision is in force."""

_NOTE = re.compile(r"\[\s*시행일\s*:?\s*(\d{4})\s*\.\s*(\d{1,2})\s*\.\s*(\d{1,2})\s*\.?\s*\]([^\[\]]*)")
_REFERENCE = re.compile(r"제\d+조(?:의\d+)*(?:제\d+항)?(?:제\d+호(?:의\d+)?)?(?:[가-하]목)?")
_NAMES = {"pending": "시행일", "superseded": "종전 시행일"}


@dataclass(frozen=True)
class Calendar:
    """The reference day (as_of, or without one the document's own effective date) and what is then in force.

    versions: provision → the day from which its version of the reference day applies.
    """

    own_date: str
    reference: str
    versions: dict[str, str]

    @classmethod
    def of(cls, tree: Unit, own_date: str, as_of: str = "") -> Calendar:
        """The calendar of a document; without any date everything is in force."""
        reference = as_of or own_date
        versions: dict[str, str] = {}
        for unit in map(with_delayed_parts, filter(_is_dated, tree.walk())):
            date = unit.effective_date or own_date
            if date <= reference:
                versions[segment(unit)] = max(date, versions.get(segment(unit), ""))
        return cls(own_date, reference, versions)

    def date(self, unit: Unit) -> str:
        """YYYYMMDD from which the unit applies, as far as the source says."""
        return unit.effective_date or self.own_date

    def state(self, unit: Unit) -> State:
        """Whether the unit, an article, annex or part of one, is in force on the reference day."""
        date = self.date(unit)
        if date > self.reference:
            return "pending"
        return "superseded" if _is_dated(unit) and date < self.versions.get(segment(unit), "") else "in_force"

    def mark(self, unit: Unit) -> str:
        """What is put behind the citation of a unit that is not in force: ` [시행일: 2026. 6. 1.]`; else empty."""
        state = self.state(unit)
        date = self.date(unit)
        day = f"{date[:4]}. {int(date[4:6])}. {int(date[6:8])}." if re.fullmatch(r"\d{8}", date) else date
        return "" if state == "in_force" else f" [{_NAMES[state]}: {day}]"

    def only_in_force(self, unit: Unit) -> Unit:
        """`unit` without those of its parts that have a day of their own and are not in force on the reference day."""
        kept = (c for c in unit.children if not c.effective_date or self.state(c) == "in_force")
        return replace(unit, children=[self.only_in_force(child) for child in kept])


def with_delayed_parts(article: Unit) -> Unit:
    """`article` in which the parts that its note names take effect on the day that the note gives."""
    delays = dict(_delays(str(article.meta.get("note", ""))))
    return _delayed([article], delays) if delays else article


def _delays(note: str) -> Iterator[tuple[str, str]]:
    """(제42조의2제3호, 20260601) for each provision that a note delays."""
    for year, month, day, names in _NOTE.findall(note):
        for name in _REFERENCE.findall("".join(names.split())):
            yield name, f"{year}{int(month):02d}{int(day):02d}"


def _delayed(path: list[Unit], delays: dict[str, str]) -> Unit:
    unit = path[-1]
    date = max(unit.effective_date, delays.get(label(path), ""))
    return replace(unit, effective_date=date, children=[_delayed([*path, child], delays) for child in unit.children])


def _is_dated(unit: Unit) -> bool:
    return unit.kind in ("조", "별표")


def statutes_left_out(documents: pl.DataFrame, passages: pl.DataFrame, as_of: str) -> list[str]:
    """Ids of the statutes of `documents` that took effect after `as_of` and gave no passage; none without a day.

    A file holds one consolidated version: what was in force before it is another file.
    """
    late = documents.filter((pl.col("effective_date") > as_of) & pl.col("source_type").is_in(STATUTE_TYPES))
    return late.join(passages, on="doc_id", how="anti")["doc_id"].sort().to_list() if as_of else []
