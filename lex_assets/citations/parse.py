"""Citation strings to citations: 참조조문, 참조판례 and citations in running statute text.

Here: what a citation says. Not here: which article of the corpus it means (`resolve`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from lex_assets.passages.ids import article_label

MAX_RANGE = 60
"""Longest range (제1조부터 제60조까지) that is spelled out; longer ones keep their two ends."""


@dataclass(frozen=True)
class Citation:
    """One cited provision.

    law: name as written, without 구 · article: "53의2" or "4-2" · paragraph, item: "2", "3의2" or None · as_of:
    YYYYMMDD of the amendment before which the cited version was in force , else "" · current: named by
    a (현행 … 참조) note · reason: why it does not mean today's article (old_version, repealed, addendum), else None.
    """

    law: str
    article: str
    paragraph: str | None = None
    item: str | None = None
    raw: str = ""
    as_of: str = ""
    current: bool = False
    reason: str | None = None


_TOKENS = re.compile(
    r"(?P<current>[(\[]\s?현행)"
    r"|(?P<note>\((?=[^()]*(?:\d{2,4}\. ?\d|전의 것|폐지|실효|개정))[^()]*\))"
    r"|(?P<attached>\[?별[표지][^\]\[,()]*\]?)"
    r"|(?P<skip>\[[^\[\]]*\]|(?<=[조항호\d])\([가-힣·ㆍ, ]{2,40}\))"
    r"|(?P<addendum>부\s?칙(?![가-힣]))"
    r"|(?P<article>제?\s?\d+(?:-\d+)?\s?조(?:\s?의\s?\d+)?)"
    r"|(?P<paragraph>제\s?\d+\s?항(?:의\s?\d+)?)"
    r"|(?P<item>제?\s?\d+\s?호(?:의\s?\d+)?)"
    r"|(?P<letter>\(?[가-하]\)?\s?목|\([a-z]\)\s?호)"
    r"|(?P<same>(?<![가-힣])(?:같은 조|동조)(?![가-힣]))"
    r"|(?P<range>(?:(?<=[조항호\d])|(?<=[조항호\d] ))(?:내지|부터|까지|[~∼]))"
)
_FILLER = re.compile(r"^(?:[\s,·ㆍ/;.)\]]|현행|및|또는|단서|본문|전단|후단|중단|각\s?호|각\s?목|부분|의 규정|참조)+")
_DATE = re.compile(r"(\d{4})\. ?(\d{1,2})\. ?(\d{1,2})")
_OLD_NOTE = re.compile(r"전(?:의)? ?것|전의|폐지|실효")
_SAME_LAW = re.compile(r"^(?:같은|동|위)\s?(법률|법|영|규칙|시행령|시행규칙)\s*")
_DIGITS = re.compile(r"\d+(?:-\d+)?")
DECREE = re.compile(r"\s*(시행령|시행규칙)$")


def act_name(law: str) -> str:
    """The act that a decree or rule belongs to: 은행법 시행령 → 은행법."""
    return DECREE.sub("", law)


def unit_number(token: str) -> str:
    """제 53 조의 2 → "53의2"; 제4-2조 → "4-2"; 제3항 → "3"."""
    numbers = _DIGITS.findall(token)
    return "의".join(numbers[:2])


def _closing(text: str, start: int) -> int:
    """Index after the bracket that closes the one at `start`; the end of the text when nothing closes it."""
    depth = 0
    for position in range(start, len(text)):
        depth += (text[position] in "([") - (text[position] in ")]")
        if depth == 0:
            return position + 1
    return len(text)


def _date_of(note: str) -> str:
    match = _DATE.search(note)
    return f"{match[1]}{int(match[2]):02d}{int(match[3]):02d}" if match else ""


def _between(first: str, last: str) -> list[str]:
    """Numbers strictly between two ends of a range; only whole numbers, or branches of one number, can be counted."""
    if first.isdigit() and last.isdigit():
        stem, low, high = "", int(first), int(last)
    elif "의" in first and "의" in last and first.split("의")[0] == last.split("의")[0]:
        stem, low, high = first.split("의")[0] + "의", int(first.split("의")[1]), int(last.split("의")[1])
    else:
        return []
    return [f"{stem}{n}" for n in range(low + 1, high)] if high - low <= MAX_RANGE else []


class _Reader:
    """Reads one string left to right; the law, article and paragraph carry over until something replaces them."""

    def __init__(self, law: str = "", article: str = "", nested: bool = False) -> None:
        self.found: list[Citation] = []
        self.law, self.article = law, article
        self.old, self.as_of, self.addendum, self.range = False, "", False, False
        self.nested = nested
        self.fresh_law = False

    def read(self, text: str) -> list[Citation]:
        """All citations in `text`, in order."""
        position = 0
        while match := _TOKENS.search(text, position):
            self.name(text[position : match.start()])
            position = match.end()
            if match.lastgroup == "current":
                position = _closing(text, match.start())
                self.on_current(text[match.end() : position].rstrip(")] "))
                continue
            handler: Callable[[str], None] = getattr(self, f"on_{match.lastgroup}")
            handler(match[0])
            self.fresh_law = self.fresh_law and match.lastgroup in ("skip", "addendum")
        return self.found

    def name(self, gap: str) -> None:
        """Text between two citations: a new law's name, if anything but connectives is left of it."""
        name = _FILLER.sub("", gap).strip(" \t‘’“”\"'「」『』,")
        if not re.search(r"[가-힣]{2}|[A-Za-z]{3}", name):
            return
        old, name = bool(re.match(r"구\s|\(구\)|舊", name)), re.sub(r"^(?:구\s+|\(구\)\s*|舊\s*)", "", name)
        name = name.strip(" ‘’「」")
        if same := _SAME_LAW.match(name):
            name = self.same_law(same[1], name[same.end() :].strip())
            old = old or self.old
        else:
            self.as_of = ""
        self.law, self.old, self.article, self.addendum, self.fresh_law = name, old, "", False, True

    def same_law(self, kind: str, rest: str) -> str:
        if kind in ("법", "법률"):
            return f"{act_name(self.law)} {rest}".strip()
        suffix = {"영": "시행령", "규칙": "시행규칙"}.get(kind, kind)
        return self.law if self.law.endswith(suffix) else f"{act_name(self.law)} {suffix}"

    def draft(self, article: str, paragraph: str | None, item: str | None, raw: str) -> None:
        reason = "addendum" if self.addendum else "old_version" if self.old else None
        raw = f"{'구 ' if self.old else ''}{self.law} {'부칙 ' if self.addendum else ''}{raw}".strip()
        self.found.append(Citation(self.law, article, paragraph, item, raw, self.as_of, self.nested, reason))

    def on_article(self, token: str) -> None:
        number = unit_number(token)
        if self.range and self.article:
            for between in _between(self.article, number):
                self.draft(between, None, None, article_label(between))
        self.range, self.article = False, number
        self.draft(number, None, None, token)

    def _open(self) -> Citation | None:
        last = self.found[-1] if self.found else None
        return last if last and last.article == self.article and last.law == self.law else None

    def on_paragraph(self, token: str) -> None:
        number, last = unit_number(token), self._open()
        if self.range and last and last.paragraph:
            for between in _between(last.paragraph, number):
                self.draft(self.article, between, None, f"{article_label(self.article)} 제{between}항")
        self.range = False
        if last and not last.paragraph and not last.item:
            self.found[-1] = replace(last, paragraph=number, raw=f"{last.raw} {token}")
        elif self.article:
            self.draft(self.article, number, None, f"{article_label(self.article)} {token}")

    def on_item(self, token: str) -> None:
        number, last = unit_number(token), self._open()
        if last and not last.item:
            self.found[-1] = replace(last, item=number, raw=f"{last.raw} {token}")
        elif last:
            self.found.append(replace(last, item=number, raw=f"{last.raw.rsplit(' ', 1)[0]} {token}"))
        self.range = False

    def on_same(self, token: str) -> None:
        if self.article:
            self.draft(self.article, None, None, article_label(self.article))

    def on_note(self, token: str) -> None:
        """A version note after the law's name, or after one article of it."""
        if self.addendum or not _OLD_NOTE.search(token):
            return
        if self.fresh_law:
            self.old, self.as_of = True, _date_of(token)
        elif self.found:
            self.found[-1] = replace(self.found[-1], reason="old_version", as_of=_date_of(token))

    def on_current(self, inner: str) -> None:
        """(현행 … 참조): today's place of the citation just read."""
        if not self.found:
            return
        last = self.found[-1]
        if "삭제" in inner:
            self.found[-1] = replace(last, reason="repealed")
            return
        places = _Reader(last.law, last.article, nested=True).read(inner)
        if places:
            self.found[-1:] = [replace(place, raw=f"{last.raw}(현행 {inner})") for place in places]

    def on_addendum(self, token: str) -> None:
        self.addendum, self.article = True, ""

    def on_range(self, token: str) -> None:
        self.range = token != "까지"

    def on_attached(self, token: str) -> None:
        """별표 and 별지 belong to the article before them; alone they name no article."""

    def on_skip(self, token: str) -> None:
        """[표제] after an article number, and the like."""

    def on_letter(self, token: str) -> None:
        """목: the 호 above it is what a citation can point at."""


def parse_citations(text: str, law: str = "") -> list[Citation]:
    """Citations of one 참조조문 block, in order: the law's name carries over commas, notes are applied.

    law: the last one named in the block before, for a block that opens with 같은 법.

    >>> [c.article for c in parse_citations("민법 제839조의2,제843조")]
    ['839의2', '843']
    """
    return _Reader(law).read(_clean(text))


def _clean(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("<br/>", " ").replace("〔", "[").replace("〕", "]"))


_BLOCK = re.compile(r"(?:^|/)\s*((?:\[\d+\][\s,]*)+)")


def numbered_blocks(text: str) -> Iterator[tuple[int, str]]:
    """(issue number, block) of a numbered field; "[1][2] …" gives its block to both, an unnumbered field is issue 0."""
    parts = _BLOCK.split(_clean(text))
    if len(parts) == 1:
        yield 0, text
        return
    for labels, block in zip(parts[1::2], parts[2::2], strict=True):
        for label in re.findall(r"\d+", labels):
            yield int(label), block


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


_IN_TEXT = re.compile(
    r"「(?P<law>[^」]{2,80})」(?P<decree>\s?(?:시행령|시행규칙))?"
    r"|(?P<same>같은\s?(?:법률|법|영|규칙)(?:\s?(?:시행령|시행규칙))?(?=[\s제(]))"
    r"|(?P<self>(?<![가-힣])이\s?(?:법|영|규칙|규정)(?=[\s제]))"
    r"|(?<![가-힣\"“])(?P<alias>[가-힣]{1,12})(?=\s*제\d+(?:-\d+)?조)"
    r"|(?P<samearticle>같은 조)"
    r"|(?P<article>제\d+(?:-\d+)?조(?:의\d+)?)"
    r"|(?P<paragraph>제\d+항)"
    r"|(?P<item>제\d+호(?:의\d+)?)"
    r"|(?P<range>부터|내지)"
)
_ASIDE = re.compile(r"\([^()]*\)")
_LAW_NAME = re.compile(r"..(?:법|법률|시행령|규정|규칙|세칙)$")
_CONNECTIVES = {"및", "또는", "와", "과", "이나", "나", "까지", "내지", "부터"}
_JOINED = re.compile(
    r"^(?:[\s,·ㆍ]|및|또는|와|과|까지|각 호(?: 외의 부분)?|각 목|외의 부분|단서|본문|전단|후단|이나"
    r"|\([^()]{0,60}\)|[가-하]목)*$"
)


@dataclass(frozen=True)
class Setting:
    """What bare references mean inside one document: its own name, and 법, 영, 규칙 or defined short names."""

    law: str
    aliases: Mapping[str, str]


class _TextReader:
    """Citations in running text: an article without a law's name is the document's own, unless it continues a list."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.found: list[Citation] = []
        self.law, self.named, self.article, self.range = setting.law, setting.law, "", False
        self.outer: list[tuple[str, str, str]] = []

    def read(self, text: str) -> list[Citation]:
        end = 0
        for match in _IN_TEXT.finditer(text):
            gap = self.brackets(text[end : match.start()])
            if not _JOINED.match(gap):
                self.law, self.range = self.setting.law, False
            end = match.end()
            self.take(match)
        return self.found

    def brackets(self, gap: str) -> str:
        """What follows the gap's last open or closing bracket: an aside keeps the law, its end brings back the list."""
        gap = _ASIDE.sub("", gap)
        for bracket in re.findall(r"[()]", gap):
            if bracket == "(":
                self.outer.append((self.law, self.named, self.article))
            elif self.outer:
                self.law, self.named, self.article = self.outer.pop()
        return re.split(r"[()]", gap)[-1]

    def take(self, match: re.Match[str]) -> None:
        kind, token = match.lastgroup, match[0]
        if match["law"]:
            self.law = self.named = match["law"].strip() + (f" {match['decree'].strip()}" if match["decree"] else "")
        elif kind == "same":
            suffix = DECREE.search(token)
            self.law = act_name(self.named) + (f" {suffix[1]}" if suffix else "")
        elif kind == "self":
            self.law = self.setting.law
        elif kind == "alias" and token not in _CONNECTIVES:
            unnamed = token if _LAW_NAME.search(token) else self.setting.law
            self.law = self.named = self.setting.aliases.get(token, unnamed)
        elif kind == "range":
            self.range = True
        elif kind != "alias":
            self.provision(kind or "", token)

    def provision(self, kind: str, token: str) -> None:
        number = unit_number(token)
        last = self.found[-1] if self.found else None
        if kind == "article":
            for between in _between(self.article, number) if self.range and self.article else []:
                self.found.append(Citation(self.law, between, raw=f"{self.law} {article_label(between)}"))
            self.found.append(Citation(self.law, number, raw=f"{self.law} {token}"))
            self.article, self.range = number, False
        elif kind == "samearticle" and last:
            self.law = last.law
            self.found.append(replace(last, paragraph=None, item=None))
        elif kind == "paragraph" and last and last.law == self.law and last.article == self.article:
            stem = last.raw.rsplit(" ", 1)[0] if last.paragraph else last.raw
            self.found.append(replace(last, paragraph=number, item=None, raw=f"{stem} {token}"))
            if last.paragraph is None:
                del self.found[-2]
        elif kind == "item" and last and not last.item:
            self.found[-1] = replace(last, item=number)


def parse_in_text(text: str, setting: Setting) -> list[Citation]:
    """Citations in statute text, in order: 「은행법」 제2조, 같은 법 시행령 제3조, 법 제5조제2항, 제3조부터 제5조."""
    return _TextReader(setting).read(text)


_DEFINED = re.compile(
    r"(?:「([^」]{2,80})」(\s?시행령|\s?시행규칙)?|같은 법( 시행령| 시행규칙))"
    r"\s?\(이하\s?[\"“‘'「]([^\"”’'」]{1,20})[\"”’'」]"
)


def defined_names(text: str) -> dict[str, str]:
    """Short names that a text defines: 「은행법」(이하 "법"이라 한다), 같은 법 시행령(이하 "영"이라 한다)."""
    names: dict[str, str] = {}
    act = ""
    for law, decree, same, short in _DEFINED.findall(text):
        act = law or act
        if act:
            names.setdefault(short, f"{act} {(decree or same).strip()}".strip())
    return names
