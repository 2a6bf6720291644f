"""The champion of each domain: which adapters are in use, since when, and why.

Here: the pointer with its whole history, promotion and rollback. Not here: whether to promote (`promotion`), and the
weights (`adapters`).

One file per domain (`domain_files`) holds everything: two promotions at once both end up in the history.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from lex_assets.registry.domain_files import DomainFiles, damaged
from lex_assets.schemas import LexError, content_hash

Action = Literal["promote", "rollback"]


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
        self._files = DomainFiles(root, lock_timeout_s)

    def show(self, domain: str) -> Champion | None:
        """The current champion; None while the base model is in use."""
        history = self.history(domain)
        return history[-1] if history and history[-1].manifest is not None else None

    def history(self, domain: str) -> list[Champion]:
        """Every promotion and rollback, oldest first. Raises LexError when the file is damaged."""
        found = self._files.read(domain)
        try:
            return [Champion.from_dict(raw) for raw in found["history"]] if found else []
        except (KeyError, TypeError) as error:
            raise damaged(self._files.path(domain), error) from error

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
        with self._files.locked(manifest.domain):
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
        with self._files.locked(domain):
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

    def _write(self, domain: str, history: list[Champion]) -> None:
        self._files.write(domain, {"domain": domain, "history": [asdict(one) for one in history]})


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
