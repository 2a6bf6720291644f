from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lex_assets.sources.text import clean, is_deleted, strip_marks, tidy


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("이 법은 보호한다. <개정 2020.2.4, 2021. 1. 5.>", "이 법은 보호한다."),
        ("보호한다.<신설 2009. 7. 6., 개정 2013. 9. 17.>[본조신설 2012.6.1]", "보호한다."),
        ("<별표 1>에 따른다. <단서신설 2019. 1. 1.>", "<별표 1>에 따른다."),
        ("<별지 제3호의2 서식>과 [별표 2]", "<별지 제3호의2 서식>과 [별표 2]"),
        ("계산한다[이하 “지급금”(支給金)이라 한다].", "계산한다[이하 “지급금”(支給金)이라 한다]."),
        ("① 수집ㆍ보유　및\xa0제공", "① 수집ㆍ보유 및 제공"),
        ('가<img src="x" alt="y">나</img>', "가나"),
        ("제공한다. [시행일: 2016. 3. 12.] 제36조제1항", "제공한다."),
        ("AT&amp;T &lt;비고&gt;", "AT&T <비고>"),
    ],
)
def test_marks_go_and_words_stay(text: str, expected: str) -> None:
    assert clean(text) == expected


@pytest.mark.parametrize(
    "body",
    [
        "삭제 <2004.1.29>",
        "삭 제 <2017. 10. 19.>",
        "<삭제 2016. 6. 28.>",
        "삭제<2025. 2. 5.>",
        "삭제 ＜2015. 9. 11.＞ [시행일: 2016. 3. 12.] 제36조",
        "<삭제> (2023.2.27.)",
        "부터 제5조까지 삭제 <1999.1.1>",
        "<신설 2005. 8. 26., 삭제(제49조 제3항으로 이동) 2018. 1. 2.>",
        "~버. <삭제>",
    ],
)
def test_deleted_by_form(body: str) -> None:
    assert is_deleted(body)


@pytest.mark.parametrize(
    "body",
    [
        "삭제",
        "개인정보의 정정ㆍ삭제 및 파기를 요구할 권리",
        "(개인정보의 삭제) 정보주체는 삭제를 요구할 수 있다. <개정 2020.2.4>",
        "정보의 삭제 <개정 2020.2.4>",
        "영구 삭제할 것. 다만, 삭제가 현저히 곤란하면 그러하지 아니하다.",
        "",
    ],
)
def test_live_provisions_that_speak_of_deletion_stay(body: str) -> None:
    assert not is_deleted(body)


def test_rules_leave_the_date_off() -> None:
    assert is_deleted("삭제", dated=False)
    assert is_deleted("< 삭 제 ＞", dated=False)
    assert not is_deleted("정보의 삭제", dated=False)


@given(st.text(alphabet="가나다 삭제<>[]개정신설2020.,제조항호의①1", max_size=80))
def test_cleaning_is_idempotent_and_never_fails(text: str) -> None:
    once = clean(text)
    assert tidy(once) == once
    assert len(strip_marks(once)) <= len(once)
    is_deleted(text)
    is_deleted(text, dated=False)


def test_long_runs_of_numbers_do_not_hang() -> None:
    assert not is_deleted("1" * 79 + "삭")
    assert not is_deleted("제1조 " * 200_000 + "삭")
