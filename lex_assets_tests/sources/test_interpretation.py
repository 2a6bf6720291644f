from __future__ import annotations

import json
from typing import Any

import pytest

from lex_assets.schemas import Document
from lex_assets.sources.interpretation import is_interpretation, read_interpretation
from lex_assets.sources.values import SourceError

REPLY = {
    "법령해석례일련번호": 313107,
    "안건명": "금융위원회 - 보관의 범위(「가상자산보관업법」 제2조 관련)",
    "안건번호": "05-0096",
    "해석일자": "20051223",
    "해석기관명": "금융위원회",
    "질의기관명": "국방부",
    "질의요지": "「가상자산보관업법 시행령」 제2조의 보관에 열쇠만 맡는 것이 포함되는지?",
    "회답": "포함됩니다.<br/>",
    "이유": "같은 영 제2조는 방법을 가리지 않습니다.",
}
NO_ACTION = {
    "구분": "비조치의견서",
    "일련번호": "230011",
    "제목": "야간 보관의 비조치 요청",
    "회신일": "2023-05-07",
    "요청대상 행위": "야간에 보관하는 행위가 제재의 대상이 되는지",
    "판단": "제재하지 않습니다.",
    "판단이유": "「가상자산보관업법」 제3조는 시간을 정하지 않습니다.",
    "담당자": "홍길동",
    "연락처": "02-123-4567",
}


def texts(document: Document) -> list[tuple[str, str, str]]:
    return [(unit.kind, unit.number, unit.text) for unit in document.tree.children]


@pytest.mark.parametrize("wrapped", [REPLY, {"ExpcService": REPLY}])
def test_a_reply_with_and_without_its_envelope(wrapped: dict[str, Any]) -> None:
    assert is_interpretation(wrapped)
    document = read_interpretation(wrapped)
    assert (document.doc_id, document.source_type, document.authority) == (
        "INTERP_313107", "interpretation", "금융위원회",
    )  # fmt: skip
    assert (document.effective_date, document.version) == ("20051223", "05-0096")
    assert [kind for kind, _, _ in texts(document)] == ["question", "answer", "reason"]
    assert texts(document)[1] == ("answer", "1", "포함됩니다.")
    # Held out with its act, as the act's decree is.
    assert document.family == document.meta["parent_title"] == "가상자산보관업법"


def test_a_no_action_letter_is_a_plain_object_of_the_financial_authorities() -> None:
    assert is_interpretation(NO_ACTION)
    document = read_interpretation(NO_ACTION)
    assert (document.doc_id, document.authority) == ("INTERP_비조치의견서-230011", "금융위원회")
    assert document.effective_date == "20230507"
    assert [kind for kind, _, _ in texts(document)] == ["question", "answer", "reason"]


def test_no_person_enters_the_document() -> None:
    measure = {
        "결정문일련번호": "8259", "기관명": "증권선물위원회", "안건명": "조치안", "조치내용": "과징금 부과",
        "조치이유": "보고하지 않았음", "조치대상자의인적사항": "김길동", "조치대상": "김길동",
    }  # fmt: skip
    rows = [read_interpretation(value).row() for value in (NO_ACTION, {"SfcService": {"의결서": measure}})]
    assert rows[1]["doc_id"] == "INTERP_증권선물위원회-8259"
    written = json.dumps(rows, ensure_ascii=False)
    assert not any(secret in written for secret in ("홍길동", "02-123-4567", "김길동"))


def test_questions_and_answers_are_numbered_where_both_are() -> None:
    both = REPLY | {"질의요지": "가. 첫째는?\n나. 둘째는?", "회답": "가. 그렇다.\n나. 아니다."}
    assert texts(read_interpretation(both))[:4] == [
        ("question", "1", "첫째는?"), ("question", "2", "둘째는?"), ("answer", "1", "그렇다."), ("answer", "2", "아니다."),
    ]  # fmt: skip
    one = texts(read_interpretation(both | {"회답": "모두 그렇다."}))
    assert one[:2] == [("question", "1", "가. 첫째는?\n나. 둘째는?"), ("answer", "1", "모두 그렇다.")]


def test_series_that_count_alike_do_not_collide() -> None:
    ministry = REPLY | {"법령해석례일련번호": None, "법령해석일련번호": "409198"}
    ids = {
        read_interpretation(value).doc_id
        for value in (ministry, ministry | {"해석기관명": "경찰청"}, NO_ACTION, NO_ACTION | {"구분": "법령해석"})
    }
    assert len(ids) == 4


@pytest.mark.parametrize("lacking", [{"회답": "", "이유": None}, {"법령해석례일련번호": "", "안건번호": ""}])
def test_what_answers_nothing_or_has_no_number_is_refused(lacking: dict[str, Any]) -> None:
    with pytest.raises(SourceError, match="needs one of"):
        read_interpretation(REPLY | lacking)
