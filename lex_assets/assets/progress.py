"""Progress of long work in the run's log: how far, how fast, how much longer."""

import time
from collections.abc import Callable
from typing import Any

import dagster as dg

REPORT_EVERY_S = 5.0


def progress_log(log: dg.DagsterLogManager, what: str, more: Callable[[], str] = str) -> Callable[[int, int], None]:
    """A callback `(done, total)` that logs at most every few seconds, and at the end, with the time that is left.

    more: what else the line says.
    """
    started = time.monotonic()
    last = started

    def report(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last < REPORT_EVERY_S and done < total:
            return
        last = now
        left_s = (now - started) / max(done, 1) * (total - done)
        share = f"{what}: {done:,}/{total:,} ({100 * done / max(total, 1):.0f} %)"
        log.info(f"{share}, 남은 시간 · ETA {left_s:.0f} s{more()}")

    return report


def staged_progress_log(log: dg.DagsterLogManager) -> Callable[[str, int, int], None]:
    """A callback `(stage, done, total)`: one `progress_log` per stage."""
    reports: dict[str, Callable[[int, int], None]] = {}

    def report(stage: str, done: int, total: int) -> None:
        if stage not in reports:
            reports[stage] = progress_log(log, stage)
        reports[stage](done, total)

    return report


def step_log(log: dg.DagsterLogManager) -> Callable[[Any], None]:
    """A callback for training reports: logs validation passes, and steps at most every few seconds."""
    last = 0.0

    def report(step: Any) -> None:
        nonlocal last
        now = time.monotonic()
        if step.metric is not None or now - last >= REPORT_EVERY_S:
            last = now
            log.info(step.line)

    return report


def spending_log(log: dg.DagsterLogManager, what: str) -> Callable[[int, int, Any], None]:
    """A callback `(done, total, spent)`: as `progress_log`, with what was spent so far."""
    spent: Any = ""
    report = progress_log(log, what, lambda: f", {spent}")

    def update(done: int, total: int, usage: Any) -> None:
        nonlocal spent
        spent = usage
        report(done, total)

    return update
