"""Labels that documents carry: who is asked, what answers, with which grade."""

from __future__ import annotations

import json

import polars as pl
import pytest

from lex_assets.citations import citation_graph
from lex_assets.queries.labelled import LabelConfig, labelled_queries, mask_articles
from lex_assets_tests.world import BANKING, DECREE, TENANCY, context, decision, frames

FIRST = decision(
    "1",
    "2014다1",
    (
        "임차인이 전입신고를 마친 경우 대항력을 취득하는 시점",
        "다음 날부터 생긴다.",
        "주거임대차 보호법 제3조 제1항",
        "",
    ),
    (
        "은행이 주거임대차 보호법 제3조를 들어 예금 반환을 거절할 수 있는지",
        "거절할 수 없다.",
        "은행 영업법 제5조, 주거임대차 보호법 제3조의2",
        "",
    ),
    decided="20200101",
)
SECOND = decision(
    "2",
    "2019다77",
    (
        "임차인이 전입신고를 마친 경우 대항력을 취득하는 시점(=다음 날)",
        "그렇다.",
        "주거임대차 보호법 제10조",
        "대법원 2015. 3. 1. 선고 2014다1 판결",
    ),
    decided="20210101",
)
ARTICLE = context("7", "한빛은행은 6일 예금 금리를 연 3%로 올렸다.", ("한빛은행은 예금 금리를 얼마로 올렸나?", "연 3%"))


@pytest.fixture(scope="module")
def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    documents, corpus = frames(TENANCY, DECREE, BANKING, FIRST, SECOND, ARTICLE)
    return labelled_queries(documents, corpus, citation_graph(documents, corpus))


def grades(tables: tuple[pl.DataFrame, pl.DataFrame], query_id: str) -> dict[str, int]:
    return dict(tables[1].filter(pl.col("query_id") == query_id).select("passage_id", "grade").iter_rows())


def row(tables: tuple[pl.DataFrame, pl.DataFrame], query_id: str) -> dict[str, str]:
    return tables[0].row(by_predicate=pl.col("query_id") == query_id, named=True)


def test_named_paragraph_is_grade_two_and_the_rest_of_its_article_one(tables) -> None:
    assert grades(tables, "Q_PREC_1_1_law") == {"LAW_000001_제3조_①": 2, "LAW_000001_제3조_②": 1}


def test_one_query_per_domain_of_the_cited_articles(tables) -> None:
    assert grades(tables, "Q_PREC_1_2_finance") == {"LAW_000003_제5조": 2}
    assert grades(tables, "Q_PREC_1_2_law") == {"LAW_000001_제3조의2": 2}
    assert row(tables, "Q_PREC_1_2_finance")["domain"] == "finance"


def test_article_numbers_are_masked(tables) -> None:
    text = row(tables, "Q_PREC_1_2_law")["text"]
    assert "제3조" not in text and "주거임대차 보호법 조항을 들어" in text
    assert mask_articles("민법 제390조 제1항, 제2항 및 제393조에 따른") == "민법 조항에 따른"


def test_holdings_decisions_delegations_and_mrc(tables) -> None:
    assert grades(tables, "Q_PREC_1_1_holding") == {"PREC_1_h1": 2}
    assert set(grades(tables, "Q_PREC_2_1_precedent")) == {"PREC_1_h1", "PREC_1_h2"}
    assert sorted(grades(tables, "Q_PREC_2_1_precedent").values()) == [1, 2]
    delegation = row(tables, "Q_LAW_000002_제2조")
    assert (delegation["origin"], delegation["split_group"]) == ("delegation", "주거임대차 보호법")
    assert grades(tables, "Q_LAW_000002_제2조")["LAW_000001_제10조_②"] == 2
    assert "제10조" not in delegation["text"]
    mrc = row(tables, "Q_MRC_7_0")
    assert (mrc["origin"], mrc["split_group"], json.loads(mrc["meta"])["answer"]) == ("mrc", "MRC_7", "연 3%")


def test_sister_decisions_share_a_group(tables) -> None:
    groups = set(tables[0].filter(pl.col("doc_id").is_in(["PREC_1", "PREC_2"]))["split_group"])
    assert groups == {"PREC_1"}
    assert json.loads(row(tables, "Q_PREC_2_1_precedent")["meta"])["sisters"] == ["PREC_1"]


def boilerplate(cases: int, **config: float) -> list[str]:
    """Articles marked in the first of `cases` decisions that cite 제3조; every second one cites 제10조 too."""
    cited = ("주거임대차 보호법 제3조", "주거임대차 보호법 제3조, 주거임대차 보호법 제10조")
    documents, corpus = frames(
        TENANCY,
        *(
            decision(str(n), f"20{10 + n}다{n}", (f"쟁점 번호 {n * 7919} 관한 고유한 물음", "답", cited[n % 2], ""))
            for n in range(1, cases + 1)
        ),
    )
    graph = citation_graph(documents, corpus)
    queries, _ = labelled_queries(documents, corpus, graph, LabelConfig(**config))
    meta = json.loads(queries.row(by_predicate=pl.col("query_id") == "Q_PREC_1_1_law", named=True)["meta"])
    return meta.get("boilerplate", [])


def test_articles_that_are_cited_everywhere_are_marked() -> None:
    assert boilerplate(12, boilerplate_share=0.6) == ["LAW_000001_제3조"]
    assert boilerplate(12, boilerplate_share=0.4, boilerplate_least=5) == ["LAW_000001_제3조", "LAW_000001_제10조"]
    assert boilerplate(8, boilerplate_share=0.5) == []


def test_refused_old_versions_are_kept_as_near_misses() -> None:
    old = "구 주거임대차 보호법(2010. 1. 1. 법률 제1호로 개정되기 전의 것) 제10조, 주거임대차 보호법 제3조"
    documents, corpus = frames(TENANCY, decision("5", "2011다5", ("해지의 효력이 생기는 시점", "답", old, "")))
    queries, qrels = labelled_queries(documents, corpus, citation_graph(documents, corpus))
    meta = json.loads(queries.row(by_predicate=pl.col("query_id") == "Q_PREC_5_1_law", named=True)["meta"])
    assert meta["old_versions"] == ["LAW_000001_제10조"]
    assert not qrels["passage_id"].str.contains("제10조").any()


def test_two_runs_are_equal(tables) -> None:
    documents, corpus = frames(TENANCY, DECREE, BANKING, FIRST, SECOND, ARTICLE)
    again = labelled_queries(documents, corpus, citation_graph(documents, corpus))
    assert all(a.equals(b) for a, b in zip(tables, again, strict=True))
