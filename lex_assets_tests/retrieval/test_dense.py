from __future__ import annotations

import numpy as np
import pytest

from lex_assets.retrieval import dense
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.schemas import LexError


def reference(index: DenseIndex, queries: np.ndarray, k: int) -> list[list[str]]:
    scores = queries.astype(np.float64) @ index.vectors.astype(np.float64).T
    order = np.lexsort((np.broadcast_to(np.arange(len(index.ids)), scores.shape), -scores), axis=1)
    return [[index.ids[n] for n in row[:k]] for row in order]


@pytest.fixture
def vectors():
    # Small integers: exact in float16, so that ties are real and every order of summation agrees.
    return np.random.default_rng(0).integers(-2, 3, (200, 8)).astype(np.float32)


@pytest.mark.parametrize("block", [16_384, 64, 7])
def test_equals_the_double_precision_reference_ties_included(vectors, block, monkeypatch):
    monkeypatch.setattr(dense, "PASSAGE_BLOCK", block)
    monkeypatch.setattr(dense, "QUERY_BLOCK", 3)
    ids = [f"p{n:03d}" for n in np.random.default_rng(1).permutation(200)]
    index, queries = DenseIndex(ids, vectors), vectors[:8]
    assert [[i for i, _ in hits] for hits in index.search(queries, 20)] == reference(index, queries, 20)


@pytest.mark.parametrize("block", [16_384, 7, 1])
def test_a_passage_scores_what_its_best_window_scores(vectors, block, monkeypatch):
    monkeypatch.setattr(dense, "PASSAGE_BLOCK", block)
    generator = np.random.default_rng(2)
    windows = generator.multinomial(140, np.ones(60) / 60) + 1
    ids = [f"p{n:03d}" for n in generator.permutation(60)]
    index, queries = DenseIndex(ids, vectors, windows), vectors[:5]
    owners = np.repeat(np.arange(60), windows)
    best = [{ids[p]: max((q @ vectors[owners == p].T).tolist()) for p in range(60)} for q in queries]
    expected = [sorted(scores.items(), key=lambda hit: (-hit[1], hit[0])) for scores in best]
    assert index.search(queries, 60) == expected
    banned = [{expected[0][0][0]}, set(), set(), set(), set()]
    assert index.search(queries, 60, banned)[0] == expected[0][1:]
    pairs = [ids[n] for n in (5, 59, 0, 5, 17)]
    assert index.scores(queries, pairs).tolist() == [scores[p] for scores, p in zip(best, pairs, strict=True)]
    assert index.scores(queries[:0], []).shape == (0,)


def test_excluded_passages_are_not_answered(vectors):
    index = DenseIndex([f"p{n:03d}" for n in range(200)], vectors)
    everything = index.search(vectors[:2], 200)
    banned = [{everything[0][0][0]}, {i for i, _ in everything[1][5:]} | {"unknown"}]
    left = index.search(vectors[:2], 200, banned)
    assert left == [everything[0][1:], everything[1][:5]]


def test_k_beyond_the_corpus_gives_all(vectors):
    assert len(DenseIndex(["b", "a"], vectors[:2]).search(vectors[:1], 10)[0]) == 2
    assert DenseIndex(["b", "a"], vectors[:2]).search(vectors[:0], 10) == []


def test_wrong_input_is_refused(vectors):
    with pytest.raises(LexError, match="2 ids"):
        DenseIndex(["a", "b"], vectors[:3])
    with pytest.raises(LexError, match="NaN"):
        DenseIndex(["a"], np.full((1, 4), np.nan, np.float32))
