"""Every answer that was paid for, by the hash of what was asked: a killed run goes on, a rerun costs nothing."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from lex_assets.llm.chat import Reply
from lex_assets.schemas import LexError

_BUSY_S = 30.0
_TABLE = """
CREATE TABLE IF NOT EXISTS replies (
    key TEXT PRIMARY KEY, model TEXT NOT NULL, parameters TEXT NOT NULL, prompt_version TEXT NOT NULL,
    text TEXT NOT NULL, finish_reason TEXT NOT NULL, prompt_tokens INTEGER NOT NULL, completion_tokens INTEGER NOT NULL
) WITHOUT ROWID
"""


class ReplyCache:
    """One SQLite file on a local disk, in WAL mode: each reply is committed before it is used, readers and writers of
    several processes do not disturb each other, and a kill at any point leaves whole rows only."""

    def __init__(self, path: Path) -> None:
        """Open or create. Raises LexError when the file is no cache or cannot be written."""
        self.path = Path(path)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(_TABLE)
        except (OSError, sqlite3.Error) as error:
            raise self._failure(error) from error

    def get(self, key: str) -> Reply | None:
        """The reply stored under `key`, or None."""
        columns = "text, finish_reason, prompt_tokens, completion_tokens"
        try:
            row = self._connection.execute(f"SELECT {columns} FROM replies WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return Reply(*row) if row else None

    def put(self, key: str, model: str, parameters: str, prompt_version: str, reply: Reply) -> None:
        """Store a reply; one that is there already stays."""
        values = (reply.text, reply.finish_reason, reply.prompt_tokens, reply.completion_tokens)
        try:
            self._connection.execute(
                "INSERT OR IGNORE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (key, model, parameters, prompt_version, *values),
            )
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def __len__(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM replies").fetchone()[0])

    def close(self) -> None:
        """Close the file; what was stored is on disk."""
        self._connection.close()

    def _failure(self, error: Exception) -> LexError:
        return LexError(
            f"{self.path}: the cache of answers cannot be used ({error}); it must be writable and on a local disk, "
            "and is deleted only at the price of asking again"
        )
