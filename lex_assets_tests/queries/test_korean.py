"""Particles and endings."""

from __future__ import annotations

import pytest

from lex_assets.queries.korean import as_question, with_particle


@pytest.mark.parametrize(
    ("word", "particle", "expected"),
    [
        ("은행", "은", "은행은"), ("회사", "은", "회사는"), ("증권", "이란", "증권이란"), ("채무자", "이", "채무자가"),
        ("예금", "을", "예금을"), ("서울", "으로", "서울로"), ("법원", "으로", "법원으로"), ("제3자", "과", "제3자와"),
        ("CEO(대표이사)", "이", "CEO(대표이사)가"), ("만 18", "은", "만 18은"), ("", "은", "는"),
    ],
)  # fmt: skip
def test_particles(word: str, particle: str, expected: str) -> None:
    assert with_particle(word, particle) == expected


@pytest.mark.parametrize(
    ("statement", "question"),
    [
        ("임대인은 갱신을 거절할 수 없다", "임대인은 갱신을 거절할 수 있나요?"),
        ("조합의 임원에 해당한다", "조합의 임원에 해당하나요?"),
        ("그 사실을 통지하여야 한다", "그 사실을 통지해야 하나요?"),
        ("소멸시효가 진행하지 아니한다", "소멸시효가 진행하나요?"),
        ("손해배상책임이 있다", "손해배상책임이 있나요?"),
        ("알 수 없는 끝맺음", None),
    ],
)
def test_questions(statement: str, question: str | None) -> None:
    assert as_question(statement) == question
