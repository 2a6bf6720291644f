"""What holds for every text: the parsers raise nothing, invent no number, take linear time, and every refusal has a reason."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lex_assets.citations.in_text import Setting, parse_in_text
from lex_assets.citations.parse import parse_citations
from lex_assets.citations.resolve import REASONS, ArticleIndex, graph_of
from lex_assets.citations.units import Citation
from lex_assets_tests.world import BANKING, DECREE, TENANCY, decision, frames

INDEX = ArticleIndex.build([TENANCY, DECREE, BANKING], frames(TENANCY, DECREE, BANKING)[1])
STATUTE = Setting("은행 영업법", {"법": "은행 영업법"}, "770", "7", ("768", "769"), INDEX.laws)
PROSE = Setting("", names=INDEX.laws, continues=True)
PIECES = (
    *(
        "제3조",
        "제3조의2",
        "제 4 조의 2",
        "12조",
        "제2항",
        "3항",
        "제1호의2",
        "4호",
        "(가)목",
        "나목",
        "제4-2조",
        "제99999조",
    ),
    *(
        "은행 영업법",
        "구 은행 영업법",
        "주거임대차 보호법 시행령",
        "「은행 영업법」",
        "같은 법",
        "동법 시행령",
        "같은 조",
        "같은 항",
    ),
    *(
        "이 법",
        "전조",
        "전2항",
        "부칙",
        "부칙(2011. 3. 11.)",
        "[별표 2]",
        "별표",
        "별지 제3호서식",
        "법",
        "영",
        "제10편",
    ),
    *(
        "(2011. 4. 14. 법률 제10600호로 개정되기 전의 것)",
        "(2007. 8. 3. 법률 제1호로 폐지)",
        "(현행 제7조 참조)",
        "[현행 삭제]",
    ),
    *(
        ", ",
        " ",
        " 및 ",
        "ㆍ",
        "내지 ",
        "부터 ",
        "까지",
        "(",
        ")",
        "[",
        "]",
        "~",
        "현행 ",
        "<br/>",
        "이하 ‘은행법’이라 한다",
        "…",
    ),
    *("을 준용한다. ", "의 10일", "「", "」", "“", "법률 제5호", "단서", "각 호", "\n"),
)
texts = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4)), max_size=30).map("".join)
READERS: dict[str, Callable[[str], list[Citation]]] = {
    "list": parse_citations,
    "statute": lambda text: parse_in_text(text, STATUTE),
    "prose": lambda text: parse_in_text(text, PROSE),
}


@pytest.mark.parametrize("reader", READERS)
@settings(max_examples=150, deadline=None)
@given(text=texts)
def test_no_text_raises_and_no_number_is_invented(reader: str, text: str) -> None:
    own = {"770", *map(str, range(1, 8)), "768", "769"} if reader == "statute" else set()
    written = set(re.findall(r"\d+", text)) | own
    for citation in READERS[reader](text):
        numbers = (citation.article, citation.paragraph, citation.item, citation.until)
        assert set(re.findall(r"\d+", " ".join(filter(None, numbers)))) <= written, (text, citation)


@settings(max_examples=100, deadline=None)
@given(text=texts, written=st.sampled_from(["", "20050101", "20200101"]))
def test_every_refusal_has_a_reason(text: str, written: str) -> None:
    for citation in [found for reader in READERS.values() for found in reader(text)]:
        targets = INDEX.targets(citation, written)
        assert targets and {target.reason for target in targets} <= set(REASONS)
        for target in targets:
            pointing = target.reason in ("resolved", "current_note", "no_such_paragraph")
            assert (target.parent is not None) == pointing
            assert target.passage is None or target.passage in INDEX.passages[target.parent or ""]


numbers = st.integers(1, 999).map(str)
branched = st.one_of(numbers, st.tuples(numbers, st.integers(2, 30).map(str)).map("의".join))
citations = st.builds(
    Citation,
    law=st.sampled_from(
        ["은행법", "여신전문금융업법 시행령", "구황실재산법", "남녀고용평등과 일ㆍ가정 양립 지원에 관한 법률"]
    ),
    article=branched,
    paragraph=st.none() | numbers,
    item=st.none() | branched,
    part=st.sampled_from(["", "별표"]),
    until=st.none() | numbers,
    letter=st.none(),
    as_of=st.just(""),
    current=st.just(False),
    reason=st.none(),
)


@settings(max_examples=100, deadline=None)
@given(citation=citations, version=st.sampled_from([None, "old_version", "repealed"]), letter=st.booleans())
def test_a_label_reads_as_the_citation_again(citation: Citation, version: str | None, letter: bool) -> None:
    as_of = "20110414" if version else ""
    letters = {"letter": "나"} if letter and citation.item and not citation.until else {}
    citation = citation._replace(reason=version, as_of=as_of, **letters)
    assert parse_citations(citation.label) == [citation]


HARD = ("(", "[현행", "제1조(", "[별표 1", "1", "부칙(", "「", "구 ", "같은 조 ", "(이하 “", "제1조 내지 ", "는민법 ")


@pytest.mark.parametrize("reader", READERS)
def test_time_is_linear(reader: str) -> None:
    for piece in HARD:
        text = (piece * (50_000 // len(piece) + 1))[:50_000]
        started = time.process_time()
        READERS[reader](text)
        assert time.process_time() - started < 3.0, (piece, "50,000 characters: what is quadratic takes minutes")


blocks = st.lists(
    st.sampled_from(
        ["은행 영업법 제5조", "같은 법 제6조", "제3조", "동법 시행령 제2조", "구 은행 영업법 제5조", "부칙 제1조"]
    )
)


@settings(max_examples=40, deadline=None)
@given(before=blocks, own=blocks)
def test_nothing_carries_over_from_another_decision(before: list[str], own: list[str]) -> None:
    first = decision("1", "2014다1", ("쟁점", "결론", " / ".join(before), ""))
    second = decision("2", "2015다2", ("쟁점", "결론", " / ".join(own), ""))
    both = graph_of([first, second], INDEX)
    assert both.filter(both["source_doc_id"] == "PREC_2").equals(graph_of([second], INDEX))
