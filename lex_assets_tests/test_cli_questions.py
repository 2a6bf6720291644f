"""`lex-assets questions` and `search --expand`, by rule and with a language model behind a server of our own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lex_assets_tests.commands import done, invoke, refused
from lex_assets_tests.llm.server import KEY, Answer, Behaviour, LlmServer, error
from lex_assets_tests.queries.writer import passage, user, writes

NUMBER = 20


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for role in ("", "JUDGE_", "HYDE_"):
        for name in ("BASE_URL", "MODEL", "API_KEY"):
            monkeypatch.delenv(f"LEX_LLM_{role}{name}", raising=False)
    monkeypatch.setenv("LEX_STORE", str(tmp_path / "store"))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    rows = [passage(n * 16) for n in range(NUMBER)]
    lines = [
        {"id": f"p{n}", "title": row["context"].split(" > ")[1], "text": row["text"]} for n, row in enumerate(rows)
    ]
    path = tmp_path / "corpus.jsonl"
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), "utf-8")
    return path


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LlmServer]:
    with LlmServer(writes) as made:
        for name, value in {"BASE_URL": made.base_url, "MODEL": "solar-pro2", "API_KEY": KEY}.items():
            monkeypatch.setenv(f"LEX_LLM_{name}", value)
        yield made


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_by_rule_without_a_model(corpus: Path, tmp_path: Path) -> None:
    out = tmp_path / "questions.jsonl"
    printed = done("questions", "--corpus", corpus, "--out", out)
    assert "20 단락" in printed and not (tmp_path / "store").exists()
    accounted = {row["id"] for row in lines(out)} | {
        row["passage_id"] for row in lines(tmp_path / "questions.rejected.jsonl")
    }
    assert accounted == {f"p{n}" for n in range(NUMBER)}


def test_by_a_model_after_an_estimate_and_a_rerun_is_free(corpus: Path, tmp_path: Path, server: LlmServer) -> None:
    out = tmp_path / "questions.jsonl"
    options = (
        "questions",
        "--corpus",
        corpus,
        "--out",
        out,
        "--generator",
        "llm",
        "--input-price",
        1,
        "--output-price",
        2,
    )
    estimate = invoke(*options, "--dry-run")
    assert (
        estimate.exit_code == 0
        and "requests 20 (저장된 답 · cached 0)" in estimate.stderr
        and "가격" not in estimate.stderr
    )
    assert not server.seen and not out.exists()
    first = invoke(*options, "--kind", "layman", "--kind", "fact")
    assert first.exit_code == 0 and "kept 60" in first.stdout and "20/20" in first.stderr, first.output
    before = out.read_bytes()
    again = invoke(*options, "--kind", "layman", "--kind", "fact")
    assert len(server.seen) == 20 and out.read_bytes() == before and "requests 0" in again.stderr
    row = lines(out)[0]
    assert row["id"].startswith("p") and row["model"] == "solar-pro2" and row["evidence"]
    assert KEY not in estimate.output + first.output + again.output
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def test_what_it_writes_is_what_prepare_reads(corpus: Path, tmp_path: Path, server: LlmServer) -> None:
    from lex_assets.training.prepare import GivenQuestions

    out = tmp_path / "questions.jsonl"
    done("questions", "--corpus", corpus, "--out", out, "--generator", "llm", "--max-passages", 5)
    assert sum(map(len, GivenQuestions.read(out).by_passage.values())) == len(lines(out)) == 15


def test_what_is_missing_is_named(corpus: Path, tmp_path: Path) -> None:
    asked = ("questions", "--corpus", corpus, "--out", tmp_path / "q.jsonl", "--generator", "llm")
    assert "set LEX_LLM_BASE_URL" in refused(*asked)
    assert "kind 'poem' is not known" in refused(*asked, "--kind", "poem")


def test_a_wrong_key_is_one_line(corpus: Path, tmp_path: Path, server: LlmServer) -> None:
    server.behave = lambda body: error(401, f"bad {KEY}")
    result = invoke("questions", "--corpus", corpus, "--out", tmp_path / "q.jsonl", "--generator", "llm")
    assert result.exit_code == 1 and "check LEX_LLM_API_KEY" in result.stderr and KEY not in result.output
    assert len(server.seen) == 1 and not (tmp_path / "q.jsonl").exists()


def test_search_with_longer_queries(corpus: Path, tmp_path: Path, server: LlmServer) -> None:
    def lawyer(body: dict[str, Any]) -> Behaviour:
        return Answer("못 합니다") if "둘째" in user(body) else Answer('{"text": "예금 환매 예금 업무"}')

    server.behave = lawyer
    queries, out = tmp_path / "q.jsonl", tmp_path / "run.trec"
    queries.write_text(
        '{"id": "a", "text": "첫째로 궁금한 업무"}\n{"id": "b", "text": "둘째로 궁금한 업무"}\n', "utf-8"
    )
    options = ("search", "--corpus", corpus, "--queries", queries, "--out", out, "--top-k", 1)
    done(*options)
    plain = out.read_text("utf-8").splitlines()
    result = invoke(*options, "--expand", "hyde")
    assert result.exit_code == 0 and "b: 그대로 검색 · searched as it is: no complete JSON" in result.stderr
    longer = out.read_text("utf-8").splitlines()
    assert longer[0] != plain[0] and longer[1] == plain[1]
    assert (tmp_path / "store" / "cache" / "llm" / "replies.sqlite").is_file()
