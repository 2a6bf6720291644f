from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lex_assets.schemas import Unit
from lex_assets.sources.statute import (
    Outline,
    article_from_text,
    article_head,
    article_key,
    family_title,
    heading,
    heaviest_ascending,
)
from lex_assets.sources.text import clean


def shape(unit: Unit) -> list[str]:
    return [f"{below.kind}{below.number}" for below in unit.walk()][1:]


def everything(unit: Unit) -> str:
    return "".join("".join((below.number + below.text).split()) for below in unit.walk())


@pytest.mark.parametrize(
    ("text", "number", "title", "body"),
    [
        ("제1조(목적) 이 법은", "1", "목적", "이 법은"),
        ("제53조의2(등록(변경을 포함한다) 등) ①", "53의2", "등록(변경을 포함한다) 등", "①"),
        ("제5-14조의3(특례) 영", "5-14의3", "특례", "영"),
        ("제16조 삭제 <2004.1.29>", "16", "", "삭제 <2004.1.29>"),
        ("제13조의2", "13의2", "", ""),
    ],
)
def test_article_head(text: str, number: str, title: str, body: str) -> None:
    head = article_head(text)
    assert head is not None
    assert (head.number, head.title, head.body) == (number, title, body)


def test_a_citation_is_no_article_head() -> None:
    assert article_head("제3조에 따라 등록한다.") is None
    assert article_head("") is None


def test_articles_sort_by_their_parts() -> None:
    assert article_key("1-2") < article_key("1-2의2") < article_key("1-10") < article_key("2-1")


def test_headings_nest_and_deleted_ones_hold_nothing() -> None:
    outline = Outline()
    outline.add_heading_lines("            제1편 총칙\n   제1장 통칙 <개정 2020.1.1>")
    outline.add(Unit("조", "1"))
    outline.add_heading_lines("제2장 삭제 <2020.1.1>")
    outline.add(Unit("조", "2"))
    outline.add_heading_lines("제2편 물권")
    outline.add(Unit("조", "3"))
    first, second = outline.root.children
    assert shape(outline.root) == ["편1", "장1", "조1", "장2", "조2", "편2", "조3"]
    assert [child.kind for child in first.children] == ["장", "장", "조"]
    assert first.children[0].title == "통칙"
    assert second.title == "물권"


def test_a_heading_of_the_civil_act_is_no_paragraph() -> None:
    unit = heading("        제2항 재판상 파양 <개정 2012.2.10>")
    assert unit is not None
    assert (unit.kind, unit.title) == ("소제목", "제2항 재판상 파양")


def test_running_text_of_a_rule_is_split() -> None:
    unit = article_from_text(
        "3",
        "정의",
        "① 이 규정에서 쓰는 용어는 다음 각 호와 같다. <개정 2011. 1. 2.> "
        "1. “보관업”: 다음 각 목의 업 가. 은행업 나. 신탁업"
        " 2. 삭제 3. 1.5배를 넘는 것 ② 삭제 <2020. 1. 1.> ③ 2019. 1. 1. 이후에 적용한다.",
    )
    assert shape(unit) == ["항①", "호1.", "목가.", "목나.", "호2.", "호3.", "항②", "항③"]
    assert [below.number for below in unit.walk() if below.deleted] == ["2.", "②"]
    assert unit.children[0].children[2].text == "1.5배를 넘는 것"
    assert unit.children[2].text == "2019. 1. 1. 이후에 적용한다."


def test_circled_numerals_inside_an_undivided_article_are_text() -> None:
    unit = article_from_text("4", "", "금융회사는 ① 성명과 ② 주소를 확인한다.")
    assert unit.children == []
    assert unit.text == "금융회사는 ① 성명과 ② 주소를 확인한다."


_PIECES = st.sampled_from(
    [
        "① ",
        "② ",
        "③ ",
        "1. ",
        "2. ",
        "2의2. ",
        "3. ",
        "가. ",
        "나. ",
        "다. ",
        "다음 각 호 ",
        "은행업 ",
        "한다. ",
        "2019. 1. 1. ",
    ]
)


@given(st.lists(_PIECES, max_size=30))
def test_splitting_loses_no_character(pieces: list[str]) -> None:
    body = "".join(pieces)
    assert everything(article_from_text("1", "", body)) == "1" + "".join(clean(body).split())


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(1, 9)), max_size=9))
def test_heaviest_ascending_is_the_best_of_all_subsequences(values: list[tuple[int, int]]) -> None:
    keys, weights = [(key,) for key, _ in values], [float(weight) for _, weight in values]
    best = max(
        sum(weights[place] for place in places)
        for size in range(len(keys) + 1)
        for places in combinations(range(len(keys)), size)
        if all(keys[a] < keys[b] for a, b in pairwise(places))
    )
    chosen = heaviest_ascending(keys, weights)
    assert sum(weights[place] for place in chosen) == best
    assert all(keys[a] < keys[b] and a < b for a, b in pairwise(chosen))


def test_family() -> None:
    assert family_title("여신전문금융업법 시행령") == "여신전문금융업법"
    assert family_title("전자금융감독규정시행세칙") == "전자금융감독규정"
    assert family_title("시행령") == "시행령"
