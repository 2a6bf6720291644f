"""별표 (and 서식, 별지): drawn tables become rows `cell | cell`, one per line; hard-wrapped lines are joined again.

law.go.kr stores annexes as fixed-width text with box-drawing characters. No character of a cell is dropped; only the
lines of the box, padding and amendment marks go.
"""

from __future__ import annotations

import re
from collections.abc import Set
from typing import Any

from lex_assets.schemas import Unit
from lex_assets.sources.text import clean, is_deleted, strip_marks, unescape
from lex_assets.sources.values import as_dict, as_list, as_text, field

FORM_KINDS = ("서식", "별지")
"""Annexes that are blank forms; left out of the passages unless asked for."""

SEPARATOR = " | "
"""Between the cells of a table row in `Unit.text`."""

_BARS = "│┃├┤┝┥┠┨┣┫┼╂┿╋"
_RULES = "─━┄┅┈┉╌╍"
_CORNERS = "┌┐└┘┏┓┗┛┬┴┳┻┯┷┰┸┮┭┱┲┵┶┹┺┞┟┡┢┦┧┩┪┽┾╀╁╃╄╅╆╇╈╉╊╒╓╔╕╖╗╘╙╚╛╜╝╞╟╠╡╢╣╤╥╦╧╨╩╪╫╬═║"
_BOX = frozenset(_BARS + _RULES + _CORNERS)
_BORDER_PIECE = re.compile(f"[{_RULES}{_CORNERS}{_BARS}\\s]+")
_SPLIT = re.compile(f"[{_BARS}║]")
_RULER = re.compile(f"[{_RULES}═]{{2,}}|[{_CORNERS}]")
_LABEL = re.compile(r"[<＜〈\[]\s*(?:별\s*[표지첨]|서\s*식)")
_TITLE_DELETED = re.compile(r"^\s*(?:■[^\[<＜〈]*)?[<＜〈\[]\s*(?:별\s*[표지첨]|서\s*식)[^>＞〉\]]*[>＞〉\]]\s*")
_HYPHENATED = re.compile(r"별\s*[표지첨]\s*(?:제\s*)?(\d+)\s*-\s*(\d+)")


def annexes(block: Any, words: Set[str] = frozenset()) -> list[Unit]:
    """Units of a 별표 block `{"별표단위": …}`; a missing or empty block gives none. words: see `annex_text`."""
    if not block:
        return []
    units = as_list(as_dict(block, "별표").get("별표단위"), "별표단위")
    return [_annex(as_dict(unit, "별표단위"), words) for unit in units]


def _annex(raw: dict[str, Any], words: Set[str]) -> Unit:
    text = as_text(raw.get("별표내용"), "별표내용")
    title = clean(unescape(field(raw, "별표제목")))
    section = field(raw, "별표구분") or "별표"
    deleted = _says_deleted(text)
    meta = {"section": section}
    return Unit(
        "별표",
        _number(raw, text),
        title,
        "" if deleted else annex_text(text, words),
        effective_date=field(raw, "별표시행일자"),
        deleted=deleted,
        meta=meta,
    )


def _number(raw: dict[str, Any], text: str) -> str:
    """ "2", "1의2", "1-1" (as the annex writes it), or "" for the only one."""
    number = field(raw, "별표번호").lstrip("0")
    branch = field(raw, "별표가지번호").lstrip("0")
    if not number or not branch:
        return number
    written = _HYPHENATED.search(text[:200])
    hyphen = written is not None and (written[1], written[2].lstrip("0")) == (number, branch)
    return f"{number}{'-' if hyphen else '의'}{branch}"


def _says_deleted(text: str) -> bool:
    """`[별표 1] 삭제 <date>`: the label, then nothing but the deletion."""
    if "삭" not in text[:200]:
        return False
    body = _TITLE_DELETED.sub("", unescape(text), count=1)
    return is_deleted(body, dated=False)


def words_of(root: Unit) -> frozenset[str]:
    """Words of a document's articles: what tells whether a line of its annexes broke inside a word."""
    return frozenset(word for unit in root.walk() for word in unit.text.split() if len(word) > 1)


def annex_text(text: str, words: Set[str] = frozenset()) -> str:
    """Readable text of an annex: tables as rows, words that a line break cut joined, marks stripped."""
    lines: list[str] = []
    table: list[str] = []
    for line in [*unescape(text).splitlines(), ""]:
        if not _BOX.isdisjoint(line):
            table.append(line)
            continue
        lines += _table_rows(table, words) if table else []
        table = []
        lines.append(line)
    return clean(_joined(lines, words, "\n"))


def _joined(lines: list[str], words: Set[str], glue: str) -> str:
    """`lines` joined by `glue`, or by nothing where the break cut a word: fixed-width text breaks anywhere."""
    parts: list[str] = []
    before = ""
    for line in filter(None, (line.strip() for line in lines)):
        cut = SEPARATOR not in line and before + line.split(" ", 1)[0] in words
        parts += [line] if cut or not parts else [glue, line]
        before = (before if cut and " " not in line else "") + line[line.rfind(" ") + 1 :]
    return "".join(parts)


def _table_rows(lines: list[str], words: Set[str]) -> list[str]:
    """Rows of one drawn table: a ruled line ends a row; the lines of a cell are joined."""
    rows: list[str] = []
    cells: list[list[str]] = []
    frame = _frame(lines)
    for line in lines:
        pieces = _cells(line, frame)
        if cells and (_RULER.search(line) or len(pieces) != len(cells)):
            rows.append(_row(cells, words))
            cells = []
        if any(not _BORDER_PIECE.fullmatch(piece) for piece in pieces if piece):
            cells = cells or [[] for _ in pieces]
            for cell, piece in zip(cells, pieces, strict=True):
                cell.append(_without_box(piece).strip())
    return [*rows, _row(cells, words)] if cells else rows


def _frame(lines: list[str]) -> tuple[bool, bool]:
    """Whether the table has a frame at its left and right: then the bar at that end of every line opens no cell."""
    texts = [line.strip() for line in lines if not _BORDER_PIECE.fullmatch(line)]
    return all(text[0] in _BOX for text in texts), all(text[-1] in _BOX for text in texts)


def _cells(line: str, frame: tuple[bool, bool]) -> list[str]:
    pieces = _SPLIT.split(line.strip())
    return pieces[frame[0] and len(pieces) > 1 : len(pieces) - (frame[1] and len(pieces) > 2)]


def _without_box(piece: str) -> str:
    return "".join(character for character in piece if character not in _BOX)


def _row(cells: list[list[str]], words: Set[str]) -> str:
    texts = (" ".join(strip_marks(_joined(cell, words, " ")).split()) for cell in cells)
    return SEPARATOR.join(filter(None, texts))
