"""A citation, and the machine that turns 조, 항, 호, 목 in reading order into citations: what is not named again carries over.

Here: addresses. Not here: where a law's name stands and how long it holds (`parse` for 참조조문, `in_text` for prose).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal, NamedTuple

from lex_assets.passages.ids import article_label

Part = Literal["", "별표", "부칙"]
Level = Literal["article", "paragraph", "item", "letter"]
LEVELS: tuple[Level, ...] = ("article", "paragraph", "item", "letter")
_PLACES = {level: place for place, level in enumerate(LEVELS, start=1)}


class Law(NamedTuple):
    """A law as a text means it: its name without 구, and why and as of when it is not today's."""

    name: str
    reason: str | None = None
    as_of: str = ""


class Citation(NamedTuple):
    """One cited provision.

    law: name as written, without 구 · article: "53의2", "4-2"; "" where only the law, or a 항 of its 부칙, is named ·
    paragraph, item: "2", "3의2" or None · letter: 목, "가" or None · until: the last number of a range of the innermost
    level named, else None · part: what `article` numbers, when it is a 별표 or an article of the 부칙 ·
    as_of: YYYYMMDD of the amendment before which the cited version was in force, else "" · current: named by a
    (현행 … 참조) note · reason: why it does not mean today's text (a key of `resolve.REASONS`), else None.
    """

    law: str
    article: str = ""
    paragraph: str | None = None
    item: str | None = None
    letter: str | None = None
    until: str | None = None
    part: Part = ""
    as_of: str = ""
    current: bool = False
    reason: str | None = None

    @property
    def level(self) -> Level | None:
        """The innermost level that is named; None for a whole law."""
        if self.letter:
            return "letter"
        if self.item:
            return "item"
        if self.paragraph:
            return "paragraph"
        return "article" if self.article or self.part else None

    def up_to(self, level: Level, number: str | None) -> Citation:
        """This address with `number` at `level` and nothing below."""
        place = _PLACES[level]
        return Citation._make((*self[:place], number, *(None,) * (5 - place), *self[6:]))

    def completes(self, other: Citation, level: Level) -> bool:
        """Whether `other` names the units above `level` as this address does, at least one, and none below."""
        place = _PLACES[level]
        return (
            self[:place] == other[:place]
            and not any(other[place:6])
            and self.part == other.part
            and other.level is not None
        )

    @property
    def label(self) -> str:
        """Spelled out in full, as `parse_citations` reads it again: 구 상법(2011. 4. 14. 개정되기 전의 것) 제3조 제1항."""
        units = [_label(level, number, self.part) for level in LEVELS if (number := getattr(self, level))]
        if self.until and self.level:
            units.append(f"내지 {_label(self.level, self.until, self.part)}")
        head = f"{_version(self)} 부칙" if self.part == "부칙" else _version(self)
        return " ".join([head, *(["별표"] if self.part == "별표" and not self.article else []), *units])


def _label(level: Level, number: str, part: Part) -> str:
    if level == "article":
        return f"별표 {number}" if part == "별표" else article_label(number)
    if level == "letter":
        return f"({number})목"
    base, _, branch = number.partition("의")
    return f"제{base}{'항' if level == 'paragraph' else '호'}" + (f"의{branch}" if branch else "")


def _version(citation: Citation) -> str:
    notes = {"old_version": "개정되기 전의 것", "noted": "개정되기 전의 것", "repealed": "폐지"}
    if citation.reason not in notes:
        return citation.law
    date = citation.as_of and f"{citation.as_of[:4]}. {int(citation.as_of[4:6])}. {int(citation.as_of[6:])}. "
    return f"구 {citation.law}({date}{notes[citation.reason]})"


LETTERS = "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허"
# Numbers are bounded, and none starts inside a longer one, so that reading stays linear whatever the text.
_BRANCH = r"(?:\s?의\s?\d{1,3}(?!\d|\s?(?:일|년|개월|월|분의|인|명|회|퍼센트|%|배|억|만|천|개)))"
ARTICLE = rf"\d{{1,4}}(?:-\d{{1,3}})?\s?조(?!합|직|사){_BRANCH}{{0,2}}"
PARAGRAPH = rf"\d{{1,3}}\s?항{_BRANCH}?"
ITEM = rf"\d{{1,4}}(?:의\d{{1,3}}|-\d{{1,3}})?\s?호(?!\s?서식){_BRANCH}?"
ANNEX = r"\[?별표(?:\s?\d{1,3}(?:[의-]\d{1,3}){0,2}(?!\d|\s?[항호]))?\]?"
FORM = r"\[별지[^\[\]]{0,60}\]|별지\s?(?:제?\s?\d{1,3}호(?:의\d{1,3})?\s?서식)?"
RANGE = rf"(?:내지|부터)(?=\s?(?:제?\s?\d|별표|\(?[{LETTERS}]\)?\s?목))|[~∼～]"
ADDENDUM = r"부\s?칙(?:\s?[(<〈][^()<>〈〉]{0,60}[)>〉])?(?![가-힣])"
PROMULGATED = r"(?:법률|헌법|령|규칙|조례|고시|공고|예규|훈령|지침|지시)\s?제?\s?[\d-]{1,12}호"
_DIGITS = re.compile(r"\d+(?:-\d+)?")


def unit_number(token: str) -> str:
    """제 53 조의 2 → "53의2"; 제4-2조 → "4-2"; 제3항 → "3"; [별표 1의2] → "1의2"."""
    return "의".join(_DIGITS.findall(token))


@lru_cache(maxsize=1 << 14)
def order(number: str) -> tuple[int, ...]:
    """Sort key of article and 호 numbers: "9" < "9의2" < "10"; "4-2" < "4-10"."""
    return tuple(int(part) for part in re.findall(r"\d+", number))


_PAIR = {")": "(", "]": "["}


def closings(text: str) -> dict[int, int]:
    """Place of every bracket that is closed → place after its closing bracket. One pass."""
    found: dict[int, int] = {}
    opened: dict[str, list[int]] = {"(": [], "[": []}
    for match in re.finditer(r"[()\[\]]", text):
        if match[0] in opened:
            opened[match[0]].append(match.start())
        elif places := opened[_PAIR[match[0]]]:
            found[places.pop()] = match.end()
    return found


BRACKETED = 400
"""How far into a bracket is looked to see what it is: notes are short, and looking further would cost n² when nested."""

_OLD_NOTE = re.compile(r"전(?:의)? ?것|전의|폐지|실효")
_REPEALED = re.compile(r"폐지|실효")
_ANY_UNIT = re.compile(rf"\d\s?[조항호]|별표|[{LETTERS}]\)?\s?목")
_PROMULGATED = re.compile(PROMULGATED)
_DATED = re.compile(r"\d{4}\. ?\d|\d호")
_DATE = re.compile(r"(\d{4})\. ?(\d{1,2})\. ?(\d{1,2})")

Aside = Literal["current", "note", "skip", "open"]


def aside(inner: str, whole: bool) -> Aside:
    """What a bracket holds: (현행 … 참조), a version note, a title or date to skip, or citations to read on into."""
    if inner.lstrip().startswith("현행"):
        return "current"
    if _OLD_NOTE.search(inner) and _DATED.search(inner):
        return "note"
    if _DATE.match(inner.lstrip()):
        return "skip"
    return "open" if not whole or _ANY_UNIT.search(_PROMULGATED.sub("", inner)) else "skip"


def version_of(note: str) -> tuple[str, str]:
    """(reason, as_of) of a version note: (2011. 4. 14. 법률 제10600호로 개정되기 전의 것) → ("old_version", "20110414")."""
    date = _DATE.search(note)
    as_of = f"{date[1]}{int(date[2]):02d}{int(date[3]):02d}" if date else ""
    return "repealed" if _REPEALED.search(note) else "old_version", as_of


class Reader:
    """Reads a text left to right: `here` is the address that holds, `found` the citations so far.

    A unit directly behind its superior unit goes into the same citation (제3조 제1항 제2호); behind a comma it starts
    another one with the same superiors (제1항, 제2항).
    """

    tokens: re.Pattern[str]

    def __init__(self, here: Citation, current: bool = False) -> None:
        self.here = here
        self.beside = here
        self.current = current
        self.found: list[Citation] = []
        self.tight = self.fresh = False
        self.range: Level | None = None

    def read(self, text: str) -> list[Citation]:
        """All citations in `text`, in order. Time is linear in its length."""
        closed, position = closings(text), 0
        while match := self.tokens.search(text, position):
            self.between(text, position, match)
            position = match.end()
            if match[0] in "([":
                position = self.bracket(text, match.start(), closed.get(match.start()))
                continue
            if match[0] in ")]":
                self.on_close()
                continue
            handler: Callable[[str], None] = getattr(self, f"on_{match.lastgroup}")
            handler(match[0])
        self.between(text, position, None)
        return self.found

    def between(self, text: str, start: int, match: re.Match[str] | None) -> None:
        """The text from `start` to the next token (None: the text's end): sets `tight`, finds names."""
        raise NotImplementedError

    def bracket(self, text: str, start: int, end: int | None) -> int:
        """Handles the bracket at `start`, closed before `end` (None: never); where to read on."""
        inner = text[start + 1 : min(end or len(text), start + BRACKETED)]
        whole = end is not None and end - start <= BRACKETED
        kind = aside(inner.removesuffix(")").removesuffix("]") if whole else inner, whole)
        if kind == "current" and not self.current:
            end = end or len(text)
            self.on_current(text[start + 1 : end].rstrip(")] "))
            return end
        if end is None or kind in ("open", "current"):
            self.on_open(start, end)
            return start + 1
        if kind == "note":
            self.on_note(inner)
        else:
            self.on_skip(inner)
        return end

    def on_open(self, start: int, end: int | None) -> None:
        """A bracket with citations in it: nothing in it belongs to the unit before it."""
        self.tight, self.range = False, None

    def on_close(self) -> None:
        """The end of such a bracket."""

    def on_note(self, note: str) -> None:
        """A version note."""

    def on_skip(self, inner: str) -> None:
        """A bracket without citations."""

    def on_form(self, token: str) -> None:
        """별지 are forms; they are cited with their article, and what stands behind them is inside the form."""
        self.tight, self.range = False, None

    def on_promulgated(self, token: str) -> None:
        """법률 제10600호 is no 호."""

    def on_current(self, inner: str) -> None:
        """(현행 … 참조): today's place of the citation just read, which stays, marked."""

    def law(self, law: Law) -> None:
        """`law` holds from here on."""
        self.here = self.beside = Citation(law.name, as_of=law.as_of, current=self.current, reason=law.reason)
        self.tight, self.range, self.fresh = False, None, True

    def unit(self, level: Level, number: str, part: Part | None = None) -> None:
        """One unit: ends a range, completes the citation before it, or starts the next one."""
        if self.range == level and self.tight and self.found:
            self.here = self.here._replace(article=number) if level == "article" else self.here
            self.found[-1], self.range = self.found[-1]._replace(until=number), None
            return
        here = self.here.up_to(level, number)
        if part is not None and part != here.part:
            here = here._replace(part=part)
        self.here = here._replace(reason="addendum") if here.part == "부칙" else here
        if self.tight and self.found and here.completes(self.found[-1], level):
            self.found[-1] = self.here
        else:
            self.found.append(self.here)
        self.tight, self.range, self.fresh = True, None, False

    def on_article(self, token: str) -> None:
        """제53조의2."""
        keep = self.here.part if self.here.part == "부칙" else ""
        self.unit("article", unit_number(token), keep)

    def on_annex(self, token: str) -> None:
        """[별표 2]: an address of its own beside the article that it implements."""
        if self.here.part != "별표":
            self.beside = self.here
        self.tight = self.tight and self.range == "article"
        self.unit("article", unit_number(token), "별표")

    def on_paragraph(self, token: str) -> None:
        """제1항; behind a comma after a 별표 it is the article's again (제5조 제1항 [별표 1], 제2항)."""
        if self.here.part == "별표" and not self.tight:
            self.here = self.beside
        if self.here.article or self.here.part:
            self.unit("paragraph", unit_number(token))

    def on_item(self, token: str) -> None:
        """제1호."""
        number = unit_number(token)
        if self.here.part == "별표" and not self.tight and self._goes_back(number):
            self.here = self.beside
        if self.here.article or self.here.part:
            self.unit("item", number)

    def _goes_back(self, number: str) -> bool:
        """제2조 제1호 [별표] 제16호, 제2호: lists ascend, so 제2호 is of 제2조."""
        item, beside = self.here.item, self.beside.item
        return bool(item and beside) and order(beside or "") < order(number) <= order(item or "")

    def on_letter(self, token: str) -> None:
        """(가)목."""
        if self.here.item:
            self.unit("letter", re.sub(r"[\s()목]", "", token) or "목")

    def on_range(self, token: str) -> None:
        """내지, 부터: the next unit of the level just read ends the range."""
        self.range = self.found[-1].level if self.tight and self.found else None
