"""Ranking metrics, per query and vectorised: what a run is worth against graded labels.

Here: NDCG, MRR, Recall, Hit, MAP, Precision, R-precision and the judged share, at passage level or at parent level
(the article, decision or context), and the checks that refuse input which would silently score 0. Not here: whether a
difference means anything (`significance`), or how a run came about (`retrieval`).

Strings become integers once. Every metric but `judged` depends only on where the relevant items stand, so the ranking
is joined once with the relevant labels and all that follows are sums over that small table. Input is proven sound on the
integers; only what is not is gone through again to name the culprit.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NoReturn

import numpy as np
import polars as pl

from lex_assets.schemas import QRELS, LexError

Unit = Literal["parent", "passage"]
Parents = Mapping[str, str] | pl.DataFrame
DEFAULT_METRICS = ("ndcg@10", "mrr@10", "r@10")


class EvaluationError(LexError):
    """Runs or labels that cannot be scored honestly."""


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
    of the row): (n_hits,). `totals`: relevant items per row. `ideal_*`: the same for the best possible ranking."""

    n_rows: int
    row: np.ndarray
    position: np.ndarray
    grade: np.ndarray
    nth: np.ndarray
    totals: np.ndarray
    ideal_row: np.ndarray
    ideal_position: np.ndarray
    ideal_grade: np.ndarray

    def within(self, k: int, weights: np.ndarray | None = None) -> np.ndarray:
        """Sum of `weights` (or the count) of the hits among the first k, per row."""
        kept = self.position <= k
        return np.bincount(self.row[kept], None if weights is None else weights[kept], self.n_rows)


def _ndcg(hits: _Hits, k: int) -> np.ndarray:
    kept = hits.ideal_position <= k
    ideal_gain = hits.ideal_grade[kept] / np.log2(hits.ideal_position[kept] + 1)
    return hits.within(k, hits.grade / np.log2(hits.position + 1)) / np.bincount(
        hits.ideal_row[kept], ideal_gain, hits.n_rows
    )


def _r_precision(hits: _Hits) -> np.ndarray:
    kept = hits.position <= hits.totals[hits.row]
    return np.bincount(hits.row[kept], minlength=hits.n_rows) / hits.totals


_SCORERS: dict[str, Callable[[_Hits, int], np.ndarray]] = {
    "ndcg": _ndcg,
    "mrr": lambda hits, k: hits.within(k, np.where(hits.nth == 1, 1 / hits.position, 0.0)),
    "r": lambda hits, k: hits.within(k) / hits.totals,
    "hit": lambda hits, k: (hits.within(k) > 0).astype(float),
    "map": lambda hits, k: hits.within(k, hits.nth / hits.position) / hits.totals,
    "p": lambda hits, k: hits.within(k) / k,
}
_ALIASES = {"recall": "r", "rr": "mrr", "success": "hit", "ap": "map", "precision": "p"}


def parse_metric(text: str) -> Metric:
    """`"ndcg@10"` → Metric("ndcg", 10). Names: ndcg, mrr, r, hit, map, p, judged (each with @k) and rprec; recall, rr,
    success, ap and precision are other spellings. Raises EvaluationError."""
    match = re.fullmatch(r"([a-z]+)(?:@([1-9]\d*))?", text.strip().lower())
    name = _ALIASES.get(match[1], match[1]) if match else ""
    known = [*_SCORERS, "judged", "rprec"]
    if match is None or name not in known or (name == "rprec") != (match[2] is None):
        raise EvaluationError(
            f"metric {text!r} is unknown; write one of {', '.join(known)} with a cutoff, like ndcg@10"
        )
    return Metric(name, int(match[2]) if match[2] else None)


def parent_table(parents: Parents) -> pl.DataFrame:
    """(passage_id, parent_id) from a mapping or from any frame with these columns, such as the corpus."""
    if isinstance(parents, pl.DataFrame):
        return parents.select("passage_id", "parent_id").unique("passage_id", keep="first", maintain_order=True)
    return pl.DataFrame({"passage_id": list(parents), "parent_id": list(parents.values())}, schema_overrides=_IDS)


_IDS = {"passage_id": pl.String, "parent_id": pl.String}


def rank_by_score(run: pl.DataFrame) -> pl.DataFrame:
    """`run` with `rank` set from the scores, ties by id: for runs that come without ranks of their own."""
    group = ["system", "query_id"]
    ordered = run.sort([*group, "score", "passage_id"], descending=[False, False, True, False])
    return ordered.with_columns(pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over(group).alias("rank"))


def _with_parents(parents: Parents) -> pl.DataFrame:
    """(passage_id, parent_id), and every parent as its own."""
    table = parent_table(parents)
    itself = table.select(pl.col("parent_id").alias("passage_id"), "parent_id").unique()
    return pl.concat([table, itself.join(table, on="passage_id", how="anti")])


def to_parents(frame: pl.DataFrame, parents: Parents, what: str = "run") -> pl.DataFrame:
    """`frame` (run or qrels) with each passage replaced by its parent; an id that already is a parent stays.

    Raises EvaluationError for ids that are neither."""
    joined = frame.join(_with_parents(parents), on="passage_id", how="left", maintain_order="left")
    _refuse(joined.filter(pl.col("parent_id").is_null())["passage_id"], f"{what}: passage", "is not in the corpus")
    return joined.drop("passage_id").rename({"parent_id": "passage_id"})


def qrels_at(qrels: pl.DataFrame, unit: Unit, parents: Parents | None) -> pl.DataFrame:
    """Labels at the unit that is counted: a parent's grade is the highest among its passages."""
    if unit == "passage":
        return qrels
    if parents is None:
        raise EvaluationError("unit 'parent' needs `parents`: pass the corpus, or score by unit='passage'")
    merged = to_parents(qrels, parents, "qrels").group_by("query_id", "passage_id").agg(pl.col("grade").max())
    return merged.select(QRELS.names).sort("query_id", "passage_id")


def per_query(
    run: pl.DataFrame,
    qrels: pl.DataFrame,
    metrics: Sequence[str] = DEFAULT_METRICS,
    unit: Unit = "parent",
    parents: Parents | None = None,
    *,
    min_grade: int = 1,
    on_missing: Literal["error", "zero"] = "error",
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
    coding = _Coding.of(run, labels, unit, parents)
    ranking = _rank(run, coding)
    if ranking is None or (on_missing == "error" and ranking["row"].n_unique() < coding.n_rows):
        _refuse_run(run, qrels, parents, on_missing)
    hits = _hits(ranking, labels.filter(pl.col("grade") >= min_grade), coding)
    judged = coding.label_keys(labels) if any(metric.name == "judged" for metric in wanted) else None
    columns = [_score(metric, hits, ranking, judged).alias(name) for metric, name in zip(wanted, metrics, strict=True)]
    return coding.rows.with_columns(columns)


@dataclass(frozen=True)
class _Coding:
    """Integers for the strings of a run. A row is a (system, query), numbered by system, then query; an item is what is
    counted. `ids`: every id that may occur; `items`: (n_ids,) the item of each; a key is row and item in one integer."""

    systems: pl.Series
    queries: pl.Series
    ids: pl.Series
    items: np.ndarray

    @classmethod
    def of(cls, run: pl.DataFrame, labels: pl.DataFrame, unit: Unit, parents: Parents | None) -> _Coding:
        if parents is None:
            ids = pl.concat([run["passage_id"], labels["passage_id"]]).unique()
            items = np.arange(len(ids))
        else:
            table = _with_parents(parents)
            ids = table["passage_id"]
            items = (
                np.arange(len(ids)) if unit == "passage" else _index(table["parent_id"], table["parent_id"].unique())
            )
        return cls(run["system"].unique().sort(), labels["query_id"].unique().sort(), ids, items)

    @property
    def n_rows(self) -> int:
        return len(self.systems) * len(self.queries)

    @property
    def rows(self) -> pl.DataFrame:
        """(query_id, system) of every row."""
        pairs = self.systems.to_frame().join(self.queries.to_frame(), how="cross", maintain_order="left_right")
        return pairs.select("query_id", "system")

    def label_keys(self, labels: pl.DataFrame) -> pl.DataFrame:
        """(row, key, grade): the labels, once for every system."""
        query, item = _index(labels["query_id"], self.queries), self.items[_index(labels["passage_id"], self.ids)]
        row = np.add.outer(np.arange(len(self.systems)) * len(self.queries), query).ravel()
        grade = np.tile(labels["grade"].to_numpy(), len(self.systems))
        return pl.DataFrame({"row": row, "key": row << 32 | np.tile(item, len(self.systems)), "grade": grade})


def _index(values: pl.Series, known: pl.Series) -> np.ndarray:
    """(n,) place of each value in `known`, -1 where it is not there. Both must be categories at the same time: the
    numbering is shared, and forgotten with the last series that uses it."""
    coded = [series.cast(pl.Categorical) for series in (values, known)]
    codes, wanted = (series.to_physical().to_numpy() for series in coded)
    places = np.full(int(max(codes.max(initial=0), wanted.max(initial=0))) + 1, -1, dtype=np.int64)
    places[wanted] = np.arange(len(known))
    return places[codes]


def _rank(run: pl.DataFrame, coding: _Coding) -> pl.DataFrame | None:
    """(row, key, position), in ranking order: the rank column alone decides, and an item stands where its first passage
    stands, the later ones are dropped. None when anything is wrong with the run; `_refuse_run` then says what."""
    if run.is_empty() or sum(run.null_count().row(0)) or run["score"].is_nan().any():
        return None
    query, passage = _index(run["query_id"], coding.queries), _index(run["passage_id"], coding.ids)
    if min(query.min(), passage.min()) < 0:
        return None
    row = _index(run["system"], coding.systems) * len(coding.queries) + query
    order = row << 32 | run["rank"].to_numpy().astype(np.int64) + (1 << 31)
    if (np.diff(order) <= 0).any():
        sorting = np.argsort(order)
        order, row, passage = order[sorting], row[sorting], passage[sorting]
    if (np.diff(order) == 0).any() or pl.Series(row << 32 | passage).n_unique() < len(row):
        return None
    ranking = pl.DataFrame({"row": row, "key": row << 32 | coding.items[passage]})
    ranking = ranking.filter(ranking["key"].is_first_distinct())
    row = ranking["row"].to_numpy()
    counts = np.bincount(row, minlength=coding.n_rows)
    return ranking.with_columns(position=np.arange(len(row)) - (np.cumsum(counts) - counts)[row] + 1)


def _refuse_run(
    run: pl.DataFrame, qrels: pl.DataFrame, parents: Parents | None, on_missing: Literal["error", "zero"]
) -> NoReturn:
    """Names what is wrong with a run that could not be ranked."""
    check_run(run, qrels, on_missing)
    if parents is not None:
        to_parents(run, parents)
    raise EvaluationError("run: a column holds nulls; write it again")


def _score(metric: Metric, hits: _Hits, ranking: pl.DataFrame, labels: pl.DataFrame | None) -> pl.Series:
    if metric.k is None:
        return pl.Series(_r_precision(hits))
    if labels is not None and metric.name == "judged":
        return pl.Series(_judged(metric.k, ranking, labels, hits.n_rows))
    return pl.Series(_SCORERS[metric.name](hits, metric.k))


def _hits(ranking: pl.DataFrame, relevant: pl.DataFrame, coding: _Coding) -> _Hits:
    """Joins the ranking with the relevant labels; all that follows happens on the result."""
    ideal = coding.label_keys(relevant).sort(["row", "grade"], descending=[False, True])
    found = ranking.join(ideal.select("key", "grade"), on="key").sort("row", "position")
    row, ideal_row = found["row"].to_numpy(), ideal["row"].to_numpy()
    return _Hits(
        n_rows=coding.n_rows,
        row=row,
        position=found["position"].to_numpy(),
        grade=found["grade"].to_numpy(),
        nth=_nth(row),
        totals=np.bincount(ideal_row, minlength=coding.n_rows),
        ideal_row=ideal_row,
        ideal_position=_nth(ideal_row),
        ideal_grade=ideal["grade"].to_numpy(),
    )


def _nth(row: np.ndarray) -> np.ndarray:
    """1, 2, … within each run of equal values of the sorted `row`."""
    return np.arange(len(row)) - np.searchsorted(row, row) + 1


def _judged(k: int, ranking: pl.DataFrame, labels: pl.DataFrame, n_rows: int) -> np.ndarray:
    """Share of the first k (or of what was retrieved, when less) that has any label."""
    top = ranking.filter(pl.col("position") <= k)
    judged = top.join(labels, on="key", how="semi")
    shown = np.bincount(top["row"].to_numpy(), minlength=n_rows)
    return np.bincount(judged["row"].to_numpy(), minlength=n_rows) / np.maximum(shown, 1)


def check_qrels(qrels: pl.DataFrame, min_grade: int = 1) -> None:
    """Raises EvaluationError when there are no labels, a label occurs twice, or a query has nothing relevant."""
    if qrels.is_empty():
        raise EvaluationError("qrels are empty; build labelled queries first")
    twice = qrels.filter(qrels.select("query_id", "passage_id").is_duplicated())
    _refuse(twice["passage_id"], "qrels: passage", "is labelled more than once for one query")
    with_gold = qrels.filter(pl.col("grade") >= min_grade).select("query_id").unique()
    without = qrels.select("query_id").unique().join(with_gold, on="query_id", how="anti")
    _refuse(
        without["query_id"], "qrels: query", f"has no document of grade {min_grade} or above; leave it out of the test"
    )


def check_run(run: pl.DataFrame, qrels: pl.DataFrame, on_missing: Literal["error", "zero"] = "error") -> None:
    """Raises EvaluationError for an empty run, a NaN score, a document or rank given twice in a ranking, a query
    without labels, or (unless `on_missing` is "zero") a labelled query without a ranking."""
    if run.is_empty():
        raise EvaluationError("run is empty; search first, or check that the queries are of this domain")
    key = ["system", "query_id"]
    bad = run.filter(pl.col("score").is_nan() | pl.col("score").is_null() | pl.col("rank").is_null())
    _refuse(bad["query_id"], "run: query", "has a score that is NaN or missing; encode again")
    for column, what in (("passage_id", "a document"), ("rank", "a rank")):
        twice = run.filter(run.select(*key, column).is_duplicated())
        _refuse(twice["query_id"], "run: query", f"has {what} more than once in one ranking; keep the best")
    known = qrels.select("query_id").unique()
    unknown = run.select("query_id").unique().join(known, on="query_id", how="anti")
    _refuse(unknown["query_id"], "run: query", "has no labels; filter the run to the queries of the qrels")
    if on_missing == "error":
        expected = run.select("system").unique().join(known, how="cross")
        missing = expected.join(run.select(key).unique(), on=key, how="anti").sort(key)
        systems = ", ".join(missing["system"].unique().sort())
        _refuse(missing["query_id"], f"run of {systems}: query", "is missing; search it, or say on_missing='zero'")


def _refuse(ids: Iterable[str], what: str, problem: str) -> None:
    """Raises naming the first id and how many there are; nothing when `ids` is empty."""
    distinct = sorted({str(one) for one in ids})
    if distinct:
        others = f" (and {len(distinct) - 1} more)" if len(distinct) > 1 else ""
        raise EvaluationError(f"{what} {distinct[0]} {problem}{others}")


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
