"""`lex-assets questions` and `search --expand`, by rule and with a language model behind a server of our own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lex_assets_tests.commands import done, invoke, refused
from lex_assets_tests.llm.server import KEY, Answer, Behaviour, LlmServer, error
from lex_assets_tests.queries.writer import documents, passage, question, subject, user, writes, written

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
        "--round-trip",
        "off",
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


def test_questions_that_find_another_passage_first_are_rejected(
    corpus: Path, tmp_path: Path, server: LlmServer
) -> None:
    def astray(body: dict[str, Any]) -> Behaviour:
        """About the first passage the model asks what the second answers."""
        if subject(0) not in documents(body)[0]:
            return writes(body)
        return written(question(f"{subject(16)} 처리 결과는 언제 받아 보나요?", [documents(body)[0][:30]]))

    server.behave = astray
    out = tmp_path / "questions.jsonl"
    options = ("--generator", "llm", "--round-trip", "lexical", "round_trip_keep=1")
    done("questions", "--corpus", corpus, "--out", out, *options)
    hard = {row["text"] for row in lines(out) if row["round_trip"] == "hard"}
    assert f"{subject(16)} 처리 결과는 언제 받아 보나요?" in hard and 0 < len(hard) < len(lines(out)) == 58
    done("questions", "--corpus", corpus, "--out", out, *options, "round_trip_hard=1")
    lost = [row for row in lines(tmp_path / "questions.rejected.jsonl") if row["filter"] == "round_trip"]
    assert {row["text"] for row in lost} == hard and len(lines(out)) == 58 - len(hard)


def test_a_judge_looks_at_each_question_within_the_same_budget(
    corpus: Path, tmp_path: Path, server: LlmServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def judges(body: dict[str, Any]) -> Behaviour:
        if body["model"] != "judge-1":
            return writes(body)
        natural = "처리 기한" not in user(body)
        return Answer(
            json.dumps({"answerable": True, "self_contained": True, "natural": natural, "reason": "말이 아니다"})
        )

    server.behave = judges
    monkeypatch.setenv("LEX_LLM_JUDGE_MODEL", "judge-1")
    out = tmp_path / "questions.jsonl"
    asked = ("questions", "--corpus", corpus, "--out", out, "--generator", "llm", "--round-trip", "off", "--judge")
    options = (*asked, "judge_sample=6", "temperature=0.7")
    estimate = invoke(*options, "--dry-run")
    assert "judging, at most: 예상 · estimate: 요청 · requests 66" in estimate.stderr and not server.seen
    result = invoke(*options)
    assert result.exit_code == 0 and "judge 20, kept 40" in result.stdout, result.output
    assert "judge's agreement with itself: κ 1.000 (6)" in result.stderr
    dropped = [row for row in lines(tmp_path / "questions.rejected.jsonl") if row["filter"] == "judge"]
    assert len(dropped) == 20 and dropped[0]["detail"] == "not natural: 말이 아니다"
    temperatures = {(seen.body["model"], seen.body["temperature"]) for seen in server.seen}
    assert temperatures == {("solar-pro2", 0.7), ("judge-1", 0.0)} and len(server.seen) == 20 + 60 + 6
    again = invoke(*options, "--budget-requests", 1)
    assert again.exit_code == 0 and len(server.seen) == 86 and "requests 0" in again.stderr


def test_one_budget_is_for_writing_and_judging(corpus: Path, tmp_path: Path, server: LlmServer) -> None:
    """Twenty requests write; the five that are left judge, and a question without a verdict is not kept."""
    options = ("--generator", "llm", "--round-trip", "off", "--judge", "--budget-requests", 25)
    done("questions", "--corpus", corpus, "--out", tmp_path / "q.jsonl", *options)
    assert len(server.seen) == 25
    rejected = lines(tmp_path / "q.rejected.jsonl")
    assert len([r for r in rejected if "the budget of 25 requests is used up" in r["detail"]]) >= 55


def test_what_it_writes_is_what_prepare_reads(corpus: Path, tmp_path: Path, server: LlmServer) -> None:
    from lex_assets.training.prepare import GivenQuestions

    out = tmp_path / "questions.jsonl"
    done("questions", "--corpus", corpus, "--out", out, "--generator", "llm", "--max-passages", 5)
    assert sum(map(len, GivenQuestions.read(out).by_passage.values())) == len(lines(out)) == 15
    assert {row["round_trip"] for row in lines(out)} == {"easy"}  # the default with a model: found again by the hybrid


def test_what_is_missing_is_named(corpus: Path, tmp_path: Path) -> None:
    asked = ("questions", "--corpus", corpus, "--out", tmp_path / "q.jsonl", "--generator", "llm")
    assert "set LEX_LLM_BASE_URL" in refused(*asked)
    assert "kind 'poem' is not known" in refused(*asked, "--kind", "poem")
    assert "round_trip 'magic' is not known" in refused(*asked, "--round-trip", "magic")
    assert "did you mean near_duplicate?" in refused(*asked, "near_duplicates=0.5")


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
