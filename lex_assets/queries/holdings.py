"""Questions by rule from a decision's holdings: what was open before the court answered.

A question is made only from words that stand on their own: a clause that the court began itself, with its subject, and
without a hole where a reference to an article was taken out. Better no question than one that nobody would ask.
"""

from __future__ import annotations

import re
import zlib
from collections import Counter
from collections.abc import Callable, Iterator

from lex_assets.queries.filters import longest_run
from lex_assets.queries.korean import as_question, with_particle
from lex_assets.queries.reading import BRACKETS, MARK, MODIFIER, REFERENCE, Found, Reading, nouns

_HOLE = "§"
_DOCKET = re.compile(r"\d{2,4}[가-힣]{1,2}\d+|\d{4}\.\s?\d+\.|[A-Za-z\"“”]")
_PARTIES = re.compile(r"[甲乙丙丁戊己庚]|원심|한 사례|이 사건|원고|피고(?!인)|상고이유|대법원")
_OPENING = re.compile(
    r"^(?:그리고|또한|또|한편|따라서|그러므로|그러나|그런데|그렇지만|그렇다면|다만|나아가|즉|결국|이때|이 경우(?:에도|에는|에)?|여기서|마찬가지로"
    r"|가령|특히|물론|아울러|일응|이른바|무릇|통상|오히려|반면|반대로|더욱이|구체적으로|일반적으로),?\s"
)
_POINTING = re.compile(
    r"(?:^|\s)(?:그|이|위|이러한|그러한|이와|그와|위와|해당|당해|이는|이를|이에|이로|그를|이들|전자|후자|앞서|다음|같은|아래)(?:\s|$)"
    r"|(?:^|\s)(?:그것|이것|여기|거기|그들|본 (?:죄|조|법|항)|그와|그에|그가|그렇게|그때|그곳|이때|이로써|이러|이른)"
    r"|^이후\s|(?:제반|여러) 사정|달리 |마찬가지|(?:법률|시행령|시행규칙) (?=[가-힣])"
)
_HEDGES = re.compile(
    r"(?:라고|다고|것으로|고) (?:할 것이다|보아야 (?:한다|할 것이다)|보는 것이 (?:타당|상당)하다|봄이 (?:타당|상당)하다|해석된다|새겨야 한다)$"
)
_ADVERBS = re.compile(
    r"(?:다른 )?(?:특별한 (?:사정이|규정이) 없는 한|원칙적으로|당연히|곧바로|반드시|그대로|여전히|바로|직접|별도로|일단|비록|설령),?\s"
)
_BOUNDARY = re.compile(
    r",\s|(?:므로|더라도|면서|지만|는데|은데|고서|비추어|점에서|하고|되고|이고|이며|하며|되며|으며|아니라|위하여는?|위해서는?)\s"
)
_SCENE = re.compile(r"^(.{8,56}?(?:경우|때|이후|동안))(?:에는|에도|에|라면|라도|까지)?$")
_DANGLING = re.compile(
    r"^(?:[가-힣]|[가-힣]{1,4}(?:하여|하고|되어|라고|다고|하는|되는|된|한|할|인|던|있는|없는|않은|않는|아니한|대한|관한|따른|의한|위한))\s"
    r"|^(?:있는|없는|있다면|있었다|않는|않은|하는|되는|된|보면|하면|기타|것|자|때|경우|및|또는|등|내지|사실|점|[조항호목])(?:[은는이가을를의에도]|\s|$)"
)
_HAS_SUBJECT = re.compile(r"(?:^|\s)[가-힣’'”]{2,}(?:은|는|이|가|도)\s")
_PHRASE = re.compile(r"[가-힣’'”]{2,}(?:은|는|이|가|을|를|에|의|로|으로|에게|에서|도|와|과)\s")
_BARE = re.compile(r"(?:에|에서|에게|서|로|부터|까지|과|와|만|도|경우|정도|지)$")
_HAS_OBJECT = re.compile(r"(?:^|\s)[가-힣’'”]{2,}(?:은|는|을|를)\s")
_FULL = re.compile(r"[가-힣]{2,}(?:은|는|이|가|을|를|에|도)\s")
_EMPTY_PREDICATE = re.compile(
    r"(?:취지|이유|필요|우려|여지)가 있나요\?$|(?:말|의미|뜻|가리키)하나요\?$|아닌가요\?$|할 것인가요\?$"
    r"|(?:때문|원칙|것|뿐|물론|제재|조항|취지|결과|정도|점|바|규정|제도|범죄|의미|셈|따름|해석|입장|태도|소송|마찬가지)인가요\?$"
)


def standing(text: str) -> str:
    """`text` as sentences go, references to articles gone where grammar allows and a hole left where it does not."""
    for _ in range(2):
        text = BRACKETS.sub("", text)
    text = text.replace("등의 특별한 사정이 없는 한", _HOLE)
    text = REFERENCE.sub(lambda match: " " if match["tail"] else f" {_HOLE} ", text)
    return re.sub(r"\s+", " ", text).strip(" ,.")


def _sentences(r: Reading) -> list[str]:
    """The court's own sentences, the last first; those about the parties and the court below are left out."""
    parts = re.split(r"(?<=다)\.\s*|\n", r.text)
    own = [standing(part) for part in reversed(parts) if len(part) > 15 and not _PARTIES.search(part)]
    return [_OPENING.sub("", _OPENING.sub("", MARK.sub("", sentence))) for sentence in own]


def _clean(words: str) -> bool:
    """Whether words can open a question: no hole, no docket, nothing that hangs on what came before."""
    hangs = any(pattern.search(words) for pattern in (_DOCKET, _DANGLING, _POINTING, _PARTIES))
    return _HOLE not in words and not hangs


_Asked = Iterator[str]
_NAMED = re.compile(
    r"^(?:[^,]*,\s)?‘?([가-힣ㆍ·\s]{2,28}?)’?(?:(?:이)?란|(?:이)?라 함은|은|는)\s[^§]{8,}?(?:을|를|것을) (?:말한다|의미한다|뜻한다|가리킨다)$"
)
_BURDEN = re.compile(
    r"(?:^|,\s|고\s)([^,§]{4,48}?(?:에 대한|에 관한|의) (?:증명|입증|주장|주장ㆍ증명|주장·증명)책임)(?:은|이)\s.{2,40}?(?:있다|부담한다|진다)$"
)
_PROVEN = re.compile(
    r"(?:^|,\s)([^,§]{6,48}?)(?:은|는|에 대하여는|에 대해서는) .{2,30}?(?:이|가|에서) (?:증명|입증|주장)하여야 한다$"
)
_WEIGHED = re.compile(
    r"(?:^|,\s|고\s)([^,§]{6,52}?(?:인지|는지|할지|ㄹ지|은지|여부))(?:는|은|를|의 판단은)?\s.*(?:판단|결정|고려|해석|심사|평가)"
    r"(?:하여야|해야|할 수밖에 없|하는 것이)"
)
_BASED = re.compile(
    r"(?:^|,\s)([^,§]{4,40}?)(?:은|는) ([^,§]{4,40})(?:을|를) 기준으로 (?:판단|산정|결정|정|계산)(?:하여야|해야)? ?한다$"
)
_RUNS = re.compile(
    r"(?:^|,\s)([^,§]{2,40}?)의? ?(소멸시효|제척기간|제소기간|출소기간)(?:는|은|가|이)\s.*부터 (?:진행|기산|개시)(?:한다|된다|된다고 할 것이다)$"
)
_NEEDS = re.compile(
    r"(?:^|,\s)([^,§]{6,44}?)(?:하려면|되려면|하기 위하여는|하기 위해서는|되기 위하여는|되기 위해서는|기 위하여서는)[,\s]"
    r".*(?:하여야|있어야|되어야|필요) ?(?:한다|하다)$"
)


_NO_TERM = re.compile(r"[은는이가을를] |(?:등|으로|에서|하여|하게|한다고|것|자|법|법률|되|지|하|이|없|및|다|라)$|^있")


def definitions(sentence: str) -> _Asked:
    """…이란 …을 말한다."""
    match = _NAMED.search(sentence)
    if match and _clean(f"{match[1]} ") and not (MODIFIER.search(match[1]) or _NO_TERM.search(match[1])):
        term = match[1].strip()
        yield f"{with_particle(term, '은')} 무엇을 뜻하나요?"
        yield f"{with_particle(term, '이란')} 구체적으로 어떤 것인가요?"


def burdens(sentence: str) -> _Asked:
    """증명책임은 …에게 있다."""
    if (match := _BURDEN.search(sentence)) and _clean(match[1]):
        yield f"{with_particle(match[1], '은')} 누구에게 있나요?"
        yield f"{with_particle(match[1], '은')} 어느 쪽이 부담하나요?"
    elif (match := _PROVEN.search(sentence)) and _clean(match[1]):
        yield f"{with_particle(match[1], '은')} 누가 증명해야 하나요?"


def standards(sentence: str) -> _Asked:
    """…인지는 … 종합하여 판단하여야 한다; … 기준으로."""
    if (match := _WEIGHED.search(sentence)) and _clean(match[1]) and _HAS_SUBJECT.search(match[1]):
        yield f"{with_particle(match[1], '은')} 어떻게 판단하나요?"
        yield f"{with_particle(match[1], '은')} 무엇을 보고 판단하나요?"
    elif (match := _BASED.search(sentence)) and _clean(match[1]):
        yield f"{with_particle(match[1], '은')} 무엇을 기준으로 정하나요?"
        yield f"{with_particle(match[1], '은')} 어느 시점이나 기준에 따라 판단하나요?"


def periods(sentence: str) -> _Asked:
    """소멸시효는 …부터 진행한다."""
    if (match := _RUNS.search(sentence)) and _clean(f"{match[1]} "):
        yield f"{match[1]}의 {with_particle(match[2], '은')} 언제부터 계산하나요?"


def requirements(sentence: str) -> _Asked:
    """…하려면 …하여야 한다."""
    if (match := _NEEDS.search(sentence)) and _clean(match[1]):
        wish = sentence[match.start(1) : match.end(1)]
        ending = "되려면" if sentence[match.end(1) :].startswith("되") else "하려면"
        yield f"{wish}{ending} 무엇이 필요한가요?"
        yield f"{wish}{ending} 어떤 요건을 갖추어야 하나요?"


def conclusions(sentence: str) -> _Asked:
    """…할 수 없다: whether one can, under the situation that the court names, if it is whole."""
    clauses = [
        _OPENING.sub("", _ADVERBS.sub("", f"{part} ")).strip() for part in _BOUNDARY.split(_HEDGES.sub("", sentence))
    ]
    tail = clauses[-1]
    asked = as_question(tail)
    if not asked or not 12 <= len(tail) <= 80 or not _clean(tail) or _EMPTY_PREDICATE.search(asked):
        return
    scene = next((m[1] for part in reversed(clauses[:-1]) if (m := _SCENE.match(part)) and _clean(m[1])), "")
    scene = f"{scene}에 " if scene and _FULL.search(scene) else ""
    if not scene and len(_PHRASE.findall(tail)) < _PHRASES:
        return
    if not (_HAS_OBJECT if asked.endswith("야 하나요?") else _HAS_SUBJECT).search(tail):
        return
    yield f"{scene}{_plainer(asked)}"
    yield from (f"{scene}{_indirect(asked)}{ending}" for ending in _WONDERING)
    topic = _TOPIC.match(tail)
    rest = as_question(tail[topic.end() :]) if topic else None
    if topic and rest and not any(pattern.search(topic[1]) for pattern in (MODIFIER, _NO_TERM, _BARE)):
        yield from (f"{scene}{topic[1]}의 경우 {_indirect(rest)}{ending}" for ending in _WONDERING)


_PHRASES = 3
"""A question that names no situation must name this many things to be about something in particular."""
_TOPIC = re.compile(r"^([가-힣ㆍ·‘’\s]{3,30}?)(?:은|는)\s(?=\S+\s\S+\s)")
_PLAINER = (
    (r"(을|를) 행사할 수 있나요\?$", r"\1 쓸 수 있나요?"),
    (r"(을|를) 청구할 수 있나요\?$", r"\1 달라고 할 수 있나요?"),
    (r"(을|를) 부담하나요\?$", r"\1 지게 되나요?"),
    (r"에 해당한다고 (?:볼|할) 수 있나요\?$", "에 해당하나요?"),
    (r"허용되나요\?$", "가능한가요?"),
    (r"소멸하나요\?$", "없어지나요?"),
    (r"포함되나요\?$", "들어가나요?"),
    (r"(이라|라|다)고 (?:할|볼) 수 있나요\?$", r"\1고 보나요?"),
)
"""Endings that only a lawyer would write, and what others say."""


def _plainer(asked: str) -> str:
    """A question with a plainer ending where there is one."""
    for pattern, ending in _PLAINER:
        if re.search(pattern, asked):
            return re.sub(pattern, ending, asked)
    return asked


def _indirect(asked: str) -> str:
    """…할 수 있나요? as …할 수 있는지."""
    plainer = _plainer(asked).replace("괜찮나요", "괜찮은가요")
    return re.sub(r"나요\?$", "는지", re.sub(r"가요\?$", "지", plainer))


_WONDERING = (" 궁금합니다.", " 알고 싶어요.", "")
_PATTERNS: tuple[tuple[str, Callable[[str], _Asked]], ...] = (
    ("definition", definitions),
    ("condition", burdens),
    ("condition", standards),
    ("deadline", periods),
    ("condition", requirements),
    ("holding", conclusions),
)
_SHORTEST, _LONGEST = 14, 110


def holdings(r: Reading) -> Found:
    """At most one question of each kind, from the sentences that decide first."""
    sentences = _sentences(r)
    for kind, pattern in _PATTERNS:
        for sentence in sentences:
            forms = [form for form in pattern(sentence) if _SHORTEST <= len(form) <= _LONGEST]
            if forms:
                yield kind, _least_copied(forms, r) if kind == "holding" else r.pick(forms, sentence)
                break


def _least_copied(forms: list[str], r: Reading) -> str:
    """A yes-or-no question repeats its holding: the form that does so least, any of those that are far enough from it."""
    far = [form for form in forms if longest_run(form, r.text) <= _FAR]
    return r.pick(far) if far else min(forms, key=lambda form: longest_run(form, r.text))


_FAR = 0.6
_NO_WORD = re.compile(
    r"(?:다|다고|추어|될|할|받|하|되|함으로써|으로서|법상|한다|들)$|사건|판결|원심|법원|당사자|원고|피고|사안|사례|사정|대법원|하더라도|경우|인정|판단|취지|규정|법률|기준|행위|청구"
)


def search_words(r: Reading) -> Found:
    """What a hurried lawyer types: the nouns that a holding repeats. For one holding in five."""
    if zlib.crc32(r.passage_id.encode("utf-8", "replace")) % 5:
        return
    text = standing(r.text).replace(_HOLE, " ")
    numbers = Counter({word: text.count(word) for word in nouns(text) if len(word) <= 8 and not _NO_WORD.search(word)})
    often = [word for word, times in sorted(numbers.items(), key=lambda item: (-item[1], item[0])) if times > 1]
    chosen = [word for n, word in enumerate(often) if not any(word in other or other in word for other in often[:n])]
    if len(chosen) >= 3:
        yield "keyword", " ".join(chosen[:3])
