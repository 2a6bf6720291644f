"""Row files of other tools become training tables; what is wrong is said with its line."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from lex_assets.schemas import LexError
from lex_assets.training.config import RerankerTrainingConfig
from lex_assets.training.data import training_data
from lex_assets.training.files import flag_embedding_rows, pair_tables, store_tables
from lex_assets_tests.mining.conftest import passage_row

VALID = {"query": "검증 질문", "pos": ["검증 정답"], "neg": ["오답"]}


def rows(path: Path, *values) -> Path:
    text = "".join(json.dumps(value, ensure_ascii=False) + "\n" for value in values)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


@pytest.fixture
def read(tmp_path):
    def pairs(*values, valid=VALID, corpus=None, name="train.jsonl"):
        return pair_tables(rows(tmp_path / name, *values), rows(tmp_path / "valid.jsonl", valid), corpus, "CC BY 4.0")

    return pairs


def texts(tables, query: str) -> tuple[set[str], set[str]]:
    """(positive texts, negative texts) of a training question."""
    row = next(row for row in flag_embedding_rows(tables) if row["query"] == query)
    return set(row["pos"]), set(row["neg"])


def test_flag_embedding(read) -> None:
    tables = read(
        {"query": "질문", "pos": ["정답", "또 정답"], "neg": ["오답"], "pos_scores": [1.0]},
        {"query": "다른 질문", "pos": ["오답"], "neg": ["정답", "오답"]},
        name="train.jsonl.gz",
    )
    assert (tables.rows, tables.pairs, tables.valid_queries, tables.corpus.height) == (2, 5, 1, 4)
    assert texts(tables, "질문") == ({"정답", "또 정답"}, {"오답"})
    assert texts(tables, "다른 질문") == ({"오답"}, {"정답"})
    assert json.loads(tables.queries["meta"][0])["licence"] == "CC BY 4.0"


def test_reranker_rows_keep_their_ids(read) -> None:
    passage = {"doc_id": "LAW_1_제1조", "text": "조문"}
    tables = read({"query_text": "질문", "positives": [passage], "negatives": [{"doc_id": "b", "text": "다른 조문"}]})
    assert tables.triplets["positives"].to_list() == [["LAW_1_제1조"]]
    assert texts(tables, "질문") == ({"조문"}, {"다른 조문"})


def test_lexdpr_pairs_name_passages_of_the_corpus(read) -> None:
    from lex_assets.schemas import PASSAGES

    corpus = PASSAGES.frame(
        [passage_row("LAW_1_제1조", "LAW_1", text="하나"), passage_row("LAW_1_제2조", "LAW_1", text="둘")]
    )
    row = {"query_text": "질문", "positive_passages": ["LAW_1_제1조"], "hard_negatives": ["LAW_1_제2조"], "meta": {}}
    tables = read(row, corpus=corpus)
    assert tables.triplets["negatives"][0][0]["passage_id"] == "LAW_1_제2조"
    assert tables.corpus["passage_id"].to_list()[:2] == ["LAW_1_제1조", "LAW_1_제2조"]
    with pytest.raises(LexError, match=r"train\.jsonl:1: positive_passages names LAW_9, which the corpus lacks"):
        read(row | {"positive_passages": ["LAW_9"]}, corpus=corpus)


def test_equal_texts_are_one_passage_and_never_each_others_negative(read) -> None:
    tables = read(
        {"query": "하나", "pos": ["같은 글"], "neg": ["글"]}, {"query": "둘", "pos": ["같은 글"], "neg": ["글"]}
    )
    data = training_data(
        tables.triplets, tables.queries, tables.qrels, tables.corpus, RerankerTrainingConfig(min_queries=1)
    )
    assert len(data.passages) == 4 and len(data.valid.query_ids) == 1
    assert data.licences == ["questions: CC BY 4.0", "passages: not stated"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": "x"}, r"train\.jsonl:1: the row is of no known format; write \{query, pos, neg\} or"),
        ({"query": "x", "pos": []}, "train.jsonl:1: query or pos is empty"),
        ({"query": " ", "pos": ["a"]}, "query or pos is empty"),
        ({"query": "x", "pos": "a"}, "pos is a str; write a list"),
        ({"query": "x", "pos": [3]}, "pos holds a passage without text"),
        ({"query": "x", "pos": [{"id": "1"}]}, "pos holds a passage without text"),
        (["x"], "train.jsonl:1: list, not an object"),
        ({"query": "검증 질문", "pos": ["a"]}, r"valid\.jsonl:1: the question is in the training file too"),
        ({"query": "x", "pos": [{"id": "1", "text": "a"}], "neg": [{"id": "1", "text": "b"}]}, "1 has another text"),
    ],
)
def test_bad_rows_are_named(read, row, message) -> None:
    with pytest.raises(LexError, match=message):
        read(row)


def test_empty_and_missing_files_are_named(tmp_path) -> None:
    with pytest.raises(LexError, match="holds no row"):
        pair_tables(rows(tmp_path / "a.jsonl"), rows(tmp_path / "b.jsonl", VALID))
    with pytest.raises(LexError, match=r"none\.jsonl: no such file"):
        pair_tables(tmp_path / "none.jsonl", rows(tmp_path / "b.jsonl", VALID))


def test_tables_of_a_store(toy, tmp_path) -> None:
    def publish(asset: str, **tables: pl.DataFrame) -> None:
        folder = tmp_path / "tables" / asset / "v1"
        folder.mkdir(parents=True)
        (folder.parent / "CURRENT").write_text("v1\n")
        for name, table in tables.items():
            table.write_parquet(folder / f"{name}.parquet")

    with pytest.raises(LexError, match="hard_negative_triplets/law is not made yet"):
        store_tables(tmp_path, "law")
    publish("hard_negative_triplets/law", triplets=toy.triplets, qrels=toy.qrels)
    publish("training_queries/law", queries=toy.queries)
    publish(
        "corpus",
        passages=pl.concat(
            [toy.corpus, toy.corpus.head(1).with_columns(passage_id=pl.lit("x"), domain=pl.lit("finance"))]
        ),
    )
    tables = store_tables(tmp_path, "law")
    assert tables.rows == toy.triplets.height and tables.corpus.height == toy.corpus.height
    with pytest.raises(LexError, match="'tax' is not known"):
        store_tables(tmp_path, "tax")
