"""Metrics: parity with ir_measures, parent level, and input that must be refused."""

from __future__ import annotations

import random

import ir_measures
import polars as pl
import pytest
from ir_measures import AP, RR, Judged, P, R, Rprec, Success, nDCG

from lex_assets.evaluation import placing
from lex_assets.evaluation.metrics import (
    CUTOFFS,
    Metric,
    metric_names,
    oracle_run,
    parse_metric,
    per_query,
    rank_by_score,
    summarise,
)
from lex_assets.evaluation.refusals import EvaluationError
from lex_assets.evaluation.units import to_parents
from lex_assets.schemas import RUN
from lex_assets_tests.evaluation.made_up import qrels_of, run_of

REFERENCE = {
    "ndcg@1": nDCG @ 1, "ndcg@10": nDCG @ 10, "ndcg@100": nDCG @ 100, "mrr@3": RR @ 3, "mrr@10": RR @ 10,
    "r@1": R @ 1, "r@20": R @ 20, "hit@1": Success @ 1, "hit@5": Success @ 5, "map@5": AP @ 5, "map@100": AP @ 100,
    "p@3": P @ 3, "p@10": P @ 10, "rprec": Rprec, "judged@10": Judged @ 10,
}  # fmt: skip


def random_case(seed: int, queries: int = 40) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A run with many tied scores (unranked) and graded labels, some of them 0."""
    rng = random.Random(seed)
    rows, labels = [], {}
    for q in range(queries):
        documents = rng.sample(range(300), rng.randint(1, 150))
        rows += [
            {"query_id": f"q{q}", "passage_id": f"d{d:03}", "rank": 0, "score": rng.randint(0, 9) / 4, "system": "s"}
            for d in documents
        ]
        judged = {f"d{d:03}": rng.choice([0, 1, 1, 2]) for d in rng.sample(range(300), rng.randint(1, 12))}
        judged[f"d{rng.choice(documents):03}"] = rng.choice([1, 2])
        labels[f"q{q}"] = judged
    return pl.DataFrame(rows, schema=RUN.polars), qrels_of(labels)


def reference(run: pl.DataFrame, qrels: pl.DataFrame, min_grade: int = 1) -> dict[tuple[str, str], float]:
    """What ir_measures says of the same ranking; the scores follow the ranks, for trec_eval breaks ties its own way."""
    their_run = [ir_measures.ScoredDoc(r["query_id"], r["passage_id"], -float(r["rank"])) for r in run.to_dicts()]
    their_qrels = [ir_measures.Qrel(r["query_id"], r["passage_id"], r["grade"]) for r in qrels.to_dicts()]
    names = {
        str(m if n.startswith(("ndcg", "judged")) else m(rel=min_grade)): (
            n,
            m if n.startswith(("ndcg", "judged")) else m(rel=min_grade),
        )
        for n, m in REFERENCE.items()
    }
    found = ir_measures.iter_calc([measure for _, measure in names.values()], their_qrels, their_run)
    return {(names[str(one.measure)][0], one.query_id): one.value for one in found}


@pytest.mark.smoke
@pytest.mark.parametrize("seed", range(6))
def test_parity_with_ir_measures_on_runs_with_ties(seed: int) -> None:
    unranked, qrels = random_case(seed)
    run = rank_by_score(unranked).sample(fraction=1, shuffle=True, seed=seed)
    ours = per_query(run, qrels, list(REFERENCE), unit="passage")
    theirs = reference(run, qrels)
    for row in ours.to_dicts():
        for name in REFERENCE:
            assert row[name] == pytest.approx(theirs[name, row["query_id"]], abs=1e-12), (name, row["query_id"])


def test_parity_at_parent_level_with_the_ranking_deduplicated() -> None:
    unranked, qrels = random_case(11)
    run = rank_by_score(unranked)
    parents = {f"d{d:03}": f"a{d // 3}" for d in range(300)}
    collapsed = (
        to_parents(run, parents)
        .sort("query_id", "rank")
        .unique(["query_id", "passage_id"], keep="first", maintain_order=True)
    )
    articles = to_parents(qrels, parents, "qrels").group_by("query_id", "passage_id").agg(pl.col("grade").max())
    theirs = reference(collapsed, articles)
    for row in per_query(run, qrels, list(REFERENCE), "parent", parents).to_dicts():
        for name in REFERENCE:
            assert row[name] == pytest.approx(theirs[name, row["query_id"]], abs=1e-12), (name, row["query_id"])


@pytest.mark.parametrize("seed", [3, 4])
def test_binary_ndcg_is_ndcg_of_labels_without_grades(seed: int) -> None:
    unranked, qrels = random_case(seed)
    run, ungraded = rank_by_score(unranked), qrels.with_columns(pl.col("grade").clip(0, 1))
    binary = per_query(run, qrels, ["bndcg@1", "bndcg@10", "bndcg@100"], "passage")
    theirs = reference(run, ungraded)
    for row in binary.to_dicts():
        for k in (1, 10, 100):
            assert row[f"bndcg@{k}"] == pytest.approx(theirs[f"ndcg@{k}", row["query_id"]], abs=1e-12)


def test_every_metric_at_every_cutoff_has_a_name_that_parses() -> None:
    names = metric_names()
    assert len(set(names)) == len(names) == 9 * len(CUTOFFS) + 1
    assert [str(parse_metric(name)) for name in names] == names


@pytest.mark.parametrize("unit", ["passage", "parent"])
def test_the_order_of_the_lines_does_not_matter(unit: str) -> None:
    unranked, qrels = random_case(5)
    run, parents = rank_by_score(unranked), {f"d{d:03}": f"a{d // 3}" for d in range(300)}
    expected = per_query(run, qrels, list(REFERENCE), unit, parents)
    for seed in range(3):
        shuffled = run.sample(fraction=1, shuffle=True, seed=seed)
        assert per_query(shuffled, qrels, list(REFERENCE), unit, parents).equals(expected)
    for order in (["query_id", "rank"], ["rank", "query_id"]):
        assert per_query(run.sort(order, descending=True), qrels, list(REFERENCE), unit, parents).equals(expected)


@pytest.mark.parametrize("unit", ["passage", "parent"])
def test_hashes_that_collide_change_nothing(unit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    unranked, qrels = random_case(6)
    run, parents = rank_by_score(unranked), {f"d{d:03}": f"a{d // 3}" for d in range(300)}
    given = parents if unit == "parent" else None
    expected = per_query(run, qrels, list(REFERENCE), unit, given)
    monkeypatch.setattr(placing, "_hashes", lambda values: values.hash().to_numpy() % 7)
    assert per_query(run, qrels, list(REFERENCE), unit, given).equals(expected)
    twice = pl.concat([run, run.head(1).with_columns(rank=pl.lit(999, pl.Int32))])
    with pytest.raises(EvaluationError, match="a document more than once"):
        per_query(twice, qrels, ["mrr@10"], unit, given)


def test_a_higher_threshold_makes_grade_1_not_relevant() -> None:
    run, qrels = run_of({"q": ["a", "b"]}), qrels_of({"q": {"a": 1, "b": 2}})
    assert per_query(run, qrels, ["mrr@10"], "passage").row(0)[2] == 1.0
    assert per_query(run, qrels, ["mrr@10"], "passage", min_grade=2).row(0)[2] == 0.5


def test_ties_are_broken_by_id_and_the_rank_column_is_authoritative() -> None:
    tied = pl.DataFrame(
        {"query_id": ["q"] * 3, "passage_id": ["c", "a", "b"], "score": [1.0, 1.0, 2.0], "system": ["s"] * 3}
    )
    assert rank_by_score(tied).sort("rank")["passage_id"].to_list() == ["b", "a", "c"]
    against_scores = run_of({"q": ["a", "b"]}).with_columns(score=pl.Series([0.0, 9.0], dtype=pl.Float32))
    assert per_query(against_scores, qrels_of({"q": {"a": 1}}), ["mrr@10"], "passage")["mrr@10"].to_list() == [1.0]


def test_a_parent_counts_once_where_its_first_passage_stands_with_its_best_grade() -> None:
    parents = {"a1": "A", "a2": "A", "b1": "B", "c1": "C"}
    run = run_of({"q": ["b1", "a2", "a1", "c1"]})
    scores = per_query(run, qrels_of({"q": {"a1": 2, "a2": 1, "c1": 1}}), ["ndcg@10", "r@2", "r@3"], "parent", parents)
    log3 = 1.584962500721156
    assert scores["ndcg@10"][0] == pytest.approx((2 / log3 + 1 / 2) / (2 + 1 / log3))
    assert scores["r@2"][0] == 0.5 and scores["r@3"][0] == 1.0


def test_runs_already_ranked_by_article_are_scored_as_they_are() -> None:
    scores = per_query(
        run_of({"q": ["B", "A"]}), qrels_of({"q": {"a1": 1}}), ["mrr@10"], "parent", {"a1": "A", "b1": "B"}
    )
    assert scores["mrr@10"].to_list() == [0.5]


def test_removing_documents_after_ranking_closes_the_gaps() -> None:
    run = run_of({"q": ["x", "y", "a"]}).filter(pl.col("passage_id") != "x")
    assert per_query(run, qrels_of({"q": {"a": 1}}), ["mrr@10"], "passage")["mrr@10"].to_list() == [0.5]


def test_several_systems_are_scored_together_and_summarised() -> None:
    run = pl.concat([run_of({"q": ["a", "b"], "r": ["b"]}, "one"), run_of({"q": ["b", "a"], "r": ["b"]}, "two")])
    scores = per_query(run, qrels_of({"q": {"a": 1}, "r": {"b": 1}}), ["mrr@10"], "passage")
    assert scores.select("system", "query_id").rows() == [("one", "q"), ("one", "r"), ("two", "q"), ("two", "r")]
    assert summarise(scores).to_dicts() == [
        {"system": "one", "mrr@10": 1.0, "n": 2},
        {"system": "two", "mrr@10": 0.75, "n": 2},
    ]


def test_systems_scored_together_score_as_they_do_alone() -> None:
    unranked, qrels = random_case(21)
    one = rank_by_score(unranked)
    other = one.with_columns(rank=(1000 - pl.col("rank")).cast(pl.Int32), system=pl.lit("b"))
    together = per_query(pl.concat([other, one]), qrels, list(REFERENCE), "passage")
    apart = pl.concat([per_query(run, qrels, list(REFERENCE), "passage") for run in (other, one)])
    assert together.equals(apart)


def test_the_oracle_reorders_and_never_injects() -> None:
    run, labels = run_of({"q": ["x", "b", "a"]}), qrels_of({"q": {"a": 2, "b": 1, "absent": 2}})
    best = oracle_run(run, labels, "passage")
    assert best["passage_id"].to_list() == ["a", "b", "x"] and best["rank"].to_list() == [1, 2, 3]
    assert per_query(best, labels, ["r@10"], "passage")["r@10"][0] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda run: run.clear(), "run is empty"),
        (lambda run: run.filter(pl.col("query_id") != "r"), "r is missing"),
        (lambda run: pl.concat([run, run.head(1).with_columns(rank=pl.lit(9, pl.Int32))]), "a document more than once"),
        (lambda run: run.with_columns(rank=pl.lit(1, pl.Int32)), "a rank more than once"),
        (lambda run: run.with_columns(score=pl.lit(float("nan"), pl.Float32)), "NaN"),
        (lambda run: run.with_columns(query_id=pl.col("query_id").replace("q", "other")), "other has no labels"),
        (lambda run: run.with_columns(passage_id=pl.col("passage_id") + "?"), r"a\? is not in the corpus"),
        (lambda run: run.with_columns(score=pl.lit(None, pl.Float32)), r"row 1 has no score.*\(and 2 more\)"),
        (lambda run: run.with_columns(pl.col("passage_id").replace("b", None)), "row 2 has no passage_id"),
        (lambda run: run.drop("rank"), "column rank is missing"),
        (lambda run: run.cast({"passage_id": pl.Categorical}), "column passage_id is Categorical"),
    ],
    ids=[
        "empty", "missing query", "duplicate document", "duplicate rank", "nan", "unlabelled query", "unknown id",
        "no score", "no id", "no column", "ids of another type",
    ],
)  # fmt: skip
def test_bad_runs_are_refused_by_name(change, message: str) -> None:
    run, qrels = run_of({"q": ["a", "b"], "r": ["c"]}), qrels_of({"q": {"a": 1}, "r": {"c": 1}})
    with pytest.raises(EvaluationError, match=message):
        per_query(change(run), qrels, ["mrr@10"], "parent", {"a": "A", "b": "B", "c": "C"})


def test_a_system_without_answers_scores_zero_only_when_asked() -> None:
    run, qrels = run_of({"q": ["a"]}), qrels_of({"q": {"a": 1}, "r": {"c": 1}})
    scores = per_query(run, qrels, ["mrr@10", "judged@5", "unjudged@5"], "passage", on_missing="zero")
    assert scores["mrr@10"].to_list() == [1.0, 0.0] and scores["judged@5"].to_list() == [1.0, 0.0]
    assert scores["unjudged@5"].to_list() == [0.0, 0.0]


def test_a_run_that_finds_nothing_relevant_is_0_in_every_metric_and_loses_none() -> None:
    names = [name for name in metric_names() if not name.startswith(("judged", "unjudged"))]
    scores = per_query(run_of({"q": ["x", "y"]}), qrels_of({"q": {"a": 2}}), names, "passage")
    assert summarise(scores).row(0, named=True) == {"system": "s", "n": 1} | dict.fromkeys(names, 0.0)


def test_unjudged_documents_are_counted() -> None:
    run, qrels = run_of({"q": ["a", "x", "b", "y"]}), qrels_of({"q": {"a": 1, "b": 0}})
    scores = per_query(run, qrels, ["unjudged@3", "unjudged@10", "judged@3"], "passage").row(0)[2:]
    assert scores == pytest.approx((1.0, 2.0, 2 / 3))


def test_one_system_missing_a_query_that_another_has_is_refused() -> None:
    both = pl.concat([run_of({"q": ["a"], "r": ["a"]}, "one"), run_of({"q": ["a"]}, "two")])
    with pytest.raises(EvaluationError, match="run of two: query r is missing"):
        per_query(both, qrels_of({"q": {"a": 1}, "r": {"a": 1}}), ["mrr@10"], "passage")


@pytest.mark.parametrize(
    ("labels", "message"),
    [({}, "qrels are empty"), ({"q": {"a": 0}, "r": {"a": 1}}, "query q has no document of grade 1")],
)
def test_bad_qrels_are_refused(labels: dict, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        per_query(run_of({"q": ["a"], "r": ["a"]}), qrels_of(labels), ["mrr@10"], "passage")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda q: q.with_columns(grade=pl.lit(None, pl.Int32)), "qrels: row 1 has no grade"),
        (lambda q: q.cast({"query_id": pl.Categorical}), "qrels: column query_id is Categorical"),
        (lambda q: pl.concat([q, q]), "qrels: passage a is labelled more than once"),
    ],
)
def test_damaged_qrels_are_refused(change, message: str) -> None:
    with pytest.raises(EvaluationError, match=message):
        per_query(run_of({"q": ["a"]}), change(qrels_of({"q": {"a": 1}})), ["mrr@10"], "passage")


def test_labels_outside_the_corpus_are_refused() -> None:
    with pytest.raises(EvaluationError, match="qrels: passage gone is not in the corpus"):
        per_query(run_of({"q": ["a"]}), qrels_of({"q": {"gone": 1}}), ["mrr@10"], "passage", {"a": "A"})


def test_parent_level_needs_parents() -> None:
    with pytest.raises(EvaluationError, match="needs `parents`"):
        per_query(run_of({"q": ["a"]}), qrels_of({"q": {"a": 1}}), ["mrr@10"])


@pytest.mark.parametrize(
    ("text", "metric"),
    [("NDCG@10", Metric("ndcg", 10)), ("recall@5", Metric("r", 5)), ("rprec", Metric("rprec", None))],
)
def test_metric_names(text: str, metric: Metric) -> None:
    assert parse_metric(text) == metric


@pytest.mark.parametrize("text", ["", "ndcg", "ndcg@0", "ndcg@-1", "rprec@5", "bleu@4"])
def test_unknown_metrics_are_refused(text: str) -> None:
    with pytest.raises(EvaluationError, match="unknown"):
        parse_metric(text)
