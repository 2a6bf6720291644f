"""Every measure counts what it says, and a broken bound stops the run."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from lex_assets.checks.quality import QUALITY_CHECKS
from lex_assets.evaluation.quality import quality_plots, quality_tables
from lex_assets.queries.quality import MEASURE_NAMES, Quality, QualityConfig, data_quality, require_within_bounds
from lex_assets.schemas import LexError
from lex_assets_tests.evaluation import made_up


class Characters:
    """A tokenizer to which every character is a token."""

    limits = {"query": 90, "passage": 130}  # noqa: RUF012

    def count(self, kind: str, texts: list[str]) -> np.ndarray:
        return np.array([len(text) for text in texts], np.int32)


@pytest.fixture(scope="module")
def tables() -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(passages, queries, qrels) of which nothing is wrong."""
    queries, qrels = made_up.queries(60)
    corpus = made_up.corpus().with_columns(content_hash="passage_id")
    return corpus, queries.with_columns(text=pl.concat_str("text", pl.lit(" "), "query_id")), qrels


def measured(corpus: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame, **bounds: float) -> Quality:
    return data_quality(corpus, made_up.corpus(), queries, qrels, Characters(), QualityConfig(**bounds))


def counts(quality: Quality) -> dict[str, int]:
    return dict(quality.measures.select("measure", "count").iter_rows())


def test_clean_data_has_nothing_to_count_but_its_lengths(tables) -> None:
    corpus, queries, _ = tables
    found = counts(measured(*tables))
    assert set(found) == set(MEASURE_NAMES)
    assert (
        found["truncated_passages"] == (corpus["context"].str.len_chars() + corpus["text"].str.len_chars() > 129).sum()
    )
    assert found["truncated_queries"] == (queries["text"].str.len_chars() > 90).sum() > 0
    assert not any(found[name] for name in found if "truncated" not in name and name != "uncovered_documents")


def test_every_defect_is_counted_by_its_measure_alone(tables) -> None:
    corpus, queries, qrels = tables
    clean = counts(measured(*tables))

    def changed(**frames: pl.DataFrame) -> dict[str, int]:
        given = {"corpus": corpus, "queries": queries, "qrels": qrels} | frames
        found = counts(measured(**given))
        moved = {name: found[name] - clean[name] for name in found if found[name] != clean[name]}
        return {name: by for name, by in moved.items() if name != "truncated_positives"}  # follows the pairs

    first, second = queries["query_id"][:2]
    assert changed(qrels=qrels.filter(pl.col("query_id") != first)) == {"queries_without_positive": 1}
    assert changed(qrels=qrels.with_columns(grade=pl.when(pl.col("query_id") == first).then(0).otherwise("grade"))) == {
        "queries_without_positive": 1
    }
    unknown = made_up.qrels_of({first: {"LAW_0_제1조": 1}})
    assert changed(qrels=pl.concat([qrels, unknown])) == {"positives_outside_corpus": 1}
    spaced = pl.when(pl.col("query_id") == second).then(pl.lit(queries["text"][0] + "\n ")).otherwise("text")
    assert changed(queries=queries.with_columns(text=spaced))["duplicate_queries"] == 1
    twin = pl.when(pl.int_range(pl.len()) == 1).then(pl.lit(corpus["content_hash"][0])).otherwise("content_hash")
    assert changed(corpus=corpus.with_columns(content_hash=twin))["duplicate_passages"] == 1


def test_pairs_positives_and_coverage_are_counted_by_article(tables) -> None:
    corpus, queries, qrels = tables
    quality = measured(corpus, queries, qrels)
    assert quality.coverage["pairs"].sum() == qrels.height
    articles = qrels.join(corpus, on="passage_id")
    assert quality.coverage["asked"].sum() == articles["parent_id"].n_unique()
    assert quality.positives["queries"].sum() == queries.height
    assert (quality.positives["positives"] * quality.positives["queries"]).sum() == articles.select(
        "query_id", "parent_id"
    ).n_unique()
    lonely = qrels.filter(pl.col("passage_id").str.starts_with("LAW_900201"))
    assert counts(measured(corpus, queries, lonely))["uncovered_documents"] == 3
    for row in quality.lengths.iter_rows(named=True):
        assert sum(row["counts"]) == (corpus if row["of"] == "passage" else queries).height


def test_a_broken_bound_fails_its_check_and_no_other(tables) -> None:
    quality = measured(*tables, truncated_queries=0.0)
    frames = {name: frame.lazy() for name, frame in quality.tables().items()}
    results: dict[str, Any] = {check.check_key.name: check(data_quality=frames) for check in QUALITY_CHECKS}
    assert {name for name, result in results.items() if not result.passed} == {"truncated_queries"}
    assert "raise the setting" in results["truncated_queries"].description
    assert all(spec.blocking for check in QUALITY_CHECKS for spec in check.check_specs)
    with pytest.raises(LexError, match=r"data quality: truncated_queries \d+\.\d% > 0\.0%; correct the documents"):
        require_within_bounds(quality.measures)
    require_within_bounds(quality.measures.filter(pl.col("measure") != "truncated_queries"))


def test_tables_and_plots_show_every_measure_and_the_limit(tables) -> None:
    quality = measured(*tables, truncated_queries=0.0)
    shown = quality_tables(quality)
    assert [row[-1] for row in shown["측정 · measures"][1]].count("✘") == 1
    plots = dict(quality_plots(quality))
    assert len(plots) == 6
    assert "한도 · limit 130" in plots["단락 · passage: 토큰 · tokens"]


def test_documents_of_one_name_are_told_apart(tables) -> None:
    corpus, queries, qrels = tables
    shown = quality_tables(measured(corpus.with_columns(context=pl.lit("기사")), queries, qrels))
    titles = [row[0] for row in shown["문서별 · coverage per law"][1]]
    assert len(set(titles)) == len(titles) == 4 and all(title.startswith("기사 LAW_") for title in titles)


def test_nothing_to_measure_is_refused(tables) -> None:
    corpus, queries, qrels = tables
    with pytest.raises(LexError, match="no passage or no training query"):
        measured(corpus, queries.clear(), qrels)
