"""The champion of each domain: which adapters are in use, since when, and why.

Here: the pointer with its whole history, promotion and rollback. Not here: whether to promote (`promotion`), and the
weights (`adapters`).

One file per domain holds everything, is replaced as a whole under a lock and never edited: a reader sees the state
before or after a promotion, two promotions at once both end up in the history, and a killed process changes nothing.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from lex_assets.schemas import LexError, content_hash

Action = Literal["promote", "rollback"]
_DOMAIN = re.compile(r"[A-Za-z0-9_\-]+")


@dataclass(frozen=True)
class Manifest:
    """What is promoted and what it was made from.

    retriever, reranker: adapter ids, None for the base as it is · bases: name → identity · hashes: data, code, config,
    report, …, as hex digits · gate: what the promotion gate said (`promotion.Decision.to_dict`) · licences: name → licence.
    """

    domain: str
    retriever: str | None
    reranker: str | None
    bases: dict[str, str] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    gate: dict[str, Any] = field(default_factory=dict)
    licences: dict[str, str] = field(default_factory=dict)

    @property
    def manifest_id(self) -> str:
        """16 hex digits over the content."""
        return content_hash(json.dumps(asdict(self), ensure_ascii=False, sort_keys=True))[:16]


@dataclass(frozen=True)
class Champion:
    """One entry of a domain's history. `version` counts from 1; `manifest` is None after a rollback to the base model;
    `previous` is the version that a rollback from here returns to (None: the base model)."""

    version: int
    action: Action
    manifest: Manifest | None
    previous: int | None
    at: str
    note: str = ""

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Champion:
        """Inverse of `dataclasses.asdict`."""
        manifest = None if raw["manifest"] is None else Manifest(**raw["manifest"])
        return cls(**{**raw, "manifest": manifest})


class ChampionRegistry:
    """Champions of all domains below one folder."""

    def __init__(self, root: Path, lock_timeout_s: float = 30.0) -> None:
        self.root = Path(root)
        self.lock_timeout_s = lock_timeout_s

    def show(self, domain: str) -> Champion | None:
        """The current champion; None while the base model is in use."""
        history = self.history(domain)
        return history[-1] if history and history[-1].manifest is not None else None

    def history(self, domain: str) -> list[Champion]:
        """Every promotion and rollback, oldest first. Raises LexError when the file is damaged."""
        path = self._path(domain)
        try:
            return [Champion.from_dict(raw) for raw in json.loads(path.read_text(encoding="utf-8"))["history"]]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise LexError(f"{path}: damaged or unreadable ({error}); restore it from a backup") from error

    def version(self, domain: str) -> int:
        """Version of the last entry; 0 before the first. Pass it to `promote` as `expected`."""
        history = self.history(domain)
        return history[-1].version if history else 0

    def data_version(self, domain: str) -> str:
        """What the adapters in use are, as one string: changes exactly when they do."""
        champion = self.show(domain)
        manifest = champion.manifest if champion else None
        return "base" if manifest is None else f"{manifest.retriever or 'base'}+{manifest.reranker or 'base'}"

    def promote(self, manifest: Manifest, expected: int | None = None, note: str = "") -> Champion:
        """Makes `manifest` the champion of its domain.

        `expected`: the version that the gate compared with; when another promotion came first, LexError: decide again.
        Raises LexError when the folder cannot be written or locked."""
        with self._locked(manifest.domain):
            history = self.history(manifest.domain)
            current = history[-1].version if history else 0
            if expected is not None and expected != current:
                raise LexError(
                    f"champion {manifest.domain}: version {current} was promoted while {expected} was being compared with; "
                    "run the gate again"
                )
            live = current if history and history[-1].manifest is not None else None
            entry = Champion(current + 1, "promote", manifest, live, _now(), note)
            self._write(manifest.domain, [*history, entry])
        return entry

    def rollback(self, domain: str, note: str = "") -> Champion:
        """Returns to the champion before the current one, or to the base model when there was none; again, one further.

        Raises LexError when the base model is in use already."""
        with self._locked(domain):
            history = self.history(domain)
            if not history or history[-1].manifest is None:
                raise LexError(
                    f"champion {domain}: nothing to roll back, the base model is in use; promote an adapter first"
                )
            target = next((one for one in history if one.version == history[-1].previous), None)
            manifest, previous = (target.manifest, target.previous) if target else (None, None)
            entry = Champion(history[-1].version + 1, "rollback", manifest, previous, _now(), note)
            self._write(domain, [*history, entry])
        return entry

    def _path(self, domain: str) -> Path:
        if not _DOMAIN.fullmatch(domain):
            raise LexError(f"domain {domain!r}: use letters, digits, - and _")
        return self.root / f"{domain}.json"

    @contextmanager
    def _locked(self, domain: str) -> Iterator[None]:
        path = self._path(domain)
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

    def _write(self, domain: str, history: list[Champion]) -> None:
        path = self._path(domain)
        beside = path.with_name(f".{path.name}.{os.getpid()}.part")
        text = json.dumps({"domain": domain, "history": [asdict(one) for one in history]}, ensure_ascii=False, indent=1)
        with beside.open("w", encoding="utf-8") as target:
            target.write(text + "\n")
            target.flush()
            os.fsync(target.fileno())
        beside.replace(path)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
