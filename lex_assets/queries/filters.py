"""Which generated questions are kept: one function per filter, each of which can be switched off for an ablation.

A filter that looks at one question returns what it found, or "". Those that look at all questions together (ambiguous,
near-duplicate, round trip) come after them. Search is passed in as a callable.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field, field_validator

from lex_assets.passages.overlap import near_duplicates
from lex_assets.queries.questions import Row, SyntheticQuestion
from lex_assets.queries.split import LAW_TYPES
from lex_assets.queries.statute import LONGEST, STATUTE, STATUTE_KINDS

Search = Callable[[list[str], int], Sequence[Sequence[str]]]
"""(questions, k) → for each the k best passage ids, best first."""

FILTERS = (
    "length", "language", "not_self_contained", "leaks_law", "copies_passage", "unsupported", "too_many", "ambiguous",
    "near_duplicate", "round_trip", "judge",
)  # fmt: skip
"""In the order in which they act."""


class SyntheticConfig(BaseModel):
    """Which generated questions are kept."""

    model_config = ConfigDict(frozen=True)

    per_passage: int = Field(default=3, ge=1, description="단락당 질문 수. Questions per passage.")
    max_passages: int = Field(
        default=0, ge=0, description="질문을 만들 단락 수의 상한, 0은 전부. Passages asked about; 0 means all."
    )
    sets: tuple[str, ...] = Field(
        default=(),
        description="질문을 만들 집합(train 등), 비우면 전부. Sets whose passages are asked about; empty: all.",
    )
    min_characters: int = Field(default=10, ge=1, description="질문의 최소 글자 수. Shortest question, in characters.")
    max_characters: int = Field(default=120, ge=1, description="질문의 최대 글자 수. Longest question, in characters.")
    max_copied: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="질문에서 단락을 그대로 이어 쓴 부분의 상한(0-1). Longest run copied from the passage.",
    )
    allow_law_names: bool = Field(
        default=False, description="질문에 법령명을 허용. Whether a question may name its law."
    )
    allow_article_numbers: bool = Field(
        default=False, description="질문에 조문·사건 번호를 허용. Whether it may name articles or dockets by number."
    )
    min_support: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="근거 인용에서 단락에 그대로 있어야 하는 부분(0-1). Share of a quotation that its passage must have in one run.",
    )
    statute_share: float = Field(
        default=0.0,
        ge=0,
        le=1,
        description="법문 그대로도 물을 단락의 비율(규칙 생성). Share of the passages that rules also ask for in their own wording.",
    )
    near_duplicate: float = Field(
        default=0.9, gt=0, le=1, description="같은 질문으로 보는 n-gram 자카드 값. Jaccard of duplicates."
    )
    round_trip_keep: int = Field(
        default=10, ge=1, description="이 순위 안이면 유지. Kept when its passage ranks within this."
    )
    round_trip_hard: int = Field(
        default=100, ge=1, description="이 순위 안이면 어려운 질문으로 유지. Kept as hard within this."
    )
    skip: tuple[str, ...] = Field(
        default=(), description=f"쓰지 않을 필터(비교 실험용). Filters not applied: {', '.join(FILTERS)}."
    )

    @field_validator("skip")
    @classmethod
    def _known_filters(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in FILTERS]
        if unknown:
            raise ValueError(f"filter {unknown[0]!r} is not known; choose from {', '.join(FILTERS)}")
        return names


_NUMBERED = re.compile(r"제\s?\d+(?:-\d+)?\s?[조항호장절편관]|별표\s?\d|(?<!\d)(?:19|20)\d\d[가-힣]{1,2}\d+")
_THING = r"(?:조항?|항|호|목|규정|조문|문서|문장|글|지문|표|판결|사건|사안|판례|내용|문맥|기사)"
_END = r"(?:[에은는이의을를과와상로]|에서|\s|$)"
_POINTING = re.compile(
    rf"(?:^|\s)(?:이|위|본|해당|상기|다음|앞선|두|주어진|제시된)\s(?:법|영|규칙|{_THING}){_END}"
    rf"|(?:^|\s)(?:본문|지문|문서|제시문|기사)에\s?(?:따르면|의하면|나온|언급된|서)|앞의|다음 각|동항|동조(?:에|의)"
)
_DIGITS = re.compile(r"\d+(?:[.,]\d+)*")


def longest_run(question: str, passage: str) -> float:
    """Share of the question (spaces dropped) that is one run copied from the passage, 0 to 1."""
    a, b = re.sub(r"\s", "", question), re.sub(r"\s", "", passage)
    low, high = 0, len(a)
    while low < high:
        size = (low + high + 1) // 2
        if any(a[i : i + size] in b for i in range(len(a) - size + 1)):
            low = size
        else:
            high = size - 1
    return low / max(1, len(a))


def length(question: SyntheticQuestion, rows: Sequence[Row], config: SyntheticConfig) -> str:
    """Too short or too long; a keyword query may be half as short, and a provision as long as they are made."""
    least = config.min_characters // 2 if question.kind == "keyword" else config.min_characters
    most = max(LONGEST, config.max_characters) if question.kind in STATUTE_KINDS else config.max_characters
    size = len(question.text)
    return "" if least <= size <= most else f"{size} characters"


def language(question: SyntheticQuestion, rows: Sequence[Row], config: SyntheticConfig) -> str:
    """Mostly not Korean."""
    letters = re.sub(r"\s", "", question.text)
    korean = len(re.findall(r"[가-힣]", letters))
    return "" if korean >= 0.5 * len(letters) else f"{korean} of {len(letters)} characters are Korean"


def not_self_contained(question: SyntheticQuestion, rows: Sequence[Row], config: SyntheticConfig) -> str:
    """Points at a text that the searcher does not see: 이 조항, 위 문서."""
    found = _POINTING.search(question.text)
    return found[0].strip() if found else ""


def leaks_law(question: SyntheticQuestion, rows: Sequence[Row], config: SyntheticConfig) -> str:
    """Names the law or an article, decision or annex by number, which no passage search needs."""
    numbered = None if config.allow_article_numbers else _NUMBERED.search(question.text)
    if numbered:
        return numbered[0]
    return "" if config.allow_law_names else next(filter(None, (_named(question.text, row) for row in rows)), "")


def _named(text: str, row: Row) -> str:
    """The passage's law, or the act of its decree, where the text names it."""
    if row["source_type"] not in LAW_TYPES:
        return ""
    law = re.sub(r"\s", "", row["context"].split(" > ")[0])
    act = re.sub(r"시행(?:령|규칙)$", "", law)
    named = re.search(r"(?<![가-힣])" + r"\s?".join(map(re.escape, act)), text) if act else None
    return named[0] if named else ""


def copies_passage(question: SyntheticQuestion, rows: Sequence[Row], config: SyntheticConfig) -> str:
    """Repeats the passage word for word; keyword queries may, and a provision that is asked for in its own wording."""
    if question.kind in ("keyword", STATUTE):
        return ""
    copied = max(longest_run(question.text, row["text"]) for row in rows)
    return f"{copied:.0%} in one run" if copied > config.max_copied else ""


def unsupported(question: SyntheticQuestion, rows: Sequence[Row], config: SyntheticConfig) -> str:
    """A quotation that the passages do not have, a passage without one, or a number in the answer that is in neither.

    Questions made by rule come from the passage's own words and carry no evidence.
    """
    if not question.evidence:
        return ""
    texts = [f"{row['context']}\n{row['text']}" for row in rows]
    support = [[longest_run(quote, text) >= config.min_support for text in texts] for quote in question.evidence]
    for quote, found in zip(question.evidence, support, strict=True):
        if not any(found):
            return f"not in the passage: {quote}"
    for number, row in enumerate(rows):
        if not any(found[number] for found in support):
            return f"nothing from {row['passage_id']}"
    known = {value for text in texts for value in _DIGITS.findall(text)}
    invented = [value for value in _DIGITS.findall(question.answer) if value not in known]
    return f"number {invented[0]} is not in the passage" if invented else ""


_ONE_BY_ONE = (length, language, not_self_contained, leaks_law, copies_passage, unsupported)


def rejection(question: SyntheticQuestion, rows: Sequence[Row], config: SyntheticConfig) -> tuple[str, str]:
    """(filter, what it found) of the first filter that a question fails by itself; ("", "") when it may stay."""
    for check in _ONE_BY_ONE:
        if check.__name__ not in config.skip and (found := check(question, rows, config)):
            return check.__name__, found
    return "", ""


def ambiguous(questions: Sequence[SyntheticQuestion], parents: Mapping[str, str]) -> set[int]:
    """Positions of questions that two articles share word for word: they ask about neither."""
    owners: dict[str, set[str]] = defaultdict(set)
    keys = [re.sub(r"\W", "", question.text) for question in questions]
    for key, question in zip(keys, questions, strict=True):
        owners[key].add(parents[question.passage_id])
    return {n for n, key in enumerate(keys) if len(owners[key]) > 1}


def repeats(questions: Sequence[SyntheticQuestion], threshold: float) -> dict[int, int]:
    """Position of each question that nearly repeats an earlier one → position of that one."""
    pairs = near_duplicates([question.text for question in questions], threshold).select("left", "right")
    return {right: left for left, right in pairs.sort("right", "left").reverse().iter_rows()}


def ranks(
    questions: Sequence[SyntheticQuestion], equivalence: Mapping[str, str], search: Search, depth: int
) -> list[int]:
    """For each question the rank of its source passage, of the worse one where it has two; 0 when beyond `depth`."""
    found = search([question.text for question in questions], depth)
    return [
        _worst(question, [equivalence.get(p, p) for p in ranked], equivalence)
        for question, ranked in zip(questions, found, strict=True)
    ]


def _worst(question: SyntheticQuestion, ranked: list[str], equivalence: Mapping[str, str]) -> int:
    wanted = {equivalence[passage_id] for passage_id in question.passage_ids}
    if not wanted <= set(ranked):
        return 0
    return max(ranked.index(one) + 1 for one in wanted)
