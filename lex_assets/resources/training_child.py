"""What runs in the process that trains: jobs in, reports out through Dagster Pipes. Here no dagster is imported.

A request is one JSON object: `job`, and `pipes`, the parameters of the run's Pipes session. Requests come one per line on
standard input, or one as an argument where several processes share a job. Standard input closes when the run's process
ends, however it ends; this one then ends too.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from dagster_pipes import (
    PipesContext,
    PipesDefaultContextLoader,
    PipesDefaultMessageWriter,
    PipesMappingParamsLoader,
)

from lex_assets.schemas import LexError

MIN_PAUSE_S, MAX_PAUSE_S, PAUSE_SHARE = 3.0, 60.0, 0.02
"""Between reports of steps: a share of the time so far, so that a long run does not fill the log."""

Request = Mapping[str, Any]


def main() -> None:
    """Carry out requests until one is asked to stop, or standard input closes."""
    requests: queue.Queue[Request] = queue.Queue()
    threading.Thread(target=_read, args=(requests,), daemon=True).start()
    if len(sys.argv) > 1:
        requests.put(json.loads(sys.argv[1]))
    while _carry_out(requests.get()) and len(sys.argv) == 1:
        pass
    sys.stdout.flush()
    os._exit(0)  # at once: the usual way out takes seconds with torch loaded, and can wait for the thread that reads


def _read(requests: queue.Queue[Request]) -> None:
    for line in sys.stdin:
        requests.put(json.loads(line))
    os._exit(0)


def _carry_out(request: Request) -> bool:
    """Train, and whether to go on with another request."""
    from lex_assets.training.carry_out import carry_out
    from lex_assets.training.job import TrainingJob

    with _reports(request["pipes"]) as reports:
        try:
            carry_out(TrainingJob.model_validate(request["job"]), reports)
            reports.say({"done": True})
        except LexError as error:
            reports.say({"error": str(error)})
        return not reports.asked_to_stop.is_set()


class _Reports:
    """What the run is told of a training; as a callback for step reports, it answers whether to stop."""

    def __init__(self, pipes: PipesContext | None) -> None:
        self.pipes = pipes
        self.asked_to_stop = threading.Event()
        self.sent_at = -MAX_PAUSE_S
        self.withheld: Any = None

    def say(self, message: Mapping[str, Any]) -> None:
        """Send `message` to the run; only the first of several processes does."""
        if self.pipes:
            self.pipes.report_custom_message(message)

    def __call__(self, report: Any) -> bool:
        """Send a report of a step when some time has passed since the last one, or a validation follows it."""
        signal.signal(signal.SIGTERM, lambda *_: self.asked_to_stop.set())
        pause = min(max(MIN_PAUSE_S, PAUSE_SHARE * report.elapsed_s), MAX_PAUSE_S)
        if report.metric is not None and self.withheld:
            self._send(self.withheld)
        if report.metric is not None or time.monotonic() - self.sent_at >= pause:
            self._send(report)
        else:
            self.withheld = report
        return self.asked_to_stop.is_set()

    def _send(self, report: Any) -> None:
        self.sent_at, self.withheld = time.monotonic(), None
        self.say({"report": asdict(report) | {"line": report.line}})


@contextmanager
def _reports(parameters: Mapping[str, str]) -> Iterator[_Reports]:
    """An open Pipes session, with the core's log in it, in the first process of a job; silence in the others."""
    try:
        if os.environ.get("RANK", "0") != "0":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # all stop when the first does
            yield _Reports(None)
            return
        loader = PipesMappingParamsLoader(parameters)
        with PipesContext(loader, PipesDefaultContextLoader(), PipesDefaultMessageWriter()) as pipes, _logged(pipes):
            yield _Reports(pipes)
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def _logged(pipes: PipesContext) -> Iterator[None]:
    """The log of lex_assets, in the run's."""
    own, handlers = logging.getLogger("lex_assets"), list(pipes.log.handlers)
    own.setLevel(logging.INFO)
    for handler in handlers:
        own.addHandler(handler)
    try:
        yield
    finally:
        for handler in handlers:
            own.removeHandler(handler)


if __name__ == "__main__":
    main()
