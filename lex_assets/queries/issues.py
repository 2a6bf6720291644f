"""A provision as a lawyer states what is open about it: ‘…’의 의미, …할 수 있는지 여부, …의 요건.

The wording of issues in decisions and memoranda, beside the questions that others ask (`rules`). Made from the provision
alone; no decision is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from lex_assets.queries.korean import with_particle
from lex_assets.queries.reading import DEFINED, UNDEFINED, Found, Reading, plain

_SHORTEST, _LONGEST = 8, 60
"""Characters of a clause that is about something in particular and still readable."""
_BAN = re.compile(r"^(?:누구든지\s)?(.{5,60}?)(?:하여|해)서는\s?(?:아니\s?된다|안\s?된다|아니\s?되며)")
_CLAUSE = r"((?:[가-힣ㆍ·]+ ){1,6}[가-힣ㆍ·]+)"
_DANGLING = re.compile(
    r"^(?:[가-힣]|또는|내지|개월|절차에|(?:대해|대하여|관하여|경우에)서?는?)\s|그 밖에|(?:이|각|당해) 경우|다음|이를|정하는"
)
"""What a clause begins with or holds whose beginning went with a reference, or that points elsewhere."""
_CAN = re.compile(rf"{_CLAUSE}할 수 (?:있|없)다$")
_MUST = re.compile(rf"{_CLAUSE}(?:하여야|해야) 한다$")

Stated = Iterator[list[str]]
"""Wordings of one issue, each as good as the others."""


def terms(r: Reading) -> Stated:
    """ "금융상품"이란 …: what a defined term means, and what it takes in."""
    for term in DEFINED.findall(r.text):
        if not UNDEFINED.search(term):
            yield [
                f"‘{term}’의 의미",
                f"‘{term}’의 의미와 이에 해당하는지 판단하는 기준",
                f"‘{term}’에 포함되는지 여부",
            ]


def bans(r: Reading) -> Stated:
    """…하여서는 아니 된다: whether an act is forbidden."""
    if (match := _BAN.search(r.topic[1])) and "다음" not in match[1]:
        act = f"{_by(r, match[1])}하는 행위"
        yield [f"{with_particle(act, '이')} 금지되는지 여부", f"{act}의 의미 및 판단 기준"]


def powers(r: Reading) -> Stated:
    """…할 수 있다: whether, and when."""
    for clause in _clauses(r, _CAN):
        yield [f"{clause}할 수 있는지 여부", f"{clause}할 수 있는 경우 및 그 요건"]


def duties(r: Reading) -> Stated:
    """…하여야 한다: whether somebody must."""
    if r.subject:
        for clause in _clauses(r, _MUST):
            yield [f"{clause}하여야 하는지 여부", f"{clause}할 의무가 있는지 여부"]


_HEADED = (
    (r"(?:금지|제한)$", ("{title} 규정에서 금지하는 행위인지 판단하는 기준", "{title}{이} 적용되는지 여부")),
    (
        r"(?:책임|의무)$",
        ("{title}{이} 인정되기 위한 요건", "{title}의 범위 및 판단 기준", "{title}{을} 부담하는지 여부"),
    ),
    (r"범위$", ("{title}에 포함되는지 여부", "{title}의 의미")),
    (
        r"",
        (
            "{title}의 의미 및 요건",
            "{title}에 해당하는지 여부",
            "{title}의 요건과 효과",
            "{title}에 관한 규정의 취지 및 적용 범위",
        ),
    ),
)
_LEAST_HEADING = 4


def headings(r: Reading) -> Stated:
    """An article's heading: meaning, requirements, scope."""
    if r.leads and len(r.title) >= _LEAST_HEADING:
        forms = next(forms for ending, forms in _HEADED if re.search(ending, r.title))
        particles = {particle: with_particle(r.about, particle)[len(r.about) :] for particle in ("이", "을")}
        yield [form.format(title=r.about, **particles) for form in forms]


_STATERS: tuple[Callable[[Reading], Stated], ...] = (terms, bans, powers, duties, headings)


def issues(r: Reading) -> Found:
    """One issue of each kind that the provision raises, the particular ones first."""
    for state in _STATERS:
        for forms in state(r):
            yield "issue", r.pick(forms, state.__name__)
            break


def _clauses(r: Reading, pattern: re.Pattern[str]) -> Iterator[str]:
    """What may or must be done, by the first two sentences, and by whom."""
    for sentence in r.sentences[:2]:
        match = pattern.search(plain(sentence))
        if match and _SHORTEST <= len(match[1]) <= _LONGEST and not _DANGLING.search(match[1]):
            yield _by(r, match[1])


def _by(r: Reading, clause: str) -> str:
    """The clause with who it speaks of in front, as its subject."""
    if not r.subject:
        return clause
    bare = re.sub(rf"^{re.escape(r.subject)}[은는]\s", "", clause)
    return bare if r.subject in bare else f"{with_particle(r.subject, '이')} {bare}"
