from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lex_assets.citations import citation_graph
from lex_assets.passages.build import build_passages
from lex_assets.passages.corpus import build_corpus
from lex_assets.schemas import DOCUMENTS, Document, LexError
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.read import UNFORESEEN, ingest, read_file
from lex_assets_tests.sources import raw
from lex_assets_tests.sources.test_adjudication import APPEAL, CONSTITUTIONAL
from lex_assets_tests.sources.test_interpretation import NO_ACTION, REPLY
from lex_assets_tests.sources.test_law import LAW
from lex_assets_tests.sources.test_mrc import CONTEXT
from lex_assets_tests.sources.test_other_formats import STATUTE

RULES = DomainRules.load()
DECISION = raw.decision(판시사항="[1] 가<br/>[2] 나", 판결요지="[1] 다", 참조조문="[1] 민법 제1조")


def write(folder: Path, name: str, value: Any) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(value if isinstance(value, bytes) else json.dumps(value, ensure_ascii=False).encode())
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, "laws/900001.json", LAW)
    write(tmp_path, "admin_rules/1.json", raw.rule(["제1조(목적) 정한다."]))
    write(tmp_path, "precedents/1.json", DECISION)
    write(tmp_path, "mrc/m.json", b"\xef\xbb\xbf" + json.dumps(raw.mrc(CONTEXT)).encode())
    write(tmp_path, "md/a.md", STATUTE.encode())
    lines = [{"docid": "1", "content": "하나"}, {"docid": "2", "text": "둘"}]
    write(tmp_path, "jsonl/a.jsonl", "\r\n".join(json.dumps(line) for line in lines).encode())
    return tmp_path


def test_every_format_is_recognised(folder: Path) -> None:
    result = ingest(folder, RULES)
    assert result.quarantine.is_empty()
    assert result.documents["doc_id"].to_list() == [
        "ADM_9100000000001", "DOC_1", "DOC_2", "LAW_001571", "LAW_900001", "MRC_c_1", "PREC_700001",
    ]  # fmt: skip
    assert result.documents["source_path"].to_list()[-1] == "precedents/1.json"


@pytest.mark.parametrize("domain", ["finance", "law", "precedent"])
def test_a_domain_is_the_same_rows_as_in_the_whole(folder: Path, domain: str) -> None:
    write(folder, "laws/2.json", raw.law([], info={"법령ID": "2", "소관부처": "법무부"}))
    whole = ingest(folder, RULES).documents
    assert ingest(folder, RULES, domain=domain).documents.equals(whole.filter(whole["domain"] == domain))


def test_workers_do_not_change_the_result(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lex_assets.sources.read._BATCH", 2)
    write(folder, "bad.json", b"{")
    calls: list[tuple[int, int]] = []
    one = ingest(folder, RULES, progress=lambda done, total: calls.append((done, total)))
    two = ingest(folder, RULES, workers=2)
    assert one.documents.equals(two.documents)
    assert one.quarantine.equals(two.quarantine)
    assert calls[-1] == (7, 7)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("x.json", b"", "empty"),
        ("x.json", b"  \n", "empty"),
        ("x.json", '{"법령": '.encode(), "not JSON"),
        ("x.json", "가나".encode("cp949"), "not UTF-8"),
        ("x.json", b"[1, 2]", "not an object"),
        ("x.json", b'{"a": 1}', "unknown JSON format"),
        ("x.json", json.dumps({"line\nbreak" * 1_000: 1}).encode(), "unknown JSON format"),
        ("x.json", b"[" * 200_000, "nested"),
        ("x.json", b'{"a": ' * 100_000, "nested"),
        ("x.json", b"9" * 5_000, "not an object"),
        ("x.json", b"\xff\xfe" + '{"id": 1}'.encode("utf-16-le"), "UTF-16"),
        ("x.jsonl", '{"id": 1}\n{"id": 2}\n'.encode("utf-16"), "UTF-16"),
        ("x.json", json.dumps({"법령": []}).encode(), "법령 is a list"),
        ("x.json", json.dumps({"법령": {"기본정보": {}}}).encode(), "법령ID"),
        ("x.jsonl", b"{\n", "not JSON"),
        ("x.jsonl", b'{"id": 1}\n', "needs one of"),
        ("x.md", "# 그냥 글".encode(), "front matter"),
        ("x.pdf", b"%PDF-1.4", "not a known format"),
    ],
)
def test_bad_files_are_quarantined_and_good_ones_kept(folder: Path, name: str, content: bytes, reason: str) -> None:
    write(folder, name, content)
    result = ingest(folder, RULES)
    assert result.documents.height == 7
    ((path, _, found),) = result.quarantine.rows()
    assert path == name
    assert reason in found
    assert "\n" not in found


def test_a_bad_record_does_not_lose_its_neighbours(tmp_path: Path) -> None:
    good = [{"docid": str(number), "content": "글"} for number in range(3)]
    lines = [json.dumps(good[0]), "{broken", json.dumps(good[1]), '{"docid": "\\ud800", "content": "a\\u0000b"}']
    write(tmp_path, "a.jsonl", "\n".join([*lines, json.dumps(good[2])]).encode() + b"\n\xff\xfe")
    write(tmp_path, "m.json", raw.mrc(CONTEXT, {"context_id": "글 없음"}, None, CONTEXT | {"context_id": "c2"}))  # type: ignore[arg-type]
    result = ingest(tmp_path, RULES)
    assert result.documents["doc_id"].to_list() == ["DOC_0", "DOC_1", "DOC_2", "DOC_\ufffd", "MRC_c2", "MRC_c_1"]
    assert result.quarantine["record"].to_list() == [
        "line 2", "line 6", "data[0].paragraphs[1]", "data[0].paragraphs[2]",
    ]  # fmt: skip


def test_duplicates_keep_the_first_path_and_name_it(folder: Path) -> None:
    write(folder, "zz/copy.json", DECISION)
    result = ingest(folder, RULES)
    ((path, record, reason),) = result.quarantine.rows()
    assert (path, record) == ("zz/copy.json", "PREC_700001")
    assert "precedents/1.json" in reason


def test_a_document_without_domain_is_named(tmp_path: Path, folder: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text("rules: [{domain: precedent, source_type: precedent}]", encoding="utf-8")
    result = ingest(folder / "laws", DomainRules.load(rules))
    assert result.documents.is_empty()
    assert "configs/domains.yaml" in result.quarantine["reason"][0]


def test_missing_empty_and_unreadable_folders_are_errors(tmp_path: Path) -> None:
    with pytest.raises(LexError, match="does not exist"):
        ingest(tmp_path / "nowhere", RULES)
    with pytest.raises(LexError, match="no files"):
        ingest(tmp_path, RULES)
    write(tmp_path, "x.json", b"{")
    with pytest.raises(LexError, match=r"x\.json: not JSON"):
        ingest(tmp_path, RULES)


def test_lists_and_lines_are_read_whatever_the_suffix(tmp_path: Path) -> None:
    records = [{"id": str(number), "text": "글"} for number in range(2)]
    write(tmp_path, "list.json", [*records, 7, NO_ACTION, {"DetcService": CONSTITUTIONAL}])
    write(
        tmp_path, "lines.json", "\n".join(json.dumps({"id": f"l{n}", "text": "글"}) for n in range(3)).encode() + b"\n{"
    )
    write(
        tmp_path, "mixed.ndjson", "\n".join(json.dumps(value) for value in (DECISION, {"ExpcService": REPLY})).encode()
    )
    result = ingest(tmp_path, RULES)
    assert result.documents["doc_id"].to_list() == [
        "DETC_171929", "DOC_0", "DOC_1", "DOC_l0", "DOC_l1", "DOC_l2", "INTERP_313107", "INTERP_비조치의견서-230011",
        "PREC_700001",
    ]  # fmt: skip
    assert result.quarantine.select("source_path", "record").rows() == [("lines.json", "line 4"), ("list.json", "[2]")]
    assert dict(result.documents.select("doc_id", "domain").iter_rows())["INTERP_비조치의견서-230011"] == "finance"


def test_a_format_set_by_hand_overrides_the_detected_one(tmp_path: Path) -> None:
    write(tmp_path, "qa/a.txt", b'{"id": "1", "text": "one"}\n{"id": "2", "text": "two"}\n')
    write(tmp_path, "qa/b.json", {"query": "무엇?", "pos": ["글"], "id": "3", "text": "둘 다 될 수 있는 글"})
    rules = RULES.with_formats(["qa/*.txt=record", "*/b.json=record"])
    assert ingest(tmp_path, rules).documents["doc_id"].to_list() == ["DOC_1", "DOC_2", "DOC_3"]
    assert "not a known format (.txt)" in ingest(tmp_path, RULES).quarantine["reason"][0]


def test_an_override_that_does_not_fit_names_the_formats(tmp_path: Path, folder: Path) -> None:
    result = ingest(folder, RULES.with_formats(["laws/*=pair"]))
    ((path, _, reason),) = result.quarantine.rows()
    assert path == "laws/900001.json"
    assert "read as pair" in reason and "law, admin_rule" in reason
    for bad in ("laws/*=tax", "law", "=law"):
        with pytest.raises(LexError, match=r"admin_rule.*markdown"):
            RULES.with_formats([bad])
    with pytest.raises(LexError, match=r"lwas/\*=law: no file below"):
        ingest(folder, RULES.with_formats(["lwas/*=law"]))
    with pytest.raises(LexError, match="choose from law"):
        read_file(tmp_path / "x.json", tmp_path, format="tax")


def test_mrc_files_that_share_a_context_share_its_questions(tmp_path: Path) -> None:
    more = CONTEXT | {"qas": [{"question_id": "q9", "question": "언제까지 보호되나?", "answer": "언제나"}]}
    write(tmp_path, "span.json", raw.mrc(CONTEXT))
    write(tmp_path, "yesno.json", raw.mrc(more))
    write(tmp_path, "zz.json", raw.mrc(CONTEXT | {"context": "같은 번호의 다른 글"}))
    result = ingest(tmp_path, RULES)
    (tree,) = result.documents["tree"]
    assert tree.count('"kind": "question"') == 4
    assert result.quarantine["source_path"].to_list() == ["zz.json"]


def test_hidden_files_notes_and_link_loops_are_passed_over(folder: Path) -> None:
    write(folder, ".cache/x.json", b"{")
    write(folder, "README.md", b"# notes")
    (folder / "laws" / "loop").symlink_to(folder)
    assert ingest(folder, RULES).quarantine.is_empty()


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(["삭제", "제1조", "①", "\ud800", "\x00", "[1]", "<개정"]),
    st.recursive(
        st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
        max_leaves=5,
    ),
)
FILES = {
    "law": LAW,
    "rule": raw.rule(["제1조(목적) ① 정한다. 1. 가"]),
    "decision": DECISION,
    "constitutional": {"DetcService": CONSTITUTIONAL},
    "appeal": {"PrecService": APPEAL},
    "reply": {"ExpcService": REPLY},
    "no action": NO_ACTION,
    "mrc": raw.mrc(CONTEXT),
    "pair": {"query_text": "무엇?", "positives": [{"doc_id": "a", "text": "가"}], "negatives": ["나"], "meta": {}},
    "record": [{"docid": "1", "content": "하나", "questions": ["무엇?"]}],
}


def read_or_reason(path: Path, may_be_silent: bool = False) -> list[Document]:
    """The documents; every rejection has a reason that some reader foresaw."""
    documents, rejected = read_file(path, path.parent)
    assert documents or rejected or may_be_silent
    for row in rejected:
        assert row["reason"] and "\n" not in row["reason"]
        assert not row["reason"].startswith(UNFORESEEN), row
    return documents


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for key, below in items for found in _places(below, (*path, key))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_at_any_key_gives_documents_or_reasons(tmp_path: Path, data: st.DataObject) -> None:
    value = json.loads(json.dumps(FILES[data.draw(st.sampled_from(sorted(FILES)))]))
    *above, last = data.draw(st.sampled_from(_places(value)))
    target = value
    for key in above:
        target = target[key]
    target[last] = data.draw(_VALUES)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    documents = read_or_reason(path)
    frame = DOCUMENTS.frame({document.doc_id: document.row() for document in documents}.values())
    passages = build_passages(frame)
    assert passages.is_empty() or build_corpus([passages]).height == passages.height


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_give_documents_or_reasons(tmp_path: Path, data: st.DataObject) -> None:
    suffix, content = data.draw(
        st.sampled_from([("json", json.dumps(value, ensure_ascii=False).encode()) for value in FILES.values()])
        | st.just(("md", STATUTE.encode()))
        | st.just(("jsonl", b'{"id": 1, "text": "a"}\n' * 3))
    )
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 40)))
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content[:start] + data.draw(st.binary(max_size=8)) + content[end:])
    documents = read_or_reason(path, may_be_silent=suffix == "jsonl")
    build_passages(DOCUMENTS.frame({document.doc_id: document.row() for document in documents}.values()))


@pytest.mark.parametrize(
    "text",
    [
        "<" * 100_000,
        "<" + "삭제" * 50_000,
        "제1장 " * 60 + ". 제1조(목적) 정한다.",
        "제1조(가) " * 20_000,
        "제1조(" * 30_000,
        "제1조(목적) ① " + "1. 가 " * 20_000,
        "[시행일: 2020. 1. 1.] 제1조" + "ㆍ제2조" * 20_000 + "x",
        "[1]" * 30_000,
        "│" * 50_000,
        "─" * 100_000 + "│\n" * 1_000,
        "<script>" * 20_000,
        "<tr><td " * 20_000,
        "가나 " * 50_000 + "법률 제1조",
        "「보관업법」 제1조, " * 5_000 + "선고 2020다1, " * 5_000,
    ],
    ids=range(14),
)
def test_hostile_text_is_read_in_linear_time(tmp_path: Path, text: str) -> None:
    annex = {"별표단위": {"별표번호": "1", "별표내용": text}}
    write(tmp_path, "rule.json", raw.rule(text, 별표=annex))
    write(tmp_path, "law.json", raw.law([raw.article("1", text), raw.heading("2", text)], 별표=annex))
    write(tmp_path, "decision.json", raw.decision(판시사항=text, 참조조문=text))
    write(tmp_path, "reply.json", {"ExpcService": REPLY | {"질의요지": text, "회답": text, "이유": text}})
    write(
        tmp_path, "detc.json", {"DetcService": CONSTITUTIONAL | {"판시사항": text, "심판대상조문": text, "전문": text}}
    )
    write(tmp_path, "mrc.json", raw.mrc(CONTEXT | {"context": text, "tbs": [[text, text]]}))
    write(tmp_path, "statute.md", (STATUTE + "\n" * 50_000 + "#\n" * 10_000 + text).encode())
    start = time.process_time()
    documents = ingest(tmp_path, RULES).documents
    corpus = build_passages(documents)
    citation_graph(documents.filter(documents["source_type"].is_in(["interpretation", "constitutional"])), corpus)
    assert time.process_time() - start < 5
