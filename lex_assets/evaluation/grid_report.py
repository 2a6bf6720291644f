"""How a grid looks: its points, its winner on the test, and the winner's neighbours as curves. Computes nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lex_assets.evaluation.figures import interval, metric_name, number, signed
from lex_assets.evaluation.grid import BM25, WINNER, GridResult, Point
from lex_assets.evaluation.labels import VERDICT_LABELS, both, label
from lex_assets.evaluation.markdown import table
from lex_assets.plots import curves, svg_data_uri_markdown

_HEADER = ["접두어 · prefix", "결합 · fusion", "밀집의 몫 · weight", "top-k", "재순위 · reranked"]


def grid_document(result: GridResult) -> str:
    """Markdown with the plot inside."""
    metric = metric_name(result.config.metric)
    rows = [_row(row) for row in result.points.iter_rows(named=True)]
    return "\n".join(
        [
            "# 설정 탐색 · grid",
            "",
            f"검증 질의 · validation questions {result.valid_questions:,} · 점 · points {len(rows)}",
            "",
            "## 승자, 시험에서 한 번 · the winner, once on the test",
            "",
            *winner_lines(result),
            "",
            "## 검증 · validation",
            "",
            "승자의 검증 점수는 여럿 가운데 가장 좋은 것이라 실제보다 높습니다 · the best of many promises too much.",
            "",
            *table([*_HEADER, metric], rows),
            "",
            *(svg_data_uri_markdown(svg, title) for title, svg in grid_plots(result).items()),
            "",
        ]
    )


def winner_lines(result: GridResult) -> list[str]:
    """What was chosen and what it is worth, in a few lines."""
    facts = result.test.to_dict()
    means = {row["system"]: row for row in facts["metrics"]}
    name = result.config.metric
    [one] = [comparison for comparison in facts["comparisons"] if comparison["metric"] == name]
    told = (
        f"{signed(one['difference'])} {interval(one['low'], one['high'])} {both(label(VERDICT_LABELS, one['verdict']))}"
    )
    return [
        f"`{result.winner.name}`",
        "",
        f"{metric_name(name)}: BM25 {number(means[BM25][name])}, 승자 · winner {number(means[WINNER][name])} "
        f"(n = {means[WINNER]['n']}), {told}",
    ]


def grid_plots(result: GridResult) -> dict[str, str]:
    """Title → SVG: the metric over the weight at the winner's prefix, fusion and top-k, one line per reranking depth."""
    title = f"밀집의 몫과 {metric_name(result.config.metric)} (검증 · validation)"
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in sorted(result.points.iter_rows(named=True), key=lambda row: (row["rerank_depth"], row["weight"])):
        if _beside(row, result.winner, result):
            lines.setdefault(f"재순위 · reranked {row['rerank_depth']}", []).append((row["weight"], row["score"]))
    return {title: curves(lines, title, "밀집 검색의 몫 · share of dense")}


def _beside(row: Mapping[str, Any], winner: Point, result: GridResult) -> bool:
    """Whether the row differs from the winner in weight and depth alone; the ends stand for every prefix and fusion."""
    same = Point(winner.prefix, winner.fusion, row["weight"], winner.top_k, row["rerank_depth"]).canonical(
        result.config
    )
    return all(row[name] == getattr(same, name) for name in ("prefix", "fusion", "top_k"))


def _row(row: Mapping[str, Any]) -> list[str]:
    shown = [row["prefix"], row["fusion"], f"{row['weight']:g}", row["top_k"], row["rerank_depth"]]
    return [*map(str, shown), number(row["score"], 4)]
