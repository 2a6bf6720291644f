from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lex_assets.passages.build import PassageConfig, build_passages
from lex_assets.passages.cut import windows
from lex_assets.schemas import DOCUMENTS, Document, Unit
from lex_assets.sources.adjudication import read_appeal, read_constitutional
from lex_assets.sources.admin_rule import read_admin_rule
from lex_assets.sources.interpretation import read_interpretation
from lex_assets.sources.law import read_law
from lex_assets.sources.precedent import read_precedent
from lex_assets_tests.sources import raw
from lex_assets_tests.sources.test_adjudication import APPEAL, CONSTITUTIONAL
from lex_assets_tests.sources.test_interpretation import REPLY
from lex_assets_tests.sources.test_law import LAW


def frame(*documents: Document) -> pl.DataFrame:
    for document in documents:
        document.domain = document.domain or "law"
    return DOCUMENTS.frame(document.row() for document in documents)


def rows(*documents: Document, **config: Any) -> dict[str, dict[str, Any]]:
    table = build_passages(frame(*documents), PassageConfig(**config))
    return {row["passage_id"]: row for row in table.iter_rows(named=True)}


def law(*articles: dict[str, Any]) -> Document:
    return read_law(raw.law(list(articles)))


def test_passages_of_a_law() -> None:
    found = rows(read_law(LAW))
    assert list(found) == [
        "LAW_900001_별표1의2_c1",
        "LAW_900001_제1조",
        "LAW_900001_제2조",
        "LAW_900001_제3조_①",
        "LAW_900001_제3조의2_①",
        "LAW_900001_제4조",
    ]
    passage = found["LAW_900001_제3조의2_①"]
    assert passage["parent_id"] == "LAW_900001_제3조의2"
    assert passage["context"] == "가상자산보관업법 > 제2장 등록 > 제3조의2(등록의 말소)"
    assert passage["citation"] == "가상자산보관업법 제3조의2제1항 [시행일: 2028. 1. 1.]"
    assert passage["text"] == "① 다음과 같다.\n1의2. 가\n가. 나\n1) 다"
    assert (passage["unit"], passage["effective_date"]) == ("항", "20280101")
    assert found["LAW_900001_제2조"]["text"] == "다음 각 호와 같다.\n1. “보관”이란 맡는 것을 말한다."


def test_addenda_and_forms_on_request() -> None:
    form = {"별표번호": "0001", "별표가지번호": "00", "별표구분": "서식", "별표제목": "신청서", "별표내용": "성명"}
    document = read_law(raw.law([], 별표={"별표단위": form}, 부칙=LAW["법령"]["부칙"]))
    assert rows(document) == {}
    assert list(rows(document, include_addenda=True, include_forms=True)) == [
        "LAW_900001_부칙6614_c1",
        "LAW_900001_서식1_c1",
    ]


def test_a_long_paragraph_is_cut_at_items_under_its_head() -> None:
    items = [raw.item(f"{number}.", "가" * 60) for number in range(1, 6)]
    found = rows(
        law(raw.article("2", "", "정의", 항=[raw.paragraph("①", "다음 각 호와 같다.", items)])), max_characters=150
    )
    assert list(found) == ["LAW_900001_제2조_①_1.", "LAW_900001_제2조_①_3.", "LAW_900001_제2조_①_5."]
    assert all(row["text"].startswith("① 다음 각 호와 같다.\n") for row in found.values())
    assert found["LAW_900001_제2조_①_1."]["citation"] == "가상자산보관업법 제2조제1항제1호~제2호"
    assert found["LAW_900001_제2조_①_5."]["citation"] == "가상자산보관업법 제2조제1항제5호"


def test_a_long_item_is_cut_at_subitems_and_a_long_text_at_sentences() -> None:
    below = [raw.subitem("가.", "나" * 80), raw.subitem("나.", "다" * 80)]
    text = " ".join(["이용자는 보관을 청구할 수 있다."] * 15)
    found = rows(
        law(
            raw.article("2", "다음 각 호와 같다.", "정의", 항={"호": [raw.item("1.", "각 목의 것", below)]}),
            raw.article("3", text, "청구"),
        ),
        max_characters=120,
    )
    assert list(found) == [
        "LAW_900001_제2조_1._가.", "LAW_900001_제2조_1._나.",
        "LAW_900001_제3조", "LAW_900001_제3조_w2", "LAW_900001_제3조_w3",
    ]  # fmt: skip
    assert found["LAW_900001_제2조_1._나."]["text"].splitlines()[:2] == ["다음 각 호와 같다.", "1. 각 목의 것"]
    assert found["LAW_900001_제2조_1._나."]["citation"] == "가상자산보관업법 제2조제1호나목"
    assert all(row["text"].endswith("있다.") for key, row in found.items() if "제3조" in key)


def test_versions_of_an_article_keep_one_parent() -> None:
    found = rows(
        law(
            raw.article("5", "지금의 글"),
            raw.article("5", "앞으로의 글", 조문시행일자="20280101"),
            raw.article("5", "또"),
        )
    )
    assert list(found) == ["LAW_900001_제5조", "LAW_900001_제5조@20240101", "LAW_900001_제5조@20280101"]
    assert {row["parent_id"] for row in found.values()} == {"LAW_900001_제5조"}


def test_rule_passages_use_the_rules_own_numbers() -> None:
    found = rows(read_admin_rule(raw.rule(["제4-2조의3(보고) ① 보고한다. ② 제출한다."])))
    assert list(found) == ["ADM_9100000000001_제4-2조의3_①", "ADM_9100000000001_제4-2조의3_②"]


def test_issues_only_where_there_is_no_holding() -> None:
    document = read_precedent(raw.decision(판시사항="[1] 가<br/>[2] 나", 판결요지=f"[1] {'판단한다. ' * 40}"))
    found = rows(document, max_characters=150)
    assert list(found) == ["PREC_700001_h1", "PREC_700001_h1_w2", "PREC_700001_i2"]
    assert found["PREC_700001_i2"]["context"] == "대법원 2021. 3. 4. 선고 2020다1234 판결 보관료"
    assert {row["parent_id"] for row in found.values()} == {"PREC_700001"}


def test_the_judgment_stands_in_where_there_is_nothing_else() -> None:
    document = read_precedent({**raw.decision(), "판례내용": "【주 문】 기각한다."})
    assert list(rows(document)) == ["PREC_700001_c1"]
    asked = read_precedent({**raw.decision(판시사항="쟁점"), "판례내용": "【주 문】 기각한다."})
    assert list(rows(asked)) == ["PREC_700001_c1", "PREC_700001_i1"]
    both = read_precedent({**raw.decision(판결요지="요지"), "판례내용": "【주 문】 기각한다."})
    assert list(rows(both)) == ["PREC_700001_h1"]
    assert list(rows(both, include_judgments=True)) == ["PREC_700001_c1", "PREC_700001_h1"]


def test_other_decisions_have_the_passages_of_court_decisions() -> None:
    assert list(rows(read_constitutional(CONSTITUTIONAL))) == ["DETC_171929_h1", "DETC_171929_h2"]
    assert list(rows(read_appeal(APPEAL | {"재결요지": ""}))) == ["DECC_243263_c1", "DECC_243263_i1"]


def test_a_reply_is_its_answer_and_the_pieces_of_its_reason() -> None:
    found = rows(read_interpretation(REPLY | {"이유": "이유가 있다. " * 20}), max_characters=100)
    assert list(found) == ["INTERP_313107_a1", "INTERP_313107_r1", "INTERP_313107_r1_w2"]
    answer = found["INTERP_313107_a1"]
    assert (answer["context"], answer["text"], answer["unit"]) == (REPLY["안건명"], "포함됩니다.", "answer")
    assert answer["citation"].startswith("금융위원회 05-0096 회답")
    assert {row["parent_id"] for row in found.values()} == {"INTERP_313107"}


def test_questions_are_no_passages() -> None:
    units = [
        Unit("context", "1", text="하나. " * 50),
        Unit("question", "q", text="질문?"),
        Unit("context", "2", text="표"),
    ]
    document = Document("MRC_7", "mrc", "안내", Unit("root", children=units))
    assert list(rows(document, max_characters=120)) == ["MRC_7_1", "MRC_7_2", "MRC_7_3"]


def test_a_limit_too_small_is_refused() -> None:
    with pytest.raises(ValueError, match="max_characters"):
        PassageConfig(max_characters=10)


@given(st.text(alphabet="가나. \n?|", max_size=400), st.integers(1, 60))
def test_windows_keep_every_character_and_the_limit(text: str, limit: int) -> None:
    pieces = windows(text, limit)
    assert all(0 < len(piece) <= limit for piece in pieces)
    assert "".join("".join(pieces).split()) == "".join(text.split())


_SIZES = st.integers(0, 40)
_TREES = st.recursive(
    st.tuples(_SIZES, st.just([])), lambda inner: st.tuples(_SIZES, st.lists(inner, max_size=4)), max_leaves=25
)
_LEVELS = ("조", "항", "호", "목")


@given(_TREES, st.integers(100, 300))
def test_the_pieces_of_a_tree_lose_nothing_and_keep_the_limit(tree: Any, limit: int) -> None:
    article = _numbered_words(tree, count())
    table = build_passages(
        frame(Document("LAW_1", "law", "법", Unit("root", children=[article]))), PassageConfig(max_characters=limit)
    )
    assert table["text"].str.len_chars().max() is None or table["text"].str.len_chars().max() <= limit
    rest = "".join("".join(f"{u.number if u.kind != '조' and u.text else ''}{u.text}" for u in article.walk()).split())
    for _, text in sorted(table.select("passage_id", "text").iter_rows(), key=lambda row: _in_order(row[0])):
        rest = _behind(rest, text)
    assert rest == ""


def _numbered_words(tree: Any, words: Iterator[int], level: int = 0, number: int = 1) -> Unit:
    """A unit in which every word occurs once; one sentence per seven words."""
    size, below = tree
    text = " ".join(f"낱말{next(words)}{'다.' if n % 7 == 6 else ''}" for n in range(size))
    inner = enumerate(below if level < len(_LEVELS) - 1 else [], start=1)
    children = [_numbered_words(child, words, level + 1, place) for place, child in inner]
    return Unit(_LEVELS[level], str(number), text=text, children=children)


def _in_order(passage_id: str) -> list[tuple[bool, int]]:
    """Windows of a head before what stands under it."""
    return [(part[0] != "w", int(part.strip("w제조"))) for part in passage_id.removeprefix("LAW_1_").split("_")]


def _behind(rest: str, text: str) -> str:
    """What is left behind a piece whose first lines may be heads said before."""
    lines = text.split("\n")
    for start in range(len(lines)):
        new = "".join("".join(lines[start:]).split())
        if rest.startswith(new):
            return rest[len(new) :]
    raise AssertionError((rest, text))


@given(st.lists(st.sampled_from(["1", "2", "2의2", "3"]), min_size=1, max_size=8), st.integers(0, 3))
def test_ids_are_unique_and_do_not_depend_on_other_documents(numbers: list[str], dates: int) -> None:
    articles = [
        Unit("조", number, text=f"본문 {place}", effective_date=f"2024010{place % (dates + 1)}" if dates else "")
        for place, number in enumerate(numbers)
    ]
    first, other = (Document(name, "law", "법", Unit("root", children=articles)) for name in ("LAW_1", "LAW_0"))
    alone, together = rows(first), rows(other, first)
    assert len(alone) == len(numbers)
    assert {key: row for key, row in together.items() if row["doc_id"] == "LAW_1"} == alone


def test_a_sentence_longer_than_the_limit_is_cut_evenly_behind_commas() -> None:
    clause = "임차인이 보증금의 반환을 청구하였으나 임대인이 이를 거절한 점, "
    first, second = windows(clause * 4 + "보증금을 반환하여야 한다.", 120)
    assert first.endswith("점,") and abs(len(first) - len(second)) < 40


def test_deleted_units_are_told_by_their_form_not_by_the_word() -> None:
    found = rows(
        law(
            raw.article("1", "삭제 <2020.2.4>"),
            raw.article("2", "정보주체는 자신의 개인정보의 삭제를 요구할 수 있다.", "삭제"),
            raw.article(
                "3", "", "권리", 항=[raw.paragraph("①", "삭제 <2020. 2. 4.>"), raw.paragraph("②", "삭제를 거절한다.")]
            ),
        )
    )
    assert list(found) == ["LAW_900001_제2조", "LAW_900001_제3조_②"]
