"""One JSON file per domain below one folder: replaced as a whole under a lock, so that a reader sees the state before or after
a change, two changes at once both count, and a killed process changes nothing."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lex_assets.schemas import LexError

_DOMAIN = re.compile(r"[A-Za-z0-9_\-]+")


class DomainFiles:
    """The files of one folder. lock_timeout_s: how long a change waits for another, in seconds."""

    def __init__(self, root: Path, lock_timeout_s: float = 30.0) -> None:
        self.root = Path(root)
        self.lock_timeout_s = lock_timeout_s

    def path(self, domain: str) -> Path:
        """The file of `domain`. Raises LexError for a name that is no domain."""
        if not _DOMAIN.fullmatch(domain):
            raise LexError(f"domain {domain!r}: use letters, digits, - and _")
        return self.root / f"{domain}.json"

    def read(self, domain: str) -> dict[str, Any] | None:
        """What was written last; None before the first time. Raises LexError when the file is damaged."""
        path = self.path(domain)
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise damaged(path, error) from error
        if not isinstance(found, dict):
            raise damaged(path, "not an object")
        return found

    @contextmanager
    def locked(self, domain: str) -> Iterator[None]:
        """Nobody else changes the file of `domain` meanwhile. Raises LexError when the folder cannot be written or locked."""
        path = self.path(domain)
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            with FileLock(path.with_suffix(".lock"), timeout=self.lock_timeout_s):
                yield
        except Timeout as error:
            raise LexError(
                f"{path}: another promotion holds the lock for {self.lock_timeout_s:g} s; try again"
            ) from error
        except OSError as error:
            raise LexError(f"{path}: cannot write ({error.strerror or error}); make the folder writable") from error

    def write(self, domain: str, content: dict[str, Any]) -> None:
        """Replace the file of `domain`; only within `locked`."""
        path = self.path(domain)
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        with beside.open("w", encoding="utf-8") as target:
            target.write(json.dumps(content, ensure_ascii=False, indent=1) + "\n")
            target.flush()
            os.fsync(target.fileno())
        beside.replace(path)


def damaged(path: Path, error: object) -> LexError:
    """What to raise for a file that does not hold what was written."""
    return LexError(f"{path}: damaged or unreadable ({error}); restore it from a backup")
