"""How the quality of passages and training pairs looks: tables and plots. Reads what `queries.quality` measured and computes
nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from lex_assets.evaluation.labels import QUALITY_LABELS, both, label
from lex_assets.evaluation.mining import Plot, Table
from lex_assets.plots import ADAPTER, TRACK, bars, histogram, stacked
from lex_assets.queries.quality import QUANTILES, Quality

SHOWN_DOCUMENTS = 15
ASKED, NOT_ASKED = "묻는 조문 · asked for", "묻지 않는 조문 · not"


def quality_tables(quality: Quality) -> dict[str, Table]:
    """Title → table: every measure beside its bound, lengths, positives per query, coverage of the documents asked most."""
    return {
        "측정 · measures": (
            ["", "수 · count", "전체 · of", "비율 · share", "한도 · bound", ""],
            [_measure(*row) for row in quality.measures.iter_rows()],
        ),
        "길이 · lengths": (
            ["", "단위 · unit", "한도 · limit", *(f"{100 * q:g} %" for q in QUANTILES)],
            [_length(row) for row in quality.lengths.iter_rows(named=True)],
        ),
        "질의당 정답 조문 · positives per query": (
            ["정답 · positives", "질의 · queries"],
            [[n, f"{queries:,}"] for n, queries in quality.positives.iter_rows()],
        ),
        "문서별 · coverage per law": (
            ["문서 · document", "조문 · articles", "묻는 조문 · asked for", "쌍 · pairs"],
            [_coverage(row) for row in _most_asked(quality)],
        ),
    }


def quality_plots(quality: Quality) -> list[Plot]:
    """Lengths with the base's limit, positives per query, and the share of each document that queries ask for."""
    found = [_lengths(row) for row in quality.lengths.iter_rows(named=True)]
    positives = {str(n): queries for n, queries in quality.positives.iter_rows()}
    title = "질의당 정답 조문 · positives per query"
    found.append((title, bars(positives, title)))
    title = "문서별 · coverage per law"
    most = _most_asked(quality)
    rows = {row["title"]: {ASKED: row["asked"], NOT_ASKED: row["articles"] - row["asked"]} for row in most}
    notes = {row["title"]: f"{row['asked']:,} / {row['articles']:,}" for row in most}
    found.append((title, stacked(rows, {ASKED: ADAPTER, NOT_ASKED: TRACK}, title, notes)))
    return found


def measure_name(measure: str) -> str:
    """The name of a measure in both languages."""
    return both(label(QUALITY_LABELS, measure))


def _measure(measure: str, count: int, total: int, share: float, bound: float) -> Sequence[Any]:
    verdict = "✔" if share <= bound else "✘"
    return [measure_name(measure), f"{count:,}", f"{total:,}", f"{share:.1%}", f"{bound:.0%}", verdict]


def _length(row: dict[str, Any]) -> Sequence[Any]:
    limit = "—" if row["limit"] is None else f"{row['limit']:,}"
    return [measure_name(row["of"]), measure_name(row["unit"]), limit, *(f"{value:,}" for value in row["quantiles"])]


def _most_asked(quality: Quality) -> list[dict[str, Any]]:
    """The first rows of the coverage; documents of one name are told apart by their ids."""
    first = quality.coverage.head(SHOWN_DOCUMENTS)
    told_apart = pl.when(pl.col("title").is_duplicated()).then(pl.concat_str("title", pl.lit(" "), "doc_id"))
    return first.with_columns(title=told_apart.otherwise("title")).to_dicts()


def _coverage(row: dict[str, Any]) -> Sequence[Any]:
    articles, asked = row["articles"], row["asked"]
    return [row["title"], f"{articles:,}", f"{asked:,} ({asked / articles:.0%})", f"{row['pairs']:,}"]


def _lengths(row: dict[str, Any]) -> Plot:
    of, unit = measure_name(row["of"]), measure_name(row["unit"])
    marks = {} if row["limit"] is None else {"한도 · limit": float(row["limit"])}
    title = f"{of}: {unit}"
    return title, histogram(row["edges"], {of: row["counts"]}, title, unit, marks)
