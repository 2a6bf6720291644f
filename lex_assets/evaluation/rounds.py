"""How the rounds of re-mining look: a table and a plot. Reads what was recorded and computes nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lex_assets.evaluation.figures import number, signed
from lex_assets.plots import curves

STOPS = {
    "": "계속 · go on",
    "no_gain": "멈춤: 개선이 기준에 못 미침 · stop: gain below min_gain",
    "guard": "멈춤: 보호 집합이 떨어짐 · stop: a guard fell",
}
HEADER = [
    "라운드 · round",
    "시각 · at",
    "채굴 모델 · mining model",
    "남긴 오답 · kept",
    "검증 전 · before",
    "검증 후 · after",
    "개선 · gain",
    "승격 · promoted",
    "다음 · next",
]


def round_rows(rounds: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """A row per round, newest first."""
    return [
        [
            f"{one['number']}",
            one["at"].replace("T", " ")[:16],
            one["mining_model"][:8],
            f"{one['kept']:,}",
            number(one["base_metric"]),
            number(one["metric"]),
            "—" if one["gain"] is None else signed(one["gain"]),
            "예 · yes" if one["promoted"] else "아니요 · no",
            STOPS[one["stop"]],
        ]
        for one in reversed(rounds)
    ]


def round_plot(rounds: Sequence[Mapping[str, Any]]) -> str:
    """The validation metric before and after training, over the rounds."""
    lines = {
        "어댑터 adapter": [(one["number"], one["metric"]) for one in rounds],
        "기반 base": [(one["number"], one["base_metric"]) for one in rounds],
    }
    names = {float(one["number"]): f"{one['number']}" for one in rounds}
    metric = rounds[-1]["metric_name"] if rounds else ""
    return curves(lines, f"라운드별 검증 {metric}", "라운드 round", x_names=names)
