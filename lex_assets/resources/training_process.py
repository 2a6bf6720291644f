"""Training in a process of its own, which reports through Dagster Pipes and never outlives the run.

A run that is cancelled stops the process, not the other way round: it gets the time to write a checkpoint, then it is
killed. On a CPU the process stays for the next training of the same run, which spares it the imports; on a GPU it ends,
and with it its hold on the device's memory.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import dagster as dg

from lex_assets.models.devices import CPU
from lex_assets.resources.pipes_reader import POLL_S, WholeLinesReader
from lex_assets.schemas import LexError

if TYPE_CHECKING:
    from lex_assets.training.job import TrainingJob

STOPPING_S = 8.0
"""Seconds from asking the process to stop to killing it: a cancelled run should be over within ten."""

ENDING_S = 1.0
LAST_LINES = 3
CHILD = "lex_assets.resources.training_child"
LAUNCH = ("--multi_gpu", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0")
"""`accelerate launch` for any device; the processes themselves choose NCCL, or gloo on a CPU."""

OnReport = Callable[[Mapping[str, Any]], None]
"""Takes the fields of a step report, and its `line`."""


def train_in_process(context: dg.AssetExecutionContext, job: TrainingJob, on_report: OnReport) -> None:
    """Carry out `job` in a process, whose reports go to `on_report` while it trains.

    Raises LexError for what the training raises, RuntimeError when the process ends without a result, and what interrupts
    the run; the process has then stopped.
    """
    context.log.info("학습 프로세스가 모델을 읽습니다 · the training process loads the model")
    reader, injector = WholeLinesReader(), dg.PipesTempFileContextInjector()
    with dg.open_pipes_session(context, injector, reader) as session:
        request = {"job": job.model_dump(mode="json"), "pipes": dict(session.get_bootstrap_env_vars())}
        process = _process_for(job, request)
        try:
            outcome = _outcome(process, session, reader, on_report)
        except BaseException:
            process.stop()
            raise
    if process is not _kept:
        process.end()
    if "error" in outcome:
        raise LexError(outcome["error"])


def _outcome(
    process: _Process, session: dg.PipesSession, reader: WholeLinesReader, on_report: OnReport
) -> Mapping[str, Any]:
    """The last message of the training."""
    seen, ended = 0, False
    while True:
        messages = session.get_custom_messages()[seen:]
        for message in messages:
            if "report" not in message:
                return message
            on_report(message["report"])
        seen += len(messages)
        if reader.error:
            raise RuntimeError(f"messages of the training process cannot be read ({reader.error}); run it again")
        if ended and not messages:
            raise RuntimeError(f"the training process ended without a result ({process.ending()})")
        ended = process.ended_within(POLL_S)


class _Process:
    """A running child. Its output goes where this process's goes, so that the run's compute log has it."""

    def __init__(self, arguments: list[str]) -> None:
        self.environment = dict(os.environ)
        self._popen = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # Ctrl-C goes to the run alone, and the group can be signalled as one
        )
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._echo = threading.Thread(target=self._echo_output, daemon=True)
        self._echo.start()

    @property
    def reusable(self) -> bool:
        """Whether it still runs, with what the environment says now."""
        return self._popen.poll() is None and self.environment == dict(os.environ)

    def ask(self, request: Mapping[str, Any]) -> None:
        """Send a request on its standard input."""
        assert self._popen.stdin
        self._popen.stdin.write(json.dumps(request) + "\n")
        self._popen.stdin.flush()

    def ended_within(self, seconds: float) -> bool:
        """Whether it ended, after waiting that long at most."""
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(seconds)
        return self._popen.returncode is not None

    def ending(self) -> str:
        """How it ended."""
        self._echo.join(STOPPING_S)
        return f"exit code {self._popen.returncode}; its last output: {' | '.join(self._last) or 'none'}"

    def stop(self) -> None:
        """Let it write a checkpoint, then end it."""
        self._signal(signal.SIGTERM)
        self.ended_within(STOPPING_S)
        self.end(within_s=0)

    def end(self, within_s: float = ENDING_S) -> None:
        """Close its standard input, at which it and processes of its own end, and kill it when it does not."""
        assert self._popen.stdin
        with suppress(BrokenPipeError):
            self._popen.stdin.close()
        if not self.ended_within(within_s):
            self._signal(signal.SIGKILL)
            self._popen.wait()

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, number)

    def _echo_output(self) -> None:
        assert self._popen.stdout
        for line in self._popen.stdout:
            self._last.append(line.strip())
            sys.stderr.write(line)


_kept: _Process | None = None
"""The last process on a CPU, idle between trainings."""


def _process_for(job: TrainingJob, request: Mapping[str, Any]) -> _Process:
    """A process that carries out `request`."""
    global _kept
    if job.count > 1:
        launched = ["accelerate.commands.launch", *LAUNCH, f"--num_processes={job.count}", "-m", CHILD]
        return _Process([*launched, json.dumps(request)])
    process = _kept if _kept and _kept.reusable else _Process([CHILD])
    if _kept and process is not _kept:
        _kept.end()
    _kept = process if job.profile == CPU else None
    process.ask(request)
    return process
