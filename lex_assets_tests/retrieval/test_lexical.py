from __future__ import annotations

import math
from collections import Counter

import pytest

from lex_assets.retrieval.analyzers import bigrams
from lex_assets.retrieval.lexical import K1, B, LexicalIndex
from lex_assets.schemas import LexError

TEXTS = {
    "p3": "손해배상의 범위와 과실상계",
    "p1": "이혼한 자의 일방은 재산분할을 청구할 수 있다",
    "p2": "재산분할청구권은 이혼한 날부터 2년이 지나면 소멸한다",
    "p4": "손해배상의 범위와 과실상계",
}


@pytest.fixture
def index():
    return LexicalIndex.build(list(TEXTS), list(TEXTS.values()))


def bm25(query: str) -> dict[str, float]:
    """Lucene's formula, written out."""
    documents = {name: Counter(bigrams(text)) for name, text in TEXTS.items()}
    mean = sum(c.total() for c in documents.values()) / len(documents)
    scores = dict.fromkeys(documents, 0.0)
    for term in bigrams(query):
        frequency = sum(term in counts for counts in documents.values())
        idf = math.log(1 + (len(documents) - frequency + 0.5) / (frequency + 0.5))
        for name, counts in documents.items():
            scores[name] += idf * counts[term] / (counts[term] + K1 * (1 - B + B * counts.total() / mean))
    return {name: score for name, score in scores.items() if score}


def test_bigrams_split_at_the_middle_dot_and_keep_numbers_and_single_characters_whole():
    assert bigrams("사용ㆍ수익 제53조의2 ① CD금리 A") == [
        "사용",
        "수익",
        "제",
        "53",
        "조의",
        "2",
        "①",
        "cd",
        "금리",
        "a",
    ]


def test_scores_are_lucene_bm25(index):
    for query in ("이혼 재산분할", "손해배상 범위 손해배상"):
        assert dict(index.search([query], 10)[0]) == pytest.approx(bm25(query), rel=1e-5)


def test_equal_passages_come_in_order_of_id_and_strangers_not_at_all(index):
    [hits] = index.search(["과실상계"], 10)
    assert [passage_id for passage_id, _ in hits] == ["p3", "p4"]
    assert [passage_id for passage_id, _ in index.search(["과실상계"], 1)[0]] == ["p3"]


def test_excluded_passages_leave_their_place_to_the_next(index):
    [hits] = index.search(["과실상계"], 1, exclude=[{"p3", "unknown"}])
    assert [passage_id for passage_id, _ in hits] == ["p4"]


@pytest.mark.parametrize("query", ["", "!?", "xyz"])
def test_a_query_without_a_known_term_finds_nothing(index, query):
    assert index.search([query], 5) == [[]]


def test_saved_index_answers_alike(index, tmp_path):
    index.save(tmp_path / "index")
    index.save(tmp_path / "index")
    assert LexicalIndex.load(tmp_path / "index").search(["이혼 재산"], 5) == index.search(["이혼 재산"], 5)
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_what_cannot_be_indexed_is_said(tmp_path):
    with pytest.raises(LexError, match="2 ids, 1 of them unique"):
        LexicalIndex.build(["a", "a"], ["가나", "다라"])
    with pytest.raises(LexError, match="no passage holds an indexable term"):
        LexicalIndex.build(["a"], ["..."])
    with pytest.raises(LexError, match="no lexical index at"):
        LexicalIndex.load(tmp_path)
