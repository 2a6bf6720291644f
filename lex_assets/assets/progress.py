"""Progress of long work in the run's log: how far, how fast, how much longer."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg

from lex_assets.assets.describe import plot
from lex_assets.training.curves import loss_curve, metric_curve

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


def training_progress(context: dg.AssetExecutionContext) -> Callable[[Mapping[str, Any]], None]:
    """A callback for the reports of a training: each is a line of the run's log; each validation is also an observation of
    the asset, with its figures and the curves so far."""
    history: list[Mapping[str, Any]] = []

    def report(step: Mapping[str, Any]) -> None:
        history.append(step)
        context.log.info(step["line"])
        if step["metric"] is not None and step["step"]:
            metadata = _training_figures(history) | _training_curves(history)
            context.log_event(
                dg.AssetObservation(context.asset_key, step["line"], metadata, partition=context.partition_key)
            )

    return report


def _training_figures(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Where training stands. The last report is of a validation; what a step says is that of the last step."""
    last = history[-1]
    step = next((report for report in reversed(history) if report["loss"] is not None), last)
    return {
        "스텝 · step": last["step"],
        "진행 · progress": f"{last['step']:,}/{last['total_steps']:,} ({last['step'] / last['total_steps']:.0%})",
        "손실 · loss": step["loss"],
        last["metric_name"]: round(last["metric"], 4),
        "학습률 · learning rate": step["learning_rate"],
        "초당 질의 · examples/s": round(last["examples_per_s"], 2),
        "남은 시간(초) · ETA (s)": round(last["eta_s"]),
    }


def _training_curves(history: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    chances = [report["chance"] for report in history if report["chance"] is not None]
    base = None if history[0]["step"] else history[0]["metric"]  # unknown to a run that went on from a checkpoint
    return {
        "손실 곡선 · loss curve": plot(loss_curve(history, chances[-1])),
        "검증 곡선 · validation curve": plot(metric_curve(history, history[-1]["metric_name"], base)),
    }


def spending_log(log: dg.DagsterLogManager, what: str) -> Callable[[int, int, Any], None]:
    """A callback `(done, total, spent)`: as `progress_log` from its first call on, with what was spent so far."""
    spent: Any = ""
    report: Callable[[int, int], None] | None = None

    def update(done: int, total: int, usage: Any) -> None:
        nonlocal spent, report
        spent = usage
        report = report or progress_log(log, what, lambda: f", {spent}")
        report(done, total)

    return update
