"""A world of 40 passages whose relevance is known: 8 articles of 5 paragraphs; queries look for one article each."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lex_assets.schemas import PASSAGES, QRELS, QUERIES, content_hash

ARTICLES, PARAGRAPHS = 8, 5


def passage_row(passage_id: str, parent_id: str, **values: str) -> dict[str, str]:
    text = values.get("text", f"{passage_id}의 본문")
    row = dict.fromkeys(PASSAGES.names, "") | {
        "passage_id": passage_id,
        "doc_id": "LAW_1",
        "parent_id": parent_id,
        "domain": "law",
        "source_type": "law",
        "family": "시험법",
        "text": text,
        "citation": passage_id,
        "unit": "항",
        "equivalence_id": passage_id,
        "content_hash": content_hash("", text),
    }
    return row | values


def query_row(query_id: str, **values: str) -> dict[str, str]:
    row = dict.fromkeys(QUERIES.names, "") | {
        "query_id": query_id,
        "domain": "law",
        "origin": "citation",
        "text": f"{query_id}의 질문",
        "split_group": query_id,
        "set": "train",
        "regime": "unseen_query",
        "doc_id": f"PREC_{query_id}",
        "meta": "{}",
    }
    return row | values


def article(number: int) -> str:
    return f"LAW_1_제{number}조"


def paragraph(number: int, part: int) -> str:
    return f"{article(number)}_{part}"


class TableSearch:
    """Search by a fixed score per (query text, passage id): stands for any index."""

    def __init__(self, scores: dict[str, dict[str, float]]) -> None:
        self.scores = scores

    def search(self, queries: list[str], k: int) -> list[list[tuple[str, float]]]:
        ranked = [sorted(self.scores[query].items(), key=lambda hit: (-hit[1], hit[0])) for query in queries]
        return [hits[:k] for hits in ranked]


class TableReranker:
    """Logits by a function of (query text, passage text); counts the pairs it scored."""

    def __init__(self, logit) -> None:
        self.logit = logit
        self.pairs = 0

    def score(self, pairs, batch_size: int = 64) -> np.ndarray:
        self.pairs += len(pairs)
        return np.array([self.logit(query, passage) for query, passage in pairs], np.float32)


@pytest.fixture
def corpus() -> pl.DataFrame:
    return PASSAGES.frame(
        passage_row(paragraph(a, p), article(a)) for a in range(1, ARTICLES + 1) for p in range(1, PARAGRAPHS + 1)
    )


@pytest.fixture
def queries() -> pl.DataFrame:
    return QUERIES.frame(query_row(f"Q{n}") for n in range(1, 5))


@pytest.fixture
def qrels() -> pl.DataFrame:
    """Query n looks for article n: its first paragraph is named, the second is the rest."""
    rows = [(f"Q{n}", paragraph(n, p), 3 - p) for n in range(1, 5) for p in (1, 2)]
    return QRELS.frame({"query_id": q, "passage_id": p, "grade": g} for q, p, g in rows)


@pytest.fixture
def lexical(queries, corpus) -> TableSearch:
    """Every passage is found, in order of id."""
    scores = {passage: 1 / n for n, passage in enumerate(sorted(corpus["passage_id"]), 1)}
    return TableSearch(dict.fromkeys(queries["text"], scores))
