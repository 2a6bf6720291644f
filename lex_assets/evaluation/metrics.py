"""Ranking metrics, per query and vectorised: what a run is worth against graded labels.

Here: NDCG (graded and binary), MRR, Recall, Hit, MAP, Precision, R-precision and what is judged, at passage level or at
parent level (the article, decision or context). Every metric depends only on where the labelled items stand, so all that
happens here are sums over that small table (`placing`). Not here: whether a difference means anything (`significance`), or
how a run came about (`retrieval`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NoReturn

import numpy as np
import polars as pl

from lex_assets.evaluation.placing import Placed, place
from lex_assets.evaluation.refusals import EvaluationError, OnMissing, check_qrels, check_run
from lex_assets.evaluation.units import Parents, Unit, parent_table, qrels_at, to_parents
from lex_assets.schemas import RUN

DEFAULT_METRICS = ("ndcg@10", "mrr@10", "r@10")
CUTOFFS = (1, 3, 5, 10, 20, 100)


@dataclass(frozen=True)
class Metric:
    """A metric and its cutoff. `k` is None only for R-precision, whose cutoff is the number of relevant items."""

    name: str
    k: int | None

    def __str__(self) -> str:
        return self.name if self.k is None else f"{self.name}@{self.k}"


@dataclass(frozen=True)
class _Hits:
    """Relevant items that were retrieved. `row`, `position` (1 is best), `grade`, `nth` (1 for the first relevant item
    of the row): (n_hits,). `totals`: (n_rows,) relevant items. `ideal_*`: the same for the best possible ranking."""

    n_rows: int
    row: np.ndarray
    position: np.ndarray
    grade: np.ndarray
    ideal_row: np.ndarray
    ideal_grade: np.ndarray

    @classmethod
    def of(cls, placed: Placed, min_grade: int) -> _Hits:
        hit, ideal = placed.grade >= min_grade, placed.label_grade >= min_grade
        found, best = (
            (placed.row[hit], placed.position[hit], placed.grade[hit]),
            (placed.label_row[ideal], placed.label_grade[ideal]),
        )
        return cls(placed.rows.height, *found, *best)

    @cached_property
    def nth(self) -> np.ndarray:
        return _nth(self.row)

    @cached_property
    def ideal_position(self) -> np.ndarray:
        return _nth(self.ideal_row)

    @cached_property
    def totals(self) -> np.ndarray:
        return np.bincount(self.ideal_row, minlength=self.n_rows)

    def within(self, k: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Sum of `weights` (or the count) of the hits among the first k, per row."""
        kept = self.position <= k
        return np.bincount(self.row[kept], None if weights is None else weights[kept], self.n_rows)

    def ideal_within(self, k: int, weights: np.ndarray) -> np.ndarray:
        """The same for the best possible ranking."""
        kept = self.ideal_position <= k
        return np.bincount(self.ideal_row[kept], weights[kept], self.n_rows)


def _ndcg(hits: _Hits, k: int) -> np.ndarray:
    gain = hits.within(k, hits.grade / np.log2(hits.position + 1))
    return gain / hits.ideal_within(k, hits.ideal_grade / np.log2(hits.ideal_position + 1))


def _binary_ndcg(hits: _Hits, k: int) -> np.ndarray:
    gain = hits.within(k, 1 / np.log2(hits.position + 1))
    return gain / hits.ideal_within(k, 1 / np.log2(hits.ideal_position + 1))


def _r_precision(hits: _Hits) -> np.ndarray:
    kept = hits.position <= hits.totals[hits.row]
    return np.bincount(hits.row[kept], minlength=hits.n_rows) / hits.totals


_SCORERS: dict[str, Callable[[_Hits, int], np.ndarray]] = {
    "ndcg": _ndcg,
    "bndcg": _binary_ndcg,
    "mrr": lambda hits, k: hits.within(k, np.where(hits.nth == 1, 1 / hits.position, 0.0)),
    "r": lambda hits, k: hits.within(k) / hits.totals,
    "hit": lambda hits, k: (hits.within(k) > 0).astype(float),
    "map": lambda hits, k: hits.within(k, hits.nth / hits.position) / hits.totals,
    "p": lambda hits, k: hits.within(k) / k,
}
_JUDGED = ("judged", "unjudged")
_ALIASES = {"recall": "r", "rr": "mrr", "success": "hit", "ap": "map", "precision": "p"}


def parse_metric(text: str) -> Metric:
    """`"ndcg@10"` → Metric("ndcg", 10). Names: ndcg, bndcg (binary gains), mrr, r, hit, map, p, judged (the share of the first
    k that has any label), unjudged (the number of the first k without one), each with @k, and rprec; recall, rr, success, ap
    and precision are other spellings. Raises EvaluationError."""
    match = re.fullmatch(r"([a-z]+)(?:@([1-9]\d*))?", text.strip().lower())
    name = _ALIASES.get(match[1], match[1]) if match else ""
    known = [*_SCORERS, *_JUDGED, "rprec"]
    if match is None or name not in known or (name == "rprec") != (match[2] is None):
        raise EvaluationError(
            f"metric {text!r} is unknown; write one of {', '.join(known)} with a cutoff, like ndcg@10"
        )
    return Metric(name, int(match[2]) if match[2] else None)


def metric_names(cutoffs: Sequence[int] = CUTOFFS) -> list[str]:
    """Every metric at every cutoff, and R-precision."""
    return [f"{name}@{k}" for name in (*_SCORERS, *_JUDGED) for k in cutoffs] + ["rprec"]


def rank_by_score(run: pl.DataFrame) -> pl.DataFrame:
    """`run` with `rank` set from the scores, ties by id: for runs that come without ranks of their own."""
    group = ["system", "query_id"]
    ordered = run.sort([*group, "score", "passage_id"], descending=[False, False, True, False])
    return ordered.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(group).alias("rank"))


def per_query(
    run: pl.DataFrame,
    qrels: pl.DataFrame,
    metrics: Sequence[str] = DEFAULT_METRICS,
    unit: Unit = "parent",
    parents: Parents | None = None,
    *,
    min_grade: int = 1,
    on_missing: OnMissing = "error",
) -> pl.DataFrame:
    """One row per (query, system) with a float column per metric, sorted by (system, query_id).

    Args:
        run: table `run`, one or several systems; `rank` is authoritative.
        qrels: table `qrels`; exactly the queries that count. Grades below `min_grade` are judged and not relevant.
        metrics: names like "ndcg@10"; see `parse_metric`. NDCG has linear gain and log2 discount, as trec_eval.
        unit: "parent" counts articles, decisions and contexts; "passage" counts passages.
        parents: passage → parent, or the corpus; with it, ids outside the corpus are refused at passage level as well.
        on_missing: a query that a system has no ranking for is an error, unless "zero" says that it found nothing.

    Raises EvaluationError for whatever would silently score 0 or drop a query; see `check_run` and `check_qrels`.
    """
    wanted = [parse_metric(name) for name in metrics]
    check_qrels(qrels, min_grade)
    if parents is not None:
        to_parents(qrels, parents, "qrels")
    labels = qrels_at(qrels, unit, parents)
    known = None if parents is None else parent_table(parents)
    placed = place(run, labels, known, unit == "parent") if _typed(run) else None
    if placed is None or (on_missing == "error" and not placed.retrieved.all()):
        _refuse_run(run, qrels, parents, on_missing)
    hits = _Hits.of(placed, min_grade)
    columns = [_score(metric, hits, placed).alias(name) for metric, name in zip(wanted, metrics, strict=True)]
    return placed.rows.with_columns(columns)


def _typed(run: pl.DataFrame) -> bool:
    """Whether columns and types are those of a run; hashes of other types would match nothing."""
    return all(
        run.schema.get(name) == RUN.columns[name].dtype for name in ("query_id", "passage_id", "system")
    ) and all(name in run.columns and run.schema[name].is_numeric() for name in ("rank", "score"))


def _refuse_run(run: pl.DataFrame, qrels: pl.DataFrame, parents: Parents | None, on_missing: OnMissing) -> NoReturn:
    """Names what is wrong with a run that could not be placed."""
    check_run(run, qrels, on_missing)
    if parents is not None:
        to_parents(run, parents)
    raise AssertionError("a run was refused that holds nothing wrong")


def _score(metric: Metric, hits: _Hits, placed: Placed) -> pl.Series:
    if metric.k is None:
        return pl.Series(_r_precision(hits))
    if metric.name in _JUDGED:
        judged, retrieved = _judged(placed, metric.k)
        return pl.Series(judged / retrieved.clip(1) if metric.name == "judged" else (retrieved - judged).astype(float))
    return pl.Series(_SCORERS[metric.name](hits, metric.k).astype(float))  # NumPy counts nothing found in integers


def _judged(placed: Placed, k: int) -> tuple[np.ndarray, np.ndarray]:
    """(those of the first k that have any label, those of the first k that were retrieved), per row."""
    judged = np.bincount(placed.row[placed.position <= k], minlength=placed.rows.height)
    return judged, placed.retrieved.clip(max=k)


def _nth(row: np.ndarray) -> np.ndarray:
    """1, 2, … within each run of equal values of the sorted `row`."""
    return np.arange(len(row)) - np.searchsorted(row, row) + 1


def summarise(scores: pl.DataFrame, by: Sequence[str] = ("system",)) -> pl.DataFrame:
    """Means of the metric columns and `n` queries per group, sorted by the group."""
    metrics = [name for name, dtype in scores.schema.items() if dtype.is_float() and name not in by]
    grouped = scores.group_by(list(by)).agg(pl.col(metrics).mean(), pl.len().cast(pl.Int64).alias("n"))
    return grouped.sort(list(by))


def oracle_run(
    run: pl.DataFrame,
    qrels: pl.DataFrame,
    unit: Unit = "parent",
    parents: Parents | None = None,
    system: str = "oracle",
) -> pl.DataFrame:
    """The best reordering of one system's candidates: the ceiling of any reranker on them. Nothing is injected: what
    was not retrieved stays out."""
    if run["system"].n_unique() != 1:
        raise EvaluationError("the oracle reorders the candidates of one system; filter the run to it")
    keyed = run.with_columns(pl.col("passage_id").alias("own"))
    keyed = to_parents(keyed, parents) if unit == "parent" and parents is not None else keyed
    graded = keyed.join(qrels_at(qrels, unit, parents), on=["query_id", "passage_id"], how="left")
    graded = graded.with_columns(pl.col("grade").fill_null(0), pl.lit(system).alias("system"))
    ordered = graded.sort(["query_id", "grade", "rank"], descending=[False, True, False])
    ordered = ordered.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("query_id").alias("rank"))
    return ordered.select(
        "query_id", pl.col("own").alias("passage_id"), "rank", pl.col("grade").cast(pl.Float32).alias("score"), "system"
    )
