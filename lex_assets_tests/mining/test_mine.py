from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.mine import citation_neighbours, mine_hard_negatives
from lex_assets.mining.pools import DenseSearch
from lex_assets.mining.with_models import mine_with_models
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.schemas import CITATIONS, PASSAGES, TRIPLETS, LexError, content_hash, frame_hash
from lex_assets_tests.mining.conftest import TableReranker, TableSearch, article, paragraph, passage_row


def mine(queries, qrels, corpus, lexical=None, dense=None, reranker=None, **options):
    extra = {name: options.pop(name) for name in ("neighbours", "held_out_families", "judge") if name in options}
    config = MiningConfig(
        **{"question_similarity": 0} | options
    )  # the questions of this world differ in their number only
    return mine_hard_negatives(queries, qrels, corpus, lexical, dense, reranker, config, **extra)


def negatives(mined, query_id: str) -> list[str]:
    row = mined.triplets.row(by_predicate=pl.col("query_id") == query_id, named=True)
    return [negative["passage_id"] for negative in row["negatives"]]


def verdicts(mined, query_id: str) -> dict[str, str]:
    return dict(mined.candidates.filter(query_id=query_id).select("passage_id", "verdict").iter_rows())


def dense_search(queries, corpus, cosine) -> DenseSearch:
    """Dense search with the cosine of every (query_id, passage_id) given: one axis per passage, one for the rest."""
    ids = corpus["passage_id"].to_list()
    vectors = np.array([[cosine(q, p) for p in ids] for q in queries["query_id"]], np.float32)
    index = DenseIndex(ids, np.eye(len(ids), dtype=np.float32))
    return DenseSearch(index, queries["query_id"].to_list(), vectors)


def test_positives_equivalents_and_own_passages_are_never_negatives(queries, qrels, corpus, lexical) -> None:
    twin = passage_row("LAW_2_제1조", "LAW_2_제1조", doc_id="LAW_2", equivalence_id=paragraph(1, 1))
    own = passage_row("PREC_Q1_h1", "PREC_Q1", doc_id="PREC_Q1")
    corpus = pl.concat([corpus, PASSAGES.frame([twin, own])])
    lexical = TableSearch({t: s | {"LAW_2_제1조": 9.0, "PREC_Q1_h1": 8.0} for t, s in lexical.scores.items()})
    mined = mine(queries, qrels, corpus, lexical, hard=7, mid=0)
    assert not {paragraph(1, 1), paragraph(1, 2), "LAW_2_제1조", "PREC_Q1_h1"} & set(verdicts(mined, "Q1"))
    assert {"LAW_2_제1조", "PREC_Q1_h1"} < set(verdicts(mined, "Q2"))
    assert mined.report["drops"]["own_document"] == 1
    assert mined.report["drops"]["equivalent"] == 1


def test_holding_question_may_have_its_own_decision_as_negative(queries, qrels, corpus, lexical) -> None:
    own = PASSAGES.frame([passage_row("PREC_Q1_h2", "PREC_Q1", doc_id="PREC_Q1")])
    lexical = TableSearch({t: s | {"PREC_Q1_h2": 8.0} for t, s in lexical.scores.items()})
    mined = mine(queries.with_columns(origin=pl.lit("holding")), qrels, pl.concat([corpus, own]), lexical)
    assert "PREC_Q1_h2" in verdicts(mined, "Q1")


def test_sibling_paragraphs_of_the_same_law_stay_in(queries, qrels, corpus, lexical) -> None:
    mined = mine(queries, qrels, corpus, lexical, hard=7, mid=0)
    assert paragraph(1, 3) in negatives(mined, "Q1")


def test_held_out_families_never_leak_in(queries, qrels, corpus, lexical) -> None:
    held = pl.col("parent_id").is_in([article(5), article(6), article(7)])
    corpus = corpus.with_columns(family=pl.when(held).then(pl.lit("남겨둔법")).otherwise("family"))
    mined = mine(queries, qrels, corpus, lexical, random=20, held_out_families={"남겨둔법"})
    leaked = mined.candidates.join(corpus.filter(family="남겨둔법"), on="passage_id")
    assert not len(leaked)
    assert mined.report["drops"]["held_out"] == 4 * 15


def test_filter_comes_before_ranking(queries, qrels, corpus, lexical) -> None:
    """The cross-encoder's favourites are unlabelled answers: they are dropped, and the next ones taken."""
    unlabelled = {f"{paragraph(8, p)}의 본문" for p in (1, 2, 3)}
    gold = {f"Q{n}의 질문": {f"{paragraph(n, p)}의 본문" for p in (1, 2)} for n in range(1, 5)}

    def logit(query: str, passage: str) -> float:
        return 5.0 if passage in unlabelled else 4.0 if passage in gold[query] else -len(passage) - int(passage[7])

    mined = mine(queries, qrels, corpus, lexical, reranker=TableReranker(logit), hard=7, mid=0, rerank_chunk=50)
    assert {verdicts(mined, "Q1")[paragraph(8, p)] for p in (1, 2, 3)} == {"false_negative_rerank"}
    assert len(negatives(mined, "Q1")) == 7
    assert mined.report["drops"]["false_negative_rerank"] == 12


@pytest.mark.parametrize(("shift", "scale"), [(0.4, 0.1), (-0.6, 0.1), (0.0, 0.001)])
def test_dense_threshold_does_not_depend_on_sign_or_scale(queries, qrels, corpus, shift, scale) -> None:
    """Margins are in standard deviations of the positives' scores (1 here): 0.1 below the reference is too near."""
    scores = {"above": 0.1, "near": -0.1, "far": -0.3}

    def cosine(query_id: str, passage_id: str) -> float:
        number = int(query_id[1])
        level = 1.0 if number % 2 else -1.0
        kinds = {paragraph(8, 1): "above", paragraph(8, 2): "near"}
        gold = passage_id in (paragraph(number, 1), paragraph(number, 2))
        return shift + scale * (level if gold else level + scores[kinds.get(passage_id, "far")])

    mined = mine(
        queries, qrels, corpus, dense=dense_search(queries, corpus, cosine), neighbour_factor=1, dense_margin=0.2
    )
    found = verdicts(mined, "Q2")
    assert found[paragraph(8, 1)] == found[paragraph(8, 2)] == "false_negative_dense"
    assert found[paragraph(7, 1)] != "false_negative_dense"


def test_neighbours_need_a_wider_margin(queries, qrels, corpus) -> None:
    """0.3 standard deviations below the reference pass for a stranger and not for a sibling or a cited article."""

    def cosine(query_id: str, passage_id: str) -> float:
        level = 0.6 if int(query_id[1]) % 2 else 0.4
        return level if passage_id == paragraph(int(query_id[1]), 1) else level - 0.03

    dense = dense_search(queries, corpus, cosine)
    options = {"neighbours": {article(1): {article(6)}}, "dense_margin": 0.2, "neighbour_factor": 2}
    mined = mine(queries, qrels, corpus, dense=dense, **options)
    found = verdicts(mined, "Q1")
    assert found[paragraph(1, 3)] == found[paragraph(6, 1)] == "false_negative_dense"
    assert found[paragraph(7, 1)] != "false_negative_dense"


def test_equivalent_candidates_count_once(queries, qrels, corpus, lexical) -> None:
    same = pl.col("parent_id") == article(8)
    corpus = corpus.with_columns(equivalence_id=pl.when(same).then(pl.lit("E8")).otherwise("equivalence_id"))
    mined = mine(queries, qrels, corpus, lexical)
    assert sorted(verdicts(mined, "Q1")[paragraph(8, p)] == "duplicate" for p in range(1, 6)) == [False] + [True] * 4


def test_short_pool_stays_short_and_says_so(queries, qrels, corpus, lexical) -> None:
    lexical = TableSearch({t: dict(list(s.items())[:6]) for t, s in lexical.scores.items()})
    mined = mine(queries, qrels, corpus, lexical, pool_sibling=0)
    assert len(negatives(mined, "Q1")) == 4  # six hits, two of them positives
    assert mined.triplets["fill_reason"].to_list() == ["pool_short"] * 4
    assert mined.report["fill"] == {"pool_short": 4}


def test_reranking_stops_when_a_query_has_enough(queries, qrels, corpus, lexical) -> None:
    def logit(query: str, passage: str) -> float:
        return 1.0 if f"제{query[1]}조_1" in passage or f"제{query[1]}조_2" in passage else -9.0

    reranker = TableReranker(logit)
    mined = mine(queries, qrels, corpus, lexical, reranker=reranker, rerank_chunk=12, rerank_depth=36)
    assert reranker.pairs == 4 * (1 + 12)
    assert mined.report["drops"]["not_reranked"] == 4 * (38 - 12)
    assert not mined.candidates.filter(verdict="hard")["score_rerank"].null_count()


def test_same_inputs_and_seed_give_identical_tables(queries, qrels, corpus, lexical) -> None:
    first, second = (mine(queries, qrels, corpus, lexical, random=2) for _ in range(2))
    shuffled = mine(queries.reverse(), qrels.reverse(), corpus.reverse(), lexical, random=2)
    assert frame_hash(first.triplets) == frame_hash(second.triplets) == frame_hash(shuffled.triplets)
    assert frame_hash(mine(queries, qrels, corpus, lexical, seed=1).triplets) != frame_hash(first.triplets)


def test_triplets_follow_the_schema_and_keep_the_evidence(queries, qrels, corpus, lexical) -> None:
    mined = mine(queries, qrels, corpus, lexical)
    assert TRIPLETS.validate(mined.triplets).equals(mined.triplets)
    row = mined.triplets.row(0, named=True)
    assert row["positives"] == [paragraph(1, 1)]  # grade 2; the rest of the article is only kept out of the negatives
    assert [n["verdict"] for n in row["negatives"]] == ["hard"] * 4 + ["mid"] * 3
    assert all(n["rank_lexical"] >= 3 for n in row["negatives"])


def test_only_training_queries_are_mined(queries, qrels, corpus, lexical) -> None:
    held = queries.with_columns(set=pl.when(query_id="Q2").then(pl.lit("test")).otherwise("set"))
    assert mine(held, qrels, corpus, lexical).triplets["query_id"].to_list() == ["Q1", "Q3", "Q4"]


def test_report_is_json_and_counts_add_up(queries, qrels, corpus, lexical) -> None:
    mined = mine(
        queries,
        qrels,
        corpus,
        lexical,
        dense=dense_search(queries, corpus, lambda q, p: 0.5 if article(int(q[1])) in p else 0.1),
    )
    report = json.loads(json.dumps(mined.report))
    assert report["queries"] == 4
    assert report["negatives"] == sum(report["pools"]["negatives"].values())
    assert sum(report["survivors"]["histogram"].values()) == 4
    assert len(report["examples"]) == 4
    assert report["examples"][0]["positives"][0]["citation"] == paragraph(1, 1)


def test_hidden_gold_estimates_false_negatives(queries, qrels, corpus, lexical) -> None:
    """Q1 has two articles. The second, hidden, beats the first and would be dropped; the first would not."""
    extra = qrels.clear().vstack(qrels.head(1).with_columns(passage_id=pl.lit(paragraph(5, 1))))
    qrels = pl.concat([qrels, extra])

    def cosine(query_id: str, passage_id: str) -> float:
        return {paragraph(5, 1): 0.9, paragraph(1, 1): 0.5, paragraph(1, 2): 0.5}.get(passage_id, 0.1)

    report = mine(queries, qrels, corpus, dense=dense_search(queries, corpus, cosine), neighbour_factor=1).report
    assert report["hidden_gold"]["hidden"] == 2
    assert report["hidden_gold"]["survived_rate"] == 0.5


def test_nothing_left_is_an_error_that_names_the_rules(queries, qrels, corpus) -> None:
    dense = dense_search(queries, corpus, lambda q, p: 0.5)
    with pytest.raises(LexError, match=r"false_negative_dense 152.*lower the margins"):
        mine(queries, qrels, corpus, dense=dense)


def test_bad_inputs_name_cause_and_remedy(queries, qrels, corpus, lexical) -> None:
    with pytest.raises(LexError, match="set train"):
        mine(queries.with_columns(set=pl.lit("test")), qrels, corpus, lexical)
    with pytest.raises(LexError, match="rebuild the index"):
        mine(queries, qrels, corpus.filter(pl.col("parent_id") != article(8)), lexical)
    with pytest.raises(LexError, match="NaN"):
        mine(queries, qrels, corpus, lexical, reranker=TableReranker(lambda q, p: float("nan")))
    with pytest.raises(LexError, match="neither lexical nor dense"):
        mine(queries, qrels, corpus)


def test_citation_graph_gives_neighbours(corpus) -> None:
    row = dict.fromkeys(CITATIONS.names, "") | {"issue": 0, "target_passage_id": None}
    cited = CITATIONS.frame(
        [
            row | {"source_id": paragraph(1, 1), "kind": "in_text", "target_parent_id": article(2)},
            row | {"source_id": paragraph(1, 2), "kind": "in_text", "target_parent_id": article(1)},
            row | {"source_id": paragraph(3, 1), "kind": "in_text", "target_parent_id": None},
        ]
    )
    assert citation_neighbours(cited, corpus) == {article(1): [article(2)]}


def test_an_article_answers_by_its_best_passage(queries, qrels, corpus) -> None:
    """A low second paragraph of the same article does not lower the threshold; a low second article does, if asked."""
    whole = qrels.with_columns(grade=pl.lit(2, pl.Int32))

    def cosine(query_id: str, passage_id: str) -> float:
        return {paragraph(1, 1): 0.8, paragraph(1, 2): 0.1, paragraph(5, 1): 0.3}.get(passage_id, 0.5)

    dense = dense_search(queries, corpus, cosine)
    one = mine(queries.head(1), whole, corpus, dense=dense, dense_reference="lowest")
    assert verdicts(one, "Q1")[paragraph(7, 1)] != "false_negative_dense"
    second = pl.concat([whole, whole.head(1).with_columns(passage_id=pl.lit(paragraph(5, 1)))])
    highest = mine(queries.head(1), second, corpus, dense=dense, dense_reference="highest")
    assert verdicts(highest, "Q1")[paragraph(7, 1)] != "false_negative_dense"
    with pytest.raises(LexError, match="no candidate became a negative"):
        mine(queries.head(1), second, corpus, dense=dense, dense_reference="lowest")


class CountingEncoder:
    """Vectors by a hash of the text; counts what it encodes."""

    def __init__(self) -> None:
        self.encoded = 0

    def encode_passages(self, texts) -> np.ndarray:
        self.encoded += len(texts)
        seeds = [int(content_hash(text)[:8], 16) for text in texts]
        vectors = np.array([np.random.default_rng(seed).normal(size=16) for seed in seeds], np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    encode_queries = encode_passages

    def passage_windows(self, texts) -> list[list[str]]:
        return [[text] for text in texts]

    def cache_key(self, kind: str) -> str:
        return kind


def test_mining_with_models_encodes_once(queries, qrels, corpus, tmp_path) -> None:
    encoder = CountingEncoder()
    arguments = (queries, qrels, corpus, encoder, None, MiningConfig(pool_sibling=0))
    first = mine_with_models(*arguments, cache_dir=tmp_path)
    assert encoder.encoded == len(corpus) + len(queries)
    second = mine_with_models(*arguments, cache_dir=tmp_path)
    assert encoder.encoded == len(corpus) + len(queries)
    assert frame_hash(first.triplets) == frame_hash(second.triplets)
    assert set(first.candidates["pool"]) <= {"lexical", "dense", "lexical+dense"}


def test_a_corpus_of_one_passage_is_an_error_and_a_search_without_hits_leaves_a_reason(queries, qrels, corpus) -> None:
    alone = corpus.filter(passage_id=paragraph(1, 1))
    only = TableSearch({text: {paragraph(1, 1): 1.0} for text in queries["text"]})
    with pytest.raises(LexError, match=r"no candidate became a negative \(positive 1\); enlarge the corpus"):
        mine(queries, qrels, alone, only)
    found = {text: {paragraph(8, 1): 1.0} if text.startswith("Q1") else {} for text in queries["text"]}
    mined = mine(queries, qrels, corpus, TableSearch(found), pool_sibling=0, pool_same_title=0, hard=1, mid=0)
    reasons = dict(mined.triplets.select("query_id", "fill_reason").iter_rows())
    assert reasons == {"Q1": None} | dict.fromkeys(("Q2", "Q3", "Q4"), "no_candidates")
