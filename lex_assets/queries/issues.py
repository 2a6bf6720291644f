"""A provision as a lawyer states what is open about it: ‘…’의 의미, …할 수 있는지 여부, …의 요건.

The wording of issues in decisions and memoranda, beside the questions that others ask (`rules`). Made from the provision
alone; no decision is read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from lex_assets.queries.korean import with_particle
from lex_assets.queries.reading import DEFINED, MODIFIER, UNDEFINED, Found, Reading, plain

_SHORTEST, _LONGEST = 8, 60
"""Characters of a clause that is about something in particular and still readable."""
_BAN = re.compile(r"^(?:누구든지\s)?(.{5,60}?)(?:하여|해)서는\s?(?:아니\s?된다|안\s?된다|아니\s?되며)")
_BOUNDARY = re.compile(
    r"(?:^|,\s|(?:[은는]|경우에?|때에?|위하여|따라|[의통]하여|불구하고|[가-힣][고며면]|[가-힣]거나|날부터|이내에|[하되]여|부터)\s)(?=\S)"
)
"""Where a sentence can be cut so that what follows still reads as a whole."""
_DANGLING = re.compile(
    r"^(?:[가-힣]|또는|내지|개월|절차에|다만|이하|그런|정한|고시하는|[때날]\S{0,2}|(?:대해|대하여|관하여|경우에)서?는?)[\s,]"
    r"|그 밖에|(?:이|각|당해) 경우|다음|이를|정하는|어느 하나|^[^(]*\)|(?:^|[은는이가을를]\s)해당하는\s"
)
"""What a clause begins with or holds whose beginning went with a reference, or that points elsewhere."""
_CAN = re.compile(r"^(.*\S \S*[가-힣])할 수 (?:있|없)다$")
_MUST = re.compile(r"^(.*\S \S*[가-힣])(?:하여야|해야) 한다$")

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
    (r"범위$", ("{title}에 포함되는지 여부", "{title}에 속하는지 판단하는 기준")),
    (
        r"(?:내용|절차|방법|시기|관계|기준|사항|서류|양식|구성|설치|개최|운영|관리|감독|검사|조사|평가|공고|공시|통지|통보|보고|제출"
        r"|확인|신청|신고|등록|허가|인가|승인|지정|선임|해임|위탁|위임|처리|결정|의결|명령|요청|협의|준용|특례)$",
        ("{title}의 의미 및 요건", "{title}에 관한 규정의 취지 및 적용 범위"),
    ),
    (
        r"(?:자|인|회사|기관|행위|사유|업무|업|증권|상품|재산|채권|거래)$",
        ("{title}의 의미 및 요건", "{title}에 해당하는지 여부", "{title}에 관한 규정의 취지 및 적용 범위"),
    ),
    (r"", ("{title}의 의미 및 요건", "{title}의 요건과 효과", "{title}에 관한 규정의 취지 및 적용 범위")),
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
    """What may or must be done, by the first two sentences, and by whom. Only the first one speaks of the subject."""
    for number, sentence in enumerate(r.sentences[:2]):
        match = pattern.search(plain(sentence))
        if match and (clause := _longest_whole(match[1])) and not _DANGLING.search(clause):
            yield _as_subject(clause) if number else _by(r, _as_subject(clause))


def _longest_whole(text: str) -> str:
    """The longest end of `text` that reads as a whole and is no longer than a question bears, or ""."""
    ends = (text[match.end() :] for match in _BOUNDARY.finditer(text))
    return next((end for end in ends if _SHORTEST <= len(end) <= _LONGEST and " " in end), "")


_TOPIC = re.compile(r"^([가-힣ㆍ]{2,14})[은는] ")


def _as_subject(clause: str) -> str:
    """`clause` with what it speaks of as its subject: 이용자는 거래를 철회 → 이용자가 거래를 철회."""
    topic = _TOPIC.match(clause)
    if not topic or MODIFIER.search(topic[1]):
        return clause
    return f"{with_particle(topic[1], '이')} {clause[topic.end() :]}"


def _by(r: Reading, clause: str) -> str:
    """The clause with who it speaks of in front, as its subject."""
    if not r.subject:
        return clause
    bare = re.sub(rf"^{re.escape(r.subject)}[은는]\s", "", clause)
    return bare if r.subject in bare else f"{with_particle(r.subject, '이')} {bare}"
