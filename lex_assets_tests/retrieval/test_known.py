"""Known questions: near-copies share one vote, and leaving a group out is what never having known it would be."""

from __future__ import annotations

import numpy as np
import pytest

from lex_assets.retrieval.known import KnownQuestions, popularity
from lex_assets.schemas import LexError

TEXTS = [
    "임차인의 대항력 취득 요건",
    "임차인이 대항력을 취득하기 위한 요건",
    "임차인의 대항력 취득 요건 및 그 시기",
    "사기죄에서 기망행위의 의미",
    "사기죄의 기망 행위와 처분 행위",
    "행정처분 취소소송의 제소기간",
    "행정소송에서 제소기간의 기산점",
]
ANSWERS = [{"임대차3"}, {"임대차3"}, {"임대차3", "임대차4"}, {"형법347"}, {"형법347"}, {"행소20"}, {"행소20", "행소22"}]
GROUPS = ["a", "a", "b", "c", "d", "e", "f"]


def test_a_question_gets_what_answers_those_that_are_worded_like_it() -> None:
    known = KnownQuestions(TEXTS, ANSWERS, GROUPS)
    (lease, fraud), nearest = known.answer(["임차인의 대항력", "기망행위"])
    assert lease[0][0] == "임대차3"
    assert fraud[0][0] == "형법347"
    assert all(0 < likeness < 1 for likeness in nearest)
    (nothing,), far = known.answer(["zzz"])
    assert nothing == []
    assert far.tolist() == [0.0]


def test_near_copies_share_one_vote() -> None:
    copies = ["전세권 설정의 효력"] * 12
    known = KnownQuestions([*copies, "전세권의 존속기간"], [{"다수"}] * 12 + [{"하나"}])
    ((first, second),), _ = known.answer(["전세권의 존속기간과 갱신"])
    assert (first[0], second[0]) == ("하나", "다수")


def test_leaving_a_group_out_is_exact() -> None:
    vectors = np.random.default_rng(0).normal(size=(len(TEXTS), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    known = KnownQuestions(TEXTS, ANSWERS, GROUPS, vectors)
    left_out, nearest = known.answer_known()
    for row, group in enumerate(GROUPS):
        rest = [n for n, other in enumerate(GROUPS) if other != group]
        # The vocabulary and its weights are of all questions: only the answers of the group are forgotten.
        inverse = np.linalg.inv(known.among[np.ix_(rest, rest)] + 0.2 * np.eye(len(rest)))
        expected = known.among[row, rest] @ inverse @ known.votes[rest].toarray()
        found = dict(left_out[row])
        assert [found.get(i, 0.0) for i in known.ids] == pytest.approx(np.maximum(expected, 0), abs=1e-5)
        assert nearest[row] == pytest.approx(known.among[row, rest].max())


def test_the_same_again() -> None:
    ask = ["임차인의 대항력", "제소기간"]
    first, again = (KnownQuestions(TEXTS, ANSWERS, GROUPS).answer(ask) for _ in range(2))
    assert first[0] == again[0]


def test_popularity_leaves_out_the_own_group() -> None:
    (new, known) = popularity([["임대차3", "없음"]] * 2, ["new", "a"], ANSWERS, GROUPS)
    assert new == [("임대차3", pytest.approx(np.log(4))), ("없음", 0.0)]
    assert known == [("임대차3", pytest.approx(np.log(2))), ("없음", 0.0)]


def test_what_cannot_be_learnt_from_is_refused() -> None:
    with pytest.raises(LexError, match="0 known questions; give 1 to 30,000"):
        KnownQuestions([], [])
    with pytest.raises(LexError, match="no known question has two characters"):
        KnownQuestions(["가"], [{"a"}])
    with pytest.raises(LexError, match="give both or neither"):
        KnownQuestions(TEXTS, ANSWERS).answer(["가나"], np.ones((1, 3), np.float32))
