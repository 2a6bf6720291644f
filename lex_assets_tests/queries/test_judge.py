"""The judge's verdicts and how far they can be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lex_assets.queries.agreement import cohen_kappa, distance
from lex_assets.queries.judge import LlmJudge
from lex_assets.queries.questions import SyntheticQuestion
from lex_assets.queries.synthetic import Pair
from lex_assets_tests.llm.asking import client
from lex_assets_tests.llm.server import Answer, LlmServer
from lex_assets_tests.queries.writer import passage, user


def verdict(**values: Any) -> Answer:
    good = {"answerable": True, "self_contained": True, "natural": True, "reason": ""}
    return Answer(json.dumps(good | values, ensure_ascii=False))


def pairs(number: int) -> list[Pair]:
    rows = [passage(n) for n in range(number)]
    return [
        (SyntheticQuestion(row["passage_id"], f"질문 {n:03d}번은 무엇인가요?", "fact", "g", "l"), [row])
        for n, row in enumerate(rows)
    ]


def strict(body: dict[str, Any]) -> Answer:
    """The first wording drops questions 0 to 9, the second 5 to 14; question 20 never gets a verdict."""
    number = int(user(body).split("질문 ")[1].split("번")[0])
    again = "까다로운 독자" in body["messages"][0]["content"]
    if number == 20:
        return Answer("모르겠습니다")
    dropped = 5 <= number < 15 if again else number < 10
    return verdict(natural=False, reason="어색하다") if dropped else verdict()


def test_complaints_and_agreement(tmp_path: Path) -> None:
    with LlmServer(strict) as server:
        found = LlmJudge(client(server, tmp_path), sample=40)(pairs(40))
    assert [n for n, complaint in enumerate(found.complaints) if complaint] == [*range(10), 20]
    assert found.complaints[0] == "not natural: 어색하다" and found.complaints[20].startswith("no verdict")
    assert found.sample == 39
    first, second = [n < 10 for n in range(39)], [5 <= n < 15 for n in range(39)]
    assert found.agreement == pytest.approx(cohen_kappa(first, second))


def test_only_the_sample_is_judged_twice(tmp_path: Path) -> None:
    with LlmServer(lambda body: verdict()) as server:
        found = LlmJudge(client(server, tmp_path), sample=5)(pairs(30))
        assert len(server.seen) == 35
    assert found.agreement == 1.0 and found.sample == 5
    with LlmServer(lambda body: verdict()) as server:
        assert LlmJudge(client(server, tmp_path / "b"), sample=0)(pairs(3)).agreement is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_kappa_agrees_with_scikit_learn(both: list[tuple[bool, bool]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    first, second = [a for a, _ in both], [b for _, b in both]
    if len({*first, *second}) == 2:  # scikit-learn has no value where both raters know one answer only
        assert cohen_kappa(first, second) == pytest.approx(cohen_kappa_score(first, second))
    else:
        assert cohen_kappa(first, second) == 1.0


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), min_size=2, max_size=60))
def test_weighted_kappa_of_grades_agrees_with_scikit_learn(both: list[tuple[int, int]]) -> None:
    from sklearn.metrics import cohen_kappa_score

    first, second = [a for a, _ in both], [b for _, b in both]
    if len({*first, *second}) > 1:
        expected = cohen_kappa_score(first, second, labels=[0, 1, 2], weights="linear")
        assert cohen_kappa(first, second, distance) == pytest.approx(expected)
