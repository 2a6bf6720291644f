"""What citations in running text say: statutes, administrative rules and the prose of decisions."""

from __future__ import annotations

import pytest

from lex_assets.citations.in_text import Setting, defined_names, parse_in_text
from lex_assets.citations.names import law_key
from lex_assets.citations.resolve import aliases_of

DECREE = Setting("은행법 시행령", aliases_of("은행법"), "10", "3", ("8", "9", "9의2"))
RULE = Setting("감독규정", aliases_of("은행법"), "2-3")
NAMES = frozenset(
    map(law_key, ("민법", "상법", "상법 시행령", "독점규제 및 공정거래에 관한 법률", "정보통신망 이용촉진 법률"))
)
DECISION = Setting("", names=NAMES, continues=True)


def read(text: str, setting: Setting = DECREE) -> list[str]:
    return [f"{citation.label}{'*' if citation.reason else ''}" for citation in parse_in_text(text, setting)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("제3조제2항에 따라", ["은행법 시행령 제3조 제2항"]),
        ("법 제5조에 따른", ["은행법 제5조"]),
        ("임원이 법 제24조제1항제3호가목에 따라", ["은행법 제24조 제1항 제3호 (가)목"]),
        ("「상법」 제4조와 같은 법 시행령 제5조", ["상법 제4조", "상법 시행령 제5조"]),
        ("「상법」 제4조 및 제6조에 따른 회사는 제7조를", ["상법 제4조", "상법 제6조", "은행법 시행령 제7조"]),
        ("제2조부터 제4조까지", ["은행법 시행령 제2조 내지 제4조"]),
        (
            "법 제2조제1항제1호부터 제3호까지 및 제5호",
            ["은행법 제2조 제1항 제1호 내지 제3호", "은행법 제2조 제1항 제5호"],
        ),
        ("「상법」 제1조(제9조제4항은 제외한다), 제2조를", ["상법 제1조", "상법 제9조 제4항", "상법 제2조"]),
        (
            "법 제5조제1항(제9호는 제외한다) 및 제6조",
            ["은행법 제5조 제1항", "은행법 제5조 제1항 제9호", "은행법 제6조"],
        ),
        ("제15조부터 제19조(제8항은 제외한다)까지", ["은행법 시행령 제15조 내지 제19조", "은행법 시행령 제19조 제8항"]),
        ("금산법 제12조 및 제13조", ["금산법 제12조", "금산법 제13조"]),
        ("금산법 시행령 제6조", ["시행령 제6조"]),
        ("민법 제107조제1항", ["민법 제107조 제1항"]),
        ("우편법 제3조, 예방법 제4조", ["우편법 제3조", "예방법 제4조"]),
        ("다음 방법 제3조", ["은행법 시행령 제3조"]),
        ("법 제2조제1항ㆍ제3항", ["은행법 제2조 제1항", "은행법 제2조 제3항"]),
        ("제1항 및 제2항", ["은행법 시행령 제10조 제1항", "은행법 시행령 제10조 제2항"]),
        ("전항의 경우 전조의 청구", ["은행법 시행령 제10조 제2항", "은행법 시행령 제9조의2"]),
        ("전2조 및 전2항", ["은행법 시행령 제9조 내지 제9조의2", "은행법 시행령 제10조 제1항 내지 제2항"]),
        ("전조제2항제1호", ["은행법 시행령 제9조의2 제2항 제1호"]),
        ("법 제4조제1항의 인가 또는 같은 조 제8항", ["은행법 제4조 제1항", "은행법 제4조 제8항"]),
        ("법 제4조제1항의 인가와 같은 항 제2호", ["은행법 제4조 제1항", "은행법 제4조 제1항 제2호"]),
        (
            "영 제21조제1항의 자와 같은 조 같은 항 제4호",
            ["은행법 시행령 제21조 제1항", "은행법 시행령 제21조 제1항 제4호"],
        ),
        ("법 별표 1 제73호 및 별표 2", ["은행법 별표 1 제73호", "은행법 별표 2"]),
        ("법 부칙 제3조", ["은행법 부칙 제3조*"]),
        ("이 법 제7조, 이 영 제8조", ["은행법 시행령 제7조", "은행법 시행령 제8조"]),
        ("기금이 법 제23조에", ["은행법 제23조"]),
        ("별지 제2호서식에 따라", []),
        ("제59조의 10일 이상", ["은행법 시행령 제59조"]),
        ("법률 제11845호로 개정된", []),
        ('「상법」 제8조를 준용하는 경우 "제9조제1항"은', ["상법 제8조", "상법 제9조 제1항"]),
        ("법 제10편(제443조부터 제448조까지)", ["은행법 제443조 내지 제448조"]),
        (
            "「산업발전법」(법률 제9584호로 개정되기 전의 것을 말한다) 제14조",
            ["구 산업발전법(개정되기 전의 것) 제14조*"],
        ),
        ("특수기관(「의료법」 제3조에 따른 기관)이 같은 법 제23조", ["의료법 제3조", "의료법 제23조"]),
    ],
)
def test_statutes(text: str, expected: list[str]) -> None:
    assert read(text) == expected


def test_numbers_with_a_dash_are_the_rules_own() -> None:
    assert read("영 제128조 및 제2-8조", RULE) == ["은행법 시행령 제128조", "감독규정 제2-8조"]


def test_names_without_quotation_marks_are_recognised_by_the_catalogue() -> None:
    setting = Setting("감독규정", {}, names=NAMES)
    text = "독점규제 및 공정거래에 관한 법률 제8조"
    assert read(text, setting) == ["독점규제 및 공정거래에 관한 법률 제8조"]
    assert read("법 제3조", setting) == ["법 제3조"], "an undefined 법 is not the rule itself"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("준용되는민법 제667조 내지제671조", ["민법 제667조 내지 제671조"]),
        ("이민법 제1조", ["이민법 제1조"]),
        (
            "구 상법 제19조 및같은 법 시행령 제6조",
            ["구 상법(개정되기 전의 것) 제19조*", "구 상법 시행령(개정되기 전의 것) 제6조*"],
        ),
        ("정보통신망 이용촉진 법률 위반으로 기소되어   같은 법 제49조", ["정보통신망 이용촉진 법률 제49조"]),
        ("상법(이하 ‘회사법’이라 한다) 제3조 … 민법 제1조 … 회사법 제5조", ["상법 제3조", "민법 제1조", "상법 제5조"]),
        (
            "민법 제38조 제1항은 “제36조의 규정에 따라 제2항의 …",
            ["민법 제38조 제1항", "민법 제36조", "민법 제36조 제2항"],
        ),
    ],
)
def test_decisions(text: str, expected: list[str]) -> None:
    assert read(text, DECISION) == expected


def test_defined_names() -> None:
    text = '이 규정은 「은행법」(이하 "법"이라 한다) 및 같은 법 시행령(이하 "영"이라 한다)에서 위임한 사항을 정한다.'
    assert defined_names(text) == {"법": "은행법", "영": "은행법 시행령"}
    text = '「은행법」(이하 "법"이라 한다), 동법 시행규칙(이하 "규칙"이라 한다), 은행업감독규정(이하 "규정"이라 한다)'
    assert defined_names(text) == {"법": "은행법", "규칙": "은행법 시행규칙", "규정": "은행업감독규정"}


def test_where_no_law_is_meant_by_default_a_bare_article_has_none() -> None:
    setting = Setting("", {"법": "은행법"}, names=NAMES)
    found = parse_in_text("구 「상법」 제3조에 따라 법 제5조를 보되, 그 밖에 제7조는 보지 않는다.", setting)
    assert [(c.law, c.article, c.reason) for c in found] == [
        ("상법", "3", "old_version"),
        ("은행법", "5", None),
        ("", "7", None),
    ]
