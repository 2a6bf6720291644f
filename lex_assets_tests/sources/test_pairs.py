from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lex_assets.schemas import Document, content_hash
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.jsonl import read_record
from lex_assets.sources.pairs import is_pair, read_pair
from lex_assets.sources.read import Ingested, ingest
from lex_assets.sources.values import SourceError

RULES = DomainRules.load()


def lines(folder: Path, name: str, *rows: Any) -> None:
    (folder / name).write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def passages(documents: list[Document]) -> dict[str, str]:
    return {d.doc_id: d.tree.children[0].text for d in documents if d.source_type == "jsonl"}


def positives(documents: list[Document]) -> list[str]:
    (question,) = [d for d in documents if d.source_type == "pair"]
    return question.tree.children[0].meta["positives"]


def own(text: str) -> str:
    return content_hash(text)[:16]


def test_flag_embedding_rows() -> None:
    row = {"query": "예금은 보호되나요?", "pos": ["보호됩니다."], "neg": "주식은 아닙니다.", "pos_scores": [1.0]}
    assert is_pair(row)
    documents = read_pair(row)
    assert passages(documents) == {
        f"DOC_{own('보호됩니다.')}": "보호됩니다.",
        f"DOC_{own('주식은 아닙니다.')}": "주식은 아닙니다.",
    }
    assert positives(documents) == [own("보호됩니다.")]


def test_reranker_rows() -> None:
    row = {
        "query_text": "예금은 보호되나요?",
        "positives": [{"doc_id": "법 1", "text": "보호한다."}, {"text": "이름 없는 글"}],
        "negatives": [{"doc_id": "n", "text": "다른 글"}],
        "source_chunk": "법 1",
        "meta": {"type": "law"},
    }
    documents = read_pair(row)
    assert passages(documents) == {
        "DOC_법_1": "보호한다.",
        f"DOC_{own('이름 없는 글')}": "이름 없는 글",
        "DOC_n": "다른 글",
    }
    assert positives(documents) == ["법 1", own("이름 없는 글")]


def test_lexdpr_pairs_name_passages_of_another_file(tmp_path: Path) -> None:
    lines(
        tmp_path,
        "pairs.jsonl",
        {"query_text": "무엇?", "positive_passages": ["A_1", "띄어 쓴 글"], "hard_negatives": ["A_2"]},
    )
    lines(
        tmp_path,
        "passages.jsonl",
        {
            "id": "A_1",
            "parent_id": "A",
            "type": "법령",
            "law_id": "A",
            "law_name": "보관업법",
            "article": "제1조",
            "text": "가",
        },
        {"id": "A_2", "text": "나"},
    )
    rows = {row["doc_id"]: row for row in ingest(tmp_path, RULES).documents.iter_rows(named=True)}
    assert set(rows) - {name for name in rows if name.startswith("PAIR_")} == {
        "DOC_A_1", "DOC_A_2", f"DOC_{own('띄어 쓴 글')}",
    }  # fmt: skip
    assert rows["DOC_A_1"]["title"] == "보관업법 제1조"


def test_qa_records_become_a_text_and_its_questions() -> None:
    record = {"docid": "A 1", "content": "본문", "src": "내규", "questions": ["무엇?", {"question": "왜?"}, "무엇?"]}
    text, *questions = read_record(record)
    assert (text.doc_id, text.tree.children[0].text) == ("DOC_A_1", "본문")
    assert [d.tree.children[0].text for d in questions] == ["무엇?", "왜?", "무엇?"]
    assert {d.authority for d in questions} == {"내규"}
    for bad in ({"id": "1"}, {"text": "본문"}, [], "text", {"id": {"a": 1}, "text": "본문"}):
        with pytest.raises(SourceError):
            read_record(bad)


@pytest.mark.parametrize(
    "row", [{"query": "", "pos": ["가"]}, {"query": "가?", "pos": []}, {"query": "가?", "pos": [{}]}, []]
)
def test_a_row_without_question_or_positive_is_refused(row: Any) -> None:
    with pytest.raises(SourceError):
        read_pair(row)


def read(tmp_path: Path, **files: list[Any]) -> Ingested:
    for name, rows in files.items():
        lines(tmp_path, f"{name}.jsonl", *rows)
    return ingest(tmp_path, RULES)


def tree(result: Ingested, source_type: str) -> list[list[dict[str, Any]]]:
    rows = result.documents.filter(result.documents["source_type"] == source_type)
    return [json.loads(value)["children"] for value in rows["tree"]]


def test_the_same_text_is_one_document_and_its_questions_are_all_kept(tmp_path: Path) -> None:
    rows = [{"query": f"질문 {n}?", "pos": ["같은 글이다."], "neg": ["오답이다."]} for n in range(3)]
    result = read(tmp_path, a=rows[:2], b=[*rows[2:], rows[0]])
    assert result.quarantine.is_empty()
    assert len(tree(result, "jsonl")) == 2
    assert sorted(unit["text"] for (unit,) in tree(result, "pair")) == ["질문 0?", "질문 1?", "질문 2?"]


def test_one_question_over_several_rows_and_files_has_all_its_positives(tmp_path: Path) -> None:
    ask = "같은 질문?"
    result = read(
        tmp_path,
        a=[{"query": ask, "pos": ["하나"]}, {"query": ask, "pos": ["둘"]}],
        b=[{"docid": "d", "content": "셋", "questions": ask}],
    )
    (((unit,)),) = tree(result, "pair")
    assert unit["meta"]["positives"] == [own("하나"), own("둘"), "d"]


def test_one_id_with_several_texts(tmp_path: Path) -> None:
    row = {
        "query_text": "질문?",
        "positives": [{"doc_id": "x", "text": "앞 조각"}],
        "negatives": [{"doc_id": "x", "text": "뒤 조각"}],
    }
    pairs = read(tmp_path, a=[row])
    assert [[(unit["number"], unit["text"]) for unit in units] for units in tree(pairs, "jsonl")] == [
        [("1", "앞 조각"), ("2", "뒤 조각")]
    ]
    plain = tmp_path / "plain"
    plain.mkdir()
    records = read(
        plain,
        a=[{"id": "x", "text": "하나"}, {"id": "x", "text": "하나", "title": "제목"}],
        b=[{"id": "x", "text": "둘"}],
    )
    assert records.documents.select("doc_id", "title").rows() == [("DOC_x", "제목")]
    ((path, record, reason),) = records.quarantine.rows()
    assert (path, record) == ("b.jsonl", "DOC_x") and "another text in a.jsonl" in reason


def test_the_first_file_decides_the_domain_whichever_domain_is_read(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        lines(tmp_path / folder, "x.jsonl", {"query": f"{folder}?", "pos": ["함께 쓰는 글"]})
    path = tmp_path / "rules.yaml"
    path.write_text("rules: [{domain: law, folder: a}, {domain: finance}]", encoding="utf-8")
    rules = DomainRules.load(path)
    whole = ingest(tmp_path, rules).documents
    assert whole.height == 3
    for domain in ("law", "finance"):
        assert ingest(tmp_path, rules, domain=domain).documents.equals(whole.filter(whole["domain"] == domain))
