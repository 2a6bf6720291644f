"""The rule by which a domain's gate decides, frozen at its first decision, and the candidates that it was tried on.

A gate that may be tried again with a smaller sample or other bounds is passed sooner or later. So the first decision of a
domain freezes all that decides; a candidate that was measured otherwise is refused until somebody changes the rule on
purpose, which is kept with the reason. Not here: the conditions themselves (`promotion`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lex_assets.registry.domain_files import DomainFiles, damaged
from lex_assets.registry.promotion import Decision, GateConfig, Reason
from lex_assets.schemas import LexError


@dataclass(frozen=True)
class Rule:
    """gate: the bounds · measured: how the promotion set was ranked (sample, depths, guard sets, seeds), by name."""

    gate: GateConfig
    measured: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready: lists where there were tuples, so that it compares with what was read."""
        return json.loads(json.dumps({"gate": asdict(self.gate), "measured": dict(self.measured)}))

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Rule:
        """Inverse of `to_dict`. Raises TypeError for bounds that are not those of a GateConfig."""
        gate: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in raw["gate"].items()
        }
        return cls(GateConfig(**gate), raw["measured"])

    def departures(self, frozen: Rule) -> list[str]:
        """How this rule departs from a frozen one: `rerank_depth 6 (30)`, in the order of the settings."""
        here, there = ({**raw["gate"], **raw["measured"]} for raw in (self.to_dict(), frozen.to_dict()))
        names = dict.fromkeys([*there, *here])
        return [f"{n} {here.get(n)} ({there.get(n)})" for n in names if here.get(n) != there.get(n)]


@dataclass(frozen=True)
class FrozenRule:
    """A domain's rule since `at`."""

    rule: Rule
    at: str


class GateRules:
    """The rules of all domains, and who was tried, below one folder."""

    def __init__(self, root: Path, lock_timeout_s: float = 30.0) -> None:
        self._files = DomainFiles(root, lock_timeout_s)

    def frozen(self, domain: str) -> FrozenRule | None:
        """The rule in force; None before the first decision, and after a change until the next one."""
        raw = self._read(domain)["rule"]
        return self._parsed(domain, raw) if raw else None

    def freeze(self, domain: str, rule: Rule) -> FrozenRule:
        """The rule in force, which is `rule` when there was none."""
        with self._files.locked(domain):
            content = self._read(domain)
            if content["rule"] is None:
                content["rule"] = rule.to_dict() | {"at": _now()}
                self._files.write(domain, content)
        return self._parsed(domain, content["rule"])

    def change(self, domain: str, note: str) -> FrozenRule:
        """Let the next decision freeze another rule, and keep the old one with the reason. Returns the old one.

        Raises LexError without a reason, and when no rule is frozen."""
        if not note.strip():
            raise LexError(f"gate {domain}: give the reason for changing the rule; it is kept")
        with self._files.locked(domain):
            content, old = self._read(domain), self.frozen(domain)
            if old is None:
                raise LexError(f"gate {domain}: no rule is frozen; the next decision freezes its own")
            changes = [*content["changes"], {"at": _now(), "note": note, "from": content["rule"]}]
            self._files.write(domain, content | {"rule": None, "changes": changes})
        return old

    def tried(self, domain: str, pair: Sequence[str], promotion_set: str, promoted: bool) -> int:
        """Note that a pair of adapters (its hashes) was decided on; how many different ones were, on this promotion set."""
        one = {"pair": list(pair), "promotion_set": promotion_set}
        with self._files.locked(domain):
            content = self._read(domain)
            same_set = [a for a in content["tries"] if a["promotion_set"] == promotion_set]
            if any(a["pair"] == one["pair"] for a in same_set):
                return len(same_set)
            self._files.write(
                domain, content | {"tries": [*content["tries"], one | {"at": _now(), "promoted": promoted}]}
            )
        return len(same_set) + 1

    def _parsed(self, domain: str, raw: Mapping[str, Any]) -> FrozenRule:
        try:
            return FrozenRule(Rule.from_dict(raw), raw["at"])
        except (KeyError, TypeError, AttributeError) as error:
            raise damaged(self._files.path(domain), error) from error

    def _read(self, domain: str) -> dict[str, Any]:
        return {"domain": domain, "rule": None, "tries": [], "changes": []} | (self._files.read(domain) or {})


def under(frozen: FrozenRule, rule: Rule, decision: Decision) -> Decision:
    """`decision`, which was made by `rule`, with the condition that this is the frozen one."""
    departures = ", ".join(rule.departures(frozen.rule))
    korean, english = (
        (
            f"승격 설정이 {frozen.at}에 고정한 것과 다름(괄호 안이 고정): {departures}. 되돌려 다시 평가하거나 `lex-assets champion rule --change`",
            f"settings are not those frozen at {frozen.at} (in brackets): {departures}; restore them and evaluate again, or "
            "run lex-assets champion rule --change",
        )
        if departures
        else (f"{frozen.at}에 고정한 설정", f"the settings frozen at {frozen.at}")
    )
    held = not departures
    reason = Reason("rule", held, korean, english)
    return replace(decision, promoted=decision.promoted and held, reasons=(reason, *decision.reasons))


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
