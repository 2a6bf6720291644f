"""Versions of a provision, provisions that take effect later, and the corpus as of a day."""

from __future__ import annotations

from typing import Any

import pytest

from lex_assets.passages.build import PassageConfig, build_passages
from lex_assets.passages.corpus import build_corpus
from lex_assets.schemas import Document
from lex_assets.sources.law import read_law
from lex_assets_tests.passages.test_build import frame, law, rows
from lex_assets_tests.sources import raw
from lex_assets_tests.world import decision


def versions() -> Document:
    """In force from 2024: article 5 in three versions, article 6 that starts in 2028, annex 1 in two versions."""
    annex = {"별표번호": "0001", "별표가지번호": "00", "별표구분": "별표", "별표제목": "요율"}
    return read_law(
        raw.law(
            [
                raw.article("5", "처음의 글", 조문시행일자="20220101"),
                raw.article("5", "지금의 글"),
                raw.article("5", "앞으로의 글", 조문시행일자="20280101"),
                raw.article("6", "새로 생기는 글", 조문시행일자="20280101"),
            ],
            별표={
                "별표단위": [
                    annex | {"별표내용": "요율은 1로 한다.", "별표시행일자": "20240101"},
                    annex | {"별표내용": "요율은 2로 한다.", "별표시행일자": "20280101"},
                ]
            },
        )
    )


def texts(document: Document, **config: Any) -> list[str]:
    return [row["text"] for row in rows(document, **config).values()]


def test_without_a_day_everything_stays_and_what_is_not_in_force_says_so() -> None:
    found = {row["text"]: (row["citation"], row["effective_date"]) for row in rows(versions()).values()}
    assert found == {
        "처음의 글": ("가상자산보관업법 제5조 [종전 시행일: 2022. 1. 1.]", "20220101"),
        "지금의 글": ("가상자산보관업법 제5조", "20240101"),
        "앞으로의 글": ("가상자산보관업법 제5조 [시행일: 2028. 1. 1.]", "20280101"),
        "새로 생기는 글": ("가상자산보관업법 제6조 [시행일: 2028. 1. 1.]", "20280101"),
        "요율은 1로 한다.": ("가상자산보관업법 별표 1", "20240101"),
        "요율은 2로 한다.": ("가상자산보관업법 별표 1 [시행일: 2028. 1. 1.]", "20280101"),
    }


@pytest.mark.parametrize(
    ("day", "expected"),
    [
        ("20211231", []),
        ("20230101", ["처음의 글"]),
        ("20250101", ["요율은 1로 한다.", "지금의 글"]),
        ("2028-01-01", ["요율은 2로 한다.", "앞으로의 글", "새로 생기는 글"]),
    ],
)
def test_as_of_keeps_what_is_in_force_on_the_day(day: str, expected: list[str]) -> None:
    assert texts(versions(), as_of=day) == expected


def test_ids_do_not_depend_on_the_day_and_versions_are_one_class() -> None:
    everything = rows(versions())
    for day in ("20230101", "20250101", "20280101"):
        assert (
            rows(versions(), as_of=day).items()
            <= {key: row | {"citation": row["citation"].split(" [")[0]} for key, row in everything.items()}.items()
        )
    corpus = build_corpus([build_passages(frame(versions()))])
    of_article = {i: e for i, e in corpus.select("passage_id", "equivalence_id").iter_rows() if "제5조" in i}
    assert list(of_article) == ["LAW_900001_제5조", "LAW_900001_제5조@20240101", "LAW_900001_제5조@20280101"]
    assert set(of_article.values()) == {"LAW_900001_제5조"}


def test_a_version_that_deletes_an_article_ends_it() -> None:
    document = law(raw.article("5", "지금의 글"), raw.article("5", "삭제 <2027.1.1>", 조문시행일자="20280101"))
    assert texts(document, as_of="20250101") == ["지금의 글"]
    assert texts(document, as_of="20280101") == []


def test_parts_that_a_note_delays_are_pending() -> None:
    note = {"조문참고자료": [["[본조신설 2025.2.25]", "[시행일: 2026.6.1] 제42조의2제1항제2호, 제42조의2제2항"]]}
    items = [raw.item("1.", "보관업자"), raw.item("2.", "통신업자")]
    paragraphs = [raw.paragraph("①", "다음 각 호의 자", items), raw.paragraph("②", "나중의 항")]
    document = law(raw.article("42", "", "전송", "2", 항=paragraphs, **note))
    assert texts(document, as_of="20250101") == ["① 다음 각 호의 자\n1. 보관업자"]
    assert texts(document, as_of="20260601") == ["① 다음 각 호의 자\n1. 보관업자\n2. 통신업자", "② 나중의 항"]
    assert [row["citation"].split("제42조의2")[1] for row in rows(document).values()] == [
        "제1항",
        "제2항 [시행일: 2026. 6. 1.]",
    ]


def test_decisions_are_not_provisions() -> None:
    case = decision("1", "2014다1", ("쟁점", "요지", "", ""), decided="20150301")
    assert texts(case, as_of="20100101") == ["요지"]


@pytest.mark.parametrize("day", ["2025", "20251301", "내일", "2025010"])
def test_a_day_that_is_none_is_refused(day: str) -> None:
    with pytest.raises(ValueError, match="write a day as YYYYMMDD"):
        PassageConfig(as_of=day)
