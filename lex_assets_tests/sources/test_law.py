from __future__ import annotations

import json

import pytest

from lex_assets.schemas import Document, Unit
from lex_assets.sources.law import is_law, read_law
from lex_assets.sources.values import SourceError
from lex_assets_tests.sources import raw


def articles(document: Document) -> dict[str, Unit]:
    return {unit.number: unit for unit in document.tree.walk() if unit.kind == "조"}


LAW = raw.law(
    [
        raw.heading("1", "            제1장 총칙"),
        raw.article("1", "이 법은 이용자를 보호한다. <개정 2020.2.4>", "목적"),
        raw.article("2", "다음 각 호와 같다.", "정의", 항={"호": [raw.item("1.", "“보관”이란 맡는 것을 말한다.")]}),
        raw.heading("3", [["   제2장 등록 <개정 2020.2.4>", "       제1절 삭제 <2020.2.4>"]]),
        raw.article("3", "", "등록", 항=[raw.paragraph("①", "등록한다."), raw.paragraph("②", "삭제 <2021.1.1>")]),
        raw.article(
            "3",
            "",
            "등록의 말소",
            branch="2",
            조문시행일자="20280101",
            항=[
                raw.paragraph(
                    "①", "다음과 같다.", [raw.item("1의2.", "가", [raw.subitem("가.", [["가.  나", "  1) 다"]])])]
                )
            ],
        ),
        raw.article("4", "정보주체는 개인정보의 삭제를 요구할 수 있다.", "개인정보의 삭제"),
        raw.article("5", "삭제 <2020.2.4>"),
    ],
    부칙={
        "부칙단위": {
            "부칙공포번호": "06614",
            "부칙공포일자": "20020119",
            "부칙내용": [["부칙 <제6614호>", "공포한 날부터"]],
        }
    },
    별표={
        "별표단위": {
            "별표번호": "0001",
            "별표가지번호": "02",
            "별표구분": "별표",
            "별표제목": "과태료 &lt;기준&gt;",
            "별표내용": [["┌──┬──┐", "│위반│금액│", "├──┼──┤", "│가  │100 │", "└──┴──┘"]],
        }
    },
)


def test_law_tree() -> None:
    document = read_law(LAW)
    found = articles(document)
    assert list(found) == ["1", "2", "3", "3의2", "4", "5"]
    assert found["1"].text == "이 법은 이용자를 보호한다."
    assert [child.kind for child in found["2"].children] == ["호"]
    assert [child.deleted for child in found["3"].children] == [False, True]
    assert found["3의2"].effective_date == "20280101"
    assert found["3의2"].children[0].children[0].children[0].text == "나\n1) 다"
    assert not found["4"].deleted
    assert found["5"].deleted
    chapters = [unit for unit in document.tree.children if unit.kind == "장"]
    assert [chapter.title for chapter in chapters] == ["총칙", "등록"]
    assert [unit.kind for unit in chapters[1].children] == ["절", "조", "조", "조", "조"]


def test_law_metadata_addenda_and_annex() -> None:
    document = read_law(LAW)
    assert (document.doc_id, document.authority, document.version) == ("LAW_900001", "금융위원회", "19999")
    assert document.meta["first_promulgated"] == "20020119"
    addendum, annex = document.tree.children[-2:]
    assert (addendum.kind, addendum.number, addendum.effective_date) == ("부칙", "6614", "20020119")
    assert (annex.number, annex.title, annex.text) == ("1의2", "과태료 <기준>", "위반 | 금액\n가 | 100")


@pytest.mark.parametrize("several", [False, True])
def test_officials_never_enter_a_document(several: bool) -> None:
    department = {"부서명": "보관과", "부서연락처": "02-765-4321", "담당자": "이금고"}
    offices = {"부서단위": [department, department] if several else department}
    law = raw.law([raw.article("1", "보호한다.")], info={"연락부서": offices, "담당자명": "이금고"})
    for document in (read_law(LAW), read_law(law), read_law(law["법령"])):
        row = json.dumps(document.row(), ensure_ascii=False)
        assert not any(secret in row for secret in ("02-123-4567", "02-765-4321", "이금고", "김보관", "보관과"))


def test_decree_belongs_to_its_act() -> None:
    document = read_law(raw.law([], info={"법령명_한글": "가상자산보관업법 시행령"}))
    assert document.family == document.meta["parent_title"] == "가상자산보관업법"


def test_flat_law_reads_like_a_wrapped_one() -> None:
    assert is_law(LAW["법령"])
    assert read_law(LAW["법령"]).row() == read_law(LAW).row()


@pytest.mark.parametrize("info", [{"법령ID": ""}, {"법령명_한글": None}, {"법령ID": {"code": 1}}])
def test_a_law_without_identity_is_refused_with_the_field(info: dict[str, object]) -> None:
    with pytest.raises(SourceError, match="법령"):
        read_law(raw.law([], info=info))


def test_a_document_survives_the_table() -> None:
    document = read_law(LAW)
    again = Document.from_row(document.row())
    assert again.tree == document.tree
    assert again.row() == document.row()
