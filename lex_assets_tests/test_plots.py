"""Plots: well-formed SVG whatever the numbers, and images that Dagster can show."""

from __future__ import annotations

import base64
import math
import re
from xml.etree import ElementTree

import pytest

from lex_assets.plots import IntervalRow, bars, curves, forest, heatmap, histogram, stacked, svg_data_uri_markdown

ROWS = [IntervalRow("어댑터 <b>", 0.04, 0.01, 0.07, "better"), IntervalRow("BM25", -0.1, -math.inf, math.inf, "worse")]
PLOTS = {
    "forest": forest(ROWS, 0.01, "차이 & 구간"),
    "forest flat": forest([IntervalRow("같음", 0.0, 0.0, 0.0)]),
    "bars": bars({"둘 다": 10, "없음": 0}, "막대", " 개"),
    "bars zero": bars({"없음": 0}),
    "curves": curves({"loss": [(0, 4.0), (10, 1.0), (20, math.nan)]}, "손실", "step", {"chance": 4.8}),
    "curves point": curves({"metric": [(5, 0.3)]}),
    "histogram": histogram([0.0, 0.5, 1.0], {"정답": [1, 3], "오답": [3, 0], "빈": [0, 0]}),
    "named ticks": curves({"r": [(0, 0.1), (1, 0.4)]}, x_names={0: "1", 1: "11-28"}),
    "stacked": stacked(
        {"가": {"x": 3, "y": 1}, "나": {"y": 0}}, {"x": "#111111", "y": "#222222"}, "몫", {"가": "75 %"}
    ),
    "heatmap": heatmap({"1 민법": [3, 0], "2 상법": [0, 0]}, ["1", "기타"], "혼동", right=[0, 1]),
    "no parts": stacked({}, {}),
    "no cells": heatmap({}, []),
    "nothing": curves({}),
    "no rows": forest([]),
    "no bars": bars({}),
    "no counts": histogram([0, 1], {"x": [0]}),
}


@pytest.mark.parametrize("name", PLOTS)
def test_every_plot_is_well_formed_and_inside_its_frame(name: str) -> None:
    root = ElementTree.fromstring(PLOTS[name])
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    assert "nan" not in PLOTS[name] and "inf" not in PLOTS[name]
    for element in root.iter():
        for key in ("x", "x1", "x2", "cx"):
            assert -1 <= float(element.attrib.get(key, 0)) <= width + 1
        for key in ("y", "y1", "y2", "cy"):
            assert -1 <= float(element.attrib.get(key, 0)) <= height + 1


def test_labels_are_escaped_and_titles_readable() -> None:
    assert "어댑터 &lt;b&gt;" in PLOTS["forest"] and "<title>차이 &amp; 구간</title>" in PLOTS["forest"]


def test_markdown_images_carry_the_svg() -> None:
    text = svg_data_uri_markdown(PLOTS["bars"], "막대 [1]")
    match = re.fullmatch(r"!\[막대 \(1\)\]\(data:image/svg\+xml;base64,([A-Za-z0-9+/=]+)\)", text)
    assert match and base64.b64decode(match[1]).decode() == PLOTS["bars"]
