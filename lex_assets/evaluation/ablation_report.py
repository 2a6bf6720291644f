"""How an ablation looks: quality, parameters, latency and memory in one table, and as bars. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from lex_assets.evaluation.ablation import BM25, DENSE, RERANKED, Ablation
from lex_assets.evaluation.figures import interval, metric_name, number, signed
from lex_assets.evaluation.labels import REGIME_LABELS, VERDICT_LABELS, both, label
from lex_assets.evaluation.mining import Plot, Table
from lex_assets.plots import bars


def ablation_table(found: Ablation) -> Table:
    """One row per pair and regime: every metric of the retriever alone and reranked, the first metric's difference to the
    first pair, then what the pair costs. BM25 stands first."""
    metrics = found.quality["metric"].unique(maintain_order=True).to_list()
    main = metric_name(metrics[0])
    shown = [f"{metric_name(name)} {mode}" for name in metrics for mode in ("검색", "+재순위")]
    cost = ["파라미터 · params", "지연 · ms", "가중치 · MiB", "최대 · peak MiB"]
    header = ["쌍 · pair", "방식 · regime", "n", *shown, f"Δ {main} [95 %]", "판정 · verdict", *cost]
    costs = {row["system"]: row for row in found.costs.iter_rows(named=True)}
    groups = found.quality.group_by("regime", "pair", maintain_order=True)
    return header, [_row(str(pair), str(regime), rows, metrics, costs) for (regime, pair), rows in groups]


def _row(
    pair: str, regime: str, rows: pl.DataFrame, metrics: list[str], costs: Mapping[str, Mapping[str, Any]]
) -> list[str]:
    by = {(row["metric"], row["mode"]): row for row in rows.iter_rows(named=True)}
    first = {"lexical": DENSE}  # BM25 stands where the retriever alone does
    scores = {(metric, first.get(mode, mode)): row["score"] for (metric, mode), row in by.items()}
    figures = [number(scores.get((metric, mode))) for metric in metrics for mode in (DENSE, RERANKED)]
    compared = by.get((metrics[0], RERANKED), {})
    delta = compared.get("difference")
    told = "—" if delta is None else f"{signed(delta)} {interval(compared['low'], compared['high'])}"
    verdict = "—" if delta is None else both(label(VERDICT_LABELS, compared["verdict"]))
    return [
        pair,
        both(label(REGIME_LABELS, regime)),
        str(rows["n"][0]),
        *figures,
        told,
        verdict,
        *_cost(costs.get(pair)),
    ]


def _cost(cost: Mapping[str, Any] | None) -> list[str]:
    if cost is None:
        return ["—"] * 4
    millions = "—" if cost["parameters"] is None else f"{cost['parameters'] / 1e6:,.1f} M"
    return [millions, number(cost["latency_ms"], 1), number(cost["weights_mib"], 0), number(cost["peak_mib"], 0)]


def ablation_plots(found: Ablation) -> list[Plot]:
    """The first metric of each pair, reranked and beside BM25, per regime; latency and parameters of each pair."""
    metric = found.quality["metric"][0]
    plots = []
    for (regime,), rows in found.quality.filter(pl.col("metric") == metric).group_by("regime", maintain_order=True):
        title = f"{metric_name(metric)}: {both(label(REGIME_LABELS, str(regime)))}"
        kept = rows.filter((pl.col("mode") == RERANKED) | (pl.col("pair") == BM25))
        plots.append((title, bars(dict(kept.select("pair", "score").iter_rows()), title, decimals=3)))
    title = "지연 · latency (ms)"
    plots.append((title, bars(dict(found.costs.select("system", "latency_ms").iter_rows()), title, decimals=1)))
    sized = found.costs.drop_nulls("parameters").select("system", pl.col("parameters") / 1e6)
    title = "파라미터(백만) · parameters (M)"
    return [*plots, (title, bars(dict(sized.iter_rows()), title, decimals=1))]
