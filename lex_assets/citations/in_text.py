"""Citations in running text: statutes citing themselves and each other, and prose of court decisions.

Here: what 「은행법」 제2조, 같은 법 시행령 제3조, 법 제5조제2항, 같은 항, 전조 or a bare 제1항 means in its sentence.
"""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass, field

from lex_assets.citations.names import act_name, decree_suffix, law_key, same_law
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
    Level,
    Part,
    Reader,
    version_of,
)


@dataclass(frozen=True)
class Setting:
    """What bare references mean where a text stands.

    law: whose article a bare 제3조 is; "" for nobody's · aliases: 법, 영, 규칙 and short names defined in the document → law ·
    article, paragraph: the unit that the text belongs to · before: numbers of the articles before it, nearest last, for
    전조 and 전2조 · names: keys of laws (`law_key`) to recognise without quotation marks · continues: a bare reference
    continues the law named last, as in the prose of court decisions.
    """

    law: str
    aliases: Mapping[str, str] = field(default_factory=dict)
    article: str = ""
    paragraph: str | None = None
    before: tuple[str, ...] = ()
    names: Container[str] = frozenset()
    continues: bool = False


_KINDS = r"법률|법|시행령|시행규칙|영|규칙|규정"
_AFTER = r"(?=[\s제()에의은을이과와상,·ㆍ「」“”‘’\"]|및|각|부칙|별표|$)"
_STARTS = rf"구「()\[\]별제같동위이본전내부법헌령규조고공예훈지~∼～{LETTERS}"
_COMMON = (
    r"(?:(?<![가-힣])구\s?)?「(?P<quoted>[^「」]{2,80}」(?:\s?(?:시행령|시행규칙)(?![가-힣]))?)"
    rf"|(?P<form>{FORM})|(?P<annex>{ANNEX})"
    rf"|(?P<letter>\([{LETTERS}]\)\s?목|(?<=호)[{LETTERS}]목|(?<![가-힣])[{LETTERS}]목(?![적록표차사재욕]))"
    rf"|[()\[\]]|(?P<promulgated>{PROMULGATED})|(?P<addendum>(?<![가-힣]){ADDENDUM})"
    rf"|(?P<article>제\s?{ARTICLE})|(?P<paragraph>제\s?{PARAGRAPH})|(?P<item>제\s?{ITEM})"
    rf"|(?P<last>(?:같은\s?|(?<![가-힣])동)[조항호표]{_AFTER})"
    rf"|(?P<same>(?:같은\s?|(?<![가-힣])동\s?|(?<![가-힣])위\s)(?:{_KINDS})(?:\s?(?:시행령|시행규칙))?{_AFTER})"
    rf"|(?P<own>(?<![가-힣)\]」”’\"])[이본]\s?(?:{_KINDS}|조|항){_AFTER})"
    rf"|(?P<previous>(?<![가-힣])전\s?[2-9]?\s?[조항]{_AFTER})"
    r"|(?P<heading>제\d+[편장절관](?:의\d+)?)"
    rf"|(?P<range>{RANGE})"
)
_MENTION = rf"(?P<mention>(?<=[가-힣\s])(?:법률|법|시행령|규칙|규정){_AFTER})"
# The lookahead only saves time: most characters start no token, and trying every branch there costs four times as much.
_STATUTE_TOKENS = re.compile(rf"(?=[{_STARTS}])(?:{_COMMON})")
_PROSE_TOKENS = re.compile(rf"(?=[{_STARTS}시])(?:{_COMMON}|{_MENTION})")
_INSIDE = r"[\s<〈]|본문|단서|전단|후단|중단|전문|후문|각\s?호|각\s?목|외의\s?부분"
_TIGHT = re.compile(rf"(?:{_INSIDE}|의)*$")
_JOINED = re.compile(rf"(?:{_INSIDE}|[,·ㆍ]|및|또는|이나|까지|와|과|나|\d\))*$")
_LONGEST_GAP = 60
_WORD = re.compile(r"(?:([가-힣]{1,20})\s)?([가-힣]{1,20})$")
_LAW_NAME = re.compile(
    r"법|법률|영|시행령|규정|규칙|시행규칙|세칙|고시|.*(?:법|법률|시행령|시행규칙|..규정|..규칙|세칙)"
)
_ENDINGS = frozenset("법률영령칙정시헌")
_NO_LAW = re.compile(r"(?:.*(?<!예)방|위|적|불|합|편|기|.*요|어|문|수|용)법")
_ACT = re.compile(r"(?:법|법률|시행령|시행규칙)$")
_QUOTE = ("“", '"', "‘")
_OLD = re.compile(r"(?:^|[^가-힣]|및|는|여)구\s+$")
_NAMED_BEFORE = ("article", "annex", "addendum", "heading")
_GLUED = re.compile(r"[가-힣](?:[는은을를의에로여고며서와과한된할]|및)$")
_NAME_WINDOW = 80
_SHORT_NAME = re.compile(r"이하\s?(?:[^“‘\"「『(),]{0,10}\s)?[“‘\"'「『](?:구\s)?([^”’\"'」』“‘]{1,30})[”’\"'」』]")


class _TextReader(Reader):
    """Prose: a unit without a law's name is the document's own, unless it continues a list of citations."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.own = self.base = Citation(setting.law, setting.article, setting.paragraph)
        super().__init__(self.own)
        self.tokens = _PROSE_TOKENS if setting.continues or not setting.law else _STATUTE_TOKENS
        self.named = Law(setting.law)
        self.last: Citation | None = None
        self.annexed: Citation | None = None
        self.inner: Law | None = None
        self.unknown = False
        self.aliases = {law_key(short): Law(law) for short, law in setting.aliases.items()}
        self.endings = _ENDINGS | {short[-1] for short in self.aliases}
        self.outer: list[tuple[Citation, Citation, Citation | None, Law]] = []

    def between(self, text: str, start: int, match: re.Match[str] | None) -> None:
        if match and match.lastgroup == "mention":
            self.unknown = not self.find_name(text, match.end(), match)
            return
        end = match.start() if match else len(text)
        if start == end and not self.unknown:
            return
        near, self.unknown = end - start <= _LONGEST_GAP and not self.unknown, False
        if near and _TIGHT.match(text, start, end):
            return
        self.tight = False
        if near and _JOINED.match(text, start, end):
            return
        self.range, self.fresh = None, False
        self.named, self.inner = self.inner or self.named, None
        if not self.setting.continues:
            quoted = self.last and end and text[end - 1] in _QUOTE
            self.here = self.last._replace(until=None) if self.last and quoted else self.base
        if match and match.lastgroup not in ("quoted", "last", "same", "own", "previous"):
            self.find_name(text, end, match)

    def find_name(self, text: str, end: int, match: re.Match[str]) -> bool:
        """Whether a law's name, without quotation marks, ends before the next unit or bracket; it holds then."""
        window = text[max(0, end - _NAME_WINDOW) : end].rstrip()
        if window[-1:] not in self.endings or not (words := _WORD.search(window)):
            return False
        law = self.short_name(words[1] or "", words[2])
        if not law and _LAW_NAME.fullmatch(words[2]):
            law = self.known_name(window)
            if not law and match.lastgroup in _NAMED_BEFORE and not _NO_LAW.fullmatch(words[2]):
                law = Law(words[2], "old_version" if _OLD.search(window[: words.start(2)]) else None)
        if law:
            self.law_named(law)
        return law is not None

    def short_name(self, before: str, word: str) -> Law | None:
        """법, 영 or a short name defined in the text; 금산법 시행령 is the decree of 금산법, not the text's own."""
        if decree_suffix(word) == word and before.endswith(("법", "법률")):
            act = self.aliases.get(law_key(before))
            return act and act._replace(name=f"{act.name} {word}")
        return self.aliases.get(word)

    def known_name(self, window: str) -> Law | None:
        """The longest known name, or short name defined before, that ends the window."""
        if not self.setting.names:
            return None
        kept = [place for place, letter in enumerate(window) if law_key(letter)]
        key = law_key(window)
        act = act_name(key)
        for start, place in enumerate(kept[:-1]):
            known, name = self.aliases.get(key[start:]), window[place:]
            if not known and (key[start:] in self.setting.names or act[start:] in self.setting.names):
                known = Law(name, "old_version" if _OLD.search(window[:place]) else None)
            if known and _starts_word(window, place):
                return known
        return None

    def law_named(self, law: Law) -> None:
        """`law` holds, and 같은 법 means it from here on."""
        self.named, self.inner = law, None
        self.law(law)

    def unit(self, level: Level, number: str, part: Part | None = None) -> None:
        super().unit(level, number, part)
        self.last = self.found[-1]

    def on_open(self, start: int, end: int | None) -> None:
        """In a bracket bare units belong to the unit before it (제5조제1항(제9호는 제외한다)); its end restores the list."""
        if end is not None:
            self.outer.append((self.here, self.base, self.last, self.named))
            self.base = self.here if self.tight else self.base
        self.tight, self.range, self.fresh = False, None, False

    def on_close(self) -> None:
        """The end of such a bracket. A law named in it is what 같은 법 means, unless the list goes on behind it."""
        if self.outer:
            self.inner = self.named
            self.here, self.base, self.last, self.named = self.outer.pop()
        self.tight, self.range = False, None

    def on_heading(self, token: str) -> None:
        """법 제10편(제443조부터 제448조까지): of the law, but no citation."""
        self.here = self.here._replace(article="", paragraph=None, item=None, letter=None, part="")
        self.tight, self.range = True, None

    def on_article(self, token: str) -> None:
        """제53조의2; a number like 제4-2조 is the administrative rule's own, whatever act the list was about."""
        if "-" in token and not self.fresh and self.setting.law and _ACT.search(self.here.law):
            self.here = Citation(self.setting.law)
        super().on_article(token)

    def on_quoted(self, token: str) -> None:
        """「은행법」 시행령, 구 「은행법」."""
        old = "old_version" if token.startswith("구") else None
        self.law_named(Law(re.sub(r"^구|[「」]", "", token).strip(), old))

    def on_mention(self, token: str) -> None:
        """A law named without a unit: `between` has taken it for what 같은 법 means."""

    def on_same(self, token: str) -> None:
        """같은 법, 동법 시행령, 같은 영."""
        kind, decree = re.findall(rf"시행령|시행규칙|{_KINDS}", token)[0], decree_suffix(token)
        self.law_named(self.named._replace(name=same_law(self.named.name, kind, "" if decree == kind else decree)))

    def on_own(self, token: str) -> None:
        """이 법, 본법, 이 조, 이 항."""
        unit = token[-1]
        own = self.last or self.here if self.setting.continues else self.own
        article, paragraph = own.article if unit in "조항" else "", own.paragraph if unit == "항" else None
        self.here = own._replace(article=article, paragraph=paragraph, item=None, letter=None, until=None)
        self.tight, self.range = False, None

    def on_last(self, token: str) -> None:
        """같은 조, 동항, 같은 호, 같은 표: the address cited last, down to that level."""
        level: Level | None = {"조": "article", "항": "paragraph", "호": "item"}.get(token[-1])  # type: ignore[assignment]
        last = self.last if level else self.annexed
        if not last or (level and not getattr(last, level)):
            return
        level = level or "article"
        self.here = last.up_to(level, getattr(last, level))
        if self.tight and self.found and self.here.completes(self.found[-1], level):
            self.found.pop()
        self.found.append(self.here)
        self.tight, self.range, self.fresh = True, None, False

    def on_previous(self, token: str) -> None:
        """전조, 전항, 전2조: counted back from the unit that the text belongs to."""
        level: Level = "article" if token[-1] == "조" else "paragraph"
        count = int(re.sub(r"\D", "", token) or 1)
        before = self.setting.before if level == "article" else _before(self.own.paragraph)
        if count > len(before):
            return
        self.here = self.own
        self.tight = False
        self.unit(level, before[-count])
        if count > 1:
            self.found[-1] = self.found[-1]._replace(until=before[-1])

    def on_note(self, note: str) -> None:
        """A version note: of the law named just before, else of the last unit; it may define a short name too."""
        reason, as_of = version_of(note)
        if self.fresh:
            self.law_named(Law(self.named.name, reason, as_of))
            self.on_skip(note)
        elif self.found and self.tight:
            self.found[-1] = self.found[-1]._replace(reason=reason, as_of=as_of)

    def on_skip(self, inner: str) -> None:
        """(이하 ‘채무자회생법’이라 한다) behind a law's name."""
        if self.fresh and (short := _SHORT_NAME.search(inner)):
            self.aliases[law_key(short[1])] = self.named
            self.endings |= {short[1][-1]}

    def on_addendum(self, token: str) -> None:
        """법 부칙 제3조."""
        self.here = Citation(self.here.law, part="부칙", as_of=self.here.as_of)
        self.tight, self.range, self.fresh = False, None, False

    def on_annex(self, token: str) -> None:
        super().on_annex(token)
        self.annexed = self.here


def _before(paragraph: str | None) -> tuple[str, ...]:
    """Numbers of the 항 before one: "3" → ("1", "2")."""
    return tuple(map(str, range(1, int(paragraph)))) if paragraph and paragraph.isdigit() else ()


def _starts_word(window: str, place: int) -> bool:
    """Whether a word starts here, or a particle glued to it ends: 준용되는민법 (links leave such texts behind)."""
    return place == 0 or not "가" <= window[place - 1] <= "힣" or bool(_GLUED.search(window[:place]))


def parse_in_text(text: str, setting: Setting) -> list[Citation]:
    """Citations in running text, in order: 「은행법」 제2조, 같은 법 시행령 제3조, 법 제5조제2항, 제3조부터 제5조, 전항."""
    return _TextReader(setting).read(text)


_DEFINED = re.compile(
    r"(?:「([^」]{2,80})」(\s?시행령|\s?시행규칙)?|(?:같은|동)\s?법(\s?시행령|\s?시행규칙)|([가-힣]{2,30}(?:규정|세칙)))"
    r"\s?\(이하\s?[\"“‘'「]([^\"”’'」]{1,20})[\"”’'」]"
)


def defined_names(text: str) -> dict[str, str]:
    """Short names that a text defines: 「은행법」(이하 "법"이라 한다), 같은 법 시행령(이하 "영"이라 한다)."""
    names: dict[str, str] = {}
    act = ""
    for law, decree, same, rule, short in _DEFINED.findall(text):
        act = law or act
        if rule:
            names.setdefault(short, rule)
        elif act:
            names.setdefault(short, f"{act} {(decree or same).strip()}".strip())
    return names
