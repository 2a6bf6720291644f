"""What citation strings say: forms taken from real 참조조문 fields."""

from __future__ import annotations

import pytest

from lex_assets.citations.parse import (
    Citation,
    Setting,
    case_numbers,
    defined_names,
    numbered_blocks,
    parse_citations,
    parse_in_text,
)


def short(citations: list[Citation]) -> list[tuple[str, str, str | None]]:
    return [(c.law, c.article, c.paragraph) for c in citations]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("민법 제839조의2,제843조", [("민법", "839의2", None), ("민법", "843", None)]),
        ("상법 제64조 제1항, 제3항", [("상법", "64", "1"), ("상법", "64", "3")]),
        ("[1]민법 제750조", [("민법", "750", None)]),
        ("형법 제30조,         민법 제1조", [("형법", "30", None), ("민법", "1", None)]),
        ("민사소송법 제288조[증명책임], 민법 제2조", [("민사소송법", "288", None), ("민법", "2", None)]),
        ("민법 제1113조, 1118조", [("민법", "1113", None), ("민법", "1118", None)]),
        ("의료법 제2조 제2항 제1호, 제4조", [("의료법", "2", "2"), ("의료법", "4", None)]),
        (
            "화재예방, 소방시설 설치·유지 및 안전관리에 관한 법률 제9조",
            [("화재예방, 소방시설 설치·유지 및 안전관리에 관한 법률", "9", None)],
        ),
        ("노동조합 및 노동관계조정법 제3조", [("노동조합 및 노동관계조정법", "3", None)]),
        ("국세기본법 제1조, 같은 법 시행령 제3조", [("국세기본법", "1", None), ("국세기본법 시행령", "3", None)]),
        ("상법 제3조, 동조 제2항", [("상법", "3", None), ("상법", "3", "2")]),
        ("민법 제10조 내지 제12조", [("민법", "10", None), ("민법", "11", None), ("민법", "12", None)]),
        (
            "은행법 제2조의2부터 제2조의4까지",
            [("은행법", "2의2", None), ("은행법", "2의3", None), ("은행법", "2의4", None)],
        ),
        ("감독규정 제4-2조", [("감독규정", "4-2", None)]),
    ],
)
def test_law_article_paragraph(text: str, expected: list[tuple[str, str, str | None]]) -> None:
    assert short(parse_citations(text)) == expected


def test_old_versions_do_not_mean_the_article_of_today() -> None:
    text = "구 상법(2011. 4. 14. 법률 제10600호로 개정되기 전의 것) 제341조, 제342조, 상법 제1조"
    old, more, current = parse_citations(text)
    assert (old.reason, old.as_of, more.reason) == ("old_version", "20110414", "old_version")
    assert current.reason is None and current.as_of == ""


def test_a_note_alone_makes_a_version_old() -> None:
    (citation,) = parse_citations("근로기준법(2019. 4. 30. 법률 제16415호로 개정되기 전의 것) 제44조의2 제1항")
    assert citation.reason == "old_version"


def test_current_note_replaces_only_the_citation_before_it() -> None:
    text = (
        "구 법인세법(2016. 12. 20. 법률 제1호로 개정되기 전의 것) 제1조 제3호(현행 제2조 제3호 참조), 제98조의6 제1항, "
        "제5조(현행 소득세법 제93조의2 제1항 참조)"
    )
    found = [(c.law, c.article, c.reason) for c in parse_citations(text)]
    assert found == [("법인세법", "2", None), ("법인세법", "98의6", "old_version"), ("소득세법", "93의2", None)]


def test_current_note_with_brackets_inside() -> None:
    (citation,) = parse_citations(
        "구 시행령(2010. 5. 14. 제1호로 개정되기 전의 것) 제36조 제1항[현행 제37조 제1항 (다)목 참조]"
    )
    assert (citation.article, citation.reason) == ("37", None)


def test_repealed_and_addenda_are_refused() -> None:
    repealed, addendum = parse_citations(
        "구 형소법(2020. 2. 4. 법률 제1호로 개정되기 전의 것) 제312조(현행 삭제), 부칙(2011. 3. 11.) 제2조"
    )
    assert (repealed.reason, addendum.reason) == ("repealed", "addendum")


def test_a_new_law_ends_the_addenda() -> None:
    assert [c.reason for c in parse_citations("국민연금법 부칙(2007. 7. 23.) 제1조, 민법 제2조")] == ["addendum", None]


def test_the_same_law_as_in_the_block_before() -> None:
    assert short(parse_citations("같은 법 시행령 제2조", "은행법")) == [("은행법 시행령", "2", None)]


def test_annexes_and_items_belong_to_the_article_before() -> None:
    assert short(parse_citations("주택법 시행령 제106조 제1항 [별표 2] 제1호 (가)목, 제107조")) == [
        ("주택법 시행령", "106", "1"),
        ("주택법 시행령", "107", None),
    ]


def test_long_ranges_are_not_spelled_out() -> None:
    assert len(parse_citations("민법 제1조 내지 제1000조")) == 2


@pytest.mark.parametrize(
    "text", ["", "제3조", "(((((", "[현행", "민법", "구 (전의 것) 부칙", "\x00제1조", "제99999999999조"]
)
def test_broken_text_raises_nothing(text: str) -> None:
    parse_citations(text)


def test_numbered_blocks() -> None:
    assert list(numbered_blocks("[1]민법 제1조 / [2][3] 상법 제2조")) == [
        (1, "민법 제1조 "),
        (2, "상법 제2조"),
        (3, "상법 제2조"),
    ]
    assert list(numbered_blocks("민법 제1조")) == [(0, "민법 제1조")]


def test_case_numbers() -> None:
    text = "대법원 2006. 5. 26. 선고 2005다71949 판결(공2006하, 1156), 대법원 2009. 3. 30.자 2008모1116 결정"
    assert case_numbers(text) == ["2005다71949", "2008모1116"]
    assert case_numbers("2017다256439, 256446") == ["2017다256439", "2017다256446"]
    assert case_numbers("대법원 2023. 8. 31. 선고 2023도7660, 2023전도82 판결") == ["2023도7660", "2023전도82"]
    assert case_numbers("대법원 1990. 9. 25. 선고 88누2557 판결") == ["88누2557"]


SETTING = Setting("은행법 시행령", {"법": "은행법", "영": "은행법 시행령"})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("제3조제2항에 따라", [("은행법 시행령", "3", "2")]),
        ("법 제5조에 따른", [("은행법", "5", None)]),
        ("임원이 법 제24조제1항제3호에 따라", [("은행법", "24", "1")]),
        ("「상법」 제4조와 같은 법 시행령 제5조", [("상법", "4", None), ("상법 시행령", "5", None)]),
        (
            "「상법」 제4조 및 제6조에 따른 회사는 제7조를",
            [("상법", "4", None), ("상법", "6", None), ("은행법 시행령", "7", None)],
        ),
        (
            "제2조부터 제4조까지",
            [("은행법 시행령", "2", None), ("은행법 시행령", "3", None), ("은행법 시행령", "4", None)],
        ),
        (
            "「상법」 제1조(제9조제4항은 제외한다), 제2조를",
            [("상법", "1", None), ("상법", "9", "4"), ("상법", "2", None)],
        ),
        ("금산법 제12조 및 제13조", [("금산법", "12", None), ("금산법", "13", None)]),
        ("법 제2조제1항ㆍ제3항", [("은행법", "2", "1"), ("은행법", "2", "3")]),
    ],
)
def test_in_text(text: str, expected: list[tuple[str, str, str | None]]) -> None:
    assert short(parse_in_text(text, SETTING)) == expected


def test_defined_names() -> None:
    text = '이 규정은 「은행법」(이하 "법"이라 한다) 및 같은 법 시행령(이하 "영"이라 한다)에서 위임한 사항을 정한다.'
    assert defined_names(text) == {"법": "은행법", "영": "은행법 시행령"}
