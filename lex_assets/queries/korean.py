"""Korean endings for generated questions: particles that follow a final consonant, and statements turned into questions."""

from __future__ import annotations

import re

_PAIRS = {
    "은": "은는",
    "이": "이가",
    "을": "을를",
    "과": "과와",
    "이라": ("이라", "라"),
    "으로": ("으로", "로"),
    "이란": ("이란", "란"),
}
_DIGIT_FINALS = {
    "0": True,
    "1": True,
    "2": False,
    "3": True,
    "4": False,
    "5": False,
    "6": True,
    "7": True,
    "8": True,
    "9": False,
}


def has_final(word: str) -> bool:
    """Whether the word's last syllable ends in a consonant; Latin letters and brackets are judged by what they close."""
    bare = re.sub(r"[)\]」』’”\"'\s]+$", "", re.sub(r"\([^()]*\)\s*$", "", word))
    last = bare[-1:] or "가"
    if "가" <= last <= "힣":
        return (ord(last) - 0xAC00) % 28 != 0
    return _DIGIT_FINALS.get(last, last.lower() in "lmnr")


def with_particle(word: str, particle: str) -> str:
    """`word` with the fitting form of 은 · 이 · 을 · 과 · 이라 · 이란 · 으로.

    >>> with_particle("은행", "은"), with_particle("회사", "은"), with_particle("증권", "이란")
    ('은행은', '회사는', '증권이란')
    """
    after_consonant, after_vowel = _PAIRS[particle]
    final = has_final(word)
    if particle == "으로" and final and (ord(word[-1]) - 0xAC00) % 28 == 8:
        final = False
    return word + (after_consonant if final else after_vowel)


_QUESTIONS = (
    (r"(?:하여|해|되어|돼)야 (?:한다|할 것이다)$", lambda m: "해야 하나요" if m[0][0] in "하해" else "되어야 하나요"),
    (r"([가-힣])야 (?:한다|할 것이다)$", lambda m: f"{m[1]}야 하나요"),
    (r"수(?:는|도)? (?:있|없)다(?:고 (?:할 것이다|보아야 한다|봄이 (?:타당|상당)하다))?$", lambda m: "수 있나요"),
    (r"하여서는 (?:아니|안) 된다$", lambda m: "해도 되나요"),
    (r"(필요|충분|적법|위법|타당|정당|유효|동일|가능|불가능|부적법|부당|무방)하다$", lambda m: f"{m[1]}한가요"),
    (r"(?:이|가) (?:있|없)다$", lambda m: f"{m[0][0]} 있나요"),
    (r"([가-힣]*)(?:되지|하지) (?:아니한다|않는다)$", lambda m: f"{m[1]}{'되' if '되지' in m[0] else '하'}나요"),
    (r"(?:이|가) 아니다$", lambda m: f"{m[0][0]} 아닌가요"),
    (r"(에 해당|를 구성|을 구성|에 포함)(?:한|된)다$", lambda m: f"{m[1]}{'되' if '포함' in m[1] else '하'}나요"),
    (r"([가-힣])한다$", lambda m: f"{m[1]}하나요"),
    (r"([가-힣])된다$", lambda m: f"{m[1]}되나요"),
    (r"미친다$", lambda m: "미치나요"),
    (r"진다$", lambda m: "지나요"),
    (r"([받얻갖않])는다$", lambda m: f"{m[1]}나요"),
    (r"([가-힣])이다$", lambda m: f"{m[1]}인가요"),
)


def as_question(statement: str) -> str | None:
    """A plain statement (…할 수 없다, …에 해당한다) as a polite open question; None when its ending is not known.

    >>> as_question("임대인은 갱신을 거절할 수 없다")
    '임대인은 갱신을 거절할 수 있나요?'
    """
    for pattern, build in _QUESTIONS:
        if match := re.search(pattern, statement):
            return f"{statement[: match.start()]}{build(match)}?"
    return None
