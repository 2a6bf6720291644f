"""`lex-assets evaluate` on small files: what it prints, what it leaves out and says, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from lex_assets.evaluation.trec import read_qrels, read_run
from lex_assets.models.presets import BUILTIN_ADAPTER
from lex_assets.registry.leaderboard import LEADERBOARD_FILE, append, leaderboard_rows
from lex_assets_tests.commands import done, invoke, refused
from lex_assets_tests.evaluation import made_up


def write_runs(folder: Path, queries: int = 30) -> tuple[Path, Path, Path]:
    """qrels, a run that finds every answer first, and one that finds it second."""
    qrels = folder / "qrels.tsv"
    qrels.write_text("".join(f"q{n}\t0\tp{n}\t1\n" for n in range(queries)))
    good, poor = folder / "good.trec", folder / "poor.trec"
    good.write_text("".join(f"q{n} Q0 p{n} 1 2.0 x\nq{n} Q0 other 2 1.0 x\n" for n in range(queries)))
    poor.write_text("".join(f"q{n} Q0 other 1 2.0 x\nq{n} Q0 p{n} 2 1.0 x\n" for n in range(queries)))
    return qrels, good, poor


def test_evaluate_prints_scores_and_json(tmp_path: Path) -> None:
    qrels, good, _ = write_runs(tmp_path)
    assert "1.0000" in done("evaluate", "--qrels", qrels, "--run", good)
    facts = json.loads(done("evaluate", "--qrels", qrels, "--run", good, "--json", "--metric", "mrr@10"))
    assert facts["metrics"] == [{"system": "run", "mrr@10": 1.0, "n": 30}]
    assert facts["comparisons"] == []


def test_evaluate_against_a_baseline_gives_interval_and_verdict(tmp_path: Path) -> None:
    qrels, good, poor = write_runs(tmp_path)
    options = ("evaluate", "--qrels", qrels, "--run", good, "--baseline", poor, "--metric", "mrr@10")
    (comparison,) = json.loads(done(*options, "--json"))["comparisons"]
    assert comparison["difference"] == pytest.approx(0.5)
    assert comparison["low"] > 0 and comparison["verdict"] == "better"
    assert "+0.5000" in done(*options) and "better" in done(*options)


def test_queries_of_one_group_count_as_one(tmp_path: Path) -> None:
    qrels, good, poor = write_runs(tmp_path)
    groups = tmp_path / "groups.tsv"
    groups.write_text("".join(f"q{n} g{n % 3}\n" for n in range(30)))
    options = ("evaluate", "--qrels", qrels, "--run", good, "--baseline", poor, "--metric", "mrr@10", "--json")
    (comparison,) = json.loads(done(*options, "--groups", groups))["comparisons"]
    assert (comparison["n_clusters"], comparison["verdict"]) == (3, "insufficient")
    groups.write_text("q0 a\nq0 b\n")
    assert "groups.tsv:2: q0 was given on line 1" in refused(*options, "--groups", groups)
    groups.write_text("q0 a\n")
    assert "q1 has no split group" in refused(*options, "--groups", groups)


def test_several_runs_are_corrected_together_and_seeds_must_agree(tmp_path: Path) -> None:
    qrels, good, poor = write_runs(tmp_path)
    same = tmp_path / "same.trec"
    same.write_text(poor.read_text())
    options = ("evaluate", "--qrels", qrels, "--run", good, "--run", same, "--baseline", poor, "--metric", "mrr@10")
    facts = json.loads(done(*options, "--seeds", "--json"))
    assert [one["system"] for one in facts["comparisons"]] == ["good", "same"]
    assert facts["comparisons"][0]["p_holm"] == pytest.approx(2 * facts["comparisons"][0]["p"])
    assert facts["seeds"] == {"mrr@10": "insufficient"}
    assert "two files are called 'good'" in refused(*options[:5], "--run", good, "--baseline", poor)


def test_evaluate_says_what_it_left_out(tmp_path: Path) -> None:
    qrels, good, _ = write_runs(tmp_path)
    good.write_text(good.read_text().replace("q0 ", "extra ", 2))
    result = invoke("evaluate", "--qrels", qrels, "--run", good, "--json", "--metric", "r@10")
    facts = json.loads(result.stdout)
    assert facts["metrics"][0]["r@10"] == pytest.approx(29 / 30)
    assert facts["left_out"] == {"run": ["extra"]} and facts["scored_zero"] == {"run": ["q0"]}
    assert "1 queries without labels" in result.stderr and "1 without results count 0" in result.stderr
    assert "run of run: query q0 is missing" in refused(
        "evaluate", "--qrels", qrels, "--run", good, "--missing", "error"
    )


def test_parquet_is_read_as_the_text_is(tmp_path: Path) -> None:
    qrels, good, _ = write_runs(tmp_path)
    read_run(good).write_parquet(tmp_path / "run.parquet")
    read_qrels(qrels).write_parquet(tmp_path / "qrels.parquet")
    text = done("evaluate", "--qrels", qrels, "--run", good)
    assert done("evaluate", "--qrels", tmp_path / "qrels.parquet", "--run", tmp_path / "run.parquet") == text


def test_the_corpus_counts_articles_and_refuses_what_it_does_not_hold(tmp_path: Path) -> None:
    qrels, good, _ = write_runs(tmp_path, queries=3)
    corpus = tmp_path / "corpus.jsonl"
    ids = ["p0", "p1", "p2", "other"]
    corpus.write_text("".join(json.dumps({"id": one, "text": "글"}) + "\n" for one in ids))
    options = ("evaluate", "--qrels", qrels, "--run", good, "--unit", "parent", "--metric", "mrr@10", "--json")
    assert json.loads(done(*options, "--corpus", corpus))["metrics"][0]["mrr@10"] == 1.0
    assert "needs `parents`" in refused(*options)
    corpus.write_text("".join(json.dumps({"id": one, "text": "글"}) + "\n" for one in ids[:3]))
    assert "run: passage other is not in the corpus" in refused(*options, "--corpus", corpus)


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("", "run is empty"),
        ("q0 Q0 p0 1 nan x\n", "run.trec:1: score nan is not a finite number"),
        ("q0 Q0 p0 1 1 x\nq0 Q0 p0 2 1 x\n", "run.trec:2: q0 p0 was given on line 1 already"),
        ("zz Q0 p0 1 1 x\n", "share no query id"),
        ("q0 p0 1\n", "run.trec:1: 3 columns, expected 6"),
    ],
    ids=["empty", "nan", "duplicate document", "another query set", "columns"],
)
def test_bad_runs_are_refused_in_one_line(run: str, message: str, tmp_path: Path) -> None:
    qrels, _, _ = write_runs(tmp_path, queries=2)
    (tmp_path / "run.trec").write_text(run)
    assert message in refused("evaluate", "--qrels", qrels, "--run", tmp_path / "run.trec")


@pytest.mark.parametrize(
    ("qrels", "message"),
    [
        ("", "qrels are empty"),
        ("q0 0 p0 0\n", "query q0 has no document of grade 1"),
        ("q0 0 p0 1\nq0 0 p0 1\n", "qrels.tsv:2: q0 p0 was given on line 1 already"),
    ],
    ids=["empty", "nothing relevant", "twice"],
)
def test_bad_qrels_are_refused_in_one_line(qrels: str, message: str, tmp_path: Path) -> None:
    _, good, _ = write_runs(tmp_path, queries=2)
    (tmp_path / "qrels.tsv").write_text(qrels)
    assert message in refused("evaluate", "--qrels", tmp_path / "qrels.tsv", "--run", good)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run.clear(), "run.parquet: run is empty"),
        (lambda run: run.drop("score"), "column score is missing"),
        (lambda run: run.with_columns(query_id=pl.lit(7)), "column query_id is Int32"),
        (lambda run: pl.concat([run, run]), "q0 has a document more than once"),
        (lambda run: run.with_columns(score=pl.lit(float("nan"), pl.Float32)), "q0 has a score that is NaN"),
    ],
    ids=["empty", "no column", "type", "twice", "nan"],
)
def test_bad_parquet_is_refused_in_one_line(change, message: str, tmp_path: Path) -> None:
    qrels, good, _ = write_runs(tmp_path, queries=2)
    change(read_run(good)).write_parquet(tmp_path / "run.parquet")
    assert message in refused("evaluate", "--qrels", qrels, "--run", tmp_path / "run.parquet")


def test_a_model_is_compared_with_its_base(tmp_path: Path) -> None:
    adapter = BUILTIN_ADAPTER
    corpus, queries, qrels = tmp_path / "corpus.jsonl", tmp_path / "queries.jsonl", tmp_path / "qrels.tsv"
    texts = {
        "a": "임대인은 보증금을 반환하여야 한다.",
        "b": "조합원은 총회에서 의결권을 가진다.",
        "c": "이 법은 공포한 날부터 시행한다.",
    }
    corpus.write_text("".join(json.dumps({"id": i, "text": t}, ensure_ascii=False) + "\n" for i, t in texts.items()))
    asked = {"q1": "보증금을 돌려받을 권리", "q2": "총회의 의결권"}
    queries.write_text("".join(json.dumps({"id": i, "text": t}, ensure_ascii=False) + "\n" for i, t in asked.items()))
    qrels.write_text("q1 0 a 1\nq2 0 b 1\n")
    files = ("--corpus", corpus, "--queries", queries, "--qrels", qrels)
    text = done("evaluate", "--model", adapter, *files)
    assert all(name in text for name in ("hit@1", "mrr@10", "base", "model", "insufficient"))
    facts = json.loads(done("evaluate", "--model", adapter, *files, "--json"))["test"]
    assert [row["system"] for row in facts["metrics"]] == ["base", "model"]
    assert {one["metric"] for one in facts["comparisons"]} >= {"hit@1", "hit@10", "mrr@10"}
    assert "nowhere: no such folder" in refused("evaluate", "--model", tmp_path / "nowhere", *files)
    assert "does not name the base" in refused("evaluate", "--model", tmp_path, *files)
    assert "--model needs --store" in refused("evaluate", "--model", adapter, *files[:4])
    qrels.write_text("q1 0 a 1\nq9 0 b 1\n")
    assert "query q9 is not in" in refused("evaluate", "--model", adapter, *files)


def test_what_to_evaluate_must_be_said(tmp_path: Path) -> None:
    qrels, good, _ = write_runs(tmp_path, queries=2)
    assert "give one of --run or --submission" in refused("evaluate", "--qrels", qrels)
    assert "give one of --run or --submission" in refused(
        "evaluate", "--qrels", qrels, "--run", good, "--model", tmp_path
    )
    assert "--run and --submission need --qrels" in refused("evaluate", "--run", good)


def test_reports_are_compared_and_listed_on_one_test_set(tmp_path: Path) -> None:
    asked, qrels = made_up.queries(120)
    first, better, other = (
        made_up.report(n=n, run=made_up.runs(*made_up.queries(n), made_up.QUALITY | {"bm25": q}), queries=q_, qrels=l_)
        for n, q, (q_, l_) in ((120, 0.2, (asked, qrels)), (120, 0.9, (asked, qrels)), (60, 0.2, made_up.queries(60)))
    )
    folders = [str(one.write(tmp_path / name)) for name, one in (("a", first), ("b", better), ("c", other))]
    said = done("compare", *folders[:2], "--system", "bm25")
    assert said.splitlines()[0].startswith("unseen_query bm25 ndcg@10: +0.") and "better" in said
    assert json.loads(done("compare", *folders[:2], "--system", "bm25", "--json"))["unseen_query"]["system"] == "after"
    assert "different test sets" in refused("compare", folders[0], folders[2])
    assert "not a report" in refused("compare", folders[0], tmp_path)

    assert "materialize the asset leaderboard" in refused("leaderboard", "--store", tmp_path)
    for n, one in enumerate((first, better, other), 1):
        append(tmp_path / "registry" / LEADERBOARD_FILE, leaderboard_rows(one, f"r{n}", "k", f"2026-01-0{n}T00:00:00"))
    listed = done("leaderboard", "--store", tmp_path)
    assert listed.count("test set") == 2 and listed.index("| r3 |") < listed.index("| r2 |") < listed.index("| r1 |")
    chosen = ("leaderboard", "--store", tmp_path, "--test-set", first.data["test_hash"][:6])
    assert "| r3 |" not in done(*chosen, "--metric", "r@100")
    assert "no report of domain finance" in refused(*chosen, "--domain", "finance")
