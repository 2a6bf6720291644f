"""The offline question generator: fixed rules over headings, definitions, duties, deadlines, penalties, tables.

Deterministic and without a model; the default of the demo and of CI. Here: statutes, rules and plain text. Not here:
decisions (`holdings`), which questions are kept (`filters`).
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain

from lex_assets.passages.overlap import shared_ngrams, shingles
from lex_assets.queries.holdings import holdings, search_words
from lex_assets.queries.issues import issues
from lex_assets.queries.korean import with_particle
from lex_assets.queries.questions import Row, SyntheticQuestion
from lex_assets.queries.reading import BRACKETS, DEFINED, MARK, UNDEFINED, VAGUE, Found, Reading, nouns, plain
from lex_assets.queries.statute import CITING, citing, statute

_HEADER = re.compile(r"구분|유형|위반행위$|내용|기준|종류|대상|항목|비고|단위|근거")
_BROKEN = re.compile(
    r"^(?:그|그에|이에|한|된|할|될|않거나|하거나|하여|따른|해당하는|해당|끝난|금액)\s|[은는이가]\s(?:그|않거나|하거나|따른|해당하는)\s"
    r"|(?:^|\s)(?:에|의|을|를|은|는|와|과|로|으로|에서|에게)\s|^(?:및|또는)\s|(?:^|\s)이를\s|각 호|각 목|어느 하나|[이가] 경우\s|\s{2}|[A-Za-z가-힣]\($"
)
"""What is left of a sentence when a reference in its middle was taken out."""
_ACTOR = re.compile(
    r"(?:자|인|회사|은행|기관|위원회|법인|장|법원|조합|주|원|공사|센터|협회|이사|감사|국가|단체|등|카드사|거래소|기업집단|관)$"
)
_LAY = {
    "채무자": "빚을 진 사람", "매수인": "산 사람", "매도인": "판 사람", "임차인": "세입자", "상속인": "상속받는 사람",
    "수급인": "일을 맡은 쪽", "도급인": "일을 맡긴 쪽", "금융위원회": "금융당국", "사용자": "회사 측", "피상속인": "돌아가신 분",
    "양도": "넘기는 것", "고지": "알림", "열람": "보는 것", "해지": "중도 해약", "교부": "내주기",
}  # fmt: skip


def definitions(r: Reading) -> Found:
    """ "금융상품"이란 …: what a defined term means."""
    for term in DEFINED.findall(r.text)[:2]:
        if UNDEFINED.search(term):
            continue
        forms = [
            f"{with_particle(term, '이란')} 구체적으로 어떤 것을 가리키나요?",
            f"어떤 것을 {with_particle(term, '이라')}고 부르나요?",
            f"{with_particle(term, '은')} 무슨 뜻이고 어디까지 포함되나요?",
            f"{term}의 개념과 범위가 궁금합니다.",
        ]
        yield "definition", r.pick(forms, term)


_DELEGATED = re.compile(
    r"[\"“][^\"“”]{0,40}(?:정하는|고시하는)\s?([^\"“”]{1,24})[\"”](?:이란|란|이라 함은|라 함은)(?!\s?별표)"
)


def delegated(r: Reading) -> Found:
    """ "대통령령으로 정하는 자"란 …: what a decree fills in."""
    match = _DELEGATED.search(r.text)
    if not match or not r.title or len(r.text) < 60:
        return
    noun = {"자": "대상자", "바": "내용", "것": "내용", "경우": "상황"}.get(match[1], match[1])
    forms = [
        f"{r.title}에서 말하는 {with_particle(noun, '은')} 구체적으로 무엇인가요?",
        f"{with_particle(r.title, '과')} 관련하여 세부적으로 정해진 {with_particle(noun, '을')} 알려 주세요.",
        f"{with_particle(r.title, '이')} 문제될 때 어떤 {with_particle(noun, '이')} 여기에 해당하나요?",
    ]
    yield "condition", r.pick(forms)


_WHOEVER = r"(?:자|사람|회사|법인|경우|때|[가-힣]{2,12})(?:는|은|가|이|에|에는)(?=[\s,])"
_WISH = re.compile(rf"(?<!\S)([가-힣ㆍ·\s]{{4,46}}(?:하|받|되|얻|두|쓰|맡|갖|사|팔|내))(?:으)?려는\s?{_WHOEVER}")
_WANT = re.compile(rf"(?<!\S)([가-힣ㆍ·\s]{{4,46}})하고자 (?:하는|할) {_WHOEVER}")
_BEFORE_WISH = re.compile(
    r"^.*(?:[가-힣](?:은|는|이|가)|따라|의하여|위하여|자 및|자 또는|그|이란)\s(?=\S+[을를으로에의\s])"
)


def procedures(r: Reading) -> Found:
    """…하려는 자는: how something is applied for."""
    found, want = _WISH.search(r.head), _WANT.search(r.head)
    if r.unit == "별표" or not (found or want):
        return
    wish = f"{found[1]}려면" if found else f"{want[1]}하려면" if want else ""
    wish = re.sub(r"([받얻갖])려면", r"\1으려면", _BEFORE_WISH.sub("", wish.strip()))
    if len(wish) < 8 or wish.startswith("여부") or not re.search(r"[을를로에]\s", wish):
        return
    forms = [f"{wish} 어떤 절차를 밟아야 하나요?", f"{wish} 어떻게 해야 하나요?"]
    if re.search(r"서류|신청서|신고서|첨부", r.text):
        forms = [f"{wish} 어떤 서류를 준비해야 하나요?", f"{wish} 무엇을 제출해야 하나요?"]
    elif re.search(r"요건", r.text):
        forms = [f"{wish} 무슨 요건을 갖춰야 하나요?"]
    yield "procedure", r.pick(forms)


_VIOLATION = (
    (r"하지 (?:아니한|않은|아니하는|않는) (?:자|경우|때|사람|행위)$", "하지 않으면"),
    (r"받지 (?:아니|않)[가-힣]* (?:자|경우|때|사람)$", "받지 않으면"),
    (r"지 (?:아니한|않은) (?:자|경우|때|사람)$", "지 않으면"),
    (r"(?:한|하는|하게 한) (?:자|경우|때|사람|행위)$", "하면"),
    (r"(?:된|되는) (?:자|경우|때|사람)$", "되면"),
    (r"받은 (?:자|경우|때|사람)$", "받으면"),
    (r"([가-힣])은 (?:자|경우|때|사람)$", r"\1으면"),
)


def if_clause(act: str) -> str | None:
    """A punishable act as a condition: 등록을 하지 아니한 자 → 등록을 하지 않으면."""
    for pattern, ending in _VIOLATION:
        if re.search(pattern, act):
            return re.sub(pattern, ending, act)
    return None


_SANCTIONS = {
    "과태료": ("과태료를 내게 되나요?", "과태료는 얼마까지 나오나요?"),
    "형벌": ("형사처벌을 받게 되나요?", "처벌 수위가 어느 정도인가요?"),
    "과징금": ("과징금이 부과되나요?", "과징금은 어느 정도까지 매겨지나요?"),
}


def penalties(r: Reading) -> Found:
    """…한 자는 3년 이하의 징역: what happens to whom."""
    if not re.search(r"에 처한다|과태료를 부과|과징금을 부과", r.text):
        return
    sanction = "형벌" if re.search(r"징역|벌금", r.text) else "과태료" if "과태료" in r.text else "과징금"
    acts = r.items or [re.split(r"(?:은|는|에게는|에 대하여)\s", r.head)[0]]
    for act in sorted(acts, key=lambda a: zlib.crc32(f"{r.passage_id}{a}".encode())):
        condition = if_clause(re.split(r"(?<=위반하여)\s", act)[-1].strip())
        if condition and 8 <= len(condition) <= 60 and not re.search(r"어느 하나|각 호|따른 |같은", condition):
            forms = [f"{condition} {ending}" for ending in (*_SANCTIONS[sanction], "어떤 제재를 받나요?")]
            yield "penalty", r.pick(forms, act).replace("아니하거나", "않거나")
            return


_UNITS = {
    "일": "며칠",
    "개월": "몇 개월",
    "월": "몇 개월",
    "년": "몇 년",
    "주": "몇 주",
    "영업일": "며칠",
    "시간": "몇 시간",
}
_DEADLINE = re.compile(
    r"(\d+)\s?(영업일|개월|시간|일|월|년|주)\s?(?:이내에|이내|내에|안에|전까지)\s+(.{2,60}?)([가-힣]{2,4})(?:하여야|해야|하거나|할 수)"
)


def deadlines(r: Reading) -> Found:
    """20일 이내에 … 통지하여야 한다: how long one has."""
    match = next((m for s in r.sentences[:2] if (m := _DEADLINE.search(plain(s)))), None)
    if not match or r.unit == "별표":
        return
    unit, objects, verb = _UNITS[match[2]], match[3].strip(), match[4]
    if (
        not re.search(r"(?:을|를|에|에게|로|여부)$", objects)
        or len(objects) > 36
        or re.search(r"고시하는|,|\d", objects)
    ):
        return
    if not re.search(r"[을를](?:\s|$)", objects):
        if not r.title:
            return
        objects = f"{with_particle(r.title, '과')} 관련해 {objects}"
    who = f"{with_particle(r.subject, '은')} " if r.subject else ""
    yield (
        "deadline",
        r.pick([f"{who}{objects} {unit} 안에 {verb}해야 하나요?", f"{objects} {verb}해야 하는 기한은 언제까지인가요?"]),
    )


_LISTED = {
    "서류": "갖춰서 내야 하는 서류", "요건": "충족해야 하는 요건", "기준": "따라야 하는 기준", "사항": "챙겨야 하는 사항",
    "조치": "취해야 하는 조치", "행위": "문제되는 행위", "방법": "이용할 수 있는 방법", "업무": "맡아서 하는 업무",
    "자료": "내야 하는 자료", "정보": "다루게 되는 정보", "자": "", "경우": "", "사유": "",
}  # fmt: skip
_WHEN = {
    "경우": (
        "어떤 상황이면 {topic} 관련된 규정이 적용되나요?",
        "{topic} 관련하여 특별히 정해 둔 상황에는 무엇이 있나요?",
    ),
    "자": ("{topic} 관련해 대상이 되는 사람이나 기관은 누구인가요?", "{title}에서 대상자로 정해진 곳은 어디인가요?"),
    "사유": ("{title}에서 인정되는 사유에는 무엇이 있나요?", "어떤 사유가 있으면 {topic} 관련된 규정이 적용되나요?"),
}
_EACH = re.compile(
    r"다음\s?(?:각 호|각 목)?의?\s?(?:어느 하나에 해당하는|구분에 따른|모든)?\s?("
    + "|".join(_LISTED)
    + r")(?=[를을은는이가에로의와과]|\s)"
)


def lists(r: Reading) -> Found:
    """다음 각 호의 사항: what belongs on the list."""
    match = _EACH.search(re.sub(r"\s+", " ", BRACKETS.sub("", r.sentences[0]))) if r.sentences else None
    if not match or not r.title or len(r.items) < 2:
        return
    noun, topic = match[1], with_particle(r.title, "과")
    who = f"{with_particle(r.subject, '이')} " if r.subject else ""
    if noun == "행위" and re.search(r"아니 ?된다|안 된다|금지", r.head):
        who = "" if r.subject.endswith("행위") else who
        yield "prohibition", f"{topic} 관련해 {who}해서는 안 되는 행위에는 무엇이 있나요?"
    elif r.title.endswith(noun):
        which = "누가" if noun == "자" else "어떤 것들이"
        yield (
            "condition",
            r.pick([f"{r.title}에는 {which} 있나요?", f"{with_particle(r.title, '을')} 하나씩 알려 주세요."]),
        )
    elif noun in _WHEN:
        yield "condition", r.pick([form.format(title=r.title, topic=topic) for form in _WHEN[noun]])
    else:
        phrase = with_particle(_LISTED[noun], "은")
        forms = [f"{topic} 관련해 {who}{phrase} 무엇인가요?", f"{r.title}에서 {who}{phrase} 어떤 것들인가요?"]
        yield "condition", r.pick(forms)


_POWER = re.compile(r"(?<!\S)([가-힣ㆍ·]{2,14}(?:의 [가-힣ㆍ·]{2,14})?)(을|를) ([가-힣]{2,6})(?:할 수 있다)$")


def powers(r: Reading) -> Found:
    """…경우에는 등록을 취소할 수 있다: when something may be done."""
    for sentence in r.sentences[:2]:
        match = _POWER.search(plain(sentence))
        if match and re.search(r"경우|각 호|때에는|사유", sentence) and match[1] not in ("여부", "이를", "그"):
            act = f"{match[1]}{match[2]} {match[3]}할 수 있"
            who = f"{with_particle(r.subject, '이')} " if r.subject else ""
            forms = [
                f"{who}{act}는 것은 어떤 때인가요?",
                f"어떤 사유가 있어야 {who}{act}나요?",
                f"{who}{act}는 조건은 무엇인가요?",
            ]
            yield "condition", r.pick(forms)
            return


_BAN = re.compile(r"^(.{5,70}?)(하여|해|어|아|여)서는\s?(?:아니\s?된다|안\s?된다|아니\s?되며)")
_NOT_BEING = re.compile(r"^([가-힣ㆍ·\s]{2,24})(?:이|가) 아닌 (?:자|사람)는\s")


def prohibitions(r: Reading) -> Found:
    """…하여서는 아니 된다: whether one may."""
    outsider = _NOT_BEING.match(r.head)
    body = r.head[outsider.end() :] if outsider else r.topic[1]
    match = _BAN.search(re.sub(r"^누구든지\s", "", body))
    if not match or re.search(r"다음|(?:자|사람|경우)(?:는|에는)\s", match[1]) or len(match[1]) > 46:
        return
    who = f"{with_particle(r.subject, '이')} " if r.subject else ""
    who = f"{with_particle(outsider[1], '이')} 아닌데도 " if outsider else who
    yield "prohibition", f"{who}{match[1]}{'해' if match[2] == '하여' else match[2]}도 괜찮나요?"


def exceptions(r: Reading) -> Found:
    """다만, …: when the rule does not hold."""
    if not re.search(r"다만,.{5,}(?:아니하다|않다|제외한다|아니한다|않는다|할 수 있다)", r.text) or not r.title:
        return
    if re.search(r"예외|특례|배제|면제$", r.title):
        return
    who = f"{with_particle(r.subject, '이')} " if r.subject else ""
    forms = [
        f"{with_particle(r.about, '과')} 관련된 원칙에 예외가 인정되는 때는 언제인가요?",
        f"{who}{r.about}에 관한 규정을 따르지 않아도 되는 예외가 있나요?",
        f"{r.about}에서 예외적으로 달리 취급되는 상황을 알려 주세요.",
    ]
    yield "exception", r.pick(forms)


_DUTY = re.compile(r"(?:^|\s)((?:[가-힣ㆍ·]+ ){0,3}[가-힣ㆍ·]{2,}(?:을|를)) ([가-힣]{2,5})(?:하여야|해야) 한다$")
_CIRCUMSTANCE = re.compile(
    r"^.*(?:[은는이가고면여라그]|에|에게|경우에는|때에는|하는|있어서|으로|날부터|이내에|없이|수 있도록)\s(?=\S)"
)


def duties(r: Reading) -> Found:
    """…를 보고하여야 한다: who must do it."""
    match = _DUTY.search(r.head)
    if not match or not r.subject or r.unit == "별표":
        return
    act = _CIRCUMSTANCE.sub("", match[1])
    if len(act) >= 4 and match[2] not in ("그", "이를"):
        forms = [
            f"{act} {match[2]}할 의무는 누구에게 있나요?",
            f"{with_particle(r.subject, '이')} {act} 꼭 {match[2]}해야 하나요?",
        ]
        yield "duty", r.pick(forms)


def headings(r: Reading) -> Found:
    """The heading asked as a person would, with the subject that makes it specific."""
    if not r.title or not r.leads or (not r.subject and len(r.title) < 6):
        return
    title = with_particle(r.about, "은")
    plain_actor = _ACTOR.search(r.subject) and r.subject not in r.about and r.title not in r.subject
    who = f"{r.subject}의 " if plain_actor and r.about == r.title else ""
    if re.search(r"(?:절차|방법|기준|요건|범위|효력|책임|의무|권한|자격|결격사유)$", r.title):
        forms = [
            f"{who}{title} 어떻게 정해져 있나요?",
            f"{who}{with_particle(r.about, '이')} 구체적으로 어떻게 되나요?",
        ]
    elif re.search(r"(?:금지|제한)$", r.title):
        forms = [f"{who}{title} 어디까지 적용되나요?", f"{who}{r.about}에 걸리는 것은 어떤 일인가요?"]
    else:
        forms = [f"{who}{title} 어떤 내용인가요?", f"{who}{r.about}에 대해 무엇이 정해져 있나요?"]
    yield "fact", r.pick(forms)


def tables(r: Reading) -> Found:
    """별표: one row's value, then what the table is for."""
    if r.unit != "별표" or not r.title:
        return
    rows = [line for line in r.lines if " | " in line]
    money = "과태료" in r.context or "과징금" in r.context
    for row in sorted(rows, key=lambda line: zlib.crc32(f"{r.passage_id}{line}".encode())):
        label = plain(MARK.sub("", row.split(" | ")[0])).split("위반하여 ")[-1]
        condition = if_clause(label)
        if condition and 8 <= len(condition) <= 60:
            kind = "과태료" if "과태료" in r.context else "과징금" if money else "처분"
            yield "table", f"{condition} {with_particle(kind, '은')} {'얼마인가요' if money else '어떻게 되나요'}?"
            break
        valued = any(re.search(r"\d", cell) for cell in row.split(" | ")[1:])
        if valued and 4 <= len(label) <= 30 and re.fullmatch(r"[가-힣ㆍ·\s]+", label) and not _HEADER.search(label):
            yield "table", f"{r.title}에서 {label}에 해당하면 어떤 기준이 적용되나요?"
            break
    if re.search(r"_c1$|별표[^_]*$", r.passage_id) or rows:
        forms = [
            f"{with_particle(r.title, '이')} 표로 어떻게 정리되어 있나요?",
            f"{r.title}에는 어떤 항목이 들어 있나요?",
        ]
        yield "table", r.pick(forms)


_NUMBER = re.compile(r"(?:약 )?\d[\d,.]*\s?(?:조|억|만|천)?\s?(?:원|달러|%|퍼센트|명|건|개(?!월)|배|포인트|톤|곳)")
_NO_AMOUNT = re.compile(r"^얼마[은는이가]|[~∼-]\s?얼마|얼마와")
"""A figure that is no answer to 얼마: what the sentence is about, the end of a range, one of two."""
_PAST = (
    (r"(했|됐|였|었|았|있|없)다$", r"\1나요?"),
    (r"이다$", "인가요?"),
    (r"한다$", "하나요?"),
    (r"된다$", "되나요?"),
)


def amounts(r: Reading) -> Found:
    """Plain text and MRC contexts: a sentence with one figure, asked for the figure."""
    if r.unit not in ("context", "text"):
        return
    for sentence in re.split(r"(?<=다)\.\s*|\n", r.text):
        clause = plain(sentence).split(", ")[-1]
        if len(_NUMBER.findall(clause)) != 1 or not 14 <= len(clause) <= 70:
            continue
        asked = re.sub(
            r"얼마(을|이|은|과|으로)(?=\s)", lambda m: with_particle("얼마", m[1]), _NUMBER.sub("얼마", clause)
        )
        if VAGUE.search(asked) or _NO_AMOUNT.search(asked):
            continue
        for pattern, ending in _PAST:
            if re.search(pattern, asked):
                yield "fact", re.sub(pattern, ending, asked)
                return


def keywords(r: Reading) -> Found:
    """What a hurried user types: the heading's words and the longest nouns of the text. For one passage in three."""
    if not r.title or r.unit not in ("항", "조") or zlib.crc32(r.passage_id.encode()) % 3:
        return
    words = sorted(nouns(plain(" ".join(r.lines[:6]))), key=lambda w: (-len(w), w))
    chosen: list[str] = []
    for word in words:
        if word not in " ".join([r.title, *chosen]):
            chosen.append(word)
    if len(chosen) >= 2:
        yield "keyword", " ".join([r.title, *chosen[:2]])


Maker = Callable[[Reading], Found]
MAKERS: tuple[Maker, ...] = (
    definitions, penalties, deadlines, procedures, prohibitions, tables, powers, lists, exceptions, amounts,
    delegated, duties, issues, headings, keywords,
)  # fmt: skip

DECISION_MAKERS: tuple[Maker, ...] = (holdings, search_words)


def difficulty_of(question: str, passage: str) -> str:
    """easy, medium or hard, by the share of the question's character n-grams that the passage has."""
    share = shared_ngrams(question, passage) / len(shingles(question))
    return "easy" if share >= _EASY else "medium" if share >= _MEDIUM else "hard"


_EASY, _MEDIUM = 0.5, 0.25


def drawn(name: str, share: float) -> bool:
    """Whether `name` is among the `share` of all names that a hash draws, the same on every machine."""
    return zlib.crc32(name.encode()) % 1000 < 1000 * share


class RuleGenerator:
    """Questions by rule; see the makers in this module for their kinds.

    lay_share: of the questions in a layman's words · statute_share: of the passages that are also asked for in their own
    wording · pairs: (citing, cited) rows; the second is asked for in the wording of the first.
    """

    name = "rules-5"
    licence = "CC0-1.0"

    def __init__(
        self,
        per_passage: int = 3,
        lay_share: float = 0.2,
        statute_share: float = 0.0,
        pairs: Sequence[tuple[Row, Row]] = (),
    ) -> None:
        self.per_passage = per_passage
        self.lay_share = lay_share
        self.statute_share = statute_share
        self.pairs = pairs

    def generate(self, passages: Iterable[Row]) -> list[SyntheticQuestion]:
        """Those for the pairs, then for each row of a PASSAGES frame up to `per_passage` questions of different kinds, and
        its own wording unless that asks for what it cites."""
        citing = list(dict.fromkeys(self._citing()))
        taken = {question.text for question in citing}
        about = chain.from_iterable(map(self._about, passages))
        return citing + [question for question in about if question.text not in taken]

    def _about(self, row: Row) -> list[SyntheticQuestion]:
        reading = Reading(row["passage_id"], row["unit"], row["context"], row["text"])
        kinds: dict[str, str] = {}
        for maker in DECISION_MAKERS if reading.unit == "holding" else MAKERS:
            for kind, text in maker(reading):
                if not _BROKEN.search(text) and reading.hollow.isdisjoint(text.split()):
                    kinds.setdefault(kind, self.lay(text, reading.passage_id))
            if len(kinds) >= self.per_passage:
                break
        stated = statute(reading) if drawn(f"statute{reading.passage_id}", self.statute_share) else ()
        return [
            SyntheticQuestion(
                reading.passage_id, text, kind, self.name, self.licence, difficulty=difficulty_of(text, reading.text)
            )
            for kind, text in (*list(kinds.items())[: self.per_passage], *stated)
        ]

    def _citing(self) -> Iterator[SyntheticQuestion]:
        texts = {cited["passage_id"]: cited["text"] for _, cited in self.pairs}
        for text, (first, *also) in citing(self.pairs):
            difficulty = difficulty_of(text, texts[first])
            yield SyntheticQuestion(
                first, text, CITING, self.name, self.licence, difficulty=difficulty, also=tuple(also)
            )

    def lay(self, text: str, passage_id: str) -> str:
        """A share of the questions in a layman's words."""
        if not drawn(f"lay{passage_id}{text}", self.lay_share):
            return text
        for term, words in _LAY.items():
            match = re.search(rf"(?<![가-힣]){term}(은|는|이|가|을|를)?(?![가-힣])", text)
            if match:
                particle = {"는": "은", "가": "이", "를": "을"}.get(match[1] or "", match[1] or "")
                return (
                    text[: match.start()]
                    + (with_particle(words, particle) if particle else words)
                    + text[match.end() :]
                )
        return text
