from __future__ import annotations

import json

from lex_assets.sources.admin_rule import read_admin_rule
from lex_assets_tests.sources import raw

ONE_STRING = (
    "제1장 총칙 제1-1조(목적) 이 규정은 「가상자산보관업법」(이하 “법”이라 한다)에서 위임한 사항을 정한다. "
    "제1-2조(정의) ① 용어는 다음 각 호와 같다. 1. 보관업 2. 관리업 ② 제2-2조(예외) 각 호의 것은 제외한다. "
    "<개정 2011. 1. 2.> "
    "제1-3조 삭제 <2020. 1. 1.> 제2장 보고 제1절 통 칙 제2-1조(보고) 영 제2-9조(보고사항) 에 따라 보고한다. "
    "제2-2조(예외) 다음 각 호의 경우는 제외한다. 1. 소액 2. 긴급"
)


def numbers(articles: object) -> list[str]:
    tree = read_admin_rule(raw.rule(articles)).tree
    return [unit.number for unit in tree.walk() if unit.kind == "조"]


def test_one_string_is_cut_at_articles_and_not_at_citations() -> None:
    tree = read_admin_rule(raw.rule(ONE_STRING)).tree
    units = [f"{unit.kind}{unit.number}" for unit in tree.walk() if unit.kind in ("장", "절", "조", "항")]
    assert units == ["장1", "조1-1", "조1-2", "항①", "항②", "조1-3", "장2", "절1", "조2-1", "조2-2"]
    assert [unit.title for unit in tree.walk() if unit.kind in ("장", "절")] == ["총칙", "보고", "통 칙"]


def test_list_and_string_give_the_same_articles() -> None:
    parts = ["제1장 총칙 ", "제1조(목적) 이 규정은 정한다. ", "제1조의2(정의) 용어는 법에 따른다. ", "제2조 삭제 "]
    assert numbers(parts) == numbers(" ".join(parts)) == ["1", "1의2", "2"]


def test_undated_deletions_count_in_rules() -> None:
    tree = read_admin_rule(raw.rule(["제2조 삭제 ", "제3조(보고) <삭 제>", "제4조(말소) ① <삭제> ② 남는다."])).tree
    assert [unit.number for unit in tree.walk() if unit.deleted] == ["2", "3", "①"]


def test_text_outside_articles_is_kept() -> None:
    tree = read_admin_rule(raw.rule(["전문이다.", "제1조(목적) 이 규정은 정한다."])).tree
    assert [(unit.kind, unit.text) for unit in tree.children] == [("text", "전문이다."), ("조", "이 규정은 정한다.")]


def test_rule_is_held_out_with_its_act_and_names_no_official() -> None:
    document = read_admin_rule(raw.rule(ONE_STRING))
    assert document.family == document.meta["parent_title"] == "가상자산보관업법"
    row = json.dumps(document.row(), ensure_ascii=False)
    assert "홍길동" not in row
    assert "02-999-8888" not in row


def test_addenda_come_as_parallel_lists_or_single_values() -> None:
    lists = {
        "부칙공포번호": ["1", "2"],
        "부칙공포일자": ["20200101", "20210101"],
        "부칙내용": ["시행한다.", "적용한다."],
    }
    single = {"부칙공포번호": "1", "부칙공포일자": "20200101", "부칙내용": "시행한다."}
    for block, expected in ((lists, ["1", "2"]), (single, ["1"])):
        tree = read_admin_rule(raw.rule(["제1조(목적) 정한다."], 부칙=block)).tree
        assert [unit.number for unit in tree.children if unit.kind == "부칙"] == expected
