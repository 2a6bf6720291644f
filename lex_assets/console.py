"""What the commands share: where they print, how they fail, how they write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
