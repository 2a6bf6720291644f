from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from lex_assets.passages.build import build_passages
from lex_assets.passages.corpus import build_corpus, corpus_hash
from lex_assets.schemas import LexError
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.law import read_law
from lex_assets.sources.read import ingest
from lex_assets_tests.passages.test_build import frame, law
from lex_assets_tests.sources import raw


def test_equal_texts_and_versions_are_equivalent() -> None:
    first = law(
        raw.article("1", "같은 글이다."), raw.article("2", "지금"), raw.article("2", "앞으로", 조문시행일자="20280101")
    )
    second = read_law(raw.law([raw.article("9", "같은  글이다.")], info={"법령ID": "900002"}))
    corpus = build_corpus([build_passages(frame(first)), build_passages(frame(second))])
    groups = dict(corpus.select("passage_id", "equivalence_id").iter_rows())
    assert groups["LAW_900002_제9조"] == groups["LAW_900001_제1조"] == "LAW_900001_제1조"
    assert groups["LAW_900001_제2조@20280101"] == groups["LAW_900001_제2조"] == "LAW_900001_제2조"


def test_colliding_ids_and_an_empty_corpus_are_errors() -> None:
    passages = build_passages(frame(law(raw.article("1", "글"))))
    with pytest.raises(LexError, match=r"LAW_900001_제1조 .* occurs 2 times"):
        build_corpus([passages, passages])
    for nothing in ([], [passages.clear()]):
        with pytest.raises(LexError, match="no passages"):
            build_corpus(nothing)


def test_the_order_of_the_domains_changes_nothing() -> None:
    tables = [
        build_passages(frame(read_law(raw.law([raw.article("1", "글")], info={"법령ID": name})))) for name in "12"
    ]
    assert corpus_hash(build_corpus(tables)) == corpus_hash(build_corpus(tables[::-1]))


def test_the_sample_reads_without_quarantine(sample_dir: Path) -> None:
    result = ingest(sample_dir, DomainRules.load())
    assert result.quarantine.is_empty(), result.quarantine.rows()
    corpus = build_corpus([build_passages(result.documents)])
    assert corpus["text"].str.len_chars().min() > 0
    assert corpus["text"].str.len_chars().max() <= 1000


def test_real_statutes_have_unique_ids_and_the_counted_articles(shared_dir: Path) -> None:
    result = ingest(shared_dir / "raw" / "laws", DomainRules.load())
    corpus = build_corpus([build_passages(result.documents)])
    articles = corpus.filter(pl.col("unit").is_in(["조", "항"]))["parent_id"].n_unique()
    assert (result.documents.height, result.quarantine.height) == (49, 0)
    # The same live articles as the independent parser behind bench/core finds.
    assert articles == 6468
    civil = corpus.filter(pl.col("passage_id") == "LAW_001706_제839조의2_①").row(0, named=True)
    assert civil["text"].startswith("① 협의상 이혼한 자의 일방은")
