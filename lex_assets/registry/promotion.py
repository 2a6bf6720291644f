"""The promotion gate: may this adapter replace what is in use?

Looks at the promotion set only. The test set is reported and never gates: choosing by it would spend it. Every condition
is answered, with its figures, whether it holds or not, so that a refusal says what is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from lex_assets.evaluation.significance import REASONS, Comparison, agree
from lex_assets.schemas import LexError

PERMISSIVE = ("apache-2.0", "mit", "bsd-3-clause", "cc-by-4.0", "cc0-1.0")


def _knob(default: Any, description: str) -> Any:
    return field(default=default, metadata={"description": description})


@dataclass(frozen=True)
class GateConfig:
    """The gate's bounds. Raises ValueError on values that make no sense."""

    min_difference: float = _knob(
        0.01, "승격에 필요한 최소 개선폭. Smallest gain worth a change, in the metric's unit."
    )
    slice_bound: float = _knob(-0.02, "조각의 하한. A slice fails when its whole interval lies below this difference.")
    guard_bound: float = _knob(-0.01, "보호 집합의 하한. The same for guard sets (unseen law, other domains).")
    min_slice: int = _knob(20, "조각의 최소 질의 수. Slices of fewer queries do not gate.")
    max_latency_ms: float | None = _knob(
        None, "질의당 지연 한계(밀리초). Bound on latency per query in ms; none if unset."
    )
    max_size_bytes: int | None = _knob(
        None, "어댑터 크기 한계(바이트). Bound on the adapters' size in bytes; none if unset."
    )
    licences: tuple[str, ...] = _knob(PERMISSIVE, "허용하는 사용 허락. Licences allowed, in lower case.")
    seeds: int = _knob(
        1, "모두 나아야 하는 학습 시드 수. Training seeds that must all be better, the adapter's own included."
    )

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise ValueError("seeds counts the adapter's own: 1 or more")
        if max(self.slice_bound, self.guard_bound) > 0:
            raise ValueError("slice_bound and guard_bound are losses that are tolerated: 0 or below")


@dataclass(frozen=True)
class Reason:
    """One condition and whether it held. `code` for programs, Korean and English for people."""

    code: str
    held: bool
    korean: str
    english: str


@dataclass(frozen=True)
class Decision:
    """What the gate says. `promoted` only when every condition held. tries: how many different candidates were decided on
    with this promotion set, this one included; the more, the likelier one of them passes by chance."""

    promoted: bool
    reasons: tuple[Reason, ...]
    comparison: Comparison | None
    config: GateConfig = field(default_factory=GateConfig)
    tries: int = 1

    @property
    def failures(self) -> tuple[Reason, ...]:
        """Conditions that did not hold."""
        return tuple(reason for reason in self.reasons if not reason.held)

    def summary(self) -> str:
        """One line, Korean then English."""
        if self.promoted:
            return "승격: 모든 조건을 충족함 · promoted: every condition held"
        korean = "; ".join(reason.korean for reason in self.failures)
        english = "; ".join(reason.english for reason in self.failures)
        return f"승격하지 않음: {korean} · not promoted: {english}"

    def markdown(self) -> str:
        """All conditions as a table, for the Dagster UI."""
        head = ["| 조건 · condition | 충족 · held | 설명 | explanation |", "|---|---|---|---|"]
        rows = [
            f"| {r.code} | {'예 · yes' if r.held else '**아니요 · no**'} | {r.korean} | {r.english} |"
            for r in self.reasons
        ]
        return "\n".join(head + rows)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, for the manifest."""
        return {
            "promoted": self.promoted,
            "reasons": [asdict(reason) for reason in self.reasons],
            "comparison": self.comparison.to_dict() if self.comparison else None,
            "config": asdict(self.config),
            "tries": self.tries,
        }


def gate(
    comparison: Comparison | None,
    config: GateConfig | None = None,
    *,
    slices: Mapping[str, Comparison] | None = None,
    guards: Mapping[str, Comparison] | None = None,
    seeds: Sequence[Comparison] = (),
    latency_ms: float | None = None,
    size_bytes: int | None = None,
    licences: Mapping[str, str] | None = None,
) -> Decision:
    """Whether the candidate may become champion.

    Args:
        comparison: candidate against the system in use, human queries of the promotion set; None where there are none,
            which promotes nothing.
        slices: name → the same comparison on a part of those queries. guards: name → on other domains, general sets, or
            the unseen-law regime, all of the promotion set.
        seeds: the same comparison for the candidate's other training seeds; every one of them must be better.
        latency_ms: milliseconds per query. size_bytes: of the adapters. licences: what it was made from → licence.

    Raises LexError when any comparison comes from another set than "promotion".
    """
    config = config or GateConfig()
    repeated = {f"seed {n}": one for n, one in enumerate(seeds, start=2)}
    parts = {"comparison": comparison, **(slices or {}), **(guards or {}), **repeated}
    wrong = [f"{name} ({one.query_set})" for name, one in parts.items() if one and one.query_set != "promotion"]
    if wrong:
        raise LexError(
            f"promotion gate: {wrong[0]} is not of the promotion set; the test set never gates, compare on promotion"
        )
    reasons = [
        *([_better(comparison), _large_enough(comparison, config)] if comparison else [_NO_QUERIES]),
        *([_seeds_agree([comparison, *seeds], config)] if comparison and (seeds or config.seeds > 1) else []),
        *_not_worse("slice", "조각", slices or {}, config.slice_bound),
        *_not_worse("guard", "보호 집합", guards or {}, config.guard_bound),
        *_bounded("latency", "지연", latency_ms, config.max_latency_ms, "ms"),
        *_bounded("size", "크기", size_bytes, config.max_size_bytes, "bytes"),
        *_licensed(licences or {}, config.licences),
    ]
    return Decision(all(reason.held for reason in reasons), tuple(reasons), comparison, config)


_NO_QUERIES = Reason(
    "better", False, "승격 집합에 사람이 만든 질의가 없음", "the promotion set has no human query to compare on"
)


def _figures(one: Comparison) -> str:
    return f"{one.difference:+.4f} [{one.low:+.4f}, {one.high:+.4f}], n={one.n}, p={one.p_holm:.4f}"


def _better(one: Comparison) -> Reason:
    korean, english = REASONS[one.reason]
    found = "검출 불가" if one.smallest_detectable is None else f"{one.smallest_detectable:.4f}"
    detectable = f", 최소 검출 차이 {found}"
    return Reason(
        "better",
        one.verdict == "better",
        f"{one.metric} {_figures(one)}: {korean}{detectable if one.verdict == 'insufficient' else ''}",
        f"{one.metric} {_figures(one)}: {one.verdict} ({english})",
    )


def _large_enough(one: Comparison, config: GateConfig) -> Reason:
    bound = f"{one.difference:+.4f} ≥ {config.min_difference:+.4f}"
    held = one.difference >= config.min_difference
    return Reason(
        "margin",
        held,
        f"개선폭 {bound}: {'충족' if held else '미달'}",
        f"gain {bound}: {'held' if held else 'not held'}",
    )


def _seeds_agree(comparisons: Sequence[Comparison], config: GateConfig) -> Reason:
    trained = len(comparisons)
    if trained < config.seeds:
        return Reason(
            "seeds",
            False,
            f"학습 시드 {trained}개, 필요 {config.seeds}개: retriever_adapter와 reranker_adapter의 more_seeds를 올림",
            f"{trained} of {config.seeds} training seeds; raise more_seeds of retriever_adapter and reranker_adapter",
        )
    held, gains = agree(comparisons) == "better", ", ".join(f"{one.difference:+.4f}" for one in comparisons)
    return Reason(
        "seeds",
        held,
        f"학습 시드 {len(comparisons)}개의 차이 {gains}: {'모두 나음' if held else '모두 낫지는 않음'}",
        f"differences of {len(comparisons)} training seeds {gains}: {'all better' if held else 'not all of them are better'}",
    )


def _not_worse(code: str, korean: str, parts: Mapping[str, Comparison], bound: float) -> list[Reason]:
    """Fails where the whole interval is below the bound and there are enough groups: where it is proven, not where it is
    merely possible."""
    reasons = []
    for name, one in sorted(parts.items()):
        held = one.high >= bound or one.n_clusters < one.config.min_clusters
        text = f"{korean} {name}: {_figures(one)}, {'한계보다 나쁘다는 증거 없음' if held else '한계보다 나쁨'} {bound:+.3f}"
        english = f"{code} {name}: {_figures(one)}, {'not proven below' if held else 'wholly below'} {bound:+.3f}"
        reasons.append(Reason(f"{code}:{name}", held, text, english))
    return reasons


def _bounded(code: str, korean: str, value: float | None, bound: float | None, unit: str) -> list[Reason]:
    """A bound that is set and a value that was not measured is a failure, not a pass."""
    if bound is None:
        return []
    if value is None:
        return [
            Reason(
                code,
                False,
                f"{korean}을 재지 않음 (한계 {bound:,g} {unit})",
                f"{code} was not measured (bound {bound:,g} {unit})",
            )
        ]
    held, text = value <= bound, f"{value:,.6g} / {bound:,g} {unit}"
    return [
        Reason(
            code,
            held,
            f"{korean} {text}: {'충족' if held else '초과'}",
            f"{code} {text}: {'held' if held else 'exceeded'}",
        )
    ]


def _licensed(licences: Mapping[str, str], allowed: Sequence[str]) -> list[Reason]:
    reasons = []
    for name, licence in sorted(licences.items()):
        held = licence.lower() in allowed
        korean = f"{name}의 사용 허락 {licence or '없음'}: {'허용' if held else '허용 목록에 없음'}"
        english = f"licence of {name} is {licence or 'unknown'}: {'allowed' if held else 'not on the list'}"
        reasons.append(Reason(f"licence:{name}", held, korean, english))
    return reasons
