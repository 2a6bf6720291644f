"""Budgets draw the same queries every time, keep human labels first, and never touch the other sets."""

from __future__ import annotations

import polars as pl

from lex_assets.evaluation.systems import sample_evaluation
from lex_assets.queries.training import TrainingConfig, training_queries
from lex_assets.schemas import QRELS, QUERIES


def table(n: int, origin: str, set_name: str, start: int = 0) -> pl.DataFrame:
    return QUERIES.frame(
        {
            "query_id": f"q{start + i}",
            "domain": "law",
            "origin": origin,
            "text": f"질문 {start + i} 에 관하여 {'가나다라마바사'[i % 7] * 9}",
            "split_group": f"g{start + i}",
            "set": set_name,
            "regime": "unseen_query",
            "doc_id": "",
            "decided": "",
            "meta": "{}",
        }
        for i in range(n)
    )


def labels(queries: pl.DataFrame) -> pl.DataFrame:
    return QRELS.frame({"query_id": i, "passage_id": "p", "grade": 2} for i in queries["query_id"])


def test_the_training_cap_prefers_human_labels_and_keeps_validation() -> None:
    human = pl.concat([table(10, "citation", "train"), table(4, "citation", "valid", 100)])
    made = table(30, "synthetic", "train", 200)
    kept, _ = training_queries(human, labels(human), made, labels(made), "law", TrainingConfig(max_train=15))
    assert (kept["set"] == "valid").sum() == 4
    assert kept.filter(pl.col("set") == "train")["origin"].value_counts().sort("origin").rows() == [
        ("citation", 10),
        ("synthetic", 5),
    ]


def test_new_queries_do_not_reshuffle_the_sample() -> None:
    few, more = table(40, "citation", "test"), table(80, "citation", "test")
    first = set(sample_evaluation(few, 10)["query_id"])
    second = set(sample_evaluation(more, 20)["query_id"])
    assert len(first) == 10
    assert len(first & second) >= 5
    assert sample_evaluation(few, 0).equals(few)
