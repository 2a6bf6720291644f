"""Near-duplicate search is exact: the same pairs as comparing all with all."""

from __future__ import annotations

import random

from lex_assets.queries.overlap import near_duplicates, overlap, shingles


def brute_force(texts: list[str], threshold: float) -> set[tuple[int, int]]:
    found = set()
    for i, left in enumerate(texts):
        for j in range(i + 1, len(texts)):
            a, b = set(shingles(left).tolist()), set(shingles(texts[j]).tolist())
            if len(a & b) >= threshold * min(len(a), len(b)) - 1e-9:
                found.add((i, j))
    return found


def test_equals_brute_force() -> None:
    random.seed(5)
    words = [
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
    texts = [" ".join(random.choices(words, k=random.randint(1, 9))) for _ in range(150)]
    texts += [text + " 적극" for text in texts[:20]] + ["", "가", "가나", texts[0], texts[0].replace(" ", "")]
    for threshold in (0.5, 0.8, 1.0):
        pairs = near_duplicates(texts, threshold)
        assert set(pairs.select("left", "right").iter_rows()) == brute_force(texts, threshold)


def test_shares_are_of_each_text() -> None:
    short, long = "임차보증금의 반환", "임차보증금의 반환과 동시이행의 관계에 있는 목적물의 인도"
    ((left, right, of_left, of_right, jaccard),) = near_duplicates([long, short]).rows()
    assert (left, right, of_right) == (0, 1, 1.0)
    assert of_left == jaccard < 0.5
    assert overlap(short, long) == 1.0


def test_few_texts() -> None:
    assert near_duplicates([]).height == near_duplicates(["하나"]).height == 0
