"""From rankings to the gate's decision, and from a passed gate to the champion."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from lex_assets.registry.candidate import Pair, Registry, judge_candidate
from lex_assets.registry.promotion import Decision
from lex_assets.schemas import LexError
from lex_assets_tests.evaluation import made_up

SERVED = ("base_hybrid_rerank", "adapter_hybrid_rerank")


def rankings(base: float, adapter: float, n: int = 700) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    asked, qrels = made_up.queries(n)
    return made_up.runs(asked, qrels, dict(zip(SERVED, (base, adapter), strict=True))), asked, qrels


def judged(run: pl.DataFrame, asked: pl.DataFrame, qrels: pl.DataFrame) -> Decision | None:
    return judge_candidate(run, asked, qrels, made_up.corpus(), "base")


def test_only_human_promotion_queries_decide() -> None:
    run, asked, qrels = rankings(0.3, 0.8)
    decision = judged(run, asked, qrels)
    human = asked.filter(pl.col("set") == "promotion", pl.col("origin") != "synthetic")
    assert decision.promoted and decision.comparison.n == human.filter(pl.col("regime") == "unseen_query").height
    assert {r.code for r in decision.reasons} >= {"better", "margin", "slice:citation", "guard:unseen_law"}
    assert judged(run, asked.with_columns(origin=pl.lit("synthetic")), qrels) is None


def test_a_gain_on_known_law_that_forgets_new_law_is_refused() -> None:
    run, asked, qrels = rankings(0.4, 0.9, 2500)
    forgotten = asked.filter(pl.col("regime") == "unseen_law")["query_id"].to_list()
    swapped = dict(zip(SERVED, reversed(SERVED), strict=True))
    system = pl.when(pl.col("query_id").is_in(forgotten)).then(pl.col("system").replace(swapped)).otherwise("system")
    decision = judged(run.with_columns(system=system), asked, qrels)
    assert [r.code for r in decision.failures] == ["guard:unseen_law"]


def test_a_promotion_keeps_the_adapters_and_says_why(tmp_path: Path) -> None:
    registry, decision = Registry(tmp_path / "registry"), judged(*rankings(0.3, 0.8))
    pair = Pair(_adapter(tmp_path / "a", b"a"), _adapter(tmp_path / "b", b"b"), {"retriever": "x", "reranker": "y"})
    entry = registry.promote("law", pair, decision, {"corpus": "c"}, 0)
    folders = registry.champion_folders("law")
    assert [(f / "adapter_model.safetensors").read_bytes() for f in folders] == [b"a", b"b"]
    assert entry.manifest.gate["promoted"] and "승격" in entry.note
    assert registry.champion_folders("finance") is None
    (folders[0] / "adapter_model.safetensors").write_bytes(b"tampered")
    with pytest.raises(LexError, match="changed since"):
        registry.champion_folders("law")


def _adapter(folder: Path, weights: bytes) -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder
