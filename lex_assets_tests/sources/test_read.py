from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lex_assets.passages.build import build_passages
from lex_assets.passages.corpus import build_corpus
from lex_assets.schemas import DOCUMENTS, LexError
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.read import ingest, read_file
from lex_assets_tests.sources import raw
from lex_assets_tests.sources.test_law import LAW
from lex_assets_tests.sources.test_other_formats import CONTEXT, STATUTE

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
        ("x.json", b"[" * 200_000, "nested"),
        ("x.json", b'{"a": ' * 100_000, "nested"),
        ("x.json", b"9" * 5_000, "not JSON"),
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
    write(tmp_path, "m.json", raw.mrc(CONTEXT, {"context": "번호 없음"}, None, CONTEXT | {"context_id": "c2"}))  # type: ignore[arg-type]
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
_FILES = {"law": LAW, "rule": raw.rule(["제1조(목적) ① 정한다. 1. 가"]), "decision": DECISION, "mrc": raw.mrc(CONTEXT)}


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for key, below in items for found in _places(below, (*path, key))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_at_any_key_gives_documents_or_reasons(tmp_path: Path, data: st.DataObject) -> None:
    value = json.loads(json.dumps(_FILES[data.draw(st.sampled_from(sorted(_FILES)))]))
    *above, last = data.draw(st.sampled_from(_places(value)))
    target = value
    for key in above:
        target = target[key]
    target[last] = data.draw(_VALUES)
    path = tmp_path / "x.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    documents, rejected = read_file(path, tmp_path)
    assert documents or rejected
    frame = DOCUMENTS.frame({document.doc_id: document.row() for document in documents}.values())
    passages = build_passages(frame)
    assert passages.is_empty() or build_corpus([passages]).height == passages.height


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_bytes_give_documents_or_reasons(tmp_path: Path, data: st.DataObject) -> None:
    suffix, content = data.draw(
        st.sampled_from([("json", json.dumps(value, ensure_ascii=False).encode()) for value in _FILES.values()])
        | st.just(("md", STATUTE.encode()))
        | st.just(("jsonl", b'{"id": 1, "text": "a"}\n' * 3))
    )
    start = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(start, min(len(content), start + 40)))
    path = tmp_path / f"x.{suffix}"
    path.write_bytes(content[:start] + data.draw(st.binary(max_size=8)) + content[end:])
    documents, rejected = read_file(path, tmp_path)
    assert documents or rejected or suffix == "jsonl"
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
    ],
    ids=range(10),
)
def test_hostile_text_is_read_in_linear_time(tmp_path: Path, text: str) -> None:
    annex = {"별표단위": {"별표번호": "1", "별표내용": text}}
    write(tmp_path, "rule.json", raw.rule(text, 별표=annex))
    write(tmp_path, "law.json", raw.law([raw.article("1", text), raw.heading("2", text)], 별표=annex))
    write(tmp_path, "decision.json", raw.decision(판시사항=text, 참조조문=text))
    write(tmp_path, "statute.md", (STATUTE + "\n" * 50_000 + "#\n" * 10_000 + text).encode())
    start = time.perf_counter()
    build_passages(ingest(tmp_path, RULES).documents)
    assert time.perf_counter() - start < 5
