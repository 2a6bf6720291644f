"""What the commands share: where they print, how they fail, how they write."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from lex_assets.schemas import LexError

INTERRUPTED = 130

out = Console()
errors = Console(stderr=True)


def failing_in_one_line(command: Callable[..., None]) -> Callable[..., None]:
    """`command` that prints a LexError as one line on stderr and exits with 1; 130 after Ctrl-C."""

    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except LexError as error:
            errors.print(f"오류 · error: {error}", soft_wrap=True, markup=False, highlight=False)
            raise typer.Exit(1) from None
        except KeyboardInterrupt:
            errors.print("중단됨 · interrupted")
            raise typer.Exit(INTERRUPTED) from None

    return wrapped


@contextmanager
def writing(path: Path, option: str) -> Iterator[None]:
    """What goes wrong while writing `path` in one line that names the option to change."""
    try:
        yield
    except OSError as error:
        raise LexError(f"{path}: cannot write ({error.strerror or error}); choose another with {option}") from error


class TimeLeft:
    """Progress with the time left on stderr: one line that is rewritten on a terminal, a line in 30 s in a log. names: how
    stages are shown."""

    def __init__(self, names: Mapping[str, str] | None = None) -> None:
        self._names = names or {}
        self._stage, self._first, self._began, self._printed = "", 0, 0.0, 0.0

    def __call__(self, stage: str, done: int, total: int) -> None:
        """One report: `done` of `total` in `stage`."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._first, self._began, self._printed = stage, done, now, now
        if done < total and now - self._printed < (1 if errors.is_terminal else 30):
            return
        self._printed = now
        each_s = (now - self._began) / max(1, done - self._first)
        left = timedelta(seconds=round(each_s * (total - done)))
        end = "\r" if errors.is_terminal and done < total else "\n"
        errors.print(
            f"{self._names.get(stage, stage)} {done:,}/{total:,} · 남은 시간 · time left {left}",
            end=end,
            soft_wrap=True,
            highlight=False,
        )
