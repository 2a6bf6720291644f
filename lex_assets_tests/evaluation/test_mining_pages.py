"""The audit of mining as people see it: made from a real report, complete, and safe to put on a page."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import polars as pl
import pytest

from lex_assets.evaluation.labels import MINING_LABELS
from lex_assets.evaluation.mining import examples, mining_plots, mining_tables
from lex_assets.mining.config import MiningConfig
from lex_assets.mining.mine import Mined, mine_hard_negatives
from lex_assets_tests.mining.conftest import TableReranker, article, corpus, lexical, qrels, queries  # noqa: F401
from lex_assets_tests.mining.test_mine import dense_search


@pytest.fixture
def mined(queries, qrels, corpus, lexical) -> Mined:  # noqa: F811
    dense = dense_search(queries, corpus, lambda q, p: 0.5 if article(int(q[1])) in p else 0.1)
    reranker = TableReranker(lambda q, p: 1.0 if f"제{q[1]}조" in p or "제8조" in p else -float(len(p)))
    corpus = corpus.with_columns(text=pl.lit("<b>*굵게*</b>\n") + pl.col("passage_id") + "의 본문")
    return mine_hard_negatives(queries, qrels, corpus, lexical, dense, reranker, MiningConfig(random=1))


def test_tables_hold_every_rule_pool_and_reason(mined) -> None:
    tables = {title: str(rows) for title, (_, rows) in mining_tables(mined.report).items()}
    for part, title in (("drops", "drops"), ("fill", "fill")):
        names = mined.report[part]
        assert names and all(MINING_LABELS[name][1] in tables[f"{' · '.join(MINING_LABELS[title])}"] for name in names)
    verdicts = set(mined.candidates["verdict"]) | {p for row in mined.candidates["pool"] for p in row.split("+")}
    assert verdicts - {"survivor"} <= set(MINING_LABELS)  # each has its Korean name
    assert "4" in tables["요약 · summary"]


def test_plots_are_well_formed_and_show_survivors_and_scores(mined) -> None:
    plots = dict(mining_plots(mined.report))
    assert {"질의당 생존 후보", "임베딩 점수", "재순위 점수", "후보가 빠진 이유"} <= set(plots)
    assert all(ElementTree.fromstring(svg).tag.endswith("svg") for svg in plots.values())


def test_examples_show_positives_negatives_and_suspects_as_text(mined) -> None:
    page = examples(mined.report)
    assert page.count("- ✔") == 4 and page.count("- ✘") == mined.report["negatives"] and "- ?" in page
    assert "<b>" not in page and "\\*굵게\\*" in page
    assert "(어려움 · " in page and "재순위 점수" in page
