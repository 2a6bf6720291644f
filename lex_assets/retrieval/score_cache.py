"""Cross-encoder scores that were computed once: keyed by the scorer's weights and settings and by the pair's texts, so that
mining, evaluation and search share them and a changed model reads none of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from lex_assets.retrieval.types import PairScorer
from lex_assets.schemas import LexError, content_hash

PART_PAIRS = 8192
"""Pairs that are scored, and kept, together."""

_BUSY_S = 30.0


def with_score_cache(scorer: PairScorer, cache_dir: Path | None) -> PairScorer:
    """`scorer`, reading from and writing to `cache_dir`; itself without one."""
    return scorer if cache_dir is None else CachedScorer(scorer, cache_dir)


class CachedScorer:
    """A cross-encoder beside the scores it gave before, in one SQLite file on a local disk.

    Parts are committed one by one: a killed run goes on behind the last. Processes may share the file.
    """

    def __init__(self, scorer: PairScorer, cache_dir: Path) -> None:
        self._scorer = scorer
        self.path = Path(cache_dir) / f"{scorer.cache_key}.sqlite"

    @property
    def cache_key(self) -> str:
        """The scorer's own."""
        return self._scorer.cache_key

    def score(self, pairs: Sequence[tuple[str, str]], batch_size: int = 64) -> np.ndarray:
        """(n,) float32 logits; equal pairs are scored once. Raises LexError for a score that is not finite, or when the file
        cannot be used."""
        keys = [bytes.fromhex(content_hash(*pair)[:32]) for pair in pairs]
        with self._opened() as connection:
            known = _kept(connection, keys)
            missing = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in known}
            # Longest first, so that a part's batches are of similar length and one that does not fit in memory fails at once.
            ordered = sorted(missing, key=lambda key: -sum(map(len, missing[key])))
            for at in range(0, len(ordered), PART_PAIRS):
                part = ordered[at : at + PART_PAIRS]
                scores = self._scorer.score([missing[key] for key in part], batch_size=batch_size)
                _require_finite(scores)
                rows = list(zip(part, scores.tolist(), strict=True))
                with connection:
                    connection.executemany("INSERT OR IGNORE INTO scores VALUES (?, ?)", rows)
                known.update(rows)
        return np.array([known[key] for key in keys], np.float32)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self.path, timeout=_BUSY_S)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, score REAL) WITHOUT ROWID")
                yield connection
        except (OSError, sqlite3.Error) as error:
            raise LexError(
                f"score cache {self.path} cannot be used ({error}); it must be writable and on a local disk; delete it if it "
                "is damaged"
            ) from error


def _kept(connection: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, float]:
    connection.execute("CREATE TEMP TABLE wanted (key BLOB PRIMARY KEY) WITHOUT ROWID")
    connection.executemany("INSERT OR IGNORE INTO wanted VALUES (?)", ((key,) for key in keys))
    return dict(connection.execute("SELECT key, score FROM scores JOIN wanted USING (key)").fetchall())


def _require_finite(scores: np.ndarray) -> None:
    if not np.isfinite(scores).all():
        raise LexError("the reranker gave NaN or infinite scores; check its weights and precision")
