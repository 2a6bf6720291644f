"""A passage as the offline generator reads it: heading, subject, plain sentences, list items, words that carry meaning.

Here: what the rules for statutes and those for decisions share. Not here: the questions (`rules`, `holdings`).
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

_PROVISION = r"제\d+(?:-\d+)?[조항호](?:의\d+)?(?:\s?제\d+[항호](?:의\d+)?)*(?:\s?[가-하]목)?"
REFERENCE = re.compile(
    r"(?:「[^」]{2,60}」\s?(?:시행령\s?|시행규칙\s?)?|(?:구 )?[가-힣ㆍ·]{1,20}(?:법|법률|시행령|시행규칙|규칙|규정)\s?"
    r"|같은\s?(?:법|조|항|영)\s?|이 (?:법|영|규칙|규정)\s?|(?<![가-힣])(?:법|영)\s?)?"
    rf"(?:부칙\s?)?{_PROVISION}(?:\s?(?:각 호|각 목|단서|본문|전단|후단|외의 부분))*"
    rf"(?:(?:\s?[ㆍ,·]\s?|\s?(?:및|또는|이나|나|내지|부터|까지|와|과)\s?)(?:법\s?|영\s?)?{_PROVISION})*"
    r"\s?(?:까지)?(?:의 규정|의 규정에 의하여)?\s?"
    r"(?P<tail>에 따른|에 따라|에 의한|에 의하여|에 의해|에 근거한|에 근거하여|에도 불구하고|의|[을를] 위반하여"
    r"|(?:에서|에|이|가) ?(?:정하는|정한|정하고 있는|규정된|규정한|규정하는|규정하고 있는|말하는)|에서)?"
)
_LEFTOVER = re.compile(
    r"같은 (?:조|항|호)\s?(?:각 호의?|각 목의?)?|(?<!다음 )각 호(?:의|에 따른)?(?= )|바에 따라|정하는 바에 따라"
)
BRACKETS = re.compile(r"\([^()]*\)|\[[^\[\]]*\]|（[^（）]*）")
DEFINED = re.compile(r"[\"“]([^\"“”]{2,24})[\"”](?:\([^()]*\))?(?:이란|란|이라 함은|라 함은)\s")
"""A term that a provision defines."""
UNDEFINED = re.compile(r"정하는|정한|지정한|고시하는|그 밖에|각각|[은는]\s|자$")
"""What stands between quotation marks and is no term: words that a decree fills in."""
MARK = re.compile(r"^\s*(?:[①-⑳㉑-㊿]|\d+(?:의\d+)?\.|[가-하]\.|\d+\)|\([\d가-하]\)|[■○ㆍ•-])\s*")
_GENERIC = re.compile(
    r"^(?:정의|용어의 정의|목적|벌칙|과태료|양벌규정|적용\s?범위|준용|준용규정|위임|시행일|경과조치|기타|권한의 위임|삭제|총칙|보칙|통칙)$"
)
_TOPIC = re.compile(r"(은|는)\s")
MODIFIER = re.compile(r"(?:^|\s)(?:또|[가-힣]|[가-힣]*[하되있없않받려얻담같높낮많갖짓맡찾])$")
_NO_SUBJECT = re.compile(
    r"다음|경우|때|것|바|이와|그$|이를|각각|해당|사항|[을를]\s|(?:하여|에서|에게|에|으로|로|까지|부터|도|자|사람|있어서)$"
)
VAGUE = re.compile(
    r"^(?:이때|이렇게|그|이|또|다만)\s|[甲乙丙丁戊己]|원심|마찬가지|위와 같|이러한|그러한|그와|당해|전자|후자|이와 같|[○×]|이 사건"
    r"|^(?:따라서|그렇지|다른 보상)|사례|사안인가|(?:규정|정)하나요|여기에서|\s(?:가|즉|이는|및|위|또한)\s|종합적으로|사건에서 (?:그|이|등에|행위 또는)\s"
    r"|사건에서 \S+(?: \S+){0,3}$|(?:경우|때)에 \S+(?: \S+)?$"
)


_SPECIFIC = 8
"""Characters of a heading that stands on its own: 정정신고 does not, 증권신고서의 정정신고 does."""


@dataclass(frozen=True)
class Reading:
    """A passage as the rules see it: heading, subject, sentences without references and brackets, list items."""

    passage_id: str
    unit: str
    context: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """Text lines: the sentence first, then 호 and 목, or table rows."""
        return [line.strip() for line in self.text.split("\n") if line.strip()]

    @property
    def title(self) -> str:
        """The article's heading without 등, or the nearest chapter when the heading says nothing (정의, 벌칙)."""
        return self.names[0] if self.names else ""

    @property
    def about(self) -> str:
        """The title, under the next chapter's name where it is too short to be about something in particular."""
        if (
            len(self.title) >= _SPECIFIC
            or len(self.names) < 2
            or self.title in self.names[1]
            or self.names[1] in self.title
        ):
            return self.title
        return f"{self.names[1]}에 관한 {self.title}"

    @cached_property
    def names(self) -> list[str]:
        """Headings that say something, the article's own first, then its chapters'."""
        found = []
        for part in reversed(self.context.split(" > ")[1:]):
            named = re.sub(r"^(?:제[\d-]+[조편장절관](?:의\d+)?|별표\s?\d*(?:의\d+)?|\d+)\s*", "", part).strip()
            inner = re.sub(r"^\((.*)\)$", r"\1", named)
            inner = re.sub(r"\((?:제\d|법|영|시행령)[^()]*\)", "", inner).strip()
            inner = re.sub(r"\s등$", "", inner).strip()
            if 2 <= len(inner) <= 32 and not _GENERIC.match(inner) and not re.search(r"[총보통부]\s?칙", inner):
                found.append(inner)
        return found

    @cached_property
    def head(self) -> str:
        """First sentence, without mark, references and brackets."""
        return plain(self.sentences[0]) if self.sentences else ""

    @cached_property
    def sentences(self) -> list[str]:
        """Sentences of the first line."""
        body = MARK.sub("", self.lines[0]) if self.lines else ""
        return [part.strip() for part in re.split(r"(?<=다)\.\s*", body) if part.strip()]

    @cached_property
    def topic(self) -> tuple[str, str]:
        """(who the provision speaks of, the rest of its first sentence); ("", whole sentence) when nobody plain is."""
        start = re.match(r"(?:이 경우|이때)\s", self.head)
        offset = start.end() if start else 0
        for match in _TOPIC.finditer(self.head[:44], offset):
            name = self.head[offset : match.start()].strip()
            if MODIFIER.search(name):
                continue
            if 2 <= len(name) <= 24 and not _NO_SUBJECT.search(name) and re.fullmatch(r"[가-힣ㆍ·\s]+", name):
                return name, self.head[match.end() :]
            break
        return "", self.head

    @property
    def subject(self) -> str:
        """Who the provision speaks of, or ""."""
        return self.topic[0]

    @property
    def leads(self) -> bool:
        """Whether this is the article's first passage: a question about the heading is answered here first."""
        return self.unit == "조" or self.passage_id.endswith("_①")

    @cached_property
    def items(self) -> list[str]:
        """호 and 목 without their marks."""
        return [plain(MARK.sub("", line)) for line in self.lines[1:] if MARK.match(line)]

    @cached_property
    def hollow(self) -> frozenset[str]:
        """Words that mean nothing without the reference before them, as they stand in the text: 업무를 in 제1항에 따른 업무를,
        where no other 업무를 is."""
        text = re.sub(r"\s+", " ", BRACKETS.sub("", self.text))
        behind = Counter(match[1] for match in _HOLLOW.finditer(text))
        return frozenset(word for word, count in behind.items() if len(re.findall(rf"(?<!\S){word}", text)) == count)

    def pick(self, choices: Sequence[str], salt: str = "") -> str:
        """One of `choices`, the same for the same passage on every machine."""
        return choices[zlib.crc32(f"{self.passage_id}{salt}".encode()) % len(choices)]


_ADNOMINAL = (
    r"(?:에 따른|에 의한|에 근거한|(?:에서|에|이|가) ?(?:정하는|정한|규정된|규정한|규정하는|말하는|해당하는)|의)"
)
_EMPTY = "업무|사항|조치|방법|금액|기준|명령|행위|경우|기간|자료|서류|정보|내용|사유|요건|절차|처분|비율|한도|대상|회사|기관|요청|자|때|날"
_HOLLOW = re.compile(
    rf"(?:[조항호목](?:의\d+)?|규정|단서|본문|전단|후단|어느 하나)\s?{_ADNOMINAL} "
    rf"((?:{_EMPTY})(?:으로|에게는|에게|에서|에는|에|로|의|을|를|은|는|이|가|과|와)?)(?=[\s,.]|$)"
)
"""A reference to a provision, and the word that it defines."""


def plain(text: str) -> str:
    """`text` without bracketed asides and references to articles, which no searcher would type."""
    for _ in range(2):
        text = BRACKETS.sub("", text)
    text = re.sub(r"「([^」]*)」", r"\1", _LEFTOVER.sub(" ", REFERENCE.sub(" ", text)))
    return re.sub(r"\s+", " ", text).replace(" ,", ",").strip(" ,.·ㆍ-")


Found = Iterator[tuple[str, str]]
"""(kind, question) pairs."""

_PARTICLES = re.compile(
    r"(?:에게는|에게|에서는|에서|에는|에도|에|으로서|으로|로서|로|의|을|를|은|는|이나|이|가|과|와|도|까지|부터)$"
)
_NOT_NOUN = re.compile(
    r"(?:도록|거나|으며|이며|하며|이라|사채라|인)$|(?:하|되|있|없|않|받|위|따|관|대|의)(?:여|여야|어|고|는|지|며|면|다|한|된)$|(?:한다|하는|하여|하여서|여서|하여야|다|게|받|영위함|되는|된|할|한|하고|및|또는|따라|위한)$"
    r"|^(?:하여금|그러하지|아울러|스스로|서로)$|해야$|으?면$|하기$|다고$|될$|적$|여야$|[가-힣]{3}나$|인지$|다음|각각|사항|경우|대통령|그밖|해당|이내|이상|장관|위원회|관련|정하|아니|그러|까지|때|필요|자는"
)


def nouns(text: str) -> list[str]:
    """Words of a text that look like nouns, without particles; a guess that is good enough for a keyword query."""
    words = (word for word in re.findall(r"[가-힣ㆍ]{3,}", text) if not _NOT_NOUN.search(word))
    bare = (_PARTICLES.sub("", _PARTICLES.sub("", word)) for word in words)
    return [word for word in dict.fromkeys(bare) if len(word) >= 3 and not _NOT_NOUN.search(word)]
