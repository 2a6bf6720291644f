"""Near-duplicate search is exact: the same pairs as comparing all with all."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lex_assets.passages import overlap
from lex_assets.passages.overlap import contained, near_duplicates, shingles

WORDS = [
    "임차인",
    "보증금",
    "반환",
    "여부",
    "해지",
    "통지",
    "경우",
    "손해배상",
    "청구권",
    "소멸시효",
    "기산점",
    "판단",
    "기준",
]


def grams(text: str) -> set[int]:
    return set(shingles(text).tolist())


def jaccard(left: str, right: str) -> float:
    a, b = grams(left), grams(right)
    return len(a & b) / len(a | b)


def all_similar(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    pairs = ((i, j) for i in range(len(texts)) for j in range(i + 1, len(texts)))
    return {(i, j) for i, j in pairs if jaccard(texts[i], texts[j]) >= threshold - 1e-9}


def all_contained(texts: list[str], within: list[str], threshold: float) -> set[tuple[int, int]]:
    share = {
        (i, j): len(grams(a) & grams(b)) / len(grams(a)) for i, a in enumerate(texts) for j, b in enumerate(within)
    }
    return {pair for pair, value in share.items() if value >= threshold - 1e-9}


@pytest.fixture
def texts() -> list[str]:
    random.seed(5)
    made = [" ".join(random.choices(WORDS, k=random.randint(1, 9))) for _ in range(150)]
    made += [text + " 적극" for text in made[:20]] + ["", "가", "가나", made[0], made[0].replace(" ", "")]
    return made


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.9, 1.0])
def test_equals_comparing_all_with_all(texts: list[str], threshold: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "_MEETINGS_AT_ONCE", 50)
    monkeypatch.setattr(overlap, "_TEXTS_AT_ONCE", 16)
    assert set(near_duplicates(texts, threshold).select("left", "right").iter_rows()) == all_similar(texts, threshold)
    found = contained(texts[:60], texts[40:], threshold)
    assert set(found.select("text", "within").iter_rows()) == all_contained(texts[:60], texts[40:], threshold)


@given(st.lists(st.text(alphabet="가나다라. ", max_size=30), max_size=12), st.sampled_from([0.3, 0.6, 0.75, 0.8, 0.9]))
def test_equals_comparing_all_with_all_on_any_text(made: list[str], threshold: float) -> None:
    pairs = near_duplicates(made, threshold)
    assert pairs.select("left", "right").rows() == sorted(all_similar(made, threshold))
    assert all(abs(jaccard(made[i], made[j]) - value) < 1e-9 for i, j, value in pairs.iter_rows())
    assert contained(made, made, threshold).select("text", "within").rows() == sorted(
        all_contained(made, made, threshold)
    )


def test_containment_is_one_way() -> None:
    short, long = "임차보증금의 반환", "임차보증금의 반환과 동시이행의 관계에 있는 목적물의 인도"
    assert contained([short], [long]).rows() == [(0, 0, 1.0)]
    assert contained([long], [short]).is_empty() and near_duplicates([long, short]).is_empty()


def test_few_texts() -> None:
    assert near_duplicates([]).height == near_duplicates(["하나"]).height == 0
    assert contained([], ["하나"]).height == contained(["하나"], []).height == 0
