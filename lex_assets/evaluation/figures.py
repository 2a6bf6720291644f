"""How a report writes its figures, in the page, in Markdown and in plots alike."""

from __future__ import annotations

import re


def metric_name(name: str) -> str:
    """`ndcg@10` → `NDCG@10`."""
    return re.sub(r"^[a-z]+", lambda match: _METRIC_NAMES.get(match[0], match[0].upper()), name)


_METRIC_NAMES = {
    "ndcg": "NDCG",
    "bndcg": "NDCG(이진)",
    "r": "Recall",
    "p": "Precision",
    "hit": "Hit",
    "rprec": "R-precision",
    "judged": "판정됨",
    "unjudged": "미판정 수",
}


def number(value: float | None, digits: int = 3) -> str:
    """0.4124 → `0.412`; a dash for what is not known."""
    return "—" if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """With its sign; a true minus."""
    return "—" if value is None else f"{value:+.{digits}f}".replace("-", "−")


def interval(low: float | None, high: float | None) -> str:
    """`[+0.010, +0.031]`; an end that is not bounded is infinite."""
    return f"[{signed(low) if low is not None else '−∞'}, {signed(high) if high is not None else '+∞'}]"
