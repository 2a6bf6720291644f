from __future__ import annotations

import math
import tracemalloc
from collections import Counter

import bm25s
import numpy as np
import pytest

from lex_assets.retrieval import lexical, postings, tokens
from lex_assets.retrieval.bm25 import K1, B, bm25_over
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.retrieval.terms import Tokens
from lex_assets.retrieval.tokens import terms_of, tokens_of
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
    documents = {
        name: Counter(terms) for name, terms in zip(TEXTS, terms_of(list(TEXTS.values()), "bigram"), strict=True)
    }
    mean = sum(c.total() for c in documents.values()) / len(documents)
    scores = dict.fromkeys(documents, 0.0)
    for term in terms_of([query], "bigram")[0]:
        frequency = sum(term in counts for counts in documents.values())
        idf = math.log(1 + (len(documents) - frequency + 0.5) / (frequency + 0.5))
        for name, counts in documents.items():
            scores[name] += idf * counts[term] / (counts[term] + K1 * (1 - B + B * counts.total() / mean))
    return {name: score for name, score in scores.items() if score}


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


TERMS = [f"{a}{b}" for a in "가나다라" for b in "마바사아자"]


def drawn(seed: int, count: int) -> list[str]:
    """Texts of Zipf-like terms, some of them equal and some empty."""
    draw = np.random.default_rng(seed)
    return [" ".join(TERMS[min(n, 19)] for n in draw.zipf(1.5, draw.integers(0, 30)) - 1) for _ in range(count)]


@pytest.mark.parametrize("k", [1, 7, 60, 500])
def test_the_best_are_those_of_bm25s_with_ties_by_id(k):
    texts, queries = drawn(1, 400), [query for query in drawn(2, 40) if query]
    ids = [f"p{n:03}" for n in range(len(texts))]
    reference = bm25s.BM25(k1=K1, b=B)
    reference.index(terms_of(texts, "bigram"), show_progress=False)
    for terms, hits in zip(terms_of(queries, "bigram"), LexicalIndex.build(ids, texts).search(queries, k), strict=True):
        scores = reference.get_scores(terms)
        assert [score for _, score in hits] == pytest.approx(sorted(scores[scores > 0], reverse=True)[:k], rel=1e-5)
        assert hits == sorted(hits, key=lambda hit: (-hit[1], hit[0]))
        assert [scores[int(passage_id[1:])] for passage_id, _ in hits] == pytest.approx([s for _, s in hits], rel=1e-5)


@pytest.mark.parametrize("k", [1, 50, 500])
def test_compiled_search_gives_the_same_to_the_last_bit(k, monkeypatch):
    pytest.importorskip("numba", reason="extra fast is not installed")
    index, queries = LexicalIndex.build([f"p{n}" for n in range(400)], drawn(1, 400)), ["", *drawn(2, 39)]
    exclude = [{f"p{row}" for row in range(n, 400, 7 + n)} for n in range(40)]
    monkeypatch.setattr(lexical, "AT_ONCE", 17)
    by_numpy = index.search(queries, k, exclude)
    monkeypatch.setattr(lexical, "find_by_numpy", None)
    monkeypatch.setattr(postings, "find_by_numpy", None)  # nothing may be found by it
    monkeypatch.setattr(postings, "COMPILED_FROM", -1)
    assert index.search(queries, k, exclude) == by_numpy
    assert not any(set(dict(hits)) & names for hits, names in zip(by_numpy, exclude, strict=True))


def test_common_terms_take_no_more_memory_than_they_are_given_and_count_the_same(monkeypatch):
    ids, texts, queries = [f"p{n}" for n in range(400)], drawn(1, 400), drawn(2, 40)
    index = LexicalIndex.build(ids, texts)
    assert len(index._postings.weights.rows) > 2
    monkeypatch.setattr(postings, "ROWS_MIB", 2 * 400 * 4 / 2**20)
    bounded = LexicalIndex.build(ids, texts)
    assert bounded._postings.weights.rows.nbytes == 2 * 400 * 4
    assert bounded.search(queries, 20) == index.search(queries, 20)


def test_an_index_that_is_kept_is_opened_again_and_a_changed_corpus_makes_another(tmp_path, monkeypatch):
    ids, texts = list(TEXTS), list(TEXTS.values())
    fresh = LexicalIndex.build(ids, texts).search(["이혼 재산분할"], 5)
    assert LexicalIndex.build(ids, texts, cache_dir=tmp_path).search(["이혼 재산분할"], 5) == fresh
    monkeypatch.setattr(lexical, "bm25_over", None)  # nothing may be indexed again
    assert LexicalIndex.build(ids, texts, cache_dir=tmp_path).search(["이혼 재산분할"], 5) == fresh
    monkeypatch.undo()
    changed = LexicalIndex.build(ids, ["이혼", *texts[1:]], cache_dir=tmp_path)
    assert [hit[0] for hit in changed.search(["이혼"], 5)[0]] == ["p3", "p1", "p2"]


def test_saved_index_answers_alike(index, tmp_path):
    index.save(tmp_path / "index")
    index.save(tmp_path / "index")
    assert LexicalIndex.load(tmp_path / "index").search(["이혼 재산"], 5) == index.search(["이혼 재산"], 5)
    assert [path.name for path in tmp_path.iterdir()] == ["index"]


def test_a_damaged_index_is_named(index, tmp_path):
    folder = index.save(tmp_path / "index")
    (folder / "data.csc.index.npy").write_bytes(b"broken")
    with pytest.raises(LexError, match=f"{folder} cannot be read .* delete it"):
        LexicalIndex.load(folder)


@pytest.mark.parametrize("name", ["ids.npy", "data.csc.index.npy"])
def test_an_index_with_an_empty_file_is_named(index, tmp_path, name):
    folder = index.save(tmp_path / "index")
    (folder / name).write_bytes(b"")
    with pytest.raises(LexError, match=f"{folder} cannot be read .* delete it"):
        LexicalIndex.load(folder)


def test_what_cannot_be_indexed_is_said(tmp_path):
    with pytest.raises(LexError, match="id a occurs twice among 2"):
        LexicalIndex.build(["a", "a"], ["가나", "다라"])
    with pytest.raises(LexError, match="2 ids for 1 texts"):
        LexicalIndex.build(["a", "b"], ["가나"])
    with pytest.raises(LexError, match="no passage holds an indexable term"):
        LexicalIndex.build(["a"], ["..."])
    with pytest.raises(LexError, match="no passage holds an indexable term"):
        LexicalIndex.build([], [])
    with pytest.raises(LexError, match="no lexical index at"):
        LexicalIndex.load(tmp_path)


def files_of(cache_dir) -> dict[str, bytes]:
    [folder] = (path for path in (cache_dir / "indices").iterdir() if path.is_dir())
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_same_corpus_gives_the_same_bytes_whatever_was_kept_before_and_however_it_is_parted(tmp_path, monkeypatch):
    ids, texts = [f"p{n:03d}" for n in range(300)], drawn(1, 300)
    one, two = tmp_path / "one", tmp_path / "two"
    LexicalIndex.build(ids, texts, cache_dir=one)
    monkeypatch.setattr(tokens, "PART_TEXTS", 17)
    tokens_of([*drawn(2, 40), *reversed(texts[:90])], "bigram", two)
    kept = LexicalIndex.build(list(reversed(ids)), list(reversed(texts)), cache_dir=two)
    assert files_of(one) == files_of(two)
    queries = drawn(3, 20)
    assert kept.search(queries, 10) == LexicalIndex.build(ids, texts).search(queries, 10)


def made_parts(count: int):
    """Parts of 200 texts of 200 terms, made one after the other."""
    vocabulary, generator = [f"t{n}" for n in range(3000)], np.random.default_rng(0)
    for _ in range(count):
        yield Tokens(vocabulary, generator.integers(0, 3000, 40_000, np.int32), np.arange(201) * 200)


def test_an_index_in_files_takes_the_memory_of_a_part(tmp_path):
    peaks = []
    for count in (1, 5, 50):  # the first one imports
        tracemalloc.start()
        bm25_over(made_parts(count), tmp_path)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 2 * peaks[1] < 40_000 * 50 * 8, peaks
