"""Labels of official replies, of decisions that are no court's, and of pairs that people made."""

from __future__ import annotations

import json

import polars as pl
import pytest

from lex_assets.citations import citation_graph
from lex_assets.mining.pools import excluded_pairs
from lex_assets.queries.labelled import labelled_queries
from lex_assets.queries.split import SplitConfig, assign_split, family_is_held_out, is_training_document
from lex_assets.queries.synthetic import SyntheticQuestion, synthetic_queries
from lex_assets.schemas import Document
from lex_assets.sources.adjudication import read_appeal, read_constitutional
from lex_assets.sources.interpretation import read_interpretation
from lex_assets.sources.pairs import paired_question, text_document
from lex_assets_tests.sources.test_adjudication import APPEAL, CONSTITUTIONAL
from lex_assets_tests.world import BANKING, DECREE, TENANCY, decision, frames

Tables = tuple[pl.DataFrame, pl.DataFrame]


def reply(serial: str, question: str, answer: str, reason: str, domain: str = "finance") -> Document:
    fields = {
        "법령해석례일련번호": serial,
        "안건명": f"해석 {serial}",
        "해석일자": "20200101",
        "해석기관명": "금융위원회",
    }
    document = read_interpretation(fields | {"질의요지": question, "회답": answer, "이유": reason})
    document.domain = domain
    return document


CITED = reply(
    "1",
    "은행이 「은행 영업법」 제5조에 따른 예금의 반환을 하루 미룰 수 있는지?",
    "미룰 수 없습니다.",
    "「은행 영업법」 제6조와 「주거임대차 보호법」 제10조는 이와 관련이 없습니다.",
)
REASONED = reply(
    "2",
    "임대인이 신고를 늦게 할 수 있는지 궁금합니다.",
    "늦게 할 수 없습니다.",
    "「주거임대차 보호법」 제10조제2항과 제4조, 구 「은행 영업법」(2010. 1. 1. 개정되기 전의 것) 제5조를 봅니다.",
)
NUMBERED = reply(
    "3",
    "가. 전입신고의 효력은 언제 생기는지?\n나. 보증금을 먼저 받을 수 있는지?",
    "가. 「주거임대차 보호법」 제3조에 따릅니다.\n나. 이는 주거임대차 보호법 제3조의2에 따르고, 다른 어떤 보호법 제3조에 따르지 않습니다.",
    "대법원 2015. 3. 1. 선고 2014다1 판결과 제12조제3항을 보십시오.",
)
CASE = decision(
    "1", "2014다1", ("임차인이 대항력을 취득하는 시점", "다음 날부터 생긴다.", "주거임대차 보호법 제3조", "")
)
TEXTS = [
    text_document("d1", "예금은 보호됩니다."),
    text_document("d2", "적금도 보호됩니다."),
    text_document("n", "주식은 아닙니다."),
]
ASKED = [
    paired_question("예금과 적금은 보호되나요?", ["d1", "d2"]),
    paired_question("예금만 따로 보호되는 것인가요?", ["d1"]),
    paired_question("은행이 예금을 돌려주는 때는 언제인가요?", ["LAW_000003_제5조", "LAW_000001_제3조_①"]),
    paired_question("아무 문서도 없는 질문입니다", ["없는 이름"]),
]


@pytest.fixture(scope="module")
def corpus_tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    for document in (*TEXTS, *ASKED):
        document.domain = "finance"
    return frames(TENANCY, DECREE, BANKING, CITED, REASONED, NUMBERED, CASE, *TEXTS, *ASKED)


@pytest.fixture(scope="module")
def tables(corpus_tables) -> Tables:
    documents, corpus = corpus_tables
    return labelled_queries(documents, corpus, citation_graph(documents, corpus))


def grades(tables: Tables, query_id: str) -> dict[str, int]:
    return dict(tables[1].filter(pl.col("query_id") == query_id).select("passage_id", "grade").iter_rows())


def row(tables: Tables, query_id: str) -> dict[str, str]:
    return tables[0].row(by_predicate=pl.col("query_id") == query_id, named=True)


def test_a_question_finds_its_answer_and_the_articles_it_cites(tables) -> None:
    assert grades(tables, "Q_INTERP_1_1_finance") == {"LAW_000003_제5조": 2}
    answer = row(tables, "Q_INTERP_1_1_answer")
    assert (answer["origin"], answer["domain"], answer["decided"]) == ("interpretation", "finance", "20200101")
    assert answer["text"] == "은행이 「은행 영업법」 조항에 따른 예금의 반환을 하루 미룰 수 있는지?"
    # The article answers the same words: it is graded with the answer, so that it is no negative of it.
    assert grades(tables, "Q_INTERP_1_1_answer") == {"INTERP_1_a1": 2, "INTERP_1_r1": 1, "LAW_000003_제5조": 1}


def test_the_reason_counts_where_question_and_answer_cite_nothing(tables) -> None:
    assert grades(tables, "Q_INTERP_2_1_law") == {"LAW_000001_제10조_①": 1, "LAW_000001_제10조_②": 2}
    assert not any(query.startswith("Q_INTERP_2_1_fin") for query in tables[0]["query_id"])
    assert grades(tables, "Q_INTERP_2_1_answer") == {"INTERP_2_a1": 2, "INTERP_2_r1": 1}


def test_numbered_questions_keep_their_own_citations(tables) -> None:
    assert set(grades(tables, "Q_INTERP_3_1_law")) == {"LAW_000001_제3조_①", "LAW_000001_제3조_②"}
    assert grades(tables, "Q_INTERP_3_2_law") == {"LAW_000001_제3조의2": 2}
    assert grades(tables, "Q_INTERP_3_2_answer") == {"INTERP_3_a2": 2, "INTERP_3_r1": 1}


def test_what_replies_cite_is_in_the_graph(corpus_tables) -> None:
    graph = citation_graph(*corpus_tables).filter(pl.col("source_doc_id").str.starts_with("INTERP_"))
    found = set(graph.select("source_id", "kind", "target_parent_id", "reason").iter_rows())
    assert ("INTERP_1#0", "article", "LAW_000003_제6조", "resolved") in found
    assert ("INTERP_2#0", "article", None, "repealed") in found
    assert ("INTERP_2#0", "article", None, "old_version") in found
    assert ("INTERP_3#2", "article", None, "unknown_law") in found
    assert ("INTERP_3#0", "decision", "PREC_1", "resolved") in found
    # A docket number is not what only looks like one (12조제3).
    assert graph.filter(pl.col("kind") == "decision").height == 1


def test_the_reply_is_no_answer_to_the_question_for_articles(tables, corpus_tables) -> None:
    excluded = set(excluded_pairs(*tables, corpus_tables[1]).select("query_id", "passage_id", "rule").iter_rows())
    assert ("Q_INTERP_1_1_finance", "INTERP_1_a1", "own_document") in excluded
    assert ("Q_INTERP_1_1_answer", "INTERP_1_a1", "positive") in excluded


def test_a_pair_has_one_query_with_all_its_positives(tables) -> None:
    names = [f"Q_{question.doc_id}" for question in ASKED]
    assert grades(tables, f"{names[0]}_finance") == {"DOC_d1_1": 2, "DOC_d2_1": 2}
    assert row(tables, f"{names[0]}_finance")["origin"] == "pair"
    # Ids of articles and passages of other files are understood; each domain has its own query.
    assert grades(tables, f"{names[2]}_finance") == {"LAW_000003_제5조": 2}
    assert grades(tables, f"{names[2]}_law") == {"LAW_000001_제3조_①": 2}
    assert not tables[0]["query_id"].str.starts_with(names[3]).any()
    assert "DOC_n_1" not in set(tables[1]["passage_id"])


def test_questions_with_the_same_first_positive_share_a_set(tables) -> None:
    groups = [row(tables, f"Q_{question.doc_id}_finance")["split_group"] for question in ASKED[:3]]
    assert groups[0] == groups[1] == "DOC_d1" != groups[2]


def test_unresolved_positives_are_told(corpus_tables, caplog) -> None:
    documents, corpus = corpus_tables
    labelled_queries(documents, corpus, citation_graph(documents, corpus))
    (message,) = [record.message for record in caplog.records if "없는 이름" in record.message]
    assert message.startswith("1 of 4 paired questions")


def test_mrc_files_that_repeat_a_question_number_give_two_queries() -> None:
    from lex_assets_tests.world import context

    first, second = (
        context("7", "예금 금리는 3%다.", ("예금 금리는 얼마인가?", "3%")),
        context("8", "적금은 4%다.", ("적금 금리는?!", "4%")),
    )
    second.tree.children[1].meta["question_id"] = "7_0"
    documents, corpus = frames(first, second)
    queries, qrels = labelled_queries(documents, corpus, citation_graph(documents, corpus))
    assert queries["query_id"].to_list() == ["Q_MRC_7_0", "Q_MRC_7_0_MRC_8"]
    assert dict(qrels.select("query_id", "passage_id").iter_rows())["Q_MRC_7_0_MRC_8"] == "MRC_8_1"


def test_constitutional_decisions_and_appeals_are_labelled_like_court_decisions() -> None:
    constitutional = read_constitutional(
        CONSTITUTIONAL
        | {"판시사항": "임차인의 대항력을 정한 조항이 위헌인지 여부", "결정요지": "위헌이 아니다.", "참조조문": ""}
        | {"심판대상조문": "주거임대차 보호법(2000. 1. 1. 법률 제1호로 개정된 것) 제3조 제1항", "참조판례": ""}
    )
    appeal = read_appeal(APPEAL)
    cites = decision("9", "2023다9", ("대항력 조항의 위헌 여부에 관한 판단", "답", "", "헌재 2022. 2. 24. 2021헌바114"))
    for document in (constitutional, appeal):
        document.domain = "precedent"
    documents, corpus = frames(TENANCY, constitutional, appeal, cites)
    found = labelled_queries(documents, corpus, citation_graph(documents, corpus))
    assert grades(found, "Q_DETC_171929_1_law") == {"LAW_000001_제3조_①": 2, "LAW_000001_제3조_②": 1}
    assert grades(found, "Q_DETC_171929_1_holding") == {"DETC_171929_h1": 2}
    assert grades(found, "Q_DECC_243263_1_holding") == {"DECC_243263_h1": 2}
    assert grades(found, "Q_PREC_9_1_precedent") == {"DETC_171929_h1": 2}
    assert row(found, "Q_DETC_171929_1_law")["decided"] == "20220224"


def held_out_seed(*, held: bool) -> SplitConfig:
    """Settings that hold 은행 영업법 out, or not."""
    configs = (SplitConfig(seed=seed) for seed in range(200))
    return next(c for c in configs if family_is_held_out("은행 영업법", c.seed, c.held_out) == held)


def test_a_reply_is_held_out_with_its_act(tables, corpus_tables) -> None:
    config = held_out_seed(held=True)
    queries = assign_split(*tables, corpus_tables[1], config)
    own = queries.filter(pl.col("doc_id") == "INTERP_1")
    assert set(own["regime"]) == {"unseen_law"}
    assert "train" not in set(own["set"])
    assert not is_training_document(CITED, config)


@pytest.mark.parametrize("held", [True, False])
def test_a_generated_question_about_a_reply_stays_in_its_set(tables, corpus_tables, held: bool) -> None:
    class Asks:
        name, licence = "fixed", "none"

        def generate(self, passages):
            return [
                SyntheticQuestion(
                    p["passage_id"], "이 절차를 하루 늦추어도 괜찮은 것인가요", "keyword", self.name, self.licence
                )
                for p in passages
                if p["passage_id"] == "INTERP_1_a1"
            ]

    config = held_out_seed(held=held)
    split = assign_split(*tables, corpus_tables[1], config)
    made, _, _ = synthetic_queries(corpus_tables[1], Asks(), split=config, labelled=split, labelled_qrels=tables[1])
    labelled = set(split.filter(pl.col("doc_id") == "INTERP_1")["set"])
    assert made.height == 1
    assert {made["set"][0]} == labelled
    assert json.loads(made["meta"][0])["passage_id"] == "INTERP_1_a1"
