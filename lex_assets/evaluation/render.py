"""How a report looks: the page, the Markdown, the plots. Reads the report's data and computes nothing.

Korean first, English beside it. The page is one file: inline CSS and SVG, no script, no network.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader
from markupsafe import Markup

from lex_assets.evaluation.significance import REASONS
from lex_assets.evaluation.slices import ERROR_LABELS, SLICE_LABELS
from lex_assets.plots import IntervalRow, bars, curves, forest, histogram, svg_data_uri_markdown

Label = tuple[str, str]
Plot = tuple[str, str]

DOMAIN_LABELS: dict[str, Label] = {
    "finance": ("금융", "Finance"),
    "law": ("법률", "Law"),
    "precedent": ("판례", "Precedent"),
}
REGIME_LABELS: dict[str, Label] = {"unseen_query": ("새 질의", "unseen query"), "unseen_law": ("새 법령", "unseen law")}
REGIME_NOTES: dict[str, Label] = {
    "unseen_query": ("학습이 아는 법령에 대한 처음 보는 질문", "new questions about law that training has cited"),
    "unseen_law": ("학습이 한 번도 인용하지 않은 법령", "law families that training never cited"),
}
ORIGIN_LABELS: dict[str, Label] = {
    "citation": ("판시사항·질의 → 인용된 조문·판례", "issue or question → cited law"),
    "holding": ("판시사항 → 판결요지", "issue → holding"),
    "interpretation": ("질의 → 회답", "question → official reply"),
    "mrc": ("기계독해 질문 → 지문", "MRC question → context"),
    "pair": ("주어진 질문 → 정답 단락", "given question → its passages"),
    "delegation": ("하위법령 → 위임한 조문", "decree → act article"),
    "synthetic": ("합성 질문", "synthetic"),
}
SET_LABELS: dict[str, Label] = {
    "train": ("학습", "train"),
    "valid": ("검증", "valid"),
    "promotion": ("승격", "promotion"),
    "test": ("시험", "test"),
    "dropped": ("제외", "dropped"),
}
SYSTEM_LABELS: dict[str, Label] = {
    "bm25": ("BM25", "lexical"),
    "base_dense": ("기본 임베딩", "base, dense"),
    "base_hybrid": ("기본 혼합", "base, hybrid"),
    "base_hybrid_rerank": ("기본 혼합 + 재순위", "base, hybrid + reranker"),
    "champion_dense": ("챔피언 임베딩", "champion, dense"),
    "champion_hybrid": ("챔피언 혼합", "champion, hybrid"),
    "champion_hybrid_rerank": ("챔피언 혼합 + 재순위", "champion, hybrid + reranker"),
    "adapter_dense": ("어댑터 임베딩", "adapter, dense"),
    "adapter_hybrid": ("어댑터 혼합", "adapter, hybrid"),
    "adapter_hybrid_rerank": ("어댑터 혼합 + 재순위", "adapter, hybrid + reranker"),
    "oracle": ("재순위 상한", "oracle ceiling"),
}
VERDICT_LABELS: dict[str, Label] = {
    "better": ("나음", "better"),
    "worse": ("나쁨", "worse"),
    "insufficient": ("증거 부족", "insufficient evidence"),
}
STAGE_LABELS: dict[str, Label] = {"retriever": ("검색기", "retriever"), "reranker": ("재순위기", "reranker")}
MINING_LABELS: dict[str, Label] = {
    "queries": ("질의", "queries"),
    "candidates": ("후보", "candidates"),
    "negatives": ("어려운 오답", "hard negatives"),
    "negatives_per_query": ("질의당 오답", "negatives per query"),
    "drops": ("후보가 빠진 이유", "why candidates were dropped"),
    "fill": ("질의가 채워진 정도", "how queries were filled"),
    "pools": ("어디서 찾았나", "where negatives came from"),
    "hidden_gold": ("숨긴 정답 시험", "hidden-gold test"),
    "score_dense": ("임베딩 점수", "dense score"),
    "score_rerank": ("재순위 점수", "reranker score"),
    "held_out": ("시험용으로 떼어 둔 법령", "held out for testing"),
    "own_document": ("질의가 나온 판결 자신", "the query's own document"),
    "equivalent": ("정답과 같은 단락", "equivalent of a positive"),
    "question": ("질의와 같은 글", "the question itself"),
    "duplicate": ("다른 후보와 같은 단락", "duplicate of a candidate"),
    "surplus": ("남길 수를 넘음", "beyond the number to keep"),
    "judged_positive": ("판정: 정답", "judged an answer"),
    "judged_partial": ("판정: 일부 정답", "judged half an answer"),
    "not_reranked": ("예산 밖", "beyond the reranking budget"),
    "false_negative_dense": ("정답일 수 있음 (임베딩)", "suspected by the retriever"),
    "false_negative_rerank": ("정답일 수 있음 (재순위)", "suspected by the reranker"),
    "false_negative_dense_cap": ("절대 상한을 넘음 (임베딩)", "above the retriever's cap"),
    "false_negative_rerank_cap": ("절대 상한을 넘음 (재순위)", "above the reranker's cap"),
    "false_negative_similar": ("비슷한 질문의 정답", "answers a similar question"),
    "full": ("다 채움", "full"),
    "budget": ("재순위 예산이 모자람", "reranking budget too small"),
    "filtered": ("거른 뒤 모자람", "too few survivors"),
    "pool_short": ("후보가 모자람", "too few candidates"),
    "no_candidates": ("후보 없음", "no candidate"),
    "sibling": ("같은 조의 다른 항", "sibling"),
    "same_title": ("같은 제목의 다른 법령", "same title"),
    "cited": ("인용으로 이어짐", "cited"),
    "lexical": ("어휘 검색", "lexical"),
    "dense": ("임베딩 검색", "dense"),
    "random": ("무작위", "random"),
    "positive": ("정답", "positive"),
    "negative": ("오답", "negative"),
    "false_negative": ("오답이 아닐 수 있음", "suspected"),
}
PATTERN_LABELS: dict[str, Label] = {
    "converged": ("수렴", "converged"),
    "overfit": ("과적합 조짐", "overfitting after the best step"),
    "no_convergence": ("학습되지 않음", "the loss stayed at chance"),
    "loss_only": ("손실만 줄고 검증은 그대로", "loss fell, validation did not"),
}


def label(table: Mapping[str, Label], key: str) -> Label:
    """(Korean, English) of a known key; an unknown key stands for itself."""
    return table.get(key, (key, ""))


def both(pair: Label) -> str:
    """`한국어 · English` in one line."""
    return f"{pair[0]} · {pair[1]}" if pair[1] and pair[1] != pair[0] else pair[0]


def html(data: Mapping[str, Any]) -> str:
    """The whole page."""
    template = _environment().get_template("report.html")
    return template.render(r=data, plots=plots(data), matrix=_matrix(data["counts"]["per_set"]), **_tables())


def _matrix(per_set: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], dict[str, int]]:
    """(origin, regime) → set → queries, in the order of the labels."""
    ranks = [list(ORIGIN_LABELS), list(REGIME_LABELS)]
    keys = sorted(
        {(row["origin"], row["regime"]) for row in per_set},
        key=lambda key: [ranks[i].index(part) if part in ranks[i] else 99 for i, part in enumerate(key)],
    )
    return {key: {row["set"]: row["n"] for row in per_set if (row["origin"], row["regime"]) == key} for key in keys}


def plots(data: Mapping[str, Any]) -> dict[str, list[Plot]]:
    """Section → (title, SVG): "systems", "training", "mining"."""
    found = {"systems": _forests(data)}
    found["training"] = [plot for name, stage in data["training"].items() for plot in _training(name, stage)]
    found["mining"] = _mining(data["mining"])
    return found


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
    metric = metric_name(str(stage.get("metric_name", "metric")))
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


def _mining(report: Mapping[str, Any]) -> list[Plot]:
    found = []
    for name in ("drops", "fill"):
        if report.get(name):
            title = label(MINING_LABELS, name)[0]
            ranked = sorted(report[name].items(), key=lambda item: (-item[1], item[0]))
            found.append((title, bars(_named(ranked), title)))
    if report.get("pools", {}).get("negatives"):
        title = label(MINING_LABELS, "pools")[0]
        found.append((title, bars(_named(report["pools"]["negatives"].items()), title)))
    for name, scores in (report.get("scores") or {}).items():
        title = label(MINING_LABELS, name)[0]
        counts = {label(MINING_LABELS, group)[0]: values for group, values in scores["counts"].items()}
        found.append((title, histogram(scores["edges"], counts, title, both(label(MINING_LABELS, name)))))
    return found


def _named(counts: Iterable[tuple[str, float]]) -> dict[str, float]:
    return {" + ".join(both(label(MINING_LABELS, part)) for part in name.split("+")): count for name, count in counts}


def markdown(data: Mapping[str, Any], with_plots: bool = False) -> str:
    """The figures as Markdown tables; with `with_plots`, the plots as embedded images."""
    ko, en = label(DOMAIN_LABELS, data["domain"])
    lines = [f"# {ko} 평가 보고서 · {en} evaluation report", "", f"시험 집합 · test set `{data['test_hash'][:12]}`", ""]
    for part in data["regimes"]:
        lines += [
            f"## {both(label(REGIME_LABELS, part['regime']))} (n = {part['n']})",
            "",
            *headline_lines(data, part),
            "",
        ]
    lines += ["## 질의 출처별 · by origin", "", *_origin_lines(data), ""]
    lines += ["## 조각별 · slices", "", *_slice_lines(data), ""]
    if with_plots:
        lines += [svg_data_uri_markdown(svg, title) for group in plots(data).values() for title, svg in group] + [""]
    lines += ["## 출처와 재현 · provenance", "", *_provenance_lines(data)]
    return "\n".join(lines) + "\n"


def headline_lines(data: Mapping[str, Any], part: Mapping[str, Any]) -> list[str]:
    """The headline table of one regime as Markdown lines, also for the Dagster UI and the terminal."""
    if not part["rows"]:
        return ["사람이 만든 시험 질의가 없습니다 · no human test queries."]
    metrics = [metric_name(name) for name in data["metrics"]]
    head = [
        "시스템 · system",
        *metrics,
        "차이 · difference",
        "구간 · interval",
        "기준 · versus",
        "n",
        "최소 검출 · MDE",
        "판정 · verdict",
    ]
    rows = []
    for row in part["rows"]:
        compared = row["baseline"] is not None
        rows.append(
            [
                both(label(SYSTEM_LABELS, row["system"])),
                *[number(row["scores"][name]) for name in data["metrics"]],
                signed(row["difference"]) if compared else "—",
                interval(row["low"], row["high"]) if compared else "—",
                label(SYSTEM_LABELS, row["baseline"])[0] if compared else "—",
                f"{row['n']}",
                number(row["smallest_detectable"]) if compared else "—",
                both(label(VERDICT_LABELS, row["verdict"])) if compared else "—",
            ]
        )
    return _table(head, rows)


def _origin_lines(data: Mapping[str, Any]) -> list[str]:
    rows = [
        [both(label(ORIGIN_LABELS, row["origin"])), both(label(REGIME_LABELS, row["regime"])), *_compared(row)]
        for row in data["origins"]
    ]
    return _table(["출처 · origin", "방식 · regime", *_COMPARED], rows)


def _slice_lines(data: Mapping[str, Any]) -> list[str]:
    part = data["slices"]
    if not part["rows"]:
        return [f"질의 {part['minimum']}개 이상인 조각이 없습니다 · no slice of {part['minimum']} queries or more."]
    rows = [[both(label(SLICE_LABELS, row["slice"])), row["value"], *_compared(row)] for row in part["rows"]]
    return _table(["조각 · slice", "값 · value", *_COMPARED], rows)


_COMPARED = ["n", "기준 · baseline", "어댑터 · system", "차이 · difference", "구간 · interval", "판정 · verdict"]


def _compared(row: Mapping[str, Any]) -> list[str]:
    if "difference" not in row:
        return [f"{row['n']}", "—", "—", "—", "—", "—"]
    return [
        f"{row['n']}",
        number(row["baseline_mean"]),
        number(row["system_mean"]),
        signed(row["difference"]),
        interval(row["low"], row["high"]),
        both(label(VERDICT_LABELS, row["verdict"])),
    ]


def _provenance_lines(data: Mapping[str, Any]) -> list[str]:
    if not data["provenance"]:
        return ["기록된 출처가 없습니다 · no provenance was recorded."]
    return _table(["항목 · item", "값 · value"], [[name, f"`{value}`"] for name, value in data["provenance"].items()])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    escaped = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [list(head), ["---"] * len(head), *escaped]]


def metric_name(name: str) -> str:
    """`ndcg@10` → `NDCG@10`."""
    return re.sub(r"^[a-z]+", lambda match: {"hit": "Hit", "rprec": "R-prec"}.get(match[0], match[0].upper()), name)


def number(value: float | None, digits: int = 3) -> str:
    """0.4124 → `0.412`; a dash for what is not known."""
    return "—" if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """With its sign; a true minus."""
    return "—" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def interval(low: float | None, high: float | None) -> str:
    """`[+0.010, +0.031]`; an end that is not bounded is infinite."""
    return f"[{signed(low) if low is not None else '−∞'}, {signed(high) if high is not None else '+∞'}]"


def _marked(segments: Iterable[Sequence[Any]]) -> Markup:
    """Text with the parts shared with the query marked; everything is escaped."""
    parts = (Markup("<mark>{}</mark>" if shared else "{}").format(text) for text, shared in segments)
    return Markup("").join(parts)


def _tables() -> dict[str, Any]:
    """What the template looks names up in."""
    return {
        "DOMAINS": DOMAIN_LABELS,
        "REGIMES": REGIME_LABELS,
        "REGIME_NOTES": REGIME_NOTES,
        "ORIGINS": ORIGIN_LABELS,
        "SETS": SET_LABELS,
        "SYSTEMS": SYSTEM_LABELS,
        "VERDICTS": VERDICT_LABELS,
        "REASONS": REASONS,
        "STAGES": STAGE_LABELS,
        "MINING": MINING_LABELS,
        "PATTERNS": PATTERN_LABELS,
        "SLICES": SLICE_LABELS,
        "ERRORS": ERROR_LABELS,
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
    )
    return environment
