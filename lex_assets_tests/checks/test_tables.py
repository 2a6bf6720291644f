"""Checks fail on what they are for, and pass on good tables."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from lex_assets.checks.tables import (
    equivalence_classes_are_named_by_a_member,
    passages_say_where_they_are_from,
    synthetic_questions_inherit_their_set,
)
from lex_assets.checks.training import training_follows_the_split
from lex_assets.schemas import QUERIES
from lex_assets_tests.world import BANKING, TENANCY, decision, frames

Tables = dict[str, pl.LazyFrame]


@pytest.fixture(scope="module")
def corpus() -> pl.DataFrame:
    return frames(TENANCY, BANKING, decision("1", "2014다1", ("쟁점", "판단한다.", "", "")))[1]


def passed(check: Any, **tables: Tables) -> bool:
    return check(**tables).passed


def passages(frame: pl.DataFrame) -> Tables:
    return {"passages": frame.lazy()}


@pytest.mark.parametrize(
    ("column", "value"), [("text", "  "), ("parent_id", ""), ("citation", ""), ("effective_date", "2024-1-1")]
)
def test_passages_without_text_parent_label_or_day_fail(corpus: pl.DataFrame, column: str, value: str) -> None:
    assert passed(passages_say_where_they_are_from, passages=passages(corpus))
    first = pl.int_range(pl.len()) == 0
    wrong = corpus.with_columns(pl.when(first).then(pl.lit(value)).otherwise(column).alias(column))
    assert not passed(passages_say_where_they_are_from, passages=passages(wrong))


def test_a_class_named_by_no_member_fails(corpus: pl.DataFrame) -> None:
    assert passed(equivalence_classes_are_named_by_a_member, corpus=passages(corpus))
    wrong = corpus.with_columns(equivalence_id=pl.lit("LAW_9"))
    assert not passed(equivalence_classes_are_named_by_a_member, corpus=passages(wrong))


def queries(*rows: tuple[str, str, str], origin: str = "citation") -> Tables:
    values = [(i, "law", origin, f"질문 {i}", group, name, "unseen_query", "", "", "{}") for i, group, name in rows]
    return {"queries": QUERIES.frame(dict(zip(QUERIES.names, row, strict=True)) for row in values).lazy()}


def test_a_synthetic_question_in_another_set_than_its_group_fails() -> None:
    split = queries(("a", "PREC_1", "test"), ("b", "PREC_2", "dropped"))
    good = queries(("s", "PREC_1", "test"), ("t", "PREC_2", "train"), origin="synthetic")
    assert passed(synthetic_questions_inherit_their_set, synthetic_qa=good, split=split)
    wrong = queries(("s", "PREC_1", "train"), origin="synthetic")
    assert not passed(synthetic_questions_inherit_their_set, synthetic_qa=wrong, split=split)


def test_training_on_an_older_split_fails() -> None:
    split = queries(("a", "PREC_1", "train"), ("b", "PREC_2", "valid"))
    assert passed(training_follows_the_split, training_queries=split, split=split)
    old = queries(("a", "PREC_1", "train"), ("b", "PREC_2", "train"))
    assert not passed(training_follows_the_split, training_queries=old, split=split)
