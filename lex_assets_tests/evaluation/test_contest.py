"""The contest's rule and its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lex_assets.evaluation.contest import (
    Answer,
    contest_scores,
    read_gold,
    read_submission,
    submission_of,
    write_submission,
)
from lex_assets.evaluation.refusals import EvaluationError
from lex_assets.schemas import LexError
from lex_assets_tests.commands import done, refused
from lex_assets_tests.evaluation import made_up

IDS = ["a", "b", "c", "d", "e"]
TOPKS = st.lists(st.sampled_from(IDS), max_size=3, unique=True)


def published_rule(gold: dict, submission: list[dict]) -> float:
    """The contest's scorer, as its organisers printed it."""
    total = 0
    for row in submission:
        if gold[row["eval_id"]]:
            hit_count, precisions = 0, 0
            for place, docid in enumerate(row["topk"][:3]):
                if docid in gold[row["eval_id"]]:
                    hit_count += 1
                    precisions += hit_count / (place + 1)
            average_precision = precisions / hit_count if hit_count > 0 else 0
        else:
            average_precision = 0 if row["topk"] else 1
        total += average_precision
    return total / len(submission)


@given(st.lists(st.tuples(TOPKS, st.sets(st.sampled_from(IDS))), min_size=1, max_size=8))
def test_scores_are_those_of_the_published_rule(questions: list[tuple[list[str], set[str]]]) -> None:
    gold = {str(n): relevant for n, (_, relevant) in enumerate(questions)}
    answers = [Answer(str(n), "", tuple(topk)) for n, (topk, _) in enumerate(questions)]
    theirs = published_rule(gold, [{"eval_id": a.eval_id, "topk": a.topk} for a in answers])
    assert contest_scores({"s": answers}, gold)["contest_map"].mean() == pytest.approx(theirs)


def test_a_hit_in_second_place_is_half_and_unanswerable_questions_want_nothing() -> None:
    answers = [Answer(1, "", ("x", "a")), Answer(2, "", ()), Answer(3, "", ("a",)), Answer(4, "", ("a", "x", "b"))]
    gold = {"1": {"a", "b", "c"}, "2": set(), "3": set(), "4": {"a", "b"}}
    scores = contest_scores({"s": answers}, gold)
    assert scores["contest_map"].to_list() == pytest.approx([0.5, 1.0, 0.0, (1 + 2 / 3) / 2])
    assert scores["contest_mrr"].to_list() == [0.5, 1.0, 0.0, 1.0]


def test_a_run_becomes_a_submission_and_comes_back(tmp_path: Path) -> None:
    asked, _ = made_up.queries(4)
    asked = asked.with_columns(query_id=made_up.pl.Series(["78", "007", "x", "9"]))
    ids = made_up.corpus()["passage_id"].to_list()[:4]
    answers = submission_of(made_up.run_of({"78": ids, "x": ids[:1]}), asked, made_up.corpus())
    assert [(a.eval_id, len(a.topk)) for a in answers] == [(78, 3), ("007", 0), ("x", 1), (9, 0)]
    assert list(json.loads(json.dumps(answers[0].references[0]))) == ["score", "content"]
    write_submission(answers, tmp_path / "submission.csv")
    assert read_submission(tmp_path / "submission.csv") == answers
    first = json.loads((tmp_path / "submission.csv").read_text("utf-8").splitlines()[0])
    assert list(first) == ["eval_id", "standalone_query", "topk", "answer", "references"]


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        (['{"eval_id": 1}'], "submission.csv:1: topk is missing"),
        (['{"eval_id": 1, "topk": ["a", "b", "c", "d"]}'], "submission.csv:1: topk names 4 documents"),
        (['{"eval_id": 1, "topk": ["a", "a"]}'], "names a document twice"),
        (['{"eval_id": 1, "topk": [3]}'], "no document id"),
        (['{"eval_id": 1, "topk": []}', '{"eval_id": "1", "topk": []}'], "csv:2: eval_id 1 was given at"),
        (["eval_id,topk"], "submission.csv:1: not JSON"),
        ([], "the submission is empty"),
    ],
)
def test_a_malformed_submission_is_refused_with_its_line(tmp_path: Path, rows: list[str], problem: str) -> None:
    path = tmp_path / "submission.csv"
    path.write_text("\n".join(rows))
    with pytest.raises(LexError, match=problem):
        read_submission(path)


def test_other_questions_and_unknown_documents_are_refused() -> None:
    gold, answers = {"1": {"a"}, "2": set()}, [Answer(1, "", ("a",)), Answer(2, "", ())]
    with pytest.raises(EvaluationError, match="s: eval_id 2 is missing"):
        contest_scores({"s": answers[:1]}, gold)
    with pytest.raises(EvaluationError, match="s: eval_id 2 is not in the gold"):
        contest_scores({"s": answers}, {"1": {"a"}})
    with pytest.raises(EvaluationError, match="s: document a is not in the corpus"):
        contest_scores({"s": answers}, {"1": set(), "2": set()}, known=["b"])
    with pytest.raises(EvaluationError, match="gold: document a is not"):
        contest_scores({"s": answers}, gold, known=["b"])


def test_the_command_scores_submissions_and_compares_them(tmp_path: Path) -> None:
    corpus, queries, gold = (tmp_path / name for name in ("corpus.jsonl", "queries.jsonl", "gold.tsv"))
    corpus.write_text(
        "".join(f'{{"id": "d{n}", "text": "제{n}조 {word}"}}\n' for n, word in enumerate(("임대차", "보증금")))
    )
    queries.write_text("".join(f'{{"id": {n}, "text": "{word}"}}\n' for n, word in enumerate(("임대차", "보증금"))))
    gold.write_text("0\t0\td0\t1\n1\t0\td0\t0\n")
    made, better = tmp_path / "made.csv", tmp_path / "better.csv"
    done("search", "--corpus", corpus, "--queries", queries, "--out", made)
    assert read_gold(gold) == {"0": {"d0"}, "1": frozenset()}
    better.write_text('{"eval_id": 0, "topk": ["d0"]}\n{"eval_id": 1, "topk": []}\n')
    options = ("evaluate", "--submission", better, "--baseline", made, "--qrels", gold, "--corpus", corpus)
    facts = json.loads(done(*options, "--json"))
    assert {row["system"]: row["contest_map"] for row in facts["metrics"]} == {"baseline": 0.5, "run": 1.0}
    assert facts["comparisons"][0]["verdict"] == "insufficient" and "contest_map" in done(*options)
    jsonl = tmp_path / "gold.jsonl"
    jsonl.write_text('{"eval_id": 0, "gold": ["d9"]}\n{"eval_id": 1, "gold": []}\n')
    assert "gold: document d9 is not in the corpus" in refused(*options[:6], jsonl, *options[7:])
