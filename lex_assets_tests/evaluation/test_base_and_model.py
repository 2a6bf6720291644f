"""A retriever beside its base: which questions, and what is said."""

from __future__ import annotations

import polars as pl
import pytest

from lex_assets.evaluation.base_and_model import base_and_model, base_and_reranker
from lex_assets.evaluation.question_sets import human_questions
from lex_assets.evaluation.refusals import EvaluationError
from lex_assets_tests.evaluation import made_up
from lex_assets_tests.evaluation.stand_ins import WordEncoder, WordReranker


def test_regimes_are_never_averaged_and_synthetic_questions_stay_out() -> None:
    asked, qrels = made_up.queries()
    sets = list(human_questions(asked, qrels, made_up.corpus(), "law"))
    assert [one.name for one in sets] == ["unseen_query", "unseen_law"]
    for one in sets:
        assert set(one.queries["regime"]) == {one.name} and set(one.queries["set"]) == {"test"}
        assert "synthetic" not in set(one.queries["origin"])
    with pytest.raises(EvaluationError, match="no human test question"):
        list(human_questions(asked.with_columns(origin=pl.lit("synthetic")), qrels, made_up.corpus(), "law"))


def test_a_worse_model_is_called_worse_with_groups_as_units() -> None:
    one = next(human_questions(*made_up.queries(700), made_up.corpus(), "law"))
    scored = base_and_model(one, WordEncoder(), WordEncoder(deaf=0.9))
    means = {row["system"]: row for row in scored.to_dict()["metrics"]}
    assert means["base"]["mrr@10"] > means["model"]["mrr@10"] and means["base"]["n"] == one.queries.height
    verdicts = {c.metric: c for c in scored.comparisons}
    assert verdicts["ndcg@10"].verdict == "worse"
    assert verdicts["ndcg@10"].n_clusters == one.queries["split_group"].n_unique() < one.queries.height


def test_questions_that_the_base_has_seen_are_left_out_and_counted() -> None:
    asked, qrels = made_up.queries()
    every = next(human_questions(asked, qrels, made_up.corpus(), "law"))
    seen = every.queries.filter(pl.col("origin") == "citation")["doc_id"].head(3)
    kept = next(human_questions(asked, qrels, made_up.corpus(), "law", seen.to_list()))
    assert kept.seen == 3 and kept.queries.height == every.queries.height - 3 and every.seen == 0
    assert not set(kept.queries["doc_id"]) & set(seen)


def test_rerankers_are_compared_on_frozen_candidates_below_their_ceiling() -> None:
    one = next(human_questions(*made_up.queries(), made_up.corpus(), "law"))
    scored = base_and_reranker(one, WordReranker(), WordReranker(inverted=True), depth=10)
    means = {row["system"]: row for row in scored.to_dict()["metrics"]}
    assert set(means) == {"base", "model", "bm25", "ceiling"}
    assert means["ceiling"]["ndcg@10"] >= max(row["ndcg@10"] for row in means.values())
    assert {(c.baseline, c.system) for c in scored.comparisons} == {("base", "model")}
    assert all(c.p_holm == c.p for c in scored.comparisons), "what stands beside is not compared"
