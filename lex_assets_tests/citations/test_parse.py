"""What citation lists say: forms taken from real 참조조문 fields."""

from __future__ import annotations

import pytest

from lex_assets.citations.parse import case_numbers, parse_citations
from lex_assets.citations.units import Citation


def labels(citations: list[Citation]) -> list[str]:
    return [citation.label for citation in citations]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("민법 제839조의2,제843조", ["민법 제839조의2", "민법 제843조"]),
        ("상법 제64조 제1항, 제3항", ["상법 제64조 제1항", "상법 제64조 제3항"]),
        ("[1]민법 제750조", ["민법 제750조"]),
        ("형법 제30조,         민법 제1조", ["형법 제30조", "민법 제1조"]),
        ("민사소송법 제288조[증명책임], 민법 제2조", ["민사소송법 제288조", "민법 제2조"]),
        ("민법 제1113조, 1118조", ["민법 제1113조", "민법 제1118조"]),
        ("자본시장법 제165조의 2", ["자본시장법 제165조의2"]),
        ("공정거래법 제49조 4항", ["공정거래법 제49조 제4항"]),
        (
            "의료법 제2조 제2항 제1호, 제3호 (나)목, 제4조",
            ["의료법 제2조 제2항 제1호", "의료법 제2조 제2항 제3호 (나)목", "의료법 제4조"],
        ),
        (
            "화재예방, 소방시설 설치·유지 및 안전관리에 관한 법률 제9조",
            ["화재예방, 소방시설 설치·유지 및 안전관리에 관한 법률 제9조"],
        ),
        ("노동조합 및 노동관계조정법 제3조", ["노동조합 및 노동관계조정법 제3조"]),
        ("국세기본법 제1조, 같은 법 시행령 제3조", ["국세기본법 제1조", "국세기본법 시행령 제3조"]),
        ("은행법 시행령 제1조, 동법 제3조", ["은행법 시행령 제1조", "은행법 제3조"]),
        ("은행법 제1조, 같은 규칙 제3조", ["은행법 제1조", "은행법 시행규칙 제3조"]),
        ("상법 제3조, 동조 제2항", ["상법 제3조", "상법 제3조 제2항"]),
        ("민법 제10조 내지 제12조", ["민법 제10조 내지 제12조"]),
        ("은행법 제2조의2부터 제2조의4까지", ["은행법 제2조의2 내지 제2조의4"]),
        (
            "형법 제129조 제1항 제1호 내지 제3호, 제5호",
            ["형법 제129조 제1항 제1호 내지 제3호", "형법 제129조 제1항 제5호"],
        ),
        ("감독규정 제4-2조", ["감독규정 제4-2조"]),
        ("민법, 상법 제3조", ["민법", "상법 제3조"]),
        ("중재법 제39조 제2항 (b)호, 민법 제2조", ["중재법 제39조 제2항", "민법 제2조"]),
        ("민법 제103조 단서, 상법 제1조 제1항 본문 제2호", ["민법 제103조", "상법 제1조 제1항 제2호"]),
    ],
)
def test_forms(text: str, expected: list[str]) -> None:
    assert labels(parse_citations(text)) == expected


def test_old_versions_do_not_mean_the_article_of_today() -> None:
    text = "구 상법(2011. 4. 14. 법률 제10600호로 개정되기 전의 것) 제341조, 제342조, 상법 제1조"
    old, more, current = parse_citations(text)
    assert (old.reason, old.as_of, more.reason) == ("old_version", "20110414", "old_version")
    assert current.reason is None and current.as_of == ""


def test_a_law_may_begin_with_the_word_for_old() -> None:
    first, second = parse_citations(
        "구 구황실재산법(1963. 2. 9. 법률 제1265호 문화재보호법 부칙 제2조로 폐지) 제2조, 구법 제3조"
    )
    assert (first.law, first.reason) == ("구황실재산법", "repealed")
    assert (second.law, second.reason) == ("구법", None)


def test_a_note_alone_makes_a_version_old() -> None:
    (citation,) = parse_citations("근로기준법(2019. 4. 30. 법률 제16415호로 개정되기 전의 것) 제44조의2 제1항")
    assert citation.reason == "old_version"


def test_a_note_on_the_law_just_passed_is_no_citation_of_its_addendum() -> None:
    (citation,) = parse_citations("구 증권거래법(2007. 8. 3. 법률 제8635호 자본시장법 부칙 제2조로 폐지) 제18조의4")
    assert (citation.article, citation.part, citation.reason) == ("18의4", "", "repealed")


def test_current_note_stands_beside_the_one_citation_before_it() -> None:
    text = (
        "구 법인세법(2016. 12. 20. 법률 제1호로 개정되기 전의 것) 제1조 제3호(현행 제2조 제4호 참조), 제98조의6 제1항, "
        "제5조(현행 소득세법 제93조의2 제1항, 제2항 및 현행 상법 제9조 참조)"
    )
    found = [(c.label.split(") ")[-1], c.reason, c.current) for c in parse_citations(text)]
    assert found == [
        ("제1조 제3호", "noted", False),
        ("법인세법 제2조 제4호", None, True),
        ("제98조의6 제1항", "old_version", False),
        ("제5조", "noted", False),
        ("소득세법 제93조의2 제1항", None, True),
        ("소득세법 제93조의2 제2항", None, True),
        ("상법 제9조", None, True),
    ]


def test_current_note_with_brackets_inside() -> None:
    _, citation = parse_citations(
        "구 시행령(2010. 5. 14. 제1호로 개정되기 전의 것) 제36조 제1항[현행 제37조 제1항 제2호 (다)목 참조]"
    )
    assert citation.label == "시행령 제37조 제1항 제2호 (다)목"


def test_current_note_on_a_whole_law() -> None:
    whole, current = parse_citations(
        "구 실화책임법(2009. 5. 8. 법률 제9648호로 전부 개정되기 전의 것)(현행 제3조 참조)"
    )
    assert (whole.article, whole.reason) == ("", "noted")
    assert (current.law, current.article, current.current) == ("실화책임법", "3", True)


def test_repealed_and_addenda_are_refused() -> None:
    repealed, addendum, more = parse_citations(
        "구 형소법(2020. 2. 4. 법률 제1호로 개정되기 전의 것) 제312조(현행 삭제), 부칙(2011. 3. 11.) 제2조, 제4항"
    )
    assert [c.reason for c in (repealed, addendum, more)] == ["repealed", "addendum", "addendum"]


def test_a_new_law_ends_the_addenda() -> None:
    assert [c.reason for c in parse_citations("국민연금법 부칙(2007. 7. 23.) 제1조, 민법 제2조")] == ["addendum", None]


def test_the_same_law_as_in_the_block_before() -> None:
    assert labels(parse_citations("같은 법 시행령 제2조", "은행법")) == ["은행법 시행령 제2조"]


def test_annexes_have_items_and_the_article_goes_on_behind_them() -> None:
    text = "주택법 시행령 제106조 제1항 [별표 2] 제1호 (가)목, 제3호, 제2항 [별표], 제107조 [별지 제3호 서식] 제2호"
    assert labels(parse_citations(text)) == [
        "주택법 시행령 제106조 제1항",
        "주택법 시행령 별표 2 제1호 (가)목",
        "주택법 시행령 별표 2 제3호",
        "주택법 시행령 제106조 제2항",
        "주택법 시행령 별표",
        "주택법 시행령 제107조",
        "주택법 시행령 제107조 제2호",
    ]


def test_case_numbers() -> None:
    text = "대법원 2006. 5. 26. 선고 2005다71949 판결(공2006하, 1156), 대법원 2009. 3. 30.자 2008모1116 결정"
    assert case_numbers(text) == ["2005다71949", "2008모1116"]
    assert case_numbers("2017다256439, 256446") == ["2017다256439", "2017다256446"]
    assert case_numbers("대법원 2023. 8. 31. 선고 2023도7660, 2023전도82 판결") == ["2023도7660", "2023전도82"]
    assert case_numbers("대법원 1990. 9. 25. 선고 88누2557 판결") == ["88누2557"]
