"""Where the labelled items stand in a ranking: all that metrics need, found in one pass over the run.

Strings are not sorted or interned. The lines of one ranking are neighbours, so its query is looked up once; passages are
found by 64-bit hashes and what the hashes find is compared as strings, so that the result is exact. Lines that are not in
ranking order cost a sort. Not here: naming what is wrong with a run (`refusals`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl

_SPREAD = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: added per row, so that equal passages of two rows differ


@dataclass(frozen=True)
class Placed:
    """Labelled items in the rankings. A row is a (system, query); rows are ordered by system, then query.

    rows: (query_id, system) of each row · retrieved: (n_rows,) items in the ranking, 0 where there is none ·
    row, position, grade: (n_found,) the labelled items that were retrieved, by row and position; position 1 is best ·
    label_row, label_grade: (n_systems × n_labels,) all labels, by row, best grade first.
    """

    rows: pl.DataFrame
    retrieved: np.ndarray
    row: np.ndarray
    position: np.ndarray
    grade: np.ndarray
    label_row: np.ndarray
    label_grade: np.ndarray


def place(
    run: pl.DataFrame, labels: pl.DataFrame, parents: pl.DataFrame | None = None, by_parent: bool = False
) -> Placed | None:
    """Where the items of `labels` stand in each ranking of `run`; None when the run has to be refused: it is empty, a value
    is missing, a passage or a rank is given twice in a ranking, or a query or passage is unknown.

    Args:
        run: table `run`; `rank` alone decides the order.
        labels: table `qrels`, of parents when `by_parent`.
        parents: (passage_id, parent_id); with it, other passages are unknown.
        by_parent: count parents: one stands where its first passage stands, its later passages are dropped.
    """
    if run.is_empty() or any(run.null_count().row(0)) or run["score"].is_nan().any():
        return None
    ranking = _ranking(run, labels)
    if ranking is None or _repeats(ranking):
        return None
    if parents is not None:
        ranking = _in_corpus(ranking, parents, by_parent)
    return None if ranking is None else _placed(ranking, labels)


@dataclass(frozen=True)
class _Ranking:
    """The lines of a run in ranking order, in blocks of one row each.

    row, start: (n_blocks,) row number and first line of each block; a row has one block · item: (n_lines,) str."""

    systems: pl.Series
    queries: pl.Series
    row: np.ndarray
    start: np.ndarray
    item: pl.Series

    @property
    def n_rows(self) -> int:
        return len(self.systems) * len(self.queries)

    @cached_property
    def length(self) -> np.ndarray:
        """(n_blocks,) lines."""
        return np.diff(self.start, append=len(self.item))

    @cached_property
    def keys(self) -> pl.Series:
        """(n_lines,) uint64: see `_keys`."""
        offsets = np.repeat(self.row.astype(np.uint64) * _SPREAD, self.length)
        return pl.Series(np.add(_hashes(self.item), offsets, out=offsets))

    def places(self, lines: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(row, position) of each of the `lines`."""
        block = np.searchsorted(self.start, lines, side="right") - 1
        return self.row[block], lines - self.start[block] + 1


def _ranking(run: pl.DataFrame, labels: pl.DataFrame) -> _Ranking | None:
    """None for an unknown query, or a rank twice in a ranking."""
    systems, queries = run["system"].unique().sort(), labels["query_id"].unique().sort()
    start = _starts(run)
    row = _rows(run.select("system", "query_id")[start], systems, queries)
    if row is None:
        return None
    rank = run["rank"].to_numpy()
    not_ascending = np.flatnonzero(rank[1:] <= rank[:-1]) + 1
    if len(np.unique(row)) == len(row) and np.isin(not_ascending, start, assume_unique=True).all():
        return _Ranking(systems, queries, row, start, run["passage_id"])
    line_row = np.repeat(row, np.diff(start, append=run.height))
    order = np.lexsort((rank, line_row))
    line_row, rank = line_row[order], rank[order]
    if ((np.diff(rank) == 0) & (np.diff(line_row) == 0)).any():
        return None
    row, start = np.unique(line_row, return_index=True)
    return _Ranking(systems, queries, row, start, run["passage_id"].gather(order))


def _starts(run: pl.DataFrame) -> np.ndarray:
    """Lines at which the system or the query changes, the first included."""
    changes = [
        (run[name].slice(1) != run[name].slice(0, run.height - 1)).arg_true().to_numpy()
        for name in ("system", "query_id")
    ]
    return np.unique(np.concatenate([[0], *(line + 1 for line in changes)])).astype(np.int64)


def _rows(pairs: pl.DataFrame, systems: pl.Series, queries: pl.Series) -> np.ndarray | None:
    """(n,) row numbers of (system, query_id) pairs; None when a query is unknown."""
    for name, known in (("system", systems), ("query_id", queries)):
        table = known.to_frame(name).with_row_index(f"{name}_number")
        pairs = pairs.join(table, on=name, how="left", maintain_order="left")
    row = pairs["system_number"].cast(pl.Int64) * len(queries) + pairs["query_id_number"]
    return None if row.null_count() else row.to_numpy()


def _keys(row: np.ndarray, item: pl.Series) -> np.ndarray:
    """(n,) uint64, equal for the same item in the same row, and for others hardly ever."""
    return _hashes(item) + row.astype(np.uint64) * _SPREAD


def _hashes(values: pl.Series) -> np.ndarray:
    """(n,) uint64, equal for equal strings within this process."""
    return values.hash().to_numpy()


def _repeats(ranking: _Ranking) -> bool:
    """Whether a row holds an item twice."""
    if ranking.keys.n_unique() == len(ranking.keys):
        return False
    suspects = ranking.keys.is_duplicated().arg_true()
    row, _ = ranking.places(suspects.to_numpy())
    return bool(pl.DataFrame({"row": row, "item": ranking.item.gather(suspects)}).is_duplicated().any())


def _in_corpus(ranking: _Ranking, parents: pl.DataFrame, by_parent: bool) -> _Ranking | None:
    """None for a passage that is not in `parents`; with `by_parent`, each parent once, at its first passage."""
    names = parents["parent_id"].unique(maintain_order=True)
    numbered = parents.join(names.to_frame().with_row_index("parent"), on="parent_id")
    known = numbered.select(pl.col("passage_id").alias("known"), "parent").with_columns(
        hash=_hashes(numbered["passage_id"])
    )
    lines = pl.DataFrame({"hash": _hashes(ranking.item), "item": ranking.item})
    found = lines.join(known, on="hash", maintain_order="left").filter(pl.col("item") == pl.col("known"))
    if found.height < lines.height:
        return None
    if not by_parent:
        return ranking
    block = np.repeat(np.arange(len(ranking.row)), ranking.length)
    first = pl.Series(block << 32 | found["parent"].to_numpy()).is_first_distinct()
    start = np.flatnonzero(np.diff(block[first.to_numpy()], prepend=-1))
    return replace(ranking, start=start, item=names.gather(found["parent"].filter(first)))


def _placed(ranking: _Ranking, labels: pl.DataFrame) -> Placed:
    wanted = _label_rows(ranking, labels)
    lines = ranking.keys.is_in(wanted["key"].implode()).arg_true()
    own = pl.DataFrame({"key": ranking.keys.gather(lines), "own": ranking.item.gather(lines)})
    row, position = ranking.places(lines.to_numpy())
    found = own.with_columns(own_row=row, position=position).join(wanted, on="key")
    found = found.filter(pl.col("own") == pl.col("passage_id"), pl.col("own_row") == pl.col("row")).sort(
        "row", "position"
    )
    retrieved = np.zeros(ranking.n_rows, dtype=np.int64)
    retrieved[ranking.row] = ranking.length
    return Placed(
        rows=_pairs(ranking),
        retrieved=retrieved,
        row=found["row"].to_numpy(),
        position=found["position"].to_numpy(),
        grade=found["grade"].to_numpy(),
        label_row=wanted["row"].to_numpy(),
        label_grade=wanted["grade"].to_numpy(),
    )


def _label_rows(ranking: _Ranking, labels: pl.DataFrame) -> pl.DataFrame:
    """(row, key, passage_id, grade) of the labels, once for every system, by row, best grade first."""
    own = ranking.systems.to_frame("system").join(labels, how="cross")
    row = _rows(own.select("system", "query_id"), ranking.systems, ranking.queries)
    assert row is not None  # the queries are those of the labels
    keyed = own.select("passage_id", "grade").with_columns(row=row, key=_keys(row, own["passage_id"]))
    return keyed.sort(["row", "grade"], descending=[False, True])


def _pairs(ranking: _Ranking) -> pl.DataFrame:
    """(query_id, system) of every row."""
    systems, queries = ranking.systems.to_frame("system"), ranking.queries.to_frame("query_id")
    return systems.join(queries, how="cross", maintain_order="left_right").select("query_id", "system")
