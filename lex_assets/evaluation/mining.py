"""How an audit of hard-negative mining looks: tables, plots, and examples to read. Reads the report that mining wrote
(`mining.report`) and computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lex_assets.evaluation.labels import MINING_LABELS, both, label
from lex_assets.plots import bars, histogram

Plot = tuple[str, str]
"""Title and SVG."""

_LEGEND = "✔ 정답 positive · ✘ 오답 negative · ? 정답일 수 있어 뺀 것 suspected"

Table = tuple[list[str], Sequence[Sequence[Any]]]
"""Header and rows."""


def mining_plots(report: Mapping[str, Any]) -> list[Plot]:
    """Drops per rule, how queries were filled, survivors per query, where negatives came from, and per model the scores of
    positives, negatives and suspects."""
    found = []
    for name in ("drops", "fill"):
        if report.get(name):
            ranked = sorted(report[name].items(), key=lambda item: (-item[1], item[0]))
            found.append(_plot(name, bars(_named(ranked), _title(name))))
    if report.get("survivors"):
        found.append(_plot("survivors", _survivors(report["survivors"]["histogram"])))
    if report.get("pools", {}).get("negatives"):
        found.append(_plot("pools", bars(_named(report["pools"]["negatives"].items()), _title("pools"))))
    for name, scores in (report.get("scores") or {}).items():
        counts = {_title(group): values for group, values in scores["counts"].items()}
        found.append(_plot(name, histogram(scores["edges"], counts, _title(name), both(label(MINING_LABELS, name)))))
    return found


def mining_tables(report: Mapping[str, Any]) -> dict[str, Table]:
    """Title → table: the whole at a glance, drops per rule, fill, survivors, pools and their overlap."""
    candidates, queries = max(report["candidates"], 1), max(report["queries"], 1)
    per_query = both(("질의당", "per query"))
    return {
        "요약 · summary": (["값 · figure", ""], _summary(report)),
        _heading("drops"): (
            ["규칙 · rule", "후보 · candidates", per_query],
            [[_name(rule), f"{count:,}", f"{count / queries:.2f}"] for rule, count in report["drops"].items()],
        ),
        _heading("fill"): (
            ["까닭 · reason", "질의 · queries", "비율 · share"],
            [[_name(reason), f"{count:,}", f"{count / queries:.1%}"] for reason, count in report["fill"].items()],
        ),
        _heading("survivors"): (
            ["분위 · quantile", "생존 후보 · survivors"],
            [[name, value] for name, value in report["survivors"].items() if name != "histogram"],
        ),
        _heading("together"): _together(report["pools"]["together"], candidates),
    }


def _summary(report: Mapping[str, Any]) -> list[list[str]]:
    gold = report["hidden_gold"]
    rows = [[_name(key), f"{report[key]:,}"] for key in ("queries", "candidates", "negatives", "negatives_per_query")]
    rate = (
        "—" if gold["selected_rate"] is None else f"{gold['selected_rate']:.1%} ({gold['selected']} / {gold['hidden']})"
    )
    rows.append([f"{_name('hidden_gold')}: 오답으로 뽑힌 비율 · mined as negatives", rate])
    caps = [[_name(f"cap_{model}"), "—" if cap is None else f"{cap:.3f}"] for model, cap in report["caps"].items()]
    return rows + caps


def _together(together: Mapping[str, Mapping[str, int]], candidates: int) -> Table:
    """Candidates that both pools proposed; on the diagonal, all that the pool proposed."""
    names = [name for name in ("lexical", "dense", "sibling", "same_title", "cited", "random") if name in together]
    rows = [[_name(one), *(f"{together[one].get(other, 0):,}" for other in names)] for one in names]
    shares = [f"{together[name].get(name, 0) / candidates:.1%}" for name in names]
    return ["", *map(_name, names)], [*rows, ["모든 후보 가운데 · of all candidates", *shares]]


def examples(report: Mapping[str, Any]) -> str:
    """The sampled queries as Markdown: question, positives, negatives and suspects, with their evidence."""
    shown = [_example(n, example) for n, example in enumerate(report["examples"], 1)]
    return "\n\n".join([_LEGEND, *shown]) if shown else "—"


def _example(number: int, example: Mapping[str, Any]) -> str:
    lines = [f"**{number}. {_line(example['text'])}** `{example['query_id']}`", ""]
    for name in ("positives", "negatives", "dropped"):
        lines += [_evidence(name, row) for row in example[name]]
    if not example["negatives"]:
        lines.append("- 오답 없음 · no negative")
    return "\n".join(lines)


def _evidence(kind: str, row: Mapping[str, Any]) -> str:
    sign = {"positives": "✔", "negatives": "✘", "dropped": "?"}[kind]
    named = [] if kind == "positives" else [row["verdict"], *row["pool"].split("+")]
    facts = [_title(name) for name in named]
    facts += [
        f"{_title(name)} {row[name]:.3f}" for name in ("score_dense", "score_rerank") if row.get(name) is not None
    ]
    return f"- {sign} {row['citation'] or row['passage_id']} ({' · '.join(facts)}): {_line(row['text'])}"


def _line(text: str) -> str:
    return " ".join(text.split()).replace("*", "\\*").replace("<", "&lt;")


def _survivors(tally: Mapping[str, int]) -> str:
    """Queries by their number of survivors, every number its own bin."""
    counts = {int(number): queries for number, queries in tally.items()}
    numbers = range(max(counts, default=0) + 1)
    edges = [number - 0.5 for number in (*numbers, len(numbers))]
    values = {_title("queries"): [counts.get(number, 0) for number in numbers]}
    return histogram(edges, values, _title("survivors"), both(label(MINING_LABELS, "survivors")))


def _plot(name: str, svg: str) -> Plot:
    return _title(name), svg


def _title(name: str) -> str:
    return label(MINING_LABELS, name)[0]


def _heading(name: str) -> str:
    return both(label(MINING_LABELS, name))


def _name(name: str) -> str:
    """The label of a rule, a verdict or several pools."""
    return " + ".join(_heading(part) for part in name.split("+"))


def _named(counts: Iterable[tuple[str, float]]) -> dict[str, float]:
    return {_name(name): count for name, count in counts}
