"""Structural pools, similar questions, absolute caps, what is kept, why a query is short, and a judge."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.select import choose
from lex_assets.mining.similar import similar_questions
from lex_assets.schemas import PASSAGES, QRELS, LexError, frame_hash
from lex_assets_tests.mining.conftest import TableReranker, TableSearch, article, paragraph, passage_row, query_row
from lex_assets_tests.mining.test_mine import dense_search, mine, negatives, verdicts


def pools(mined, query_id: str) -> dict[str, str]:
    return dict(mined.candidates.filter(query_id=query_id).select("passage_id", "pool").iter_rows())


def found(queries, *passages: str) -> TableSearch:
    return TableSearch({key: {p: 1 / n for n, p in enumerate(passages, 1)} for key in queries["text"]})


# ---------------------------------------------------------------------------------------------------------------- pools


def test_siblings_cited_and_equally_titled_articles_are_candidates(queries, qrels, corpus) -> None:
    """Q1 looks for 제1조(목적) of one law; 제9조(목적) is of another, 제3조 is cited by it."""
    titled = pl.when(parent_id=article(1)).then(pl.lit("시험법 > 제1조(목적)")).otherwise("context")
    other = passage_row("LAW_2_제9조", "LAW_2_제9조", doc_id="LAW_2", context="다른 법 > 제1장 총칙 > 제9조(목적)")
    corpus = pl.concat([corpus.with_columns(context=titled), PASSAGES.frame([other])])
    mined = mine(queries, qrels, corpus, found(queries, paragraph(8, 1)), neighbours={article(3): [article(1)]})
    assert pools(mined, "Q1") == {
        paragraph(8, 1): "lexical",
        "LAW_2_제9조": "same_title",
        **{paragraph(1, p): "sibling" for p in (3, 4, 5)},  # the first two are labelled
        **{paragraph(3, p): "cited" for p in range(1, 6)},
    }
    assert mined.report["pools"]["together"]["sibling"] == {"sibling": 12}


def test_a_pool_has_the_size_it_was_given_and_the_nearest_are_taken(queries, qrels, corpus) -> None:
    dense = dense_search(queries, corpus, lambda q, p: {paragraph(1, 1): 0.9, paragraph(1, 5): 0.5}.get(p, 0.1))
    mined = mine(queries, qrels, corpus, dense=dense, pool_dense=1, pool_sibling=1)
    assert pools(mined, "Q1") == {paragraph(1, 5): "dense+sibling"}
    assert mined.report["pools"]["overlap"] == 0.0


def test_every_pool_that_proposed_a_candidate_is_named(queries, qrels, corpus, lexical) -> None:
    dense = dense_search(queries, corpus, lambda q, p: 0.9 if p == paragraph(int(q[1]), 1) else 0.1)
    mined = mine(queries, qrels, corpus, lexical, dense)
    assert pools(mined, "Q1")[paragraph(1, 3)] == "lexical+dense+sibling"
    assert pools(mined, "Q1")[paragraph(7, 1)] == "lexical+dense"
    assert mined.report["pools"]["overlap"] == 1.0


# ---------------------------------------------------------------------------------------------------------------- rules


def test_an_answer_of_a_similar_question_is_no_negative(queries, qrels, corpus, lexical) -> None:
    texts = [
        "임차인이 보증금을 돌려받을 권리",
        "임차인이 보증금을 돌려받을 권리와 시기",
        "주주총회의 소집",
        "세금의 부과",
    ]
    lexical = TableSearch(dict.fromkeys(texts, next(iter(lexical.scores.values()))))
    asked = queries.with_columns(text=pl.Series(texts))
    seen = verdicts(mine(asked, qrels, corpus, lexical, question_similarity=0.3), "Q1")
    assert {seen[paragraph(2, p)] for p in range(1, 6)} == {"false_negative_similar"}  # the article, not only its 항
    assert "false_negative_similar" not in {seen[paragraph(3, 1)], seen[paragraph(4, 1)]}
    off = verdicts(mine(asked, qrels, corpus, lexical), "Q1")
    assert "false_negative_similar" not in off.values()
    made = asked.with_columns(origin=pl.lit("synthetic"))  # alike because one generator worded them
    assert (
        "false_negative_similar"
        not in verdicts(mine(made, qrels, corpus, lexical, question_similarity=0.3), "Q1").values()
    )


def test_similarity_is_a_share_of_what_the_question_scores_for_itself() -> None:
    texts = ["가나다라마바사", "가나다라마바사", "가나다라 아자차카", "파하거너더러머"]
    frame = pl.DataFrame({"query_id": list("abcd"), "text": texts})
    assert similar_questions(frame, 1.0).rows() == [("a", "b"), ("b", "a")]
    assert ("a", "c") in similar_questions(frame, 0.2).rows()
    assert similar_questions(frame, 0).is_empty() and similar_questions(frame.head(1), 0.5).is_empty()


def held_out_world(queries, qrels, cosine: float, count: int = 30):
    """`count` questions of the set valid, whose answer has this cosine; all training answers have 0.9."""
    asked = [query_row(f"V{n}", set="valid") for n in range(count)]
    labels = [{"query_id": row["query_id"], "passage_id": paragraph(6, 1), "grade": 2} for row in asked]
    queries = pl.concat([queries, queries.clear().vstack(pl.DataFrame(asked, schema=queries.schema))])

    def cosines(query_id: str, passage_id: str) -> float:
        if query_id.startswith("V"):
            return cosine if passage_id == paragraph(6, 1) else 0.0
        return 0.9 if passage_id == paragraph(int(query_id[1]), 1) else 0.7 if passage_id == paragraph(8, 1) else 0.1

    return queries, pl.concat([qrels, QRELS.frame(labels)]), cosines


def test_the_cap_comes_from_held_out_questions_and_holds_whatever_the_own_reference_is(queries, qrels, corpus) -> None:
    queries, qrels, cosines = held_out_world(queries, qrels, 0.6)
    mined = mine(queries, qrels, corpus, dense=dense_search(queries, corpus, cosines))
    assert verdicts(mined, "Q1")[paragraph(8, 1)] == "false_negative_dense_cap"
    assert mined.report["caps"] == {"dense": pytest.approx(0.6, abs=1e-3), "rerank": None}
    assert mined.triplets["query_id"].to_list() == ["Q1", "Q2", "Q3", "Q4"]  # what calibrates is not mined


@pytest.mark.parametrize(("count", "options"), [(5, {}), (30, {"cap_quantile": 0})])
def test_no_cap_from_few_questions_or_when_switched_off(queries, qrels, corpus, count, options) -> None:
    queries, qrels, cosines = held_out_world(queries, qrels, 0.6, count)
    mined = mine(queries, qrels, corpus, dense=dense_search(queries, corpus, cosines), **options)
    assert mined.report["caps"]["dense"] is None
    assert verdicts(mined, "Q1")[paragraph(8, 1)] == "hard"


def test_same_words_and_the_question_itself_are_never_negatives(queries, qrels, corpus, lexical) -> None:
    """A copy that no equivalence marks, and a passage that is the question word for word but for its spaces."""
    copy = passage_row("DOC_copy", "DOC_copy", text=f"{paragraph(1, 1)}의 본문", equivalence_id="")
    echo = passage_row("DOC_echo", "DOC_echo", text="  Q1의\n 질문 ")
    corpus = pl.concat([corpus, PASSAGES.frame([copy, echo])])
    lexical = TableSearch({t: s | {"DOC_copy": 9.0, "DOC_echo": 8.0} for t, s in lexical.scores.items()})
    mined = mine(queries, qrels, corpus, lexical)
    assert not {"DOC_copy", "DOC_echo"} & set(verdicts(mined, "Q1"))
    assert mined.report["drops"]["question"] == 1 and mined.report["drops"]["equivalent"] == 1
    assert "DOC_echo" in verdicts(mined, "Q2")


def test_candidates_with_the_same_words_count_once(queries, qrels, corpus, lexical) -> None:
    copy = passage_row("DOC_copy", "DOC_copy", text=f"{paragraph(8, 1)}의 본문", equivalence_id="")
    corpus = pl.concat([corpus, PASSAGES.frame([copy])])
    lexical = TableSearch({t: s | {"DOC_copy": 9.0} for t, s in lexical.scores.items()})
    seen = verdicts(mine(queries, qrels, corpus, lexical), "Q1")
    assert (seen["DOC_copy"], seen[paragraph(8, 1)]) == ("hard", "duplicate")


# ------------------------------------------------------------------------------------------------------------ selection


def survivors(scores: list[float]) -> pl.DataFrame:
    ids = [f"P{n:02d}" for n in range(len(scores))]
    rows = {"query_id": ["Q"] * len(ids), "passage_id": ids, "score_rerank": scores, "score_dense": scores}
    return pl.DataFrame(rows).with_columns(verdict=pl.lit("survivor"), fused=pl.lit(0.0))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-9, 9), min_size=1, max_size=40), st.integers(0, 5), st.integers(0, 5), st.integers(1, 20))
def test_selection_takes_what_was_asked_from_what_is_kept(scores, hard, mid, keep) -> None:
    config = MiningConfig(hard=hard, mid=mid, random=1, keep=keep)
    chosen = choose(survivors(scores), config)
    by = {name: rows["score_rerank"].to_list() for (name,), rows in chosen.group_by("verdict")}
    kept = min(keep, len(scores))
    assert len(by.get("hard", [])) == min(hard, kept)
    assert len(by.get("mid", [])) == min(mid, max(kept - hard, 0))
    assert len(by.get("surplus", [])) == len(scores) - kept
    order = [by.get("hard", []), by.get("mid", []) + by.get("survivor", []), by.get("surplus", [])]
    filled = [values for values in order if values]
    assert all(min(a) >= max(b) for a, b in pairwise(filled))


def test_a_new_candidate_changes_at_most_one_mid_negative() -> None:
    config, scores = MiningConfig(hard=2, mid=3), list(np.linspace(1, 0, 20))
    before, after = (choose(survivors(s), config).filter(verdict="mid")["passage_id"] for s in (scores[:-1], scores))
    assert len(set(before) - set(after)) <= 1


def test_reasons_of_short_queries(queries, qrels, corpus) -> None:
    """Q1 finds nothing, Q2 too little, Q3 loses what it found to the filter, Q4 runs out of budget."""
    everything = sorted(set(corpus["passage_id"]) - {paragraph(n, p) for n in range(1, 5) for p in range(1, 6)})
    hits = {"Q1의 질문": [], "Q2의 질문": everything[:3], "Q3의 질문": everything, "Q4의 질문": everything}
    lexical = TableSearch({text: {p: 1 / n for n, p in enumerate(ids, 1)} for text, ids in hits.items()})

    def logit(query: str, passage: str) -> float:
        if f"제{query[1]}조_1" in passage:
            return 0.0
        return 5.0 if query[1] == "3" or (passage[:-4] in everything[:6] and query[1] == "4") else -5.0 - len(passage)

    options = {"pool_sibling": 0, "rerank_depth": 8}
    mined = mine(queries, qrels, corpus, lexical, reranker=TableReranker(logit), **options)
    reasons = dict(mined.triplets.select("query_id", "fill_reason").iter_rows())
    assert reasons == {"Q1": "no_candidates", "Q2": "pool_short", "Q3": "budget", "Q4": "budget"}
    all_read = mine(queries, qrels, corpus, lexical, reranker=TableReranker(logit), **options | {"rerank_depth": 48})
    assert dict(all_read.triplets.select("query_id", "fill_reason").iter_rows())["Q3"] == "filtered"
    assert all_read.triplets.filter(query_id="Q4")["fill_reason"].to_list() == [None]


# ---------------------------------------------------------------------------------------------------------------- judge


def judge_of(verdict_of):
    read = []

    def judge(pairs):
        read.extend(pairs)
        return [verdict_of(passage) for _, passage in pairs]

    return judge, read


def test_a_judged_answer_becomes_a_positive_and_its_place_is_filled(queries, qrels, corpus, lexical) -> None:
    judge, read = judge_of(lambda text: {"5조_1": "full", "5조_2": "partial"}.get(text[7:11], "none"))
    first = {paragraph(5, 1): 9.0, paragraph(5, 2): 8.0}
    mined = mine(queries, qrels, corpus, TableSearch({t: s | first for t, s in lexical.scores.items()}), judge=judge)
    assert [verdicts(mined, "Q1")[p] for p in first] == ["judged_positive", "judged_partial"]
    row = mined.triplets.row(by_predicate=pl.col("query_id") == "Q1", named=True)
    assert row["positives"] == [paragraph(1, 1), paragraph(5, 1)]
    assert all(len(rows) == 7 for rows in mined.triplets["negatives"])
    assert not {paragraph(5, 1), paragraph(5, 2)} & set(negatives(mined, "Q1"))
    added = mined.qrels.join(qrels, on=["query_id", "passage_id"], how="anti")
    assert set(added["grade"]) == {2} and set(added["passage_id"]) == {paragraph(5, 1)}
    assert len(read) == len(set(read))  # nothing is read twice


def test_a_judge_that_gives_no_verdict_ends_the_run(queries, qrels, corpus, lexical) -> None:
    with pytest.raises(LexError, match="'maybe'; it must say full, partial, none"):
        mine(queries, qrels, corpus, lexical, judge=lambda pairs: ["maybe"] * len(pairs))
    with pytest.raises(LexError, match="0 verdicts for 28 pairs"):
        mine(queries, qrels, corpus, lexical, judge=lambda pairs: [])


# ------------------------------------------------------------------------------------------------------------ bad input


def test_a_corpus_of_one_passage_has_no_negatives_and_says_why(queries, qrels, corpus) -> None:
    one = corpus.filter(passage_id=paragraph(1, 1))
    with pytest.raises(LexError, match=r"no candidate became a negative \(positive 1\); enlarge the corpus"):
        mine(queries, qrels, one, found(queries.head(1), paragraph(1, 1)))


def test_searches_that_find_nothing_are_named(queries, qrels, corpus) -> None:
    with pytest.raises(LexError, match="the searches found nothing"):
        mine(queries, qrels, corpus, found(queries), pool_sibling=0)


def test_a_retriever_that_gives_nan_ends_the_run(queries, qrels, corpus) -> None:
    dense = dense_search(queries, corpus, lambda q, p: float("nan") if q == "Q2" else 0.1)
    with pytest.raises(LexError, match="query vectors hold NaN or infinity"):
        mine(queries, qrels, corpus, dense=dense)


def test_order_of_rows_does_not_matter_to_any_pool(queries, qrels, corpus, lexical) -> None:
    options = {"neighbours": {article(1): [article(6), article(7)]}, "random": 2}
    tables = [mine(queries, qrels, corpus, lexical, **options).candidates]
    tables.append(mine(queries.reverse(), qrels.reverse(), corpus.reverse(), lexical, **options).candidates)
    assert frame_hash(tables[0]) == frame_hash(tables[1])
