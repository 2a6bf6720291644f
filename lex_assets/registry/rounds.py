"""The rounds of re-mining: which model mined, what its training reached, what the gate said, and whether another is worth it.

Every round trains from the base; what one hands to the next is the mining model (the champion) and a share of its negatives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lex_assets.registry.domain_files import DomainFiles, damaged

GUARD = "guard:"
"""How the codes of the gate's guards begin."""


class RoundsConfig(BaseModel):
    """When re-mining stops."""

    model_config = ConfigDict(frozen=True)

    min_gain: float = Field(
        default=0.005,
        description="다음 라운드를 할 만한 검증 개선폭. Gain on validation over the round before that is worth another round.",
    )


@dataclass(frozen=True)
class Round:
    """One round. question: hash of what was mined and by which model, the negatives of the round before left out · mined:
    key of the mined stage · mining_model, data: hashes of the model that mined and of queries and corpus · base_metric,
    metric: on validation, before and after training · failed: codes of the gate's conditions that did not hold · number, at,
    gain, stop: given when it is recorded; gain is None where the round before saw other data, stop is "" to go on."""

    question: str
    mined: str
    mining_model: str
    data: str
    adapter: str
    kept: int
    metric_name: str
    base_metric: float
    metric: float
    promoted: bool
    failed: tuple[str, ...] = ()
    number: int = 0
    at: str = ""
    gain: float | None = None
    stop: str = ""

    @classmethod
    def from_dict(cls, raw: dict[str, Any]) -> Round:
        """Inverse of `dataclasses.asdict`."""
        return cls(**raw | {"failed": tuple(raw["failed"])})


class Rounds:
    """Rounds of all domains below one folder."""

    def __init__(self, root: Path) -> None:
        self._files = DomainFiles(root)

    def history(self, domain: str) -> list[Round]:
        """Every round, oldest first. Raises LexError when the file is damaged."""
        found = self._files.read(domain)
        try:
            return [Round.from_dict(raw) for raw in found["rounds"]] if found else []
        except (KeyError, TypeError) as error:
            raise damaged(self._files.path(domain), error) from error

    def before(self, domain: str, question: str) -> Round | None:
        """The round whose negatives one with this `question` starts from: the same for every repetition of a round."""
        history = self.history(domain)
        place = next((n for n, one in enumerate(history) if one.question == question), len(history))
        return history[place - 1] if place else None

    def stopped(self, domain: str) -> str:
        """Why no further round is due until the documents change; "" when one is."""
        history = self.history(domain)
        return history[-1].stop if history else ""

    def record(self, domain: str, one: Round, config: RoundsConfig) -> list[Round]:
        """The history with `one`; a repetition of the last round takes its place and keeps its time."""
        with self._files.locked(domain):
            history = self.history(domain)
            if history and (history[-1].mined, history[-1].adapter) == (one.mined, one.adapter):
                one = replace(one, at=history.pop().at)
            history.append(_numbered(one, history, config))
            self._files.write(domain, {"domain": domain, "rounds": [asdict(each) for each in history]})
        return history


def _numbered(one: Round, history: Sequence[Round], config: RoundsConfig) -> Round:
    gain = gain_over(history[-1] if history else None, one)
    known = asdict(one) | {"number": len(history) + 1, "at": one.at or datetime.now(UTC).isoformat(timespec="seconds")}
    return Round.from_dict(known | {"gain": gain, "stop": why_stop(gain, one.failed, config)})


def gain_over(previous: Round | None, one: Round) -> float | None:
    """What `one` gained on validation: over its base in the first round, else over the round before; None where that saw
    other data, so that the two do not compare."""
    if previous is None:
        return one.metric - one.base_metric
    return one.metric - previous.metric if previous.data == one.data else None


def why_stop(gain: float | None, failed: Sequence[str], config: RoundsConfig) -> str:
    """`guard` when a guard fell, `no_gain` below the threshold, "" to go on."""
    if any(code.startswith(GUARD) for code in failed):
        return "guard"
    return "no_gain" if gain is not None and gain < config.min_gain else ""
