from __future__ import annotations

import pytest

from lex_assets.schemas import Unit
from lex_assets.sources.precedent import decision_title, numbered, read_precedent
from lex_assets.sources.values import SourceError
from lex_assets_tests.sources import raw


def units(kind: str, **fields: str) -> dict[str, str]:
    tree: Unit = read_precedent(raw.decision(**fields)).tree
    return {unit.number: unit.text for unit in tree.children if unit.kind == kind}


def test_fields_align_by_number() -> None:
    fields = {
        "판시사항": "[1] 갑의 책임<br/>  [2] 을의 책임 / 그 정도<br/>",
        "판결요지": "[1] 책임이 있다.<br/>[2] 책임이 없다.",
        "참조조문": "[1]민법 제750조,제756조 / [2]구 상법(2010. 1. 1. 개정되기 전의 것) 제8조 [별표 15]",
        "참조판례": "[2] 대법원 2001. 1. 1. 선고 2000다1 판결<br/>",
    }
    assert units("issue", **fields) == {"1": "갑의 책임", "2": "을의 책임 / 그 정도"}
    assert units("holding", **fields) == {"1": "책임이 있다.", "2": "책임이 없다."}
    assert units("cited_articles", **fields)["2"] == "구 상법(2010. 1. 1. 개정되기 전의 것) 제8조 [별표 15]"
    assert list(units("cited_decisions", **fields)) == ["2"]


def test_unnumbered_fields_are_number_one() -> None:
    assert units("issue", 판시사항="책임의 요건") == {"1": "책임의 요건"}
    assert units("cited_articles", 참조조문="민법 제1조 / [2] 민법 제2조") == {"1": "민법 제1조", "2": "민법 제2조"}


def test_joint_numbers_give_the_text_to_each() -> None:
    cited = units("cited_decisions", 참조판례="[1][2]대법원 A / [2]대법원 B")
    assert cited == {"1": "대법원 A", "2": "대법원 A / 대법원 B"}


def test_an_issue_number_repeated_by_mistake_counts_on() -> None:
    assert list(units("issue", 판시사항="[1] 가<br/>[2] 나<br/>[2] 다")) == ["1", "2", "3"]


def test_numbers_inside_a_text_are_no_markers() -> None:
    assert numbered("Smith v. Jones [1853] 2 QB 678 참조", "\n") == [("1", "Smith v. Jones [1853] 2 QB 678 참조")]


def test_letters_of_older_decisions() -> None:
    assert numbered("가. 첫째\n나. 둘째", "\n") == [("1", "첫째"), ("2", "둘째")]
    assert numbered("가. 하나뿐", "\n") == [("1", "가. 하나뿐")]


def test_a_decision_without_text_is_still_a_document() -> None:
    document = read_precedent(raw.decision())
    assert document.tree.children == []
    assert document.title == "대법원 2021. 3. 4. 선고 2020다1234 판결"


def test_title_of_an_order() -> None:
    assert decision_title("대법원", "20221101", "2019모2584", "결정") == "대법원 2022. 11. 1.자 2019모2584 결정"
    assert decision_title("대법원", "2022", "2019모2584", "판결 : 확정") == "대법원 2022 선고 2019모2584 판결"


def test_a_decision_without_number_is_refused() -> None:
    with pytest.raises(SourceError, match="사건번호"):
        read_precedent(raw.decision(사건번호=""))
