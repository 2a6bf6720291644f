"""The process that trains: what it reports, how it fails, and that it ends with its run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest

from lex_assets.resources import training_process
from lex_assets.resources.training_process import train_in_process
from lex_assets.schemas import LexError
from lex_assets.training.config import RetrieverTrainingConfig
from lex_assets.training.job import TrainingJob

ENDS_S = 20
PRELUDE = """
import json, os, sys
from dagster_pipes import PipesContext, PipesDefaultContextLoader, PipesDefaultMessageWriter, PipesMappingParamsLoader
request = json.loads(sys.stdin.readline())
def pipes():
    return PipesContext(
        PipesMappingParamsLoader(request["pipes"]), PipesDefaultContextLoader(), PipesDefaultMessageWriter())
"""


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`child(code)`: the training process runs `code` instead."""

    def replace(code: str) -> None:
        (tmp_path / "stand_in.py").write_text(PRELUDE + code, "utf-8")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
        monkeypatch.setattr(training_process, "CHILD", "stand_in")

    return replace


def job(tmp_path: Path, count: int = 1, **settings: int) -> TrainingJob:
    folders = {name: tmp_path / name for name in ("tables", "out", "checkpoints", "tracking")}
    return TrainingJob(
        name="n", kind="retriever", base="builtin", trust_remote_code=False, profile="cpu", count=count,
        settings=RetrieverTrainingConfig(**settings), **folders,
    )  # fmt: skip


def train(training_job: TrainingJob, on_report: Callable[[Any], None]) -> None:
    """A training in a real run."""

    @dg.op
    def training(context) -> None:
        train_in_process(context, training_job, on_report)

    @dg.job(executor_def=dg.in_process_executor)
    def run() -> None:
        training()

    run.execute_in_process()


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those that do not end; one that nobody waits for may stay as a zombie."""
    return [found for found in psutil.wait_procs(processes, 2)[1] if found.status() != psutil.STATUS_ZOMBIE]


def test_reports_arrive_and_a_done_child_stays_for_the_next_job(child, tmp_path) -> None:
    child("""
while True:
    with pipes() as context:
        context.report_custom_message({"report": {"line": f"a step of {os.getpid()}"}})
        context.report_custom_message({"done": True})
    request = json.loads(sys.stdin.readline())
""")
    reports: list[dict] = []
    train(job(tmp_path), reports.append)
    train(job(tmp_path), reports.append)
    assert reports == 2 * [{"line": f"a step of {training_process._kept._popen.pid}"}]


def test_a_child_that_says_nothing_is_a_failure_with_its_last_words(child, tmp_path) -> None:
    child("print('out of luck', flush=True)\nsys.exit(0)")
    with pytest.raises(RuntimeError, match=r"ended without a result \(exit code 0; its last output: out of luck\)"):
        train(job(tmp_path), print)


def test_a_child_that_is_killed_is_a_failure(child, tmp_path) -> None:
    child("with pipes():\n    os.kill(os.getpid(), 9)")
    with pytest.raises(RuntimeError, match=r"ended without a result \(exit code -9"):
        train(job(tmp_path), print)


def test_what_the_training_raises_is_raised_in_the_run(tmp_path) -> None:
    with pytest.raises(LexError, match=r"triplets.parquet: cannot read the table .*; make it again"):
        train(job(tmp_path), print)


def test_an_interrupted_run_stops_its_process_group_within_the_time(child, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(training_process, "STOPPING_S", 0.5)
    child("""
import signal, subprocess
signal.signal(signal.SIGTERM, signal.SIG_IGN)
deaf = subprocess.Popen(["sleep", "600"])
with pipes() as context:
    context.report_custom_message({"report": {"line": str(deaf.pid)}})
    deaf.wait()
""")
    processes: list[psutil.Process] = []

    def interrupt(report: dict) -> None:
        processes.extend(map(psutil.Process, [int(report["line"]), training_process._kept._popen.pid]))
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(dg.DagsterExecutionInterruptedError):
        train(job(tmp_path), interrupt)
    assert len(processes) == 2 and not alive(processes)


def test_the_process_ends_when_its_parent_is_killed() -> None:
    start = f"import subprocess, sys\nprint(subprocess.Popen([sys.executable, '-m', {training_process.CHILD!r}],"
    code = f"{start} stdin=subprocess.PIPE).pid, flush=True)\nsys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
        assert child.is_running()
        parent.kill()
    child.wait(ENDS_S)
