"""Citations to articles of a small corpus: versions, refusals with reasons, the graph."""

from __future__ import annotations

import polars as pl
import pytest

from lex_assets.citations import ArticleIndex, citation_graph
from lex_assets.citations.parse import parse_citations
from lex_assets.citations.resolve import REASONS, in_force_since
from lex_assets.passages.build import PassageConfig, build_passages
from lex_assets.schemas import Unit
from lex_assets_tests.world import BANKING, DECREE, TENANCY, article, decision, frames, law


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
    citation = parse_citations(text)[-1]
    assert index.article(citation, written) == expected


def test_numbering_starts_when_the_earliest_addendum_takes_effect() -> None:
    assert in_force_since(BANKING) == "20181201"


def pointed(index: ArticleIndex, text: str) -> list[tuple[str | None, str | None, str]]:
    return [tuple(target) for _, targets in index.lookup(text) for target in targets]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("제3조 제2항", [("제3조", "제3조_②", "resolved")]),
        ("제3조", [("제3조", None, "resolved")]),
        ("제3조 제1항 내지 제2항", [("제3조", "제3조_①", "resolved"), ("제3조", "제3조_②", "resolved")]),
        ("제3조 제5항", [("제3조", None, "no_such_paragraph")]),
        ("제1조 제1항", [("제1조", None, "resolved")]),
        ("제20조 제3호", [("제20조", "제20조_1.", "resolved")]),
        ("제20조 제10호", [("제20조", "제20조_9.", "resolved")]),
        ("제20조 제3호 내지 제9호", [("제20조", "제20조_1.", "resolved"), ("제20조", "제20조_9.", "resolved")]),
        ("별표 2 제3호", [("별표2", None, "resolved")]),
        ("별표 7", [(None, None, "no_such_article")]),
    ],
)
def test_targets_are_exact_passages(text: str, expected: list[tuple[str | None, str | None, str]]) -> None:
    items = [Unit("호", f"{number}.", text="제출할 서류. " * 10) for number in (*range(1, 9), "8의2", 9, 10)]
    annex = Unit("별표", "2", "과징금의 부과기준", "위반행위의 종류에 따른 과징금", meta={"section": "별표"})
    act = law(
        "000009", "전월세법", *TENANCY.tree.children[:4], Unit("조", "20", text="다음과 같다.", children=items), annex
    )
    table, _ = frames(act)
    index = ArticleIndex.from_corpus(table, build_passages(table, PassageConfig(max_characters=800)))
    prefix = "LAW_000009_"
    full = [(*(part and prefix + part for part in (parent, passage)), why) for parent, passage, why in expected]
    assert pointed(index, f"전월세법 {text}") == full


def test_a_range_takes_every_article_of_today_between_its_ends() -> None:
    index = ArticleIndex.from_corpus(*frames(TENANCY))
    assert [parent for parent, *_ in pointed(index, "주택임대차법 제3조 내지 제10조")] == [
        "LAW_000001_제3조",
        "LAW_000001_제3조의2",
        "LAW_000001_제10조",
    ], "branches between the ends belong to it, the deleted 제4조 and the missing 제5조 do not"
    assert [reason for *_, reason in pointed(index, "주택임대차법 제3조의2 내지 제99조")][-1] == "no_such_article"


def test_long_ranges_are_their_two_ends() -> None:
    many = law("000008", "임대법", *(article(str(n), "", "본문이 있는 조문이다.") for n in range(1, 200)))
    index = ArticleIndex.from_corpus(*frames(many))
    assert len(pointed(index, "임대법 제1조 내지 제199조")) == 2
    assert len(pointed(index, "임대법 제1조 내지 제60조")) == 60


@pytest.mark.parametrize("note", ["[본조신설 2018.3.5]", "[제9조에서 이동, 종전 제10조는 제11조로 이동 <2018.3.5>]"])
def test_an_article_inserted_later_is_not_what_an_older_decision_cites(note: str) -> None:
    late = article("10", "계약의 해지", "임차인은 계약을 해지할 수 있다.")
    late.meta["note"] = note
    index = ArticleIndex.from_corpus(*frames(law("000007", "임대법", late)))
    (citation,) = parse_citations("임대법 제10조")
    assert index.article(citation, "20170101") == (None, "inserted_later")
    assert index.article(citation, "20190101") == ("LAW_000007_제10조", "resolved")
    assert index.article(citation) == ("LAW_000007_제10조", "resolved")


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
