"""별표 (and 서식, 별지): drawn tables become rows `cell | cell`, one per line; hard-wrapped lines are joined again.

law.go.kr stores annexes as fixed-width text with box-drawing characters. No character of a cell is dropped; only the
lines of the box, padding and amendment marks go.
"""

from __future__ import annotations

import re
import unicodedata
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


def annexes(block: Any) -> list[Unit]:
    """Units of a 별표 block `{"별표단위": …}`; a missing or empty block gives none."""
    if not block:
        return []
    units = as_list(as_dict(block, "별표").get("별표단위"), "별표단위")
    return [_annex(as_dict(unit, "별표단위")) for unit in units]


def _annex(raw: dict[str, Any]) -> Unit:
    text = as_text(raw.get("별표내용"), "별표내용")
    title = clean(unescape(field(raw, "별표제목")))
    section = field(raw, "별표구분") or "별표"
    deleted = _says_deleted(text)
    meta = {"section": section}
    return Unit(
        "별표",
        _number(raw, text),
        title,
        "" if deleted else annex_text(text),
        effective_date=field(raw, "별표시행일자"),
        deleted=deleted,
        meta=meta,
    )


def _number(raw: dict[str, Any], text: str) -> str:
    """"2", "1의2", "1-1" (as the annex writes it), or "" for the only one."""
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


def annex_text(text: str) -> str:
    """Readable text of an annex: tables as rows, wrapped lines joined, marks stripped."""
    lines = unescape(text).splitlines()
    width = _wrap_width(lines)
    out: list[str] = []
    table: list[str] = []
    for line in [*lines, ""]:
        if _BOX.intersection(line):
            table.append(line)
            continue
        if table:
            out += _table_rows(table)
            table = []
        out.append(line)
    return clean("\n".join(_join_wrapped(out, width)))


def _wrap_width(lines: list[str]) -> int:
    """Width at which lines outside tables are hard-wrapped, 0 when they are not: wrapped annexes pad every line."""
    plain = [line for line in lines if line.strip() and not _BOX.intersection(line)]
    padded = sum(line.endswith("  ") for line in plain)
    if len(plain) < 3 or padded < len(plain) * 0.6:
        return 0
    return max(display_width(line.rstrip()) for line in plain)


def display_width(text: str) -> int:
    """Columns that `text` takes in a fixed-width font: wide characters take two."""
    return sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in text)


_STARTS_ITEM = re.compile(r"\s*(?:[①-⑳○●◦□■▣△▷※*·ㆍ-]|[가-하]\.|\d{1,2}[.)]|[가-하]\)|\([\d가-하]+\)|[IVXⅠ-Ⅻ]+\.|제\d+|비고|[<\[■])")


def _join_wrapped(lines: list[str], width: int) -> list[str]:
    """`lines` with those joined that were cut at `width` in the middle of a sentence."""
    if not width:
        return lines
    joined: list[str] = []
    full = False
    for line in lines:
        # Table rows carry no padding and never continue a sentence.
        is_row = SEPARATOR in line
        if full and line.strip() and not is_row and not _STARTS_ITEM.match(line):
            joined[-1] += _glue(joined[-1], width, line) + line.strip()
        else:
            joined.append(line.rstrip())
        full = not is_row and display_width(line.rstrip()) >= width - 3
    return joined


def _glue(before: str, width: int, after: str) -> str:
    """Space or nothing between two halves: a line that could have held one more wide character broke at a space."""
    return " " if display_width(before.splitlines()[-1][-width:]) <= width - 2 or after.startswith("   ") is None else ""


def _table_rows(lines: list[str]) -> list[str]:
    """Rows of one drawn table: a ruled line ends a row; the lines of a cell are joined."""
    rows: list[str] = []
    cells: list[list[str]] = []
    for line in lines:
        pieces = _cells(line)
        ruled = _RULER.search(line) is not None
        if cells and (ruled or len(pieces) != len(cells)):
            rows.append(_row(cells))
            cells = []
        pieces = ["" if _BORDER_PIECE.fullmatch(piece) else piece for piece in pieces]
        if not any(piece.strip() for piece in pieces):
            continue
        cells = cells or [[] for _ in pieces]
        for cell, piece in zip(cells, pieces, strict=True):
            cell.append(_without_box(piece).strip())
    return [*rows, _row(cells)] if cells else rows


def _cells(line: str) -> list[str]:
    pieces = _SPLIT.split(line)
    if len(pieces) > 2 and not pieces[0].strip():
        pieces = pieces[1:]
    return pieces[:-1] if len(pieces) > 1 and not pieces[-1].strip() else pieces


def _without_box(piece: str) -> str:
    return "".join(character for character in piece if character not in _BOX)


def _row(cells: list[list[str]]) -> str:
    texts = (strip_marks(" ".join(filter(None, cell))) for cell in cells)
    return SEPARATOR.join(filter(None, (" ".join(text.split()) for text in texts)))
