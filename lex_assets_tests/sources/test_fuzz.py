"""Files damaged as in benchmarks/fuzz_readers.py, which does the same to thousands of real ones."""

from __future__ import annotations

import copy
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.fuzz_readers import PARSABLE, contents, damaged, outcome, places
from lex_assets.passages.build import build_passages
from lex_assets.schemas import DOCUMENTS
from lex_assets.sources.read import read_file
from lex_assets_tests.sources.test_other_formats import STATUTE
from lex_assets_tests.sources.test_read import FILES, read_or_reason

EACH = 30


@pytest.mark.parametrize("kind", ["laws", "admin_rules", "precedents", "mrc", "jsonl", "interpretations"])
def test_damaged_sample_files_lose_no_good_record(sample_dir: Path, tmp_path: Path, kind: str) -> None:
    files = sorted((sample_dir / kind).iterdir())
    for number in range(EACH):
        draw = random.Random(f"{kind} {number}")
        case = damaged(draw.choice(files), draw, tmp_path)
        found = outcome(case, tmp_path)
        where = f"{kind} {number}: {case.damage}"
        assert not found.traceback, f"{where}: {found.traceback}"
        assert not found.lost, where
        assert not found.silent or not case.content.strip(), where
        assert found.seconds < 5, where
        build_passages(DOCUMENTS.frame({d.doc_id: d.row() for d in found.documents}.values()))


@pytest.mark.parametrize("name", sorted(FILES))
def test_every_wrong_type_at_every_key_has_documents_or_a_reason(tmp_path: Path, name: str) -> None:
    path = tmp_path / "x.json"
    for place in places(FILES[name]):
        *above, last = place
        for wrong in random.Random(str(place)).sample(PARSABLE, 6):
            value: Any = copy.deepcopy(FILES[name])
            target = value
            for key in above:
                target = target[key]
            target[last] = wrong
            path.write_text(json.dumps(value), encoding="utf-8")
            read_or_reason(path)


@pytest.mark.parametrize("name", ["reply", "pair", "mrc"])
def test_a_file_cut_at_any_place_has_a_reason(tmp_path: Path, name: str) -> None:
    whole = json.dumps(FILES[name], ensure_ascii=False).encode()
    path = tmp_path / "x.json"
    for end in range(0, len(whole), 3):
        path.write_bytes(whole[:end])
        assert read_or_reason(path) == []


def test_markdown_cut_at_any_place_has_documents_or_a_reason(tmp_path: Path) -> None:
    path = tmp_path / "x.md"
    for end in range(0, len(STATUTE.encode()), 5):
        path.write_bytes(STATUTE.encode()[:end])
        read_or_reason(path)


@pytest.mark.parametrize(
    "huge", [b'"' + b"x" * 50_000_000, '"text": "가 나다. '.encode() + "가나다 라마. ".encode() * 2_000_000]
)
def test_a_line_of_fifty_megabytes_costs_its_neighbours_nothing(tmp_path: Path, huge: bytes) -> None:
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"id": "1", "text": "a"}\n{"id": "big", ' + huge + b'"}\n{"id": "2", "text": "b"}\n')
    start = time.process_time()
    documents, rejected = read_file(path, tmp_path)
    assert {"DOC_1", "DOC_2"} <= {document.doc_id for document in documents}
    assert len(documents) + len(rejected) == 3
    assert time.process_time() - start < 10


def test_deep_nesting_in_one_line_costs_its_neighbours_nothing(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    deep = [b"[" * 100_000, b'{"data": [' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]}"]
    path.write_bytes(b"\n".join([b'{"id": "1", "text": "a"}', *deep, b'\xef\xbb\xbf{"id": "2", "text": "\\ud800b"}\r']))
    documents, rejected = read_file(path, tmp_path)
    assert [doc_id for doc_id, _ in contents(documents)] == ["DOC_1", "DOC_2"]
    assert [row["record"] for row in rejected] == ["line 2", "line 3"]
