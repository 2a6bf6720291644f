"""Slices, error groups and highlighting."""

from __future__ import annotations

import polars as pl
import pytest

from lex_assets.evaluation.cases import excerpt, highlight
from lex_assets.evaluation.errors import confusion, error_groups, first_results, frequent_laws
from lex_assets.evaluation.slices import query_slices, slice_sizes
from lex_assets_tests.evaluation import made_up
from lex_assets_tests.evaluation.made_up import qrels_of, run_of

A, B, OTHER = "LAW_900201_제1조", "LAW_900201_제2조", "LAW_900202_제1조"


def test_words_are_marked_as_far_as_they_begin_alike() -> None:
    parts = highlight("보증금의 반환을 청구할 수 있다.", "임차인이 보증금을 반환받을 수 있는지")
    assert [text for text, marked in parts if marked] == ["보증금", "반환"]
    assert "".join(text for text, _ in parts) == "보증금의 반환을 청구할 수 있다."


def test_function_words_and_single_letters_are_not_marked() -> None:
    assert highlight("이 경우에 관하여는 그러하다", "이 경우 관하여") == [("이 경우에 관하여는 그러하다", False)]
    assert highlight("", "보증금") == []


def test_excerpts_are_one_short_line() -> None:
    assert excerpt("가\n 나  다") == "가 나 다" and len(excerpt("가" * 900)) == 239


def test_excerpts_of_long_texts_show_what_the_query_asks_for() -> None:
    text = "① 총칙의 규정이다. " * 60 + "임차인은 보증금의 반환을 청구할 수 있다. " + "② 그 밖의 사항이다. " * 60
    shown = excerpt(text, "임차인이 보증금을 반환받을 수 있는지")
    assert "보증금의 반환을 청구" in shown and shown[0] == shown[-1] == "…" and len(shown) <= 240
    assert excerpt(text, "무관한 질의").startswith("① 총칙")


@pytest.mark.parametrize(
    ("first", "kind"),
    [
        (f"{A}_①", "correct"),
        (f"{A}_②", "sibling"),
        (A, "sibling"),
        (f"{B}_①", "article"),
        (f"{OTHER}_①", "document"),
    ],
)
def test_the_first_result_is_grouped_by_how_near_it_came(first: str, kind: str) -> None:
    found = first_results(run_of({"q": [first]}), qrels_of({"q": {f"{A}_①": 2}}), made_up.corpus())
    assert error_groups(found) == {"s": {kind: 1}}


def test_a_query_without_results_is_counted_as_nothing() -> None:
    run, qrels = run_of({"q": [f"{A}_①"]}), qrels_of({"q": {f"{A}_①": 1}, "r": {f"{A}_①": 1}})
    assert error_groups(first_results(run, qrels, made_up.corpus())) == {"s": {"correct": 1, "nothing": 1}}


def test_laws_are_confused_as_the_first_results_say() -> None:
    one, other, *_ = made_up.LAWS
    run = run_of({"q": [f"{A}_①"], "r": [f"{OTHER}_①"], "s": [f"{OTHER}_②"], "t": [f"{B}_①"]})
    gold = {
        "q": {f"{A}_①": 2},
        "r": {f"{A}_①": 2},
        "s": {f"{A}_①": 2, f"{OTHER}_①": 1},
        "t": {f"{OTHER}_①": 1},
        "u": {A: 1},
    }
    first = first_results(run, qrels_of(gold), made_up.corpus())
    found = confusion(first, frequent_laws(first))
    assert found["laws"] == [one, other]
    assert [row["found"] for row in found["rows"]] == [[1, 1], [1, 1]], "of two gold laws the one that was found counts"
    assert [(row["n"], row["nothing"], row["other"]) for row in found["rows"]] == [(3, 1, 0), (2, 0, 0)]
    assert found["pairs"] == [{"gold": one, "found": other, "n": 1}, {"gold": other, "found": one, "n": 1}]


def test_decisions_are_no_laws_to_confuse() -> None:
    corpus = made_up.corpus().with_columns(source_type=pl.lit("precedent"))
    first = first_results(run_of({"q": [f"{OTHER}_①"]}), qrels_of({"q": {f"{A}_①": 1}}), corpus)
    assert frequent_laws(first) == [] and error_groups(first) == {"s": {"document": 1}}


def test_every_query_has_one_value_per_slice() -> None:
    asked, qrels = made_up.queries(60)
    slices = query_slices(asked, qrels, made_up.corpus(), {A})
    assert not slices.select("query_id", "slice").is_duplicated().any()
    assert set(slices["slice"]) == {"length", "overlap", "gold", "seen", "boilerplate", "law"}
    seen = slices.filter(pl.col("slice") == "seen", pl.col("value") == "봄")["query_id"]
    assert set(seen) == set(qrels.filter(pl.col("passage_id").str.starts_with(f"{A}_"))["query_id"])


def test_only_slices_that_divide_and_are_large_enough_are_shown() -> None:
    rows = [(f"q{i}", "law", "갑법" if i < 30 else "을법") for i in range(35)] + [
        (f"q{i}", "seen", "봄") for i in range(35)
    ]
    frame = pl.DataFrame(rows, schema=["query_id", "slice", "value"], orient="row")
    shown, hidden = slice_sizes(frame, 20)
    assert shown.rows() == [("law", "갑법", 30)] and hidden == 1
