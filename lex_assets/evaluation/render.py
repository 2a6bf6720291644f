"""How a report looks: the page and the plots. Reads the report's data and computes nothing.

Korean first, English beside it. The page is one file: inline CSS and SVG, no script, no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from lex_assets.evaluation import labels
from lex_assets.evaluation.errors import ERROR_LABELS
from lex_assets.evaluation.figures import interval, metric_name, number, signed
from lex_assets.evaluation.labels import (
    ORIGIN_LABELS,
    REGIME_LABELS,
    STAGE_LABELS,
    SYSTEM_LABELS,
    label,
)
from lex_assets.evaluation.mining import mining_plots
from lex_assets.evaluation.significance import REASONS
from lex_assets.evaluation.slices import SLICE_LABELS
from lex_assets.plots import IntervalRow, curves, forest, heatmap, stacked

Plot = tuple[str, str]
ERROR_COLOURS = dict(zip(ERROR_LABELS, ("#157347", "#7fb894", "#e0b25a", "#cf8a2e", "#c25b52", "#aab3bd"), strict=True))
CURVE_SYSTEMS = ("adapter_dense", "bm25", "adapter_hybrid", "adapter_hybrid_rerank", "base_dense")
CURVE_METRICS = ("ndcg", "r")


def html(data: Mapping[str, Any]) -> str:
    """The whole report."""
    return page("report.html", r=data, plots=plots(data), matrix=_matrix(data["counts"]["per_set"]))


def page(template: str, **values: Any) -> str:
    """One of the pages beside this module, filled in."""
    return _environment().get_template(template).render(**values, **_tables())


def _matrix(per_set: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, int]]:
    """(origin, regime) → set → queries, in the order of the labels."""
    ranks = [list(ORIGIN_LABELS), list(REGIME_LABELS)]
    keys = sorted(
        {(row["origin"], row["regime"]) for row in per_set},
        key=lambda key: [ranks[i].index(part) if part in ranks[i] else 99 for i, part in enumerate(key)],
    )
    return {key: {row["set"]: row["n"] for row in per_set if (row["origin"], row["regime"]) == key} for key in keys}


def plots(data: Mapping[str, Any]) -> dict[str, list[Plot]]:
    """Section → (title, SVG): "systems", "cutoffs", "slices", "errors", "confusion", "training", "mining"."""
    return {
        "systems": _forests(data),
        "cutoffs": [plot for part in data["regimes"] if part["rows"] for plot in _cutoff_curves(data, part)],
        "slices": _slice_forests(data),
        "errors": [_errors(part) for part in data["failures"]["parts"]],
        "confusion": [plot for part in data["failures"]["parts"] for plot in _confusions(part)],
        "training": [plot for name, stage in data["training"].items() for plot in _training(name, stage)],
        "mining": mining_plots(data["mining"]),
    }


def _regime(part: Mapping[str, Any]) -> str:
    return label(REGIME_LABELS, part["regime"])[0]


def _cutoff_curves(data: Mapping[str, Any], part: Mapping[str, Any]) -> list[Plot]:
    """A metric against its cutoff, cutoffs at equal distances."""
    cutoffs = data["cutoffs"]
    rows = {row["system"]: row for row in part["rows"]}
    shown = [rows[system] for system in CURVE_SYSTEMS if system in rows]
    if not shown or len(cutoffs) < 2:
        return []
    found = []
    for metric in CURVE_METRICS:
        title = f"{_regime(part)}: {metric_name(metric)}@k"
        lines = {
            label(SYSTEM_LABELS, row["system"])[0]: [(i, row["scores"][f"{metric}@{k}"]) for i, k in enumerate(cutoffs)]
            for row in shown
        }
        found.append((title, curves(lines, title, "k", x_names={i: str(k) for i, k in enumerate(cutoffs)})))
    return found


def _slice_forests(data: Mapping[str, Any]) -> list[Plot]:
    plotted = []
    for part in data["slices"]["parts"]:
        rows = [
            IntervalRow(_slice_name(row), row["difference"], row["low"], row["high"], row["verdict"])
            for row in part["rows"]
            if row.get("low") is not None
        ]
        title = f"{_regime(part)}: 조각별 {metric_name(data['metric'])} 차이 (질의 수)"
        plotted += [(title, forest(rows, data["margin"], title))] if rows else []
    return plotted


def _slice_name(row: Mapping[str, Any]) -> str:
    name = "" if row["slice"] == "law" else f"{label(SLICE_LABELS, row['slice'])[0]}: "
    return f"{name}{row['value']} ({row['n']})"


def _errors(part: Mapping[str, Any]) -> Plot:
    """What stands first, as shares of the queries, with the share whose article is right."""
    title = f"{_regime(part)}: 첫 결과 (오른쪽은 정답 조문의 몫)"
    rows, notes = {}, {}
    for system, kinds in part["kinds"].items():
        name, right = label(SYSTEM_LABELS, system)[0], kinds.get("correct", 0) + kinds.get("sibling", 0)
        rows[name] = {ERROR_LABELS[kind][0]: n for kind, n in kinds.items()}
        notes[name] = f"{right / sum(kinds.values()):.1%}"
    return title, stacked(rows, {ERROR_LABELS[kind][0]: colour for kind, colour in ERROR_COLOURS.items()}, title, notes)


def _confusions(part: Mapping[str, Any]) -> list[Plot]:
    """Gold law against the law of the first result, one plot per system; columns are the rows' numbers."""
    plotted = []
    for system, found in part["confusion"].items():
        title = f"{_regime(part)}: {label(SYSTEM_LABELS, system)[0]}, 정답 법령(행)과 첫 결과의 법령(열)"
        rows = {
            f"{i} {row['law']}": [*row["found"], row["other"] + row["nothing"]]
            for i, row in enumerate(found["rows"], 1)
        }
        columns = [*(str(i) for i in range(1, len(found["laws"]) + 1)), "기타"]
        plotted.append((title, heatmap(rows, columns, title, right=range(len(rows)))))
    return plotted


def _forests(data: Mapping[str, Any]) -> list[Plot]:
    """Differences per regime, on one scale, so that the two can be compared."""
    found = {part["regime"]: _differences(part["rows"]) for part in data["regimes"]}
    ends = [abs(end) for rows in found.values() for row in rows for end in (row.low, row.high)]
    plotted = []
    for regime, rows in found.items():
        title = f"{label(REGIME_LABELS, regime)[0]}: 기준과의 {metric_name(data['metric'])} 차이"
        if rows:
            plotted.append((title, forest(rows, data["margin"], title, reach=max(ends))))
    return plotted


def _differences(rows: Iterable[Mapping[str, Any]]) -> list[IntervalRow]:
    return [
        IntervalRow(label(SYSTEM_LABELS, row["system"])[0], row["difference"], row["low"], row["high"], row["verdict"])
        for row in rows
        if row["baseline"] is not None and row["low"] is not None
    ]


def _training(name: str, stage: Mapping[str, Any]) -> list[Plot]:
    """Loss with its chance level, and the validation metric with the base model's."""
    ko = label(STAGE_LABELS, name)[0]
    losses = [(row["step"], row["loss"]) for row in stage["history"] if row["loss"] is not None]
    metrics = [(row["step"], row["metric"]) for row in stage["history"] if row["metric"] is not None]
    chance, base = stage.get("chance"), stage.get("base_metric")
    metric = metric_name(str(stage.get("metric_name", "metric")).removeprefix("valid "))
    return [
        (
            f"{ko} 손실",
            curves({"손실 loss": losses}, f"{ko} 손실", "단계 step", {} if chance is None else {"우연 chance": chance}),
        ),
        (
            f"{ko} 검증",
            curves({metric: metrics}, f"{ko} 검증", "단계 step", {} if base is None else {"기본 모델 base": base}),
        ),
    ]


def metric_table(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, list[float]]:
    """Metric → its mean per row; none where the rows were not scored at this unit."""
    scored = [row[key] for row in rows if key in row]
    return {metric: [scores[metric] for scores in scored] for metric in (scored[0] if scored else {})}


def _marked(segments: Iterable[Sequence[Any]]) -> Markup:
    """Text with the parts shared with the query marked; everything is escaped."""
    parts = (Markup("<mark>{}</mark>" if shared else "{}").format(text) for text, shared in segments)
    return Markup("").join(parts)


def _tables() -> dict[str, Any]:
    """What the template looks names up in."""
    own = {name.removesuffix("_LABELS"): table for name, table in vars(labels).items() if name.endswith("_LABELS")}
    return own | {
        "REGIME_NOTES": labels.REGIME_NOTES,
        "REASONS": REASONS,
        "SLICES": SLICE_LABELS,
        "ERRORS": ERROR_LABELS,
        "ERROR_COLOURS": ERROR_COLOURS,
    }


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        num=number,
        signed=signed,
        metric=metric_name,
        marked=_marked,
        ko=lambda key, table: label(table, key)[0],
        en=lambda key, table: label(table, key)[1],
        interval=lambda row: interval(row["low"], row["high"]),
        by_metric=metric_table,
    )
    return environment
