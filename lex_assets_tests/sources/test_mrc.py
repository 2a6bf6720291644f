from __future__ import annotations

from typing import Any

import pytest

from lex_assets.schemas import Unit
from lex_assets.sources.html_text import readable, table_text
from lex_assets.sources.mrc import is_mrc, paragraphs, read_context
from lex_assets.sources.values import SourceError
from lex_assets_tests.sources import raw

CONTEXT = {
    "context_id": "c 1",
    "context": "예금은<br/>보호된다.",
    "tbs": [
        {"tb_id": "T1", "html": "<table><tr><th>구분</th><th>금리</th></tr><tr><td>예금</td><td>3%</td></tr></table>"}
    ],
    "qas": [
        {
            "question_id": "q1",
            "question": "보호되나?",
            "qa_type": 1,
            "answer": {"answer_text": "보호", "answer_start": 4},
        },
        {"question_id": "q2", "question": "한도는?", "answers": [{"text": "5천만원"}, {"text": "1억원"}]},
        {"question_id": "q3", "question": "주식도?", "answer": "아니오", "is_impossible": True},
    ],
}


def question(**fields: Any) -> Unit:
    entry = {"context": "예금은 보호된다.", "qas": [{"question": "보호되나?", **fields}]}
    return read_context({}, entry).tree.children[-1]


def test_a_context_with_its_questions() -> None:
    ((record, article, entry),) = paragraphs(raw.mrc(CONTEXT))
    document = read_context(article, entry)
    assert record == "data[0].paragraphs[0]"
    assert (document.doc_id, document.family, document.title) == ("MRC_c_1", "MRC_c_1", "예금 안내")
    context, table, *questions = document.tree.children
    assert context.text == "예금은\n보호된다."
    assert table.text == "구분 | 금리\n예금 | 3%"
    assert [unit.meta["answer"] for unit in questions] == ["보호", "5천만원; 1억원", "아니오"]
    assert questions[0].meta["answer_start"] == 4
    assert [unit.meta["is_impossible"] for unit in questions] == [False, False, True]


def test_squad_files_without_ids_are_named_by_their_content() -> None:
    squad = {
        "version": "v2.0",
        "data": [
            {
                "title": "예금",
                "paragraphs": [
                    {
                        "context": "예금은 5천만원까지 보호된다.",
                        "qas": [
                            {"id": "s1", "question": "한도는?", "answers": [{"text": "5천만원", "answer_start": 4}]}
                        ],
                    }
                ],
            }
        ],
    }
    assert is_mrc(squad)
    documents = [read_context(article, entry) for _, article, entry in paragraphs(squad)]
    again = [read_context(article, entry) for _, article, entry in paragraphs(squad)]
    (asked,) = [unit for unit in documents[0].tree.children if unit.kind == "question"]
    assert documents[0].doc_id == again[0].doc_id != "MRC_"
    assert (asked.number, asked.meta["answer"], asked.meta["answer_start"]) == ("s1", "5천만원", 4)


@pytest.mark.parametrize(
    ("fields", "answer", "evidence"),
    [
        ({"answer": {"answer_text": "보호", "answer_start": 4}}, "보호", ["보호"]),
        ({"answers": {"text": ["보호", "된다"], "answer_start": [4, 6]}}, "보호; 된다", ["보호", "된다"]),
        ({"answers": [{"text": "보호"}, {"text": "보호"}]}, "보호", ["보호"]),
        ({"answer": {"answer_text": "예", "clue_text": "보호된다"}}, "예", ["보호된다"]),
        ({"answer": "예"}, "예", []),
        ({"answer": 3}, "3", ["3"]),
        ({"answer": None, "answers": None}, "", []),
        ({"answers": [], "is_impossible": "true"}, "", []),
        ({"answer": {"answer_text": "2", "options": ["가", "나"]}}, "나", ["나"]),
        ({"answer": {"answer_text": "②", "clue_text": "보호"}, "options": ["가", "나"]}, "나", ["보호"]),
        ({"answer": "2번", "options": {"1": "가", "2": "나"}}, "나", ["나"]),
        ({"answer": "7", "options": ["가", "나"]}, "7", ["7"]),
    ],
)
def test_answers_of_every_shape(fields: dict[str, Any], answer: str, evidence: list[str]) -> None:
    unit = question(**fields)
    assert (unit.meta["answer"], unit.meta["evidence"]) == (answer, evidence)


@pytest.mark.parametrize(
    ("table", "text"),
    [
        ("<table><caption>표 1</caption><tr><td>가<td>나</tr><tr><td>다</td></tr></table>", "표 1\n가 | 나\n다"),
        ([["구분", "금리"], ["예금", 3.5]], "구분 | 금리\n예금 | 3.5"),
        ({"header": ["구분"], "rows": [["예금"], ["적금"]], "id": "T9"}, "구분\n예금\n적금"),
        ([{"html": "<tr><th>가</th></tr>"}, {"html": "<tr><th>나</th></tr>"}], "가\n나"),
        ([], ""),
    ],
)
def test_tables_of_every_shape_become_lines(table: Any, text: str) -> None:
    assert table_text(table) == text


def test_only_html_is_taken_for_tags() -> None:
    text = readable("<p>한도는 &lt;별표 1&gt;에</p><script>x()</script><b>있다</b> <KOSPI> a < b <별표 2>")
    assert text == "한도는 <별표 1>에\n있다 <KOSPI> a < b <별표 2>"


def test_a_table_may_be_the_whole_context() -> None:
    document = read_context({}, {"context_id": "t", "context": "", "tbs": [[["가", "나"]]], "qas": []})
    assert [(unit.number, unit.text) for unit in document.tree.children] == [("2", "가 | 나")]
    with pytest.raises(SourceError, match="neither context nor tbs"):
        read_context({}, {"context_id": "t"})
