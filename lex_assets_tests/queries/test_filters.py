"""Each filter catches what it is for, lets the rest through, can be switched off, and leaves an account."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import polars as pl
import pytest

from lex_assets.queries.filters import FILTERS, SyntheticConfig, rejection
from lex_assets.queries.questions import SyntheticQuestion
from lex_assets.queries.synthetic import Judgement, Pair, synthetic_queries
from lex_assets.schemas import PASSAGES, REJECTED
from lex_assets_tests.queries.writer import passage

FIRST = passage(
    1, "① 은행은 예금자가 청구한 날부터 3영업일 이내에 예금을 반환하여야 한다.", context="은행업법 시행령 > 제5조(반환)"
)
SECOND = passage(2, "② 예금자보호를 신청하려는 자는 신청서를 공사에 제출하여야 한다.", context="민법 > 제9조(보호)")
GOOD = SyntheticQuestion(
    FIRST["passage_id"], "맡긴 돈을 돌려 달라고 하면 며칠이나 기다려야 하나요?", "fact", "llm-1", "x",
    answer="3영업일 안에 돌려준다.", evidence=("청구한 날부터 3영업일 이내에",),
)  # fmt: skip


def why(question: SyntheticQuestion, *rows: dict[str, str], **config: object) -> str:
    return rejection(question, rows or (FIRST,), SyntheticConfig(**config))[0]


def asked(text: str, kind: str = "fact") -> SyntheticQuestion:
    return dataclasses.replace(GOOD, text=text, kind=kind)


def test_a_good_question_passes() -> None:
    assert why(GOOD) == ""


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("예금?", "length"),
        ("가" * 121, "length"),
        ("How long does it take to get my deposit 예금 back?", "language"),
        ("本 預金 返還 期間 何日 間 얼마 인가", "language"),
        ("이 조항에 따르면 예금은 언제 돌려받나요?", "not_self_contained"),
        ("위 문서에서 정한 반환 기한은 며칠인가요?", "not_self_contained"),
        ("해당 규정은 예금의 반환을 어떻게 정하나요?", "not_self_contained"),
        ("본문에 따르면 예금은 언제 돌려받나요?", "not_self_contained"),
        ("두 문서의 반환 기한은 어떻게 다른가요?", "not_self_contained"),
        ("제5조에서 정한 반환 기한은 며칠인가요?", "leaks_law"),
        ("별표 3의 반환 기한은 며칠인가요?", "leaks_law"),
        ("대법원 2014다12345 사건처럼 예금을 돌려받을 수 있나요?", "leaks_law"),
        ("은행업법에서 예금은 며칠 안에 돌려받나요?", "leaks_law"),
        ("은행업법 시행령상 예금의 반환 기한은 며칠인가요?", "leaks_law"),
        ("예금자가 청구한 날부터 3영업일 이내에 예금을 반환하여야 하나요?", "copies_passage"),
    ],
)
def test_what_is_caught(text: str, reason: str) -> None:
    assert why(asked(text)) == reason
    assert why(asked(text), skip=(reason,)) != reason


@pytest.mark.parametrize(
    "text",
    [
        "위조된 수표로 예금을 찾아가면 누가 책임지나요?",
        "본인이 직접 가지 않아도 예금을 돌려받을 수 있나요?",
        "이 경우가 아니라도 예금을 찾을 수 있는 때가 있나요?",
        "해당되는 서류를 내지 못하면 예금을 못 찾나요?",
        "두 은행에 나누어 맡긴 돈도 보호받나요?",
        "한국은행업법무팀이라는 곳에서 연락이 왔는데 예금을 줘도 되나요?",
        "앞으로 예금을 찾으려면 어떻게 해야 하나요?",
    ],
)
def test_what_only_looks_like_it_passes(text: str) -> None:
    assert why(asked(text)) == ""


def test_short_law_names_are_words_only_where_they_stand_alone() -> None:
    assert why(dataclasses.replace(GOOD, text="민법에서 신청서는 어디에 내나요?", evidence=()), SECOND) == "leaks_law"
    assert why(dataclasses.replace(GOOD, text="주민법률상담소에 내는 신청서는 무엇인가요?", evidence=()), SECOND) == ""


def test_what_is_allowed_by_config() -> None:
    assert why(asked("은행업법에서 예금은 며칠 안에 돌려받나요?"), allow_law_names=True) == ""
    assert why(asked("제5조의 예금은 며칠 안에 돌려받나요?"), allow_article_numbers=True) == ""
    assert why(asked("예금 반환", "keyword")) == ""
    assert why(asked("예금을 반환하여야", "keyword")) == ""


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"evidence": ("예금자가 청구한 다음 달에 돌려준다",)}, "not in the passage"),
        ({"evidence": ("청구한 날부터 3영업일 이내에", "이자는 연 5%로 한다")}, "not in the passage"),
        ({"answer": "14영업일 안에 돌려준다."}, "number 14"),
    ],
)
def test_an_answer_must_be_in_the_passage(change: dict[str, object], found: str) -> None:
    name, detail = rejection(dataclasses.replace(GOOD, **change), [FIRST], SyntheticConfig())
    assert name == "unsupported" and found in detail


def test_a_quotation_may_differ_in_spaces_and_at_its_edge() -> None:
    assert why(dataclasses.replace(GOOD, evidence=("청구한  날부터 3 영업일 이내에 예금을 반환.",))) == ""


def test_a_comparison_needs_a_quotation_from_each_passage() -> None:
    both = dataclasses.replace(GOOD, kind="comparison", also=(SECOND["passage_id"],))
    name, detail = rejection(both, [FIRST, SECOND], SyntheticConfig())
    assert (name, detail) == ("unsupported", f"nothing from {SECOND['passage_id']}")
    assert why(dataclasses.replace(both, evidence=(*GOOD.evidence, "신청서를 공사에 제출")), FIRST, SECOND) == ""


def test_unknown_filters_are_refused() -> None:
    with pytest.raises(ValueError, match="filter 'magic' is not known"):
        SyntheticConfig(skip=("magic",))


class Fixed:
    name, licence = "fixed", "MIT"

    def __init__(self, *questions: SyntheticQuestion) -> None:
        self.questions = questions

    def generate(self, passages: object) -> Sequence[SyntheticQuestion]:
        return self.questions


TABLE = PASSAGES.frame([FIRST, SECOND, passage(3)])
QUESTIONS = (
    GOOD,
    asked("이 조항에 따르면 예금은 언제 돌려받나요?"),
    asked("맡긴 돈을 돌려 달라고 하면 며칠이나 기다려야 하나요??"),
    asked("급하게 맡긴 돈이 필요한데 은행이 미룰 수 있는 한도가 있나요?"),
)


def test_every_drop_is_in_the_account_with_what_was_found() -> None:
    _, _, report = synthetic_queries(
        TABLE, Fixed(*QUESTIONS), search=lambda texts, k: [[GOOD.passage_id], ["x"] * k][: len(texts)]
    )
    rows = {row["filter"]: row for row in REJECTED.validate(report.rejected).iter_rows(named=True)}
    assert report.counts == {"near_duplicate": 1, "no_question": 2, "not_self_contained": 1, "round_trip": 1, "kept": 1}
    assert rows["not_self_contained"]["detail"] == "이 조항에"
    assert rows["near_duplicate"]["detail"] == GOOD.text
    assert rows["round_trip"]["detail"] == "not within 100"
    assert set(rows) - {"no_question"} <= set(FILTERS)
    assert report.passages == 3
    assert report.steps == [("not_self_contained", 1, 3), ("near_duplicate", 1, 2), ("round_trip", 1, 1)]
    assert (report.made, report.kept) == (4, 1)


def test_a_judge_has_the_last_word() -> None:
    def judge(pairs: Sequence[Pair]) -> Judgement:
        assert [[row["passage_id"] for row in rows] for _, rows in pairs] == [[GOOD.passage_id]] * len(pairs)
        return Judgement(["", "not natural: 어색하다"], 0.5, 2)

    queries, _, report = synthetic_queries(TABLE, Fixed(GOOD, QUESTIONS[3]), judge=judge)
    assert queries["text"].to_list() == [GOOD.text] and report.counts["judge"] == 1
    assert report.judged and report.judged.agreement == 0.5
    skipped = synthetic_queries(TABLE, Fixed(GOOD, QUESTIONS[3]), SyntheticConfig(skip=("judge",)), judge=judge)
    assert skipped.queries.height == 2


def test_the_round_trip_looks_at_the_worse_of_two_passages() -> None:
    both = dataclasses.replace(GOOD, kind="comparison", also=(SECOND["passage_id"],), evidence=())
    for place, expected in ((5, '"round_trip": "easy"'), (50, '"round_trip": "hard"')):
        ranked = [GOOD.passage_id, *["x"] * (place - 2), SECOND["passage_id"]]
        queries, qrels, _ = synthetic_queries(TABLE, Fixed(both), search=lambda texts, k, r=ranked: [r])
        assert expected in queries["meta"][0] and qrels.height == 2
    assert synthetic_queries(TABLE, Fixed(both), search=lambda texts, k: [[GOOD.passage_id]]).queries.is_empty()


def test_only_the_wanted_sets_are_asked_about() -> None:
    table = PASSAGES.frame([passage(n) for n in range(60)])
    _, _, all_of_them = synthetic_queries(table, Fixed())
    _, _, train = synthetic_queries(table, Fixed(), SyntheticConfig(sets=("train",)))
    assert 0 < train.passages < all_of_them.passages == 60


def test_new_documents_do_not_change_what_was_asked_before() -> None:
    old, new = ([passage(n) for n in range(start, start + 50)] for start in (0, 50))
    config = SyntheticConfig(max_passages=10)

    def asked_ids(rows: list[dict[str, str]]) -> set[str]:
        report = synthetic_queries(PASSAGES.frame(rows), Fixed(), config).report
        return set(report.rejected["passage_id"])

    before, after = asked_ids(old), asked_ids(old + new)
    olds = {row["passage_id"] for row in old}
    assert len(before) == len(after) == 10 and after & olds <= before


def test_tables_are_empty_and_typed_when_nothing_is_kept() -> None:
    queries, qrels, report = synthetic_queries(TABLE, Fixed())
    assert queries.is_empty() and qrels.is_empty() and isinstance(report.rejected, pl.DataFrame)
