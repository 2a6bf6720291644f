"""Citations to articles of a small corpus: versions, refusals with reasons, the graph."""

from __future__ import annotations

import polars as pl
import pytest

from lex_assets.citations import ArticleIndex, citation_graph
from lex_assets.citations.parse import parse_citations
from lex_assets.citations.resolve import REASONS, in_force_since
from lex_assets_tests.world import BANKING, DECREE, TENANCY, decision, frames


@pytest.fixture(scope="module")
def index() -> ArticleIndex:
    return ArticleIndex.from_corpus(*frames(TENANCY, DECREE, BANKING))


@pytest.mark.parametrize(
    ("text", "written", "expected"),
    [
        ("주거임대차 보호법 제3조의2", "", ("LAW_000001_제3조의2", "resolved")),
        ("주거임대차보호법 제3조", "", ("LAW_000001_제3조", "resolved")),
        ("주택임대차법 제3조", "", ("LAW_000001_제3조", "resolved")),
        ("주거임대차 보호법 제4조", "", (None, "repealed")),
        ("주거임대차 보호법 제99조", "", (None, "no_such_article")),
        ("민법 제1조", "", (None, "unknown_law")),
        ("은행 영업법 제5조", "20150301", (None, "renumbered")),
        ("은행 영업법 제5조", "20180901", (None, "renumbered")),
        ("은행 영업법 제5조", "20190301", ("LAW_000003_제5조", "resolved")),
        ("구 주거임대차 보호법(2010. 1. 1. 법률 제1호로 개정되기 전의 것) 제3조", "20150301", (None, "old_version")),
        (
            "구 주거임대차 보호법(2010. 1. 1. 법률 제1호로 개정되기 전의 것) 제9조(현행 제3조 참조)",
            "20150301",
            ("LAW_000001_제3조", "current_note"),
        ),
    ],
)
def test_articles(index: ArticleIndex, text: str, written: str, expected: tuple[str | None, str]) -> None:
    (citation,) = parse_citations(text)
    assert index.article(citation, written) == expected


def test_numbering_starts_when_the_earliest_addendum_takes_effect() -> None:
    assert in_force_since(BANKING) == "20181201"


def test_lookup_names_the_paragraph(index: ArticleIndex) -> None:
    assert index.lookup("주택임대차법 제3조 제2항") == ["LAW_000001_제3조_②"]
    assert index.lookup("주택임대차법 제3조") == ["LAW_000001_제3조_①", "LAW_000001_제3조_②"]
    assert index.lookup("없는 법 제1조") == []


def rows(graph: pl.DataFrame, kind: str) -> list[tuple[str, str | None, str | None, str]]:
    columns = ("source_id", "target_parent_id", "target_passage_id", "reason")
    return graph.filter(pl.col("kind") == kind).select(columns).rows()


def test_graph() -> None:
    first = decision(
        "1",
        "2014다1",
        ("쟁점 하나", "결론", "주거임대차 보호법 제3조 제1항, 민법 제2조", "대법원 2013. 1. 1. 선고 2012다5 판결"),
    )
    second = decision(
        "2", "2012다5, 6", ("쟁점 둘", "결론", "구 주거임대차 보호법 제3조", "대법원 1990. 1. 1. 선고 89다1 판결")
    )
    graph = citation_graph(*frames(TENANCY, DECREE, BANKING, first, second))
    assert rows(graph, "article") == [
        ("PREC_1#1", "LAW_000001_제3조", "LAW_000001_제3조_①", "resolved"),
        ("PREC_1#1", None, None, "unknown_law"),
        ("PREC_2#1", None, None, "old_version"),
    ]
    assert rows(graph, "decision") == [
        ("PREC_1#1", "PREC_2", None, "resolved"),
        ("PREC_2#1", None, None, "unknown_decision"),
    ]
    assert [(s, t) for s, t, _, _ in rows(graph, "delegation")] == [
        ("LAW_000002_제2조", "LAW_000001_제10조"),
        ("LAW_000002_제3조", "LAW_000001_제3조의2"),
    ]
    assert [(s, t) for s, t, _, _ in rows(graph, "in_text")] == [
        ("LAW_000002_제3조", "LAW_000003_제5조"),
        ("LAW_000002_제3조", "LAW_000003_제6조"),
    ]
    assert set(graph["reason"]) <= set(REASONS)


def test_graph_of_nothing_is_empty_with_types() -> None:
    documents, corpus = frames(TENANCY)
    graph = citation_graph(documents, corpus)
    assert graph.schema["issue"] == pl.Int32
