"""Scores over time on one frozen test set: plots, Markdown and a page of their own.

Rows are those of `registry.leaderboard`: the headlines of reports with the time, the test set's hash and the adapters.
Rows of different test sets are never drawn or listed together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import polars as pl

from lex_assets.evaluation.figures import interval, metric_name, number, signed
from lex_assets.evaluation.labels import DOMAIN_LABELS, REGIME_LABELS, SYSTEM_LABELS, VERDICT_LABELS, both, label
from lex_assets.evaluation.markdown import table
from lex_assets.evaluation.render import CURVE_SYSTEMS, page
from lex_assets.plots import curves
from lex_assets.schemas import REGIMES

NAMED_TICKS = 6
BOARD_METRICS = ("ndcg@10", "mrr@10", "map@10", "r@10", "r@100", "p@10", "hit@1", "hit@10", "rprec")


def by_test_set(rows: pl.DataFrame) -> Iterator[tuple[str, str, pl.DataFrame]]:
    """(domain, test hash, rows), the test set that was used last first within each domain."""
    last = rows.group_by("domain", "test_hash").agg(pl.col("at").max().alias("last"))
    ordered = last.sort(["domain", "last", "test_hash"], descending=[False, True, False])
    for domain, test_hash in ordered.select("domain", "test_hash").iter_rows():
        yield domain, test_hash, rows.filter(pl.col("domain") == domain, pl.col("test_hash") == test_hash)


def plots(rows: pl.DataFrame, metric: str = "ndcg@10") -> dict[str, str]:
    """Title → SVG: the metric of the main systems over the reports of one test set, one plot per regime."""
    found = {}
    for regime in REGIMES:
        reports = _reports(rows.filter(pl.col("regime") == regime))
        lines = {
            label(SYSTEM_LABELS, system)[0]: [
                (i, one[system]["scores"][metric]) for i, one in enumerate(reports) if metric in _scores(one, system)
            ]
            for system in CURVE_SYSTEMS
        }
        title = f"{label(REGIME_LABELS, regime)[0]}: {metric_name(metric)}의 변화"
        found[title] = curves(lines, title, "평가 evaluation", x_names=_dates(reports))
    return found


def _scores(report: dict[str, Any], system: str) -> dict[str, float]:
    return report[system]["scores"] if system in report else {}


def _reports(rows: pl.DataFrame) -> list[dict[str, dict[str, Any]]]:
    """System → row, for every report, oldest first."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows.sort("at", "report").to_dicts():
        found.setdefault(row["report"], {})[row["system"]] = row | {"scores": json.loads(row["scores"])}
    return list(found.values())


def _dates(reports: list[dict[str, dict[str, Any]]]) -> dict[float, str]:
    """Day and month of some of the reports, evenly spread."""
    step = max(1, -(-len(reports) // NAMED_TICKS))
    first = [next(iter(one.values()))["at"] for one in reports]
    return {float(i): at[5:10] or str(i + 1) for i, at in enumerate(first) if i % step == 0}


def lines(rows: pl.DataFrame, metric: str = "ndcg@10") -> list[str]:
    """A Markdown table of one test set: a line per report and regime, newest first."""
    head = [
        "시각 · at",
        "검색기 · retriever",
        "재순위기 · reranker",
        "방식 · regime",
        "n",
        *(f"{label(SYSTEM_LABELS, system)[0]}" for system in CURVE_SYSTEMS),
        f"{metric_name(metric)} 차이 · difference",
        "구간 · interval",
        "판정 · verdict",
    ]
    return table(head, [_line(regime, one, metric) for regime, one in _by_regime(rows)])


def _by_regime(rows: pl.DataFrame) -> list[tuple[str, dict[str, dict[str, Any]]]]:
    parts = [(regime, one) for regime in REGIMES for one in _reports(rows.filter(pl.col("regime") == regime))]
    return sorted(parts, key=lambda part: next(iter(part[1].values()))["at"], reverse=True)


def _line(regime: str, report: dict[str, dict[str, Any]], metric: str) -> list[str]:
    any_row = next(iter(report.values()))
    claim = report.get("adapter_dense", {})
    compared = ["—", "—", "—"]
    if claim.get("difference") is not None:
        figures = signed(claim["difference"]), interval(claim["low"], claim["high"])
        compared = [*figures, both(label(VERDICT_LABELS, claim["verdict"]))]
    return [
        any_row["at"].replace("T", " ")[:16],
        any_row["retriever"][:8],
        any_row["reranker"][:8],
        both(label(REGIME_LABELS, regime)),
        f"{any_row['n']}",
        *(number(_scores(report, system).get(metric)) for system in CURVE_SYSTEMS),
        *compared,
    ]


def board(rows: pl.DataFrame, metric: str = "ndcg@10") -> str:
    """The leaderboard as one page that needs nothing else."""
    sections = [
        {
            "domain": label(DOMAIN_LABELS, domain),
            "test_hash": test_hash,
            "plots": list(plots(own, metric).items()),
            "reports": [
                {"regime": regime, "systems": one, "any": next(iter(one.values()))} for regime, one in _by_regime(own)
            ],
        }
        for domain, test_hash, own in by_test_set(rows)
    ]
    return page("leaderboard.html", sections=sections, metric=metric, shown=CURVE_SYSTEMS, metrics=BOARD_METRICS)
