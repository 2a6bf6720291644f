"""The report's tables as Markdown: for the Markdown file, the Dagster UI and the terminal. Reads the report's data and
computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lex_assets.evaluation.errors import ERROR_LABELS
from lex_assets.evaluation.figures import interval, metric_name, number, signed
from lex_assets.evaluation.labels import (
    DOMAIN_LABELS,
    ORIGIN_LABELS,
    REGIME_LABELS,
    SYSTEM_LABELS,
    VERDICT_LABELS,
    both,
    label,
)
from lex_assets.evaluation.mining import examples, mining_plots, mining_tables
from lex_assets.evaluation.render import plots
from lex_assets.evaluation.slices import SLICE_LABELS
from lex_assets.plots import svg_data_uri_markdown

_COMPARED = ["n", "기준 · baseline", "어댑터 · system", "차이 · difference", "구간 · interval", "판정 · verdict"]
_NONE = "사람이 만든 시험 질의가 없습니다 · no human test queries."


def document(data: Mapping[str, Any], with_plots: bool = False) -> str:
    """The whole report; with `with_plots`, the plots as embedded images."""
    images = [svg_data_uri_markdown(svg, title) for group in plots(data).values() for title, svg in group]
    return _document(data, sections(data)) + ("\n" + "\n".join(images) + "\n" if with_plots else "")


def summary(data: Mapping[str, Any]) -> str:
    """What fits a terminal: how the systems compare, by origin and slice."""
    return _document(data, _compared_sections(data))


def _document(data: Mapping[str, Any], parts: Mapping[str, str]) -> str:
    ko, en = label(DOMAIN_LABELS, data["domain"])
    lines = [f"# {ko} 평가 보고서 · {en} evaluation report", "", f"시험 집합 · test set `{data['test_hash'][:12]}`"]
    return "\n".join([*lines, *(f"\n## {title}\n\n{text}" for title, text in parts.items())]) + "\n"


def sections(data: Mapping[str, Any]) -> dict[str, str]:
    """Title → Markdown, in the order of the page."""
    found = {
        "첫 결과의 오류 · errors": _error_lines(data),
        "법령 혼동 · confusion by law": _confusion_lines(data),
        "이긴 질의와 진 질의 · won and lost": _case_lines(data),
        "모든 지표 · all metrics": _metric_lines(data),
        "출처와 재현 · provenance": _provenance_lines(data),
    }
    return _compared_sections(data) | {title: "\n".join(lines) for title, lines in found.items()}


def _compared_sections(data: Mapping[str, Any]) -> dict[str, str]:
    found = {
        f"{_regime(part)} (n = {part['n']})": [*headline_lines(data, part), *_seed_lines(part)]
        for part in data["regimes"]
    }
    found |= {
        "기반이 본 시험 질의 · seen by the base": _seen_lines(data),
        "질의 출처별 · by origin": _origin_lines(data),
        "조각별 · slices": _slice_lines(data),
    }
    return {title: "\n".join(lines) for title, lines in found.items()}


def headline_lines(data: Mapping[str, Any], part: Mapping[str, Any]) -> list[str]:
    """The main table of one regime."""
    if not part["rows"]:
        return [_NONE]
    head = [
        "시스템 · system",
        *(metric_name(name) for name in data["metrics"]),
        "차이 · difference",
        "구간 · interval",
        "기준 · versus",
        "n",
        "최소 검출 · MDE",
        "판정 · verdict",
    ]
    return table(head, [_headline_row(data, row) for row in part["rows"]])


def _headline_row(data: Mapping[str, Any], row: Mapping[str, Any]) -> list[str]:
    scores = [number(row["scores"][name]) for name in data["metrics"]]
    system = _system(row["system"])
    if row["baseline"] is None:
        return [system, *scores, "—", "—", "—", f"{row['n']}", "—", "—"]
    return [
        system,
        *scores,
        signed(row["difference"]),
        interval(row["low"], row["high"]),
        label(SYSTEM_LABELS, row["baseline"])[0],
        f"{row['n']}",
        number(row["smallest_detectable"]),
        both(label(VERDICT_LABELS, row["verdict"])),
    ]


def _seed_lines(part: Mapping[str, Any]) -> list[str]:
    rows = [[one["system"], f"{one['n']}", *_difference(one)] for one in part["seeds"]]
    return ["", "다른 시드 · other seeds:", "", *table(["시드 · seed", "n", *_COMPARED[1:]], rows)] if rows else []


def _seen_lines(data: Mapping[str, Any]) -> list[str]:
    seen = data["seen_by_base"]
    if not seen["queries"]:
        return ["없습니다 · none."]
    said = f"{len(seen['queries'])}개, 다른 수치에서 뺌 · {len(seen['queries'])}, left out of every other figure"
    rows = [[_system(name), number(value)] for name, value in seen["scores"].items()]
    return [said, *(["", *table(["시스템 · system", metric_name(data["metric"])], rows)] if rows else [])]


def _origin_lines(data: Mapping[str, Any]) -> list[str]:
    rows = [[both(label(ORIGIN_LABELS, row["origin"])), _regime(row), *_compared(row)] for row in data["origins"]]
    return table(["출처 · origin", "방식 · regime", *_COMPARED], rows)


def _slice_lines(data: Mapping[str, Any]) -> list[str]:
    minimum = data["slices"]["minimum"]
    rows = [
        [_regime(part), both(label(SLICE_LABELS, row["slice"])), row["value"], *_compared(row)]
        for part in data["slices"]["parts"]
        for row in part["rows"]
    ]
    if not rows:
        return [f"질의 {minimum}개 이상인 조각이 없습니다 · no slice of {minimum} queries or more."]
    return table(["방식 · regime", "조각 · slice", "값 · value", *_COMPARED], rows)


def _compared(row: Mapping[str, Any]) -> list[str]:
    return [f"{row['n']}", *(_difference(row) if "difference" in row else ["—"] * 5)]


def _difference(row: Mapping[str, Any]) -> list[str]:
    return [
        number(row["baseline_mean"]),
        number(row["system_mean"]),
        signed(row["difference"]),
        interval(row["low"], row["high"]),
        both(label(VERDICT_LABELS, row["verdict"])),
    ]


def _error_lines(data: Mapping[str, Any]) -> list[str]:
    rows = [
        [_regime(part), _system(system), *(f"{kinds.get(kind, 0)}" for kind in ERROR_LABELS)]
        for part in data["failures"]["parts"]
        for system, kinds in part["kinds"].items()
    ]
    head = ["방식 · regime", "시스템 · system", *(both(names) for names in ERROR_LABELS.values())]
    return table(head, rows) if rows else [_NONE]


def _confusion_lines(data: Mapping[str, Any]) -> list[str]:
    rows = [
        [_regime(part), _system(system), pair["gold"], pair["found"], f"{pair['n']}"]
        for part in data["failures"]["parts"]
        for system, found in part["confusion"].items()
        for pair in found["pairs"]
    ]
    head = ["방식 · regime", "시스템 · system", "정답 법령 · gold", "첫 결과의 법령 · found", "질의 · queries"]
    return table(head, rows) if rows else ["혼동한 법령이 없습니다 · no law was taken for another."]


def _case_lines(data: Mapping[str, Any]) -> list[str]:
    names = {"won": "이김 · won", "lost": "짐 · lost"}
    rows = [
        [names[kind], case["text"], _cited(case["gold"]), *_side(case["baseline"]), *_side(case["system"])]
        for kind in names
        for case in data["cases"][kind]
    ]
    head = [
        "",
        "질의 · query",
        "정답 · gold",
        "기준 · baseline",
        "첫 결과 · first",
        "어댑터 · system",
        "첫 결과 · first",
    ]
    return table(head, rows) if rows else ["갈린 질의가 없습니다 · no query tells the two systems apart."]


def _side(side: Mapping[str, Any]) -> list[str]:
    first = side["ranking"][:1]
    return [number(side["score"]), f"{_cited(first)} ({ERROR_LABELS[side['kind']][0]})" if first else "—"]


def _cited(passages: Iterable[Mapping[str, Any]]) -> str:
    return ", ".join(one["citation"] or one["passage_id"] for one in passages)


def _metric_lines(data: Mapping[str, Any]) -> list[str]:
    units = {"scores": "조문·판결 · article", "passage_scores": "단락 · passage"}
    lines: list[str] = []
    for part in data["regimes"]:
        for key, unit in units.items():
            rows = [row for row in part["rows"] if key in row]
            if rows:
                head = [f"{_regime(part)}, {unit}", *(label(SYSTEM_LABELS, row["system"])[0] for row in rows)]
                body = [[metric_name(name), *(number(row[key][name]) for row in rows)] for name in rows[0][key]]
                lines += [*table(head, body), ""]
    return lines[:-1] or [_NONE]


def _provenance_lines(data: Mapping[str, Any]) -> list[str]:
    if not data["provenance"]:
        return ["기록된 출처가 없습니다 · no provenance was recorded."]
    return table(["항목 · item", "값 · value"], [[name, f"`{value}`"] for name, value in data["provenance"].items()])


def _regime(row: Mapping[str, Any]) -> str:
    return both(label(REGIME_LABELS, row["regime"]))


def _system(name: str) -> str:
    return both(label(SYSTEM_LABELS, name))


def mining_audit(report: Mapping[str, Any]) -> str:
    """The audit of hard-negative mining as one Markdown page: tables, plots as embedded images, examples to read."""
    parts = [f"## {title}\n\n" + "\n".join(table(*found)) for title, found in mining_tables(report).items()]
    parts += [f"### {title}\n\n{svg_data_uri_markdown(svg, title)}" for title, svg in mining_plots(report)]
    return "\n\n".join(["# 오답 채굴 · hard negatives", *parts, "## 예시 · examples", examples(report)]) + "\n"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a Markdown table; cells are put on one line."""
    escaped = [[" ".join(str(cell).split()).replace("|", "\\|") for cell in row] for row in rows]
    return [f"| {' | '.join(row)} |" for row in [list(head), ["---"] * len(head), *escaped]]
