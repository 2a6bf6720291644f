from __future__ import annotations

import pytest

from lex_assets.sources.annex import annex_text, annexes
from lex_assets.sources.markdown import read_statute
from lex_assets.sources.values import SourceError

STATUTE = r"""---
제목: 보관업법
법령ID: '001571'
법령구분: 법률
소관부처:
- 금융위원회
- 법무부
시행일자: 2026-01-01
공포번호: '21218'
---

# 보관업법

## 제1장 총칙 <개정 2020.1.1>

##### 제1조 (목적)

이 법은 보호한다. <개정 2018.12.24>

##### 제2조의2 (정의)

**①** 다음과 같다.

  1\. 보관업
    가\. 금고
    나\. 창고
  2\. 삭제 <2020.4.7>

**②** 정보의 삭제를 요구할 수 있다.

이 경우 서면으로 한다.

##### 제3조

삭제 <2020.4.7>

## 부칙

부칙 <제1234호,2001.2.3>
이 법은 공포한 날부터 시행한다.
"""


def test_markdown_statute() -> None:
    document = read_statute(STATUTE.replace("\n", "\r\n"))
    chapter, addendum = document.tree.children
    assert (document.doc_id, document.source_type, document.effective_date) == ("LAW_001571", "law", "20260101")
    assert document.authority == "금융위원회, 법무부"
    first, second, third = chapter.children
    assert (first.number, first.title, first.text) == ("1", "목적", "이 법은 보호한다.")
    assert [f"{unit.kind}{unit.number}" for unit in second.walk()] == [
        "조2의2", "항①", "호1.", "목가.", "목나.", "호2.", "항②",
    ]  # fmt: skip
    assert second.children[1].text == "정보의 삭제를 요구할 수 있다.\n이 경우 서면으로 한다."
    assert second.children[0].children[1].deleted
    assert third.deleted
    assert (addendum.number, addendum.effective_date) == ("1234", "20010203")


def test_front_matter_faults_have_a_reason() -> None:
    for text in ("---\n법령ID: [\n---\n", "---\n- 법령ID\n---\n", "---\n법령ID: 1\n---\n", "no front matter"):
        with pytest.raises(SourceError):
            read_statute(text)


def test_drawn_table_becomes_rows() -> None:
    table = """■ 시행령 [별표 1] <개정 2025. 1. 21.>
  부과기준
┌────┬──────┐
│구분    │요건        │
├────┼──────┤
│대주주  │재무건전성에│
│        │관한 기    │
│        │준 충족     │
└────┴──────┘
 비고: 정한다."""
    assert annex_text(table, {"기준"}).splitlines() == [
        "■ 시행령 [별표 1]",
        "부과기준",
        "구분 | 요건",
        "대주주 | 재무건전성에 관한 기준 충족",
        "비고: 정한다.",
    ]


def test_table_without_outer_frame_keeps_its_columns() -> None:
    assert annex_text("───┼───\n 가   │나   \n      │다   \n───┼───") == "가 | 나 다"


def test_a_cell_that_spans_rows_is_repeated_while_it_is_short() -> None:
    table = """┌────┬────┬──┐
│위반    │근거    │액│
│행위    ├────┼──┤
│        │제1조   │1 │
├────┼────┼──┤
│보고    │제2조   │2 │
└────┴────┴──┘"""
    assert annex_text(table).splitlines() == ["위반 행위 | 근거 | 액", "위반 행위 | 제1조 | 1", "보고 | 제2조 | 2"]
    long = "│가" + "나" * 80
    assert annex_text(f"{long}│다│\n│  ├──┤\n│  │라│").splitlines() == [f"{long[1:]} | 다", "라"]


def test_deleted_annexes_and_numbers() -> None:
    def one(number: str, branch: str, text: object) -> dict[str, object]:
        return {"별표번호": number, "별표가지번호": branch, "별표구분": "별표", "별표제목": "t", "별표내용": text}

    units = annexes(
        {
            "별표단위": [
                one("0001", "00", "<별표 1> 삭  제 <2014.11.4>"),
                one("0002", "01", [["<별표 2-1> <신설 2010.9.20>", "정보의 삭제 요청 기준"]]),
                one("0003", "02", "■ 시행령 [별표 3의2] 삭제 <2016. 7. 28.>"),
                one("0000", "00", "[별표] 정보 삭제의 기준"),
            ]
        }
    )
    assert [(unit.number, unit.deleted) for unit in units] == [("1", True), ("2-1", False), ("3의2", True), ("", False)]
