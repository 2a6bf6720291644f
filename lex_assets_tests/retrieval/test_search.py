from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lex_assets.retrieval.fusion import fuse, learn_weight
from lex_assets.retrieval.search import Searcher, rerank_run
from lex_assets.retrieval.types import hits_to_run, run_to_hits
from lex_assets.schemas import LexError

CORPUS = pl.DataFrame(
    {
        "passage_id": ["a", "b", "c"],
        "context": ["민법 > 재산분할", "민법 > 손해배상", ""],
        "text": ["이혼한 자의 청구", "과실상계", "이혼 신고"],
    }
)
QUERIES = pl.DataFrame({"query_id": ["q1", "q2"], "text": ["이혼 재산분할", "과실상계"]})


class WordEncoder:
    """One dimension per word of interest."""

    WORDS = ("이혼", "재산", "과실")

    def cache_key(self, kind):
        return kind

    def encode_passages(self, texts):
        rows = np.array([[word in text for word in self.WORDS] for text in texts], np.float32)
        return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1)

    encode_queries = encode_passages

    def passage_windows(self, texts):
        return [[text] for text in texts]


class LengthReranker:
    def score(self, pairs, batch_size=64):
        return np.array([-len(passage) for _, passage in pairs], np.float32)


@pytest.fixture
def searcher(tmp_path):
    return Searcher(CORPUS, WordEncoder(), cache_dir=tmp_path)


@pytest.mark.parametrize("mode", ["lexical", "dense", "hybrid"])
def test_every_mode_finds_the_passage_and_leaves_out_the_excluded(searcher, mode):
    run = searcher.search(QUERIES, mode, k=2)
    top = dict(run.filter(pl.col("rank") == 1).select("query_id", "passage_id").iter_rows())
    assert top == {"q1": "a", "q2": "b"}
    assert run["system"].unique().to_list() == [mode]
    left = searcher.search(QUERIES, mode, k=2, exclude={"q1": {"a"}})
    assert "a" not in left.filter(pl.col("query_id") == "q1")["passage_id"].to_list()


def test_what_is_missing_is_said(searcher):
    with pytest.raises(LexError, match="dense search needs a retriever"):
        Searcher(CORPUS).search(QUERIES, "dense")
    with pytest.raises(LexError, match="corpus is empty"):
        Searcher(CORPUS.clear())
    with pytest.raises(LexError, match="lexical, dense, hybrid"):
        searcher.search(QUERIES, "magic")


def test_run_and_hits_are_inverse():
    hits = [[("a", 2.0), ("b", 1.0)], []]
    assert run_to_hits(hits_to_run(["q1", "q2"], hits, "s"), ["q1", "q2"]) == hits


def test_rerank_orders_the_head_only(searcher):
    run = hits_to_run(["q1", "q2"], [[("a", 3.0), ("b", 2.0), ("c", 1.0)], []], "first")
    reranked = rerank_run(run, QUERIES, CORPUS, LengthReranker(), depth=2)
    assert reranked.select("query_id", "passage_id", "rank").rows() == [("q1", "b", 1), ("q1", "a", 2)]


LEXICAL = [[("a", 9.0), ("b", 3.0), ("c", 0.0)]]
DENSE = [[("c", 0.9), ("b", 0.8), ("d", 0.4)]]


def test_minmax_fusion_by_hand():
    [hits] = fuse(LEXICAL, DENSE, weight=0.5, method="minmax")
    assert [passage_id for passage_id, _ in hits] == ["b", "a", "c", "d"]
    assert dict(hits) == pytest.approx({"a": 0.5, "b": (3 / 9 + 0.8) / 2, "c": 0.5, "d": 0})


def test_rrf_by_hand():
    [hits] = fuse(LEXICAL, DENSE, weight=0.5, method="rrf")
    by_rank = {"a": 1 / 61, "b": 2 / 62, "c": 1 / 63 + 1 / 61, "d": 1 / 63}
    assert dict(hits) == pytest.approx({name: value / 2 for name, value in by_rank.items()})


@pytest.mark.parametrize("method", ["minmax", "zscore", "rrf"])
def test_at_the_ends_the_ranking_is_the_sides_own(method):
    assert fuse(LEXICAL, DENSE, 0, 2, method) == [LEXICAL[0][:2]]
    assert fuse(LEXICAL, DENSE, 1, 2, method) == [DENSE[0][:2]]


@pytest.mark.parametrize("method", ["minmax", "zscore"])
def test_equal_scores_and_empty_sides_are_no_trouble(method):
    assert fuse([[("b", 1.0), ("a", 1.0)]], [[]], 0.5, method=method)[0][0][0] == "a"


@pytest.mark.parametrize("wanted", ["a", "b", "c", "d"])
def test_learnt_fusion_is_never_below_the_better_half_on_its_own_questions(wanted):
    def reciprocal(hits):
        return np.array([sum(1 / n for n, (found, _) in enumerate(hits[0], 1) if found == wanted)])

    learnt = learn_weight(LEXICAL, DENSE, reciprocal)
    assert learnt.score >= max(learnt.lexical_score, learnt.dense_score)
    assert reciprocal(fuse(LEXICAL, DENSE, learnt.weight, 100, learnt.method)) == [learnt.score]


def sides(kinds):
    """Hits in which mixing finds the answer "g" first where neither side did (won), loses it (lost), or changes nothing."""
    made = {
        "won": ([("l", 2.0), ("g", 1.9), ("x", 0.0)], [("d", 2.0), ("g", 1.9), ("x", 0.0)]),
        "lost": ([("g", 2.0), ("l", 1.9), ("x", 0.0)], [("d", 2.0), ("l", 1.9), ("x", 0.0)]),
        "same": ([("l", 2.0), ("g", 1.0)], [("l", 2.0), ("g", 1.0)]),
    }
    lexical, dense = zip(*[made[kind] for kind in kinds], strict=True)
    return list(lexical), list(dense)


def first_is_answer(hits):
    return np.array([float(found[0][0] == "g") for found in hits])


def test_a_mixture_is_chosen_only_when_it_gains_more_than_its_standard_error():
    clear = learn_weight(*sides(["won"] * 12 + ["same"] * 28), first_is_answer)
    assert 0 < clear.weight < 1 and clear.score == pytest.approx(0.3) and clear.gain > clear.standard_error > 0
    lucky = learn_weight(*sides(["won"] * 2 + ["lost"] + ["same"] * 37), first_is_answer)
    assert lucky.weight == 0 and lucky.score == lucky.lexical_score == pytest.approx(1 / 40)
    assert 0 < lucky.gain < lucky.standard_error


def test_questions_of_one_group_are_one_piece_of_evidence():
    halves = sides(["won"] * 12 + ["lost"] * 2 + ["same"] * 26)
    assert 0 < learn_weight(*halves, first_is_answer).weight < 1
    together = learn_weight(*halves, first_is_answer, groups=["one decision"] * 14 + ["another"] * 26)
    assert together.weight == 0 and together.gain == pytest.approx(0.25)


def test_wrong_weight_and_method_are_refused():
    with pytest.raises(LexError, match="must lie in"):
        fuse(LEXICAL, DENSE, 1.5)
    with pytest.raises(LexError, match="minmax, zscore, rrf"):
        fuse(LEXICAL, DENSE, 0.5, method="sum")
