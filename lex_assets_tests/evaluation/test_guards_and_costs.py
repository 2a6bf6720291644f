"""Guard sets, what the base has seen, and what serving costs."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from lex_assets.evaluation.costs import COSTS, measure
from lex_assets.evaluation.guards import Guard, domain_guards, folder_guard, score_guards
from lex_assets.evaluation.seen import seen_by_base
from lex_assets.schemas import LexError
from lex_assets_tests.evaluation import made_up
from lex_assets_tests.evaluation.stand_ins import WordEncoder, WordReranker


def guards(n_queries: int = 20, n_passages: int = 30) -> list[Guard]:
    asked, qrels = made_up.queries()
    return domain_guards("finance", asked, qrels, made_up.corpus(), n_queries, n_passages)


def test_a_guard_is_the_human_promotion_set_of_another_domain() -> None:
    asked, qrels = made_up.queries()
    (guard,) = guards()
    human = asked.filter(pl.col("set") == "promotion", pl.col("origin") != "synthetic")["query_id"]
    assert (
        guard.name == "law"
        and set(guard.queries["query_id"]) <= set(human)
        and guard.queries.height == min(20, len(human))
    )
    gold = qrels.join(guard.queries, on="query_id", how="semi")["passage_id"]
    assert set(gold) <= set(guard.corpus["passage_id"])
    assert guards()[0].hash == guard.hash != guards(n_queries=5)[0].hash
    assert domain_guards("law", asked, qrels, made_up.corpus(), 20, 30) == []


def test_what_a_model_forgets_shows_on_the_guard() -> None:
    base = ("base", WordEncoder(), WordReranker())
    adapter = ("adapter", WordEncoder(deaf=0.9), WordReranker(inverted=True))
    scores = score_guards(guards(), [base, adapter])
    means = {(p, s): v for p, s, v in scores.group_by("part", "system").agg(pl.col("ndcg@10").mean()).iter_rows()}
    assert means["retriever", "base"] > means["retriever", "adapter"] + 0.1
    assert means["reranker", "base"] > means["reranker", "adapter"] + 0.1
    assert score_guards([], [base, adapter]).is_empty()


def write_folder(folder: Path) -> Path:
    folder.mkdir()
    for name, texts in (("corpus", ["보증금 반환", "이자 제한"]), ("queries", ["보증금을 돌려받기", "이자의 상한"])):
        rows = [json.dumps({"id": f"{name[0]}{n}", "text": text}, ensure_ascii=False) for n, text in enumerate(texts)]
        (folder / f"{name}.jsonl").write_text("\n".join(rows))
    (folder / "qrels.tsv").write_text("q0 0 c0 1\nq1 0 c1 1\n")
    return folder


def test_a_folder_of_general_questions_is_a_guard(tmp_path: Path) -> None:
    guard = folder_guard(write_folder(tmp_path / "general"))
    assert guard.name == "general" and guard.queries["query_id"].to_list() == ["q0", "q1"]
    scores = score_guards([guard], [("base", WordEncoder(), WordReranker())])
    assert scores.filter(pl.col("part") == "retriever")["ndcg@10"].to_list() == [1.0, 1.0]


def test_a_guard_folder_that_is_wrong_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "general")
    (folder / "qrels.tsv").write_text("q0 0 nowhere 1\n")
    with pytest.raises(LexError, match="nowhere is in neither"):
        folder_guard(folder)
    with pytest.raises(LexError, match="no such file"):
        folder_guard(tmp_path / "absent")


def test_seen_are_questions_of_trained_decisions_and_held_out_laws() -> None:
    asked, qrels = made_up.queries()
    corpus = made_up.corpus()
    citation = asked.filter(pl.col("origin") == "citation", pl.col("regime") == "unseen_query").row(0, named=True)
    delegation = asked.filter(pl.col("origin") == "delegation", pl.col("regime") == "unseen_query").row(0, named=True)
    assert seen_by_base(asked, qrels, corpus, {citation["doc_id"], delegation["doc_id"]}) == {citation["query_id"]}
    known = set(asked.filter(pl.col("regime") == "unseen_query")["query_id"])
    assert not seen_by_base(asked, qrels, corpus, {"LAW_900201"}) & known, (
        "the text of known law is known by definition"
    )
    held_out = set(asked.filter(pl.col("regime") == "unseen_law")["query_id"])
    assert seen_by_base(asked, qrels, corpus, {"LAW_900204"}) == held_out
    assert seen_by_base(asked, qrels, corpus, ()) == frozenset()


def test_costs_are_measured_on_single_queries() -> None:
    asked, _ = made_up.queries(30)
    (row,) = measure("base", WordEncoder(), WordReranker(), asked, made_up.corpus(), 5).to_dicts()
    assert row["retrieve_ms"] > 0 and row["latency_ms"] == row["retrieve_ms"] + row["rerank_ms"]
    assert row["parameters"] is None and set(row) == set(COSTS.names)
    assert row["peak_mib"] is None or row["peak_mib"] > 10
