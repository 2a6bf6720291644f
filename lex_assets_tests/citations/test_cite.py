"""`lex-assets cite` on a small store: what is printed, and that refusals are one line with their reason and exit code 1."""

from __future__ import annotations

from pathlib import Path

import pytest

from lex_assets.io_managers.parquet import write_tables
from lex_assets_tests.commands import done, invoke, refused
from lex_assets_tests.world import BANKING, DECREE, TENANCY, article, decision, frames, law

LATER = law(
    "000004",
    "보증금법",
    article("1", "목적", "이 법은 보증금의 보호를 목적으로 한다."),
    article("2", "정의", "보증금이란 임차인이 맡긴 돈을 말한다."),
    article("2", "정의", "보증금이란 임차인이 맡긴 돈과 그 이자를 말한다."),
)
LATER.effective_date = "20240701"
LATER.tree.children[2].effective_date = "20260101"
EARLIER = decision("1", "2014다1", ("쟁점", "결론", "주거임대차 보호법 제3조", ""))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    documents, corpus = frames(TENANCY, DECREE, BANKING, LATER, EARLIER)
    documents.write_parquet(folder / "documents.parquet")
    corpus.write_parquet(folder / "corpus.parquet")
    return folder


def test_a_paragraph_is_printed_with_label_date_and_text(store: Path) -> None:
    text = done("cite", "주택임대차법 제3조 제2항", "--store", store)
    assert "주거임대차 보호법 제3조제2항 · 시행 · in force" in text
    assert "임차주택의 양수인은" in text and "전입신고" not in text


def test_a_whole_article_and_several_citations(store: Path) -> None:
    text = done("cite", "주택임대차법 3조, 은행 영업법 제5조", "--store", store)
    assert text.index("전입신고") < text.index("양수인") < text.index("예금자의 청구")


@pytest.mark.parametrize(
    ("citation", "reason"),
    [
        ("민법 제1조", "unknown_law"),
        ("주택임대차법 제99조", "no_such_article"),
        ("주택임대차법 제4조", "repealed"),
        ("주택임대차법 제3조 제9항", "no_such_paragraph"),
        ("구 주택임대차법 제3조", "old_version"),
        ("주택임대차법 부칙 제1조", "addendum"),
        ("주택임대차법", "no_article"),
        ("보증금 반환", "names no article"),
    ],
)
def test_refusals_name_their_reason(store: Path, citation: str, reason: str) -> None:
    assert reason in refused("cite", citation, "--store", store)


def test_what_is_found_is_printed_before_the_refusal(store: Path) -> None:
    result = invoke("cite", "은행 영업법 제5조, 민법 제1조", "--store", store)
    assert (result.exit_code, "예금자의 청구" in result.stdout) == (1, True)
    assert "unknown_law" in result.stderr


@pytest.mark.parametrize(
    ("day", "reason"),
    [("2024-06-30", "old_version"), ("1999-01-01", "renumbered"), ("gestern", "YYYY-MM-DD")],
)
def test_another_days_law_is_refused(store: Path, day: str, reason: str) -> None:
    assert reason in refused("cite", "보증금법 제1조", "--as-of", day, "--store", store)


def test_a_pending_version_is_shown_for_its_day_only(store: Path) -> None:
    today = done("cite", "보증금법 제2조", "--store", store)
    assert "그 이자" not in today and "맡긴 돈을" in today
    later = done("cite", "보증금법 제2조", "--as-of", "2026-01-01", "--store", store)
    assert "그 이자" in later and "맡긴 돈을" not in later


def test_the_law_of_a_day_in_force(store: Path) -> None:
    assert "보증금의 보호" in done("cite", "보증금법 제1조", "--as-of", "2024-07-01", "--store", store)


def test_the_pipelines_store_is_read(tmp_path: Path) -> None:
    documents, corpus = frames(TENANCY)
    write_tables(tmp_path / "tables" / "raw_documents" / "law", {"documents": documents})
    write_tables(tmp_path / "tables" / "corpus", {"passages": corpus})
    assert "주거 안정" in done("cite", "주택임대차법 제1조", "--store", tmp_path)


def test_an_empty_store_names_the_command(tmp_path: Path) -> None:
    assert f"lex-assets ingest RAW --store {tmp_path}" in refused("cite", "민법 제1조", "--store", tmp_path)
