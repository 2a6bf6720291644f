"""Citation strings to citations: 참조조문 and 참조판례 of court decisions, and what people type.

Here: what a list of citations says. Not here: citations in prose (`in_text`), which article of the corpus is meant
(`resolve`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lex_assets.citations.names import same_law
from lex_assets.citations.units import (
    ADDENDUM,
    ANNEX,
    ARTICLE,
    FORM,
    ITEM,
    LETTERS,
    PARAGRAPH,
    PROMULGATED,
    RANGE,
    Citation,
    Law,
    Reader,
    version_of,
)

_COUNTED = r"(?:제\s?|(?<![\d-]))"
# The lookahead only saves time: most characters start no token.
_TOKENS = re.compile(
    rf"(?=[(\[별제\d같동내부법헌령규조고공예훈지~∼～{LETTERS}])(?:(?P<form>{FORM})|(?P<annex>{ANNEX})"
    rf"|(?P<letter>\([{LETTERS}]\)\s?목?|(?<![가-힣])[{LETTERS}]\s?목(?![가-힣])|(?<=호)[{LETTERS}]목)"
    rf"|[(\[]|(?P<promulgated>{PROMULGATED})|(?P<addendum>{ADDENDUM})"
    rf"|(?P<article>{_COUNTED}{ARTICLE})|(?P<paragraph>{_COUNTED}{PARAGRAPH})|(?P<item>{_COUNTED}{ITEM})"
    rf"|(?P<same>(?<![가-힣])(?:같은\s?조|동조)(?![가-힣]))|(?P<range>{RANGE}))"
)
_INSIDE = r"\s|현행|본문|단서|전단|후단|중단|전문|후문|각\s?호|각\s?목|외의|부분"
_TIGHT = re.compile(rf"(?:{_INSIDE}|의(?=\s))*$")
_PROSE = re.compile(rf"(?:{_INSIDE})*의\s+(?!제?\s?\d)[가-힣]")
_LEADING = re.compile(rf"^(?:{_INSIDE}|[,·ㆍ/;.)\]]|및|또는|의 규정|까지|참조)+")
_QUOTES = " \t‘’“”\"'「」『』,"
_OLD = re.compile(r"(?:구|舊)\s+")
_SAME_LAW = re.compile(r"(?:같은|동|위)\s?(법률|법|영|규칙|시행령|시행규칙)\s*(시행령|시행규칙)?$")
_WORD = re.compile(r"[가-힣]{2}|[A-Za-z]{3}")
_LAW_END = re.compile(r"(?:법|법률|령|규칙|규정|조례|협약|조약|의정서|협정|고시|지침|세칙|기준|훈령|예규)[’”」]?$")


class _ListReader(Reader):
    """참조조문: whatever stands between two citations is a law's name, and it holds until the next one."""

    tokens = _TOKENS

    def __init__(self, here: Citation, current: bool = False) -> None:
        super().__init__(here, current)
        self.named = Law(here.law)

    def between(self, text: str, start: int, match: re.Match[str] | None) -> None:
        gap = text[start : match.start() if match else len(text)]
        if gap.strip(" ,") == "":
            self.tight = self.tight and "," not in gap
            return
        self.tight = self.tight and bool(_TIGHT.match(gap))
        if _PROSE.match(gap):
            return
        name = _LEADING.sub("", re.split(r"[)\]]", gap)[-1], count=1).strip(_QUOTES)
        if not _WORD.search(name):
            return
        for one in _names(name):
            self.whole_law()
            self.name(one)
        if match is None:
            self.whole_law()

    def name(self, name: str) -> None:
        """A new law."""
        old = _OLD.match(name)
        name = name[old.end() :].strip(_QUOTES) if old else name
        if same := _SAME_LAW.match(name):
            self.named = self.named._replace(name=same_law(self.named.name, same[1], same[2] or ""))
        else:
            self.named = Law(name, "old_version" if old else None)
        self.law(self.named)

    def whole_law(self) -> None:
        """The law named last, when no unit of it was named."""
        if self.fresh and _LAW_END.search(self.here.law):
            self.found.append(self.here._replace(reason=self.here.reason or "no_article"))
        self.fresh = False

    def on_same(self, token: str) -> None:
        """같은 조, 동조."""
        if self.here.article:
            self.unit("article", self.here.article)

    def on_note(self, note: str) -> None:
        """A version note after the law's name holds for the law, after a unit for that one."""
        if self.here.part == "부칙":
            return
        reason, as_of = version_of(note)
        if self.fresh:
            self.named = Law(self.named.name, reason, as_of)
            self.law(self.named)
        elif self.found:
            self.found[-1] = self.found[-1]._replace(reason=reason, as_of=as_of)

    def on_current(self, inner: str) -> None:
        """(현행 … 참조) or (현행 삭제) of the citation just read."""
        self.whole_law()
        if not self.found:
            return
        last = self.found[-1]
        if "삭제" in inner:
            self.found[-1] = last._replace(reason="repealed")
            return
        start = Citation(last.law, last.article, last.paragraph, last.item, part=last.part, current=True)
        if places := _ListReader(start, current=True).read(inner):
            self.found[-1:] = [last._replace(reason="noted"), *places]

    def on_addendum(self, token: str) -> None:
        """부칙: from here on numbers are those of the 부칙."""
        self.here = self.here._replace(part="부칙", article="", paragraph=None, item=None, letter=None)
        self.tight, self.range, self.fresh = False, None, False


def _names(text: str) -> Iterator[str]:
    """민법, 상법 → both; 화재예방, 소방시설 설치 및 관리에 관한 법률 → one."""
    waiting: list[str] = []
    for part in text.split(","):
        waiting += [part] if _WORD.search(part) else []
        if _LAW_END.search(part.strip()):
            yield ",".join(waiting).strip()
            waiting = []
    if waiting:
        yield ",".join(waiting).strip()


def parse_citations(text: str, law: str = "") -> list[Citation]:
    """Citations of one 참조조문 block, in order: the law's name carries over commas, notes are applied.

    law: the last one named in the block before, for a block that opens with 같은 법.

    >>> [c.article for c in parse_citations("민법 제839조의2,제843조")]
    ['839의2', '843']
    """
    return _ListReader(Citation(law)).read(_clean(text))


def _clean(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("<br/>", " ")).translate({ord("〔"): "[", ord("〕"): "]"})


_CASE = re.compile(
    r"(?<![\d])((?:19|20)?\d{2}[가-힣]{1,3}\d+)((?:\s*,\s*(?:(?:19|20)?\d{2}[가-힣]{1,3}\d+|\d+(?![\d.가-힣])))*)"
)


def case_numbers(text: str) -> list[str]:
    """Docket numbers in a 참조판례 block or a 사건번호 field: "2017다256439, 256446" gives both, in full."""
    found: list[str] = []
    for match in _CASE.finditer(text):
        found.append(match[1])
        stem = re.match(r"\d+[가-힣]+", match[1])
        for more in re.findall(r"[\d가-힣]+", match[2]):
            found.append(stem[0] + more if stem and more.isdigit() else more)
    return list(dict.fromkeys(found))
