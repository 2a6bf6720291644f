from __future__ import annotations

from typing import Any

import pytest

from lex_assets.schemas import Document
from lex_assets.sources.adjudication import is_appeal, is_constitutional, read_appeal, read_constitutional
from lex_assets.sources.formats import format_of
from lex_assets.sources.values import SourceError
from lex_assets_tests.sources import raw

CONSTITUTIONAL = {
    "헌재결정례일련번호": 171929,
    "사건번호": "2021헌바114",
    "사건명": "가상자산보관업법 제3조 위헌소원",
    "종국일자": "2022.02.24",
    "사건종류명": "헌바",
    "판시사항": "1. 심판대상조항이 평등원칙에 반하는지 여부<br/>2. 직업의 자유를 침해하는지 여부",
    "결정요지": "1. 반하지 아니한다.<br/>2. 침해하지 아니한다.",
    "참조조문": "헌법 제11조 제1항, 제15조",
    "심판대상조문": "가상자산보관업법(2023. 7. 1. 법률 제19999호로 개정된 것) 제3조 제1항",
    "참조판례": "1. 헌재 2010. 2. 25. 2008헌마324, 판례집 22-1, 347",
    "전문": "주문<br/>청구를 기각한다.",
}
APPEAL = {
    "행정심판례일련번호": "243263",
    "사건명": "등록취소처분 취소청구",
    "사건번호": "2019-00446",
    "의결일자": "20190527",
    "처분청": "금융위원회",
    "재결청": "중앙행정심판위원회",
    "청구취지": "피청구인이 한 등록취소처분을 취소한다.",
    "재결요지": "청문을 거치지 아니한 처분은 위법하다.",
    "주문": "취소한다.",
    "이유": "절차를 지키지 아니하였다.",
}
SPECIAL = {
    "특별행정심판재결례일련번호": "1704",
    "청구번호": "조심 2018광1070",
    "의결일자": "2018.06.04",
    "재결청": "조세심판원",
    "재결요지": "",
    "관련법령": "「국세기본법」 제26조의2 / 「소득세법」 제104조",
    "참조결정": "조심2013중3738",
    "주문": "기각한다.",
    "이유": "이유 없다.",
}


def units(document: Document, kind: str) -> dict[str, str]:
    return {unit.number: unit.text for unit in document.tree.children if unit.kind == kind}


@pytest.mark.parametrize("value", [CONSTITUTIONAL, {"DetcService": CONSTITUTIONAL}])
def test_constitutional_decision(value: dict[str, Any]) -> None:
    assert is_constitutional(value)
    document = read_constitutional(value)
    assert (document.doc_id, document.source_type, document.effective_date) == (
        "DETC_171929", "constitutional", "20220224",
    )  # fmt: skip
    assert document.title == "헌법재판소 2022. 2. 24. 선고 2021헌바114 결정"
    assert units(document, "issue")["2"] == "직업의 자유를 침해하는지 여부"
    assert units(document, "holding") == {"1": "반하지 아니한다.", "2": "침해하지 아니한다."}
    assert list(units(document, "cited_decisions")) == ["0"]
    assert units(document, "text")["1"].startswith("주문")


def test_articles_given_for_several_issues_together_belong_to_none() -> None:
    assert list(units(read_constitutional(CONSTITUTIONAL), "cited_articles")) == ["0"]
    one = CONSTITUTIONAL | {"판시사항": "평등원칙에 반하는지 여부", "결정요지": "반하지 아니한다."}
    assert list(units(read_constitutional(one), "cited_articles")) == ["1"]


@pytest.mark.parametrize("value", [APPEAL, {"PrecService": APPEAL}, {"Decc": {"PrecService": APPEAL}}])
def test_appeals_share_an_envelope_with_court_decisions(value: dict[str, Any]) -> None:
    assert is_appeal(value)
    assert format_of(value) == "appeal"
    document = read_appeal(value)
    assert document.doc_id == "DECC_243263"
    assert document.title == "중앙행정심판위원회 2019. 5. 27. 2019-00446 재결"
    assert (units(document, "issue")["1"], units(document, "holding")["1"]) == (APPEAL["청구취지"], APPEAL["재결요지"])
    assert units(document, "text")["1"] == "취소한다.\n절차를 지키지 아니하였다."


def test_special_tribunals_cite_and_count_by_themselves() -> None:
    document = read_appeal({"SpecialDeccService": SPECIAL})
    assert document.doc_id == "DECC_조세심판원-1704"
    assert "소득세법" in units(document, "cited_articles")["1"]
    assert document.version == "조심 2018광1070"


def test_court_decisions_are_still_court_decisions() -> None:
    assert format_of(raw.decision()) == format_of({"PrecService": raw.decision()}) == "precedent"


def test_without_number_they_are_refused_with_the_field() -> None:
    with pytest.raises(SourceError, match="헌재결정례일련번호"):
        read_constitutional({"DetcService": CONSTITUTIONAL | {"사건번호": ""}})
    with pytest.raises(SourceError, match="행정심판례일련번호"):
        read_appeal({"SpecialDeccService": {"주문": "기각한다."}})
