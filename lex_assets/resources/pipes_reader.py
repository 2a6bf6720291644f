"""Messages of a training process as they come, whole ones only.

Dagster's own reader takes the part of a line that is written so far for a line; a plot is written in several parts, and the run
then waits for ever for messages that nobody reads.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import BinaryIO

from dagster import PipesMessageHandler, PipesMessageReader
from dagster_pipes import PipesDefaultMessageWriter, PipesParams

POLL_S = 0.1
"""Seconds between two looks at the training process."""


class WholeLines:
    """The lines of a file that is being written."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._rest = file, b""

    def take(self) -> list[bytes]:
        """Those that were ended since the last call."""
        *lines, self._rest = (self._rest + self._file.read()).split(b"\n")
        return lines


class WholeLinesReader(PipesMessageReader):
    """Reads messages that a process writes to a temporary file. error: why it reads no more."""

    error: Exception | None = None

    @contextmanager
    def read_messages(self, handler: PipesMessageHandler) -> Iterator[PipesParams]:
        """Hand each message to `handler` while the block runs; yields where to write."""
        closed = Event()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "messages"
            path.touch()
            thread = Thread(target=self._read, args=(path, handler, closed), daemon=True)
            thread.start()
            try:
                yield {PipesDefaultMessageWriter.FILE_PATH_KEY: str(path)}
            finally:
                closed.set()
                thread.join()

    def _read(self, path: Path, handler: PipesMessageHandler, closed: Event) -> None:
        try:
            with path.open("rb") as file:
                lines, last = WholeLines(file), False
                while not last:
                    last = closed.wait(POLL_S)
                    for line in lines.take():
                        handler.handle_message(json.loads(line))
        except Exception as error:
            self.error = error
            handler.report_pipes_framework_exception("reader of training messages", sys.exc_info())

    def no_messages_debug_text(self) -> str:
        """What dagster adds when no message came."""
        return "Attempted to read messages of the training process from a temporary file."
