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
_HANGUL = re.compile("[가-힣]+")
_LAST_RUN = re.compile("[가-힣]+$")
_NUMBER_END = re.compile(r"\d(?:의\d+)?$")
_COUNTED = re.compile("[조항호목][에의을를와과제은는및ㆍ,. ]|분의 |만원|억원")
_REPEATED = 60
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
    """Words of a document's articles, also without their last one or two syllables (particles): what tells whether a
    line of its annexes broke inside a word."""
    runs = {run for unit in root.walk() for run in _HANGUL.findall(unit.text)}
    return frozenset(run[: len(run) - cut] for run in runs for cut in range(3) if len(run) - cut > 1 + (cut > 0))


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
    for line in filter(None, (line.strip() for line in lines)):
        cut = parts and SEPARATOR not in line and _cuts_word(parts[-1], line, words)
        parts += [line] if cut or not parts else [glue, line]
    return "".join(parts)


def _cuts_word(before: str, after: str, words: Set[str]) -> bool:
    """Whether the end of one line and the start of the next are one word of the document, or a number and its unit."""
    if _NUMBER_END.search(before[-8:]) and _COUNTED.match(after):
        return True
    left, right = _LAST_RUN.search(before[-20:]), _HANGUL.match(after)
    if not left or not right:
        return False
    word = left[0] + right[0]
    return any(word[: len(word) - cut] in words for cut in range(3) if len(word) - cut > len(left[0]))


_Cell = list[str]


def _table_rows(lines: list[str], words: Set[str]) -> list[str]:
    """Rows of one drawn table. A ruled line ends the cells of the columns that it crosses; a cell that goes on beside
    them belongs to several rows."""
    frame = _frame(lines)
    out: list[str] = []
    group: list[list[_Cell]] = []
    for line in lines:
        pieces = _cells(line, frame)
        ruled = [_RULER.search(piece) is not None and _BORDER_PIECE.fullmatch(piece) is not None for piece in pieces]
        if all(ruled) or not group or len(pieces) != len(group[-1]):
            out += _rows(group, words)
            group = [[[] for _ in pieces]]
        elif any(ruled):
            group.append([[] if ends else cell for cell, ends in zip(group[-1], ruled, strict=True)])
        for cell, piece, ends in zip(group[-1], pieces, ruled, strict=True):
            if not ends:
                cell.append(_without_box(piece).strip())
    return out + _rows(group, words)


def _rows(group: list[list[_Cell]], words: Set[str]) -> list[str]:
    """Text of the rows between two full rulers; a cell that spans rows is repeated in each while it is short."""
    rows: list[str] = []
    above: list[_Cell] = []
    for cells in group:
        texts = [" ".join(strip_marks(_joined(cell, words, " ")).split()) for cell in cells]
        spans = [place < len(above) and cell is above[place] for place, cell in enumerate(cells)]
        if any(text and not span for text, span in zip(texts, spans, strict=True)):
            shown = (text for text, span in zip(texts, spans, strict=True) if not span or len(text) <= _REPEATED)
            rows.append(SEPARATOR.join(filter(None, shown)))
            above = cells
    return rows


def _frame(lines: list[str]) -> tuple[bool, bool]:
    """Whether the table has a frame at its left and right: then the bar at that end of every line opens no cell."""
    texts = [line.strip() for line in lines if not _BORDER_PIECE.fullmatch(line)]
    return all(text[0] in _BOX for text in texts), all(text[-1] in _BOX for text in texts)


def _cells(line: str, frame: tuple[bool, bool]) -> list[str]:
    pieces = _SPLIT.split(line.strip())
    return pieces[frame[0] and len(pieces) > 1 : len(pieces) - (frame[1] and len(pieces) > 2)]


def _without_box(piece: str) -> str:
    return "".join(character for character in piece if character not in _BOX)
