"""The champion: promotion, rollback, history, and promotions at the same time."""

from __future__ import annotations

import json
import multiprocessing
from pathlib import Path

import pytest

from lex_assets.registry.champion import ChampionRegistry, Manifest
from lex_assets.schemas import LexError


def manifest(retriever: str | None, domain: str = "law") -> Manifest:
    return Manifest(domain, retriever, None, bases={"retriever": "builtin"}, hashes={"report": "ab"})


@pytest.mark.smoke
def test_promotion_is_shown_and_remembered(tmp_path: Path) -> None:
    registry = ChampionRegistry(tmp_path)
    assert registry.show("law") is None and registry.data_version("law") == "base"
    first = registry.promote(manifest("r1"), note="first")
    second = registry.promote(manifest("r2"))
    assert registry.show("law") == second and registry.show("finance") is None
    assert registry.history("law") == [first, second] and registry.data_version("law") == "r2+base"
    assert ChampionRegistry(tmp_path).history("law") == [first, second], "another process sees the same"


def test_rollback_walks_back_to_the_base_and_stops(tmp_path: Path) -> None:
    registry = ChampionRegistry(tmp_path)
    for name in ("r1", "r2", "r3"):
        registry.promote(manifest(name))
    assert registry.rollback("law").manifest.retriever == "r2"
    assert registry.rollback("law").manifest.retriever == "r1"
    assert registry.rollback("law", "bad in production").manifest is None and registry.show("law") is None
    with pytest.raises(LexError, match="nothing to roll back"):
        registry.rollback("law")
    assert registry.promote(manifest("r4")).previous is None
    assert [one.version for one in registry.history("law")] == [1, 2, 3, 4, 5, 6, 7]


def test_a_promotion_after_a_rollback_returns_to_what_was_in_use(tmp_path: Path) -> None:
    registry = ChampionRegistry(tmp_path)
    registry.promote(manifest("r1"))
    registry.promote(manifest("r2"))
    registry.rollback("law")
    registry.promote(manifest("r3"))
    assert registry.rollback("law").manifest.retriever == "r1", "r2 was rolled back and must not return"


def test_a_gate_that_compared_with_an_older_champion_is_refused(tmp_path: Path) -> None:
    registry = ChampionRegistry(tmp_path)
    version = registry.version("law")
    registry.promote(manifest("r1"), expected=version)
    with pytest.raises(LexError, match="version 1 was promoted while 0"):
        registry.promote(manifest("r2"), expected=version)
    assert registry.show("law").manifest.retriever == "r1"


def _promote_many(folder: str, worker: int) -> None:
    for i in range(10):
        ChampionRegistry(Path(folder)).promote(manifest(f"w{worker}-{i}"))


def test_promotions_at_once_lose_none(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_promote_many, args=(str(tmp_path), worker)) for worker in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    history = ChampionRegistry(tmp_path).history("law")
    assert [one.version for one in history] == list(range(1, 31))
    assert len({one.manifest.retriever for one in history}) == 30


def test_a_damaged_pointer_is_an_error_and_not_the_base(tmp_path: Path) -> None:
    (tmp_path / "law.json").write_text('{"history": [')
    with pytest.raises(LexError, match=r"law\.json: damaged"):
        ChampionRegistry(tmp_path).show("law")
    with pytest.raises(LexError, match="damaged"):
        ChampionRegistry(tmp_path).promote(manifest("r"))


def test_a_failed_write_keeps_the_champion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = ChampionRegistry(tmp_path)
    registry.promote(manifest("r1"))
    monkeypatch.setattr(json, "dumps", lambda *a, **k: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(LexError, match="No space left"):
        registry.promote(manifest("r2"))
    monkeypatch.undo()
    assert registry.show("law").manifest.retriever == "r1"


def test_domains_cannot_leave_the_folder(tmp_path: Path) -> None:
    with pytest.raises(LexError, match="use letters"):
        ChampionRegistry(tmp_path).show("../law")


def test_a_lock_that_is_held_is_named(tmp_path: Path) -> None:
    from filelock import FileLock

    with FileLock(tmp_path / "law.lock"), pytest.raises(LexError, match="another promotion holds the lock"):
        ChampionRegistry(tmp_path, lock_timeout_s=0.1).promote(manifest("r"))
