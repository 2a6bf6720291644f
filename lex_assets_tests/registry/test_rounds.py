"""Rounds of re-mining: when they stop, and that a repetition of a round starts from the same negatives."""

from __future__ import annotations

from pathlib import Path

import pytest

from lex_assets.registry.rounds import Round, Rounds, RoundsConfig
from lex_assets.schemas import LexError


def round_of(**given) -> Round:
    values = {
        "question": "q", "mined": "m", "mining_model": "base", "data": "d", "adapter": "a", "kept": 0,
        "metric_name": "ndcg@10", "base_metric": 0.4, "metric": 0.5, "promoted": True,
    }  # fmt: skip
    return Round(**(values | given))


def test_rounds_go_on_while_validation_gains_and_stop_when_it_does_not(tmp_path: Path) -> None:
    rounds, config = Rounds(tmp_path), RoundsConfig(min_gain=0.01)
    assert rounds.stopped("law") == ""
    for number, metric in enumerate((0.5, 0.52), 1):
        history = rounds.record("law", round_of(mined=f"m{number}", metric=metric), config)
        assert rounds.stopped("law") == ""
    assert [round(one.gain or 0, 6) for one in history] == [0.1, 0.02]
    rounds.record("law", round_of(mined="m3", metric=0.525), config)
    assert rounds.stopped("law") == "no_gain" and rounds.stopped("finance") == ""


def test_a_fallen_guard_stops_whatever_was_gained(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path)
    rounds.record("law", round_of(metric=0.9, failed=("margin", "guard:unseen_law")), RoundsConfig())
    assert rounds.stopped("law") == "guard"


def test_other_documents_are_not_compared_and_start_anew(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path)
    for number, data in enumerate(("d1", "d1", "d2")):
        history = rounds.record(
            "law", round_of(mined=f"m{number}", metric=0.5 - number / 10, data=data), RoundsConfig()
        )
    assert [one.stop for one in history] == ["", "no_gain", ""] and history[-1].gain is None


def test_a_repeated_round_is_recorded_once_and_starts_from_the_same_negatives(tmp_path: Path) -> None:
    rounds = Rounds(tmp_path)
    assert rounds.before("law", "q1") is None
    first = rounds.record("law", round_of(question="q1", mined="m-q1", at="2026-01-05T03:00:00"), RoundsConfig())
    assert rounds.record("law", round_of(question="q1", mined="m-q1"), RoundsConfig()) == first
    for question in ("q1", "q2", "q2"):
        history = rounds.record("law", round_of(question=question, mined=f"m-{question}"), RoundsConfig())
    assert [one.mined for one in history] == ["m-q1", "m-q2"] and [one.number for one in history] == [1, 2]
    assert rounds.before("law", "q1") is None
    for question in ("q2", "q3"):
        found = rounds.before("law", question)
        assert found is not None and found.mined == {"q2": "m-q1", "q3": "m-q2"}[question]


def test_a_damaged_history_is_named(tmp_path: Path) -> None:
    (tmp_path / "law.json").write_text('{"rounds": [{"number": 1}]}', "utf-8")
    with pytest.raises(LexError, match=r"law\.json: damaged"):
        Rounds(tmp_path).history("law")
