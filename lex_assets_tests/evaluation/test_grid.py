"""A grid ranks as the searches that it stands for, chooses on validation alone, and shows the test to its winner only."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from lex_assets.evaluation.contest import read_submission
from lex_assets.evaluation.grid import GridConfig, Point, Rankings, grid_search, write_submissions
from lex_assets.evaluation.grid_report import grid_document
from lex_assets.evaluation.question_sets import QuestionSet, human_questions
from lex_assets.evaluation.refusals import EvaluationError
from lex_assets.retrieval.search import Searcher, rerank_run
from lex_assets_tests.commands import done, refused
from lex_assets_tests.evaluation import made_up
from lex_assets_tests.evaluation.stand_ins import WordEncoder, WordReranker

CONFIG = GridConfig(
    prefixes=("own", "e5"), fusions=("minmax", "rrf"), weights=(0, 0.5, 1), top_k=(5, 40), rerank_depths=(0, 4)
)


@pytest.fixture(scope="module")
def sets() -> dict[str, QuestionSet]:
    asked, qrels = made_up.queries(200)
    return {name: next(human_questions(asked, qrels, made_up.corpus(), "law", (), name)) for name in ("valid", "test")}


class Prefixed(WordEncoder):
    """An encoder whose prefix makes it deaf."""

    def __init__(self, prefix: str) -> None:
        super().__init__(deaf=0.0 if prefix == "own" else 0.8)


def quiet(stage: str, done: int, total: int) -> None:
    assert done <= total


def rankings_of(questions: QuestionSet, points: list[Point]) -> Rankings:
    return Rankings(questions, points, Prefixed, WordReranker())


def test_every_point_ranks_as_the_search_that_it_stands_for(sets) -> None:
    questions, points = sets["valid"], list(CONFIG.points())
    rankings = rankings_of(questions, points)
    rankings.find(quiet)
    searcher = Searcher(questions.corpus, Prefixed("e5"))
    halves = {
        mode: searcher.search(questions.queries, mode, 40, questions.exclude).select("query_id", "passage_id", "rank")
        for mode in ("lexical", "dense")
    }
    for weight, mode in ((0.0, "lexical"), (1.0, "dense")):
        point = Point("e5", "rrf", weight, 40, 0).canonical(CONFIG)
        assert rankings.run(point).select("query_id", "passage_id", "rank").equals(halves[mode])
    hybrid = searcher.search(questions.queries, "hybrid", 40, questions.exclude, 0.5, "rrf")
    plain = rankings.run(Point("e5", "rrf", 0.5, 40, 0))
    assert plain.filter(pl.col("rank") <= 40).drop("system").equals(hybrid.drop("system"))
    head = rerank_run(hybrid, questions.queries, questions.corpus, WordReranker(), 4)
    reranked = rankings.run(Point("e5", "rrf", 0.5, 40, 4))
    assert reranked.filter(pl.col("rank") <= 4).drop("system").equals(head.drop("system"))
    behind = pl.col("rank") > 4
    assert reranked.filter(behind).drop("system").equals(plain.filter(behind).drop("system"))


def test_points_that_rank_alike_are_tried_once() -> None:
    names = [point.name for point in CONFIG.points()]
    assert len(names) == len(set(names))
    # 2 top-k × 2 depths × (BM25 once, dense per prefix, hybrids per prefix and fusion)
    assert len(names) == 2 * 2 * (1 + 2 + 2 * 2)


def test_the_best_on_validation_wins_and_of_equals_the_cheapest(sets) -> None:
    found = grid_search(sets["valid"], sets["test"], CONFIG, rankings_of, quiet)
    assert found.points["score"][0] == found.points["score"].max()
    best = found.points.filter(pl.col("score") == pl.col("score").max())
    assert found.winner.rerank_depth == best["rerank_depth"].min()
    again = grid_search(sets["valid"], sets["test"], CONFIG, rankings_of, quiet)
    assert json.dumps(again.to_dict()) == json.dumps(found.to_dict())
    assert found.winner.name in grid_document(found) and "data:image/svg+xml" in grid_document(found)


def test_the_test_is_shown_to_the_winner_alone(sets) -> None:
    asked: list[tuple[str, list[str]]] = []

    def spying(questions: QuestionSet, points: list[Point]) -> Rankings:
        asked.append((questions.queries["set"][0], [point.name for point in points]))
        return rankings_of(questions, points)

    found = grid_search(sets["valid"], sets["test"], CONFIG, spying, quiet)
    (first, tried), (second, shown) = asked
    assert (first, len(tried)) == ("valid", len(list(CONFIG.points())))
    assert (second, shown[0], len(shown)) == ("test", found.winner.name, 2) and "-w0-" in shown[1]
    means = {row["system"]: row for row in found.test.to_dict()["metrics"]}
    assert set(means) == {"winner", "bm25"} and means["winner"]["n"] == sets["test"].queries.height


def test_a_question_in_both_sets_is_refused(sets) -> None:
    with pytest.raises(EvaluationError, match="is in validation and in the test"):
        grid_search(sets["valid"], sets["valid"], CONFIG, rankings_of, quiet)


def test_every_point_writes_a_submission_that_the_contest_reads(sets, tmp_path: Path) -> None:
    unlabelled = replace(sets["test"], queries=sets["test"].queries.select("query_id", "text"), qrels=pl.DataFrame())
    rankings = rankings_of(unlabelled, list(CONFIG.points()))
    rankings.find(quiet)
    files = write_submissions(rankings, tmp_path)
    assert len(files) == len(list(CONFIG.points()))
    for path in files:
        answers = read_submission(path)
        assert [one.eval_id for one in answers] == rankings.ids and all(len(one.topk) == 3 for one in answers)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"weights": (1.5,)}, "1.5 cannot be tried"),
        ({"prefixes": ("bgee",)}, "'bgee' cannot be tried"),
        ({"top_k": ()}, "at least one value"),
        ({"metric": "ndgc@10"}, "is unknown"),
    ],
)
def test_what_cannot_be_tried_is_refused(values: dict, message: str) -> None:
    with pytest.raises((ValueError, EvaluationError), match=message):
        GridConfig(**values)


def write_files(folder: Path, sets: dict[str, QuestionSet]) -> tuple[str, ...]:
    def write(name: str, rows: list[dict[str, str]]) -> Path:
        path = folder / name
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), "utf-8")
        return path

    few = {name: one.queries.head(12) for name, one in sets.items()}
    both = pl.concat(few.values()).select(id="query_id", text="text").to_dicts()
    corpus = made_up.corpus().select(id="passage_id", text="text", title="context").to_dicts()
    options = ["--corpus", str(write("corpus.jsonl", corpus)), "--queries", str(write("queries.jsonl", both))]
    for name, one in sets.items():
        labels = one.qrels.join(few[name], on="query_id", how="semi")
        labels.select("query_id", zero=pl.lit(0), passage_id="passage_id", grade="grade").write_csv(
            folder / f"{name}.tsv", separator="\t", include_header=False
        )
        options += [f"--{name}", str(folder / f"{name}.tsv")]
    return tuple(options)


def test_from_files_on_the_command_line(sets, tmp_path: Path) -> None:
    files = write_files(tmp_path, sets)
    options = ("--weights", "0,0.5", "--rerank-depths", "0", "--submissions", tmp_path / "queries.jsonl")
    text = done("grid", *files, *options, "--out", tmp_path / "grid")
    facts = json.loads((tmp_path / "grid" / "grid.json").read_text("utf-8"))
    assert facts["winner"]["weight"] in (0, 0.5) and facts["valid_questions"] == sets["valid"].queries.head(12).height
    assert "NDCG@10: BM25" in text and {p.name for p in (tmp_path / "grid" / "submissions").iterdir()} == {
        "own-minmax-w0-k100-r0.csv", "own-minmax-w0.5-k100-r0.csv",
    }  # fmt: skip
    assert "a grid looks at the test once" in refused("grid", *files, "--out", tmp_path / "grid")
    half = refused("grid", *files, "--out", tmp_path / "x", "--weights", "half")
    assert "weights.0: Input should be a valid number" in half
    assert "give --store, or all of" in refused("grid", *files[:4], "--out", tmp_path / "x")
    assert not (tmp_path / "x").exists()
