"""Building statute trees: headings, article heads, and 항 호 목 inside running text.

Shared by the readers of laws, administrative rules and Markdown statutes. A split never loses a character: whatever is
not recognised as the start of a unit stays in the text of the unit before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from lex_assets.schemas import Unit
from lex_assets.sources.text import DELETION_MARK, clean, is_deleted, strip_marks

LEVELS = {"편": 0, "장": 1, "절": 2, "관": 3, "소제목": 4}
"""Depth of headings. 소제목 is a heading that reads `제1항 협의상 파양`, to tell it from a 항 of an article."""

CIRCLED = "①②③④⑤⑥⑦⑧⑨⑩⑪⑫⑬⑭⑮⑯⑰⑱⑲⑳㉑㉒㉓㉔㉕㉖㉗㉘㉙㉚㉛㉜㉝㉞㉟㊱㊲㊳㊴㊵㊶㊷㊸㊹㊺㊻㊼㊽㊾㊿"
SYLLABLES = (
    "가나다라마바사아자차카타파하거너더러머버서어저처커터퍼허고노도로모보소오조초코토포호구누두루무부수우주추쿠투푸후"
)

_HEADING = re.compile(r"제\s*(\d+)\s*(편|장|절|관|목|항)(?:의\s*(\d+))?(?=[\s<＜〈]|$)\s*(.*)", re.DOTALL)
_ARTICLE = re.compile(r"\s*제\s*(\d+(?:-\d+)?)\s*조(?:의\s*(\d+(?:의\d+)?))?(?=[\s(<＜〈\[]|삭제|$)")
_SUFFIX = re.compile(r"\s*(?:시행령|시행규칙|시행세칙)\s*$")
_PARAGRAPH = re.compile(rf"(?:^|(?<=\s))[{CIRCLED}]")
_ITEM = re.compile(r"(?:^|(?<=\s))(?<!\d\.\s)(\d{1,3})(?:의(\d{1,2}))?\.(?!\d)(?!\s*\d{1,2}\.(?:\s|$))")
_SUBITEM = re.compile(rf"(?:^|(?<=\s))([{SYLLABLES}])(?:의(\d{{1,2}}))?\.(?=[\s「“\"‘가-힣])")
_PLACEHOLDER = "\uf8ff"
_LISTS_ITEMS = re.compile(r"다음|각\s*호|각\s*목|아래")


@dataclass(frozen=True)
class ArticleHead:
    """`제10조의2(목적)` at the start of an article: number "10의2", title "목적", and what follows."""

    number: str
    title: str
    body: str


def family_title(title: str) -> str:
    """The act's title: `여신전문금융업법 시행령` belongs to the family `여신전문금융업법`."""
    return _SUFFIX.sub("", title) or title


def article_head(text: str, title: str = "") -> ArticleHead | None:
    """Number, title and body of an article's text; None when it does not start like one.

    `title` is the title that the source gives in another field, to cut titles that hold unbalanced brackets.
    """
    match = _ARTICLE.match(text)
    if not match:
        return None
    number = match[1] + (f"의{match[2]}" if match[2] else "")
    rest = text[match.end() :].lstrip()
    if title and rest.startswith(f"({title})"):
        return ArticleHead(number, title, rest[len(title) + 2 :].lstrip())
    end = _closing_bracket(rest)
    written = rest[1 : end - 1].strip() if end else ""
    return ArticleHead(number, title or written, rest[end:].lstrip())


def _closing_bracket(text: str) -> int:
    """Position after the bracket that closes the one at the start; 0 without one within 200 characters."""
    depth = 0
    for position, character in enumerate(text[:200]):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return position + 1 if character == ")" else 0
    return 0


def heaviest_ascending(keys: list[tuple[int, ...]], weights: list[float]) -> list[int]:
    """Positions of the strictly ascending subsequence of `keys` with the largest sum of positive `weights`.

    O(n log n): a Fenwick tree over the ranks of the keys holds the best sum that ends at or below a rank.
    """
    ranks = {key: rank for rank, key in enumerate(sorted(set(keys)), start=1)}
    best: list[tuple[float, int]] = [(0.0, -1)] * (len(ranks) + 1)
    previous = [-1] * len(keys)
    for place, (key, weight) in enumerate(zip(keys, weights, strict=True)):
        rank = ranks[key]
        total, previous[place] = max((best[r] for r in _prefix(rank - 1)), default=(0.0, -1))
        while rank < len(best):
            best[rank] = max(best[rank], (total + weight, place))
            rank += rank & -rank
    place = max((best[r] for r in _prefix(len(ranks))), default=(0.0, -1))[1]
    chain: list[int] = []
    while place >= 0:
        chain.append(place)
        place = previous[place]
    return chain[::-1]


def _prefix(rank: int) -> Iterator[int]:
    """Fenwick nodes that together cover the ranks 1 to `rank`."""
    while rank > 0:
        yield rank
        rank -= rank & -rank


def article_key(number: str) -> tuple[int, ...]:
    """Sort key: "1-2" < "1-2의2" < "1-10" < "2"."""
    return tuple(int(part) for part in re.findall(r"\d+", number))


def heading(line: str) -> Unit | None:
    """A 편 장 절 관 heading as a unit, or None. `deleted` when it reads `제4장 삭제 <date>`."""
    match = _HEADING.match(line.strip())
    if not match:
        return None
    kind = match[2] if match[2] in LEVELS else "소제목"
    number = match[1] + (f"의{match[3]}" if match[3] else "")
    title = clean(match[4]).replace("\n", " ")
    deleted = is_deleted(match[4], dated=False) or (title.endswith(" 삭제") and strip_marks(match[4]) != match[4])
    label = line.strip()[: match.end(3) if match[3] else match.end(2)] if kind == "소제목" else ""
    return Unit(kind, number, f"{label} {title}".strip(), deleted=deleted)


class Outline:
    """Nests units under the headings that came before them."""

    def __init__(self) -> None:
        self.root = Unit("root")
        self._open: list[Unit] = []

    def add_heading(self, unit: Unit) -> None:
        """Opens a heading. A deleted one closes its level and stays empty: what follows is not part of it."""
        while self._open and LEVELS[self._open[-1].kind] >= LEVELS[unit.kind]:
            self._open.pop()
        self._parent.children.append(unit)
        if not unit.deleted:
            self._open.append(unit)

    def add(self, unit: Unit) -> None:
        """Appends an article (or loose text) under the innermost open heading."""
        self._parent.children.append(unit)

    def add_heading_lines(self, text: str) -> None:
        """Headings, one per line; a line that is none continues the title before it, or is kept as text."""
        last: Unit | None = None
        for line in filter(None, (line.strip() for line in text.splitlines())):
            unit = heading(line)
            if unit:
                self.add_heading(unit)
                last = unit
            elif last:
                last.title = f"{last.title} {clean(line)}".strip()
            elif cleaned := clean(line):
                self.add(Unit("text", text=cleaned))

    @property
    def _parent(self) -> Unit:
        return self._open[-1] if self._open else self.root


def article_from_text(number: str, title: str, body: str) -> Unit:
    """An article of running text (administrative rules): 항 호 목 are found inside it."""
    deleted = is_deleted(body, dated=False)
    unit = Unit("조", number, clean(title).replace("\n", " "), deleted=deleted)
    if deleted:
        return unit
    head, paragraphs = _split(_keep_deletions(body), _paragraph_starts)
    if head and paragraphs:
        # A circled numeral in the middle of an undivided article lists things; it does not start a 항.
        head, paragraphs = _keep_deletions(body), []
    unit.text, unit.children = _with_items(head)
    unit.children += [_leaf("항", mark, text) for mark, text in paragraphs]
    return unit


def _keep_deletions(body: str) -> str:
    """Cleaned body in which `<삭제 2016. 6. 28.>` stays as `<삭제>`: dates in marks would look like item numbers."""
    return clean(DELETION_MARK.sub(_PLACEHOLDER, body)).replace(_PLACEHOLDER, "<삭제>")


def _leaf(kind: str, number: str, text: str) -> Unit:
    if is_deleted(text, dated=False):
        return Unit(kind, number, deleted=True)
    body, children = _with_items(text) if kind == "항" else _with_subitems(text)
    return Unit(kind, number, text=clean(body), children=children)


def _with_items(text: str) -> tuple[str, list[Unit]]:
    """Head sentence and 호; where there are no 호 but 목, the 목."""
    head, items = _split(text, _item_starts)
    if len(items) > 1 or (items and _LISTS_ITEMS.search(head)):
        return clean(head), [_leaf("호", mark, body) for mark, body in items]
    return _with_subitems(text)


def _with_subitems(text: str) -> tuple[str, list[Unit]]:
    head, items = _split(text, _subitem_starts)
    if not items or not (len(items) > 1 or _LISTS_ITEMS.search(head)):
        return clean(text), []
    units = [Unit("목", mark, text=clean(body), deleted=is_deleted(body, dated=False)) for mark, body in items]
    for unit in units:
        unit.text = "" if unit.deleted else unit.text
    return clean(head), units


def _split(text: str, starts: Callable[[str], Iterator[tuple[int, int, str]]]) -> tuple[str, list[tuple[str, str]]]:
    """Text before the first start, then (number, text) per start."""
    found = list(starts(text))
    if not found:
        return text, []
    ends = [begin for begin, _, _ in found[1:]] + [len(text)]
    return text[: found[0][0]].strip(), [
        (mark, text[after:end].strip()) for (_, after, mark), end in zip(found, ends, strict=True)
    ]


def _paragraph_starts(text: str) -> Iterator[tuple[int, int, str]]:
    """Circled numerals in ascending order, from ①; one or two may be missing."""
    expected = 0
    for match in _PARAGRAPH.finditer(text):
        value = CIRCLED.index(match[0])
        if expected <= value < expected + 3 and (expected or value == 0):
            yield match.start(), match.end(), match[0]
            expected = value + 1


def _item_starts(text: str) -> Iterator[tuple[int, int, str]]:
    """`1.`, `2.`, `2의2.`, `3.` in order."""
    number, branch = 0, 0
    for match in _ITEM.finditer(text):
        value, branched = int(match[1]), int(match[2] or 0)
        next_branch = value == number > 0 and branched in (branch + 1, branch + 2)
        if next_branch or (value == number + 1 and not branched):
            yield match.start(), match.end(), match[0].strip()
            number, branch = value, max(branched, 1)


def _subitem_starts(text: str) -> Iterator[tuple[int, int, str]]:
    """`가.`, `나.`, `나의2.` in order."""
    number, branch = -1, 0
    for match in _SUBITEM.finditer(text):
        value, branched = SYLLABLES.index(match[1]), int(match[2] or 0)
        if (value == number + 1 and not branched) or (value == number >= 0 and branched == branch + 1):
            yield match.start(), match.end(), match[0].strip()
            number, branch = value, max(branched, 1)
