"""Pieces of an annex (별표): whole rows, items and sentences; a table that goes on in the next piece repeats its header.

Annex text has one line per table row, items as they are numbered, and running text wrapped anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

from lex_assets.passages.cut import windows
from lex_assets.sources.annex import SEPARATOR
from lex_assets.sources.statute import SYLLABLES

_MARKER = re.compile(
    rf"\s*(?:[(<\[]?(?:\d{{1,3}}|[{SYLLABLES}]|[A-Za-z]|[ivxⅰ-ⅻⅠ-Ⅻ]+)(?:의\d+)?[.)\]>](?!\d)"
    r"|[①-⑳㉠-㉭※■○◦ㅇ●·▪▶*-]|[<\[])"
)
_SENTENCE_END = re.compile(r"[.?!:。][)\]”’\"']?\s*$")
_COUNTED = re.compile(r"\d(?!\s*[차회])")
_LONGEST_TITLE = 40
_LONGEST_SUBHEADER = 60
_TITLES_CARRIED = 2


@dataclass(frozen=True)
class _Block:
    """Text that should stay together. header: rows repeated above it when it starts a piece."""

    text: str
    header: str = ""

    def announces(self, following: _Block) -> bool:
        """Whether it is only the title of what follows: `2. 개별기준` before `가. …`, not before `3. …`."""
        if self.header or len(self.text) > _LONGEST_TITLE or SEPARATOR in self.text or "\n" in self.text:
            return False
        return not _SENTENCE_END.search(self.text) and _numbering(self.text) != _numbering(following.text)


def annex_pieces(text: str, limit: int) -> list[str]:
    """`text` in pieces of at most `limit` characters. Every line of it is in one of them; headers are repeated."""
    pieces: list[list[_Block]] = []
    size = 0
    for block in _blocks(text.split("\n"), limit):
        if not pieces or size + 1 + len(block.text) > limit:
            pieces.append(_opening(pieces[-1] if pieces else [], block, limit))
            size = sum(1 + len(opened.text) for opened in pieces[-1]) - 1
        pieces[-1].append(block)
        size += 1 + len(block.text)
    return ["\n".join(block.text for block in piece) for piece in pieces]


def _opening(before: list[_Block], block: _Block, limit: int) -> list[_Block]:
    """What stands above `block` in a new piece: the header of its table, or the titles that `before` ends in."""
    if block.header:
        return [_Block(block.header)]
    carried = [block]
    room = limit - len(block.text)
    while len(before) > 1 and len(carried) <= _TITLES_CARRIED and before[-1].announces(carried[0]):
        room -= len(before[-1].text) + 1
        if room < 0:
            break
        carried.insert(0, before.pop())
    return carried[:-1]


def _numbering(text: str) -> str:
    """How the text is numbered: `0.` for `12. …`, `가)` for `나) …`, empty without a number."""
    match = _MARKER.match(text)
    return re.sub(r"\d+", "0", re.sub(f"[{SYLLABLES}]", "가", match[0].strip())) if match else ""


def _blocks(lines: list[str], limit: int) -> Iterator[_Block]:
    header, interrupted = "", False
    for is_table, group in groupby(filter(str.strip, lines), key=lambda line: SEPARATOR in line):
        members = list(group)
        if not is_table:
            interrupted = all(len(line) <= _LONGEST_TITLE and _MARKER.match(line) for line in members)
            yield from _paragraphs(members, limit)
            continue
        # Short items between rows (`너. 삭제`) interrupt a table whose next row is numbered; they do not end it.
        if not (header and interrupted and _MARKER.match(members[0])):
            header, members = _header(members, limit)
            first, members = members[:1], members[1:]
            yield from _row("\n".join(filter(None, [header, *first])), header, limit, opens=True)
        for row in members:
            yield from _row(row, header, limit)


def _header(rows: list[str], limit: int) -> tuple[str, list[str]]:
    """(header rows, the others) of a table: its first row, with a second one that only divides cells of the first."""
    if len(rows) < 2 or _MARKER.match(rows[0]):
        return "", rows
    divides = (
        len(rows) > 2
        and len(rows[1]) <= _LONGEST_SUBHEADER
        and rows[1].count(SEPARATOR) < rows[2].count(SEPARATOR)
        and not _MARKER.match(rows[1])
        and not _COUNTED.search(rows[1])
    )
    count = 2 if divides else 1
    header = "\n".join(rows[:count])
    return (header, rows[count:]) if len(header) <= limit // 3 else ("", rows)


def _row(row: str, header: str, limit: int, opens: bool = False) -> Iterator[_Block]:
    """The row, cut when it alone is too long. opens: `row` begins with the header."""
    room = limit - len(header) - 1 if header else limit
    parts = [row] if len(row) <= (limit if opens else room) else windows(row, room)
    for place, part in enumerate(parts):
        yield _Block(part, "" if opens and not place else header)


def _paragraphs(lines: list[str], limit: int) -> Iterator[_Block]:
    """Lines joined into items and sentences: a line goes on with the next unless it ends a sentence or an item starts."""
    paragraph: list[str] = []
    for line in [*lines, ""]:
        if paragraph and (not line or _SENTENCE_END.search(paragraph[-1]) or _MARKER.match(line)):
            yield from map(_Block, windows("\n".join(paragraph), limit))
            paragraph = []
        paragraph.append(line)
