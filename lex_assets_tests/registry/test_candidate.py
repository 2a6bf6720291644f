"""From rankings to the gate's decision, and from a passed gate to the champion."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from lex_assets.evaluation.guards import GUARD_SCORES
from lex_assets.registry.candidate import Candidate, Pair, Registry, judge
from lex_assets.registry.promotion import GateConfig
from lex_assets.schemas import LexError
from lex_assets_tests.evaluation import made_up

SERVED = ("base_hybrid_rerank", "adapter_hybrid_rerank")


def adapter(folder: Path, weights: bytes) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(weights)
    return folder


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    bases = {"retriever": "x", "reranker": "y"}
    return Pair(adapter(tmp_path / "a", b"a"), adapter(tmp_path / "b", b"b"), bases, {"base": "MIT"})


def candidate(pair: Pair, base: float, new: float, n: int = 700) -> Candidate:
    asked, qrels = made_up.queries(n)
    run = made_up.runs(asked, qrels, dict(zip(SERVED, (base, new), strict=True)))
    return Candidate("law", pair, run, asked, qrels, made_up.corpus(), "base", 0, hashes={"corpus": "c"})


def guard_scores(base: float, new: float, queries: int = 40) -> pl.DataFrame:
    """A guard set on which the retriever scores as before and the reranker goes from `base` to `new`."""
    levels = {("retriever", "base"): base, ("retriever", "adapter"): base, ("reranker", "base"): base}
    levels["reranker", "adapter"] = new
    return GUARD_SCORES.frame(
        {"guard": "finance", "part": part, "system": system, "query_id": f"g{n}", "split_group": f"g{n // 2}"}
        | {"ndcg@10": value + n % 5 / 100}
        for (part, system), value in levels.items()
        for n in range(queries)
    )


@pytest.mark.smoke
def test_only_human_promotion_queries_decide(pair: Pair) -> None:
    one = candidate(pair, 0.3, 0.8)
    decision = judge(one)
    human = one.queries.filter(pl.col("set") == "promotion", pl.col("origin") != "synthetic")
    assert decision.promoted and decision.comparison.n == human.filter(pl.col("regime") == "unseen_query").height
    assert {r.code for r in decision.reasons} >= {"better", "margin", "slice:citation", "guard:unseen_law"}
    assert judge(replace(one, queries=one.queries.with_columns(origin=pl.lit("synthetic")))) is None


def test_slices_gate_from_the_minimum_on(pair: Pair) -> None:
    one = candidate(pair, 0.3, 0.8)
    codes = {r.code for r in judge(one, GateConfig(min_slice=5)).reasons}
    assert any(code.startswith("slice:law=") for code in codes) and "slice:gold=2 개 이상" in codes
    few = {r.code for r in judge(one, GateConfig(min_slice=10_000)).reasons if r.code.startswith("slice:")}
    assert few == {"slice:citation", "slice:delegation"}


def test_queries_that_the_base_has_seen_do_not_decide(pair: Pair) -> None:
    one = candidate(pair, 0.3, 0.8)
    asked = one.queries.filter(
        pl.col("set") == "promotion", pl.col("origin") == "citation", pl.col("regime") == "unseen_query"
    )
    seen = frozenset(asked["doc_id"].head(5))
    assert judge(one).comparison.n - judge(replace(one, trained=seen)).comparison.n == 5


def test_a_gain_on_known_law_that_forgets_new_law_is_refused(pair: Pair) -> None:
    one = candidate(pair, 0.4, 0.9, 2500)
    forgotten = one.queries.filter(pl.col("regime") == "unseen_law")["query_id"].to_list()
    swapped = dict(zip(SERVED, reversed(SERVED), strict=True))
    system = pl.when(pl.col("query_id").is_in(forgotten)).then(pl.col("system").replace(swapped)).otherwise("system")
    decision = judge(replace(one, run=one.run.with_columns(system=system)))
    assert [r.code for r in decision.failures] == ["guard:unseen_law"]


def test_a_gain_that_forgets_another_domain_is_refused(pair: Pair) -> None:
    one = candidate(pair, 0.3, 0.8)
    kept = judge(replace(one, guards=guard_scores(0.5, 0.5)))
    assert kept.promoted and {"guard:finance", "guard:finance (reranker)"} <= {r.code for r in kept.reasons}
    lost = judge(replace(one, guards=guard_scores(0.5, 0.3)))
    assert [r.code for r in lost.failures] == ["guard:finance (reranker)"]


def test_another_seed_that_is_no_better_keeps_the_champion(pair: Pair) -> None:
    one = candidate(pair, 0.3, 0.8)
    agreeing, disagreeing = (
        pl.concat([one.run, one.run.filter(system=name).with_columns(system=pl.lit("seed2_hybrid_rerank"))])
        for name in reversed(SERVED)
    )
    assert judge(replace(one, run=agreeing)).promoted
    assert [r.code for r in judge(replace(one, run=disagreeing)).failures] == ["seeds"]


def test_the_gate_asks_for_as_many_seeds_as_it_was_told(pair: Pair) -> None:
    one = candidate(pair, 0.3, 0.8)
    second = one.run.filter(system=SERVED[1]).with_columns(system=pl.lit("seed2_hybrid_rerank"))
    three = GateConfig(seeds=3)
    [missing] = judge(replace(one, run=pl.concat([one.run, second])), three).failures
    assert missing.code == "seeds" and "2 of 3 training seeds; raise more_seeds" in missing.english
    third = second.with_columns(system=pl.lit("seed3_hybrid_rerank"))
    assert judge(replace(one, run=pl.concat([one.run, second, third])), three).promoted


def test_a_report_that_ranked_only_some_of_the_promotion_set_does_not_decide(pair: Pair) -> None:
    one = candidate(pair, 0.3, 0.8)
    left_out = one.queries.filter(set="promotion", origin="citation")["query_id"].min()
    with pytest.raises(LexError, match=f"1 promotion queries were not ranked, for example {left_out}"):
        judge(replace(one, run=one.run.filter(pl.col("query_id") != left_out)))
    small = replace(one, measured={"queries_per_set": 10})
    asked = judge(small).comparison.n
    assert asked < judge(one).comparison.n, "the sample that was asked for"


def test_the_first_decision_freezes_the_rule_and_what_departs_from_it_is_refused(pair: Pair, tmp_path: Path) -> None:
    registry, measured = Registry(tmp_path / "registry"), {"queries_per_set": 0, "rerank_depth": 30, "seeds": 2}
    first = replace(candidate(pair, 0.5, 0.5), measured=measured)
    assert not registry.consider(first).promoted
    better = replace(candidate(pair, 0.3, 0.8), measured=measured)
    for departed, config, told in (
        (measured | {"rerank_depth": 10}, None, "rerank_depth 10 (30)"),
        (measured | {"seeds": 1}, None, "seeds 1 (2)"),
        (measured, GateConfig(min_difference=0.001), "min_difference 0.001 (0.01)"),
    ):
        decision = registry.consider(replace(better, measured=departed), config)
        assert [reason.code for reason in decision.failures] == ["rule"] and told in decision.summary()
    assert registry.champions.show("law") is None
    assert registry.consider(better).promoted
    assert registry.champions.show("law").manifest.gate["measured"] == measured


def test_every_pair_that_was_tried_on_a_promotion_set_counts_once(pair: Pair, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    other = replace(pair, retriever=adapter(tmp_path / "c", b"c"))
    tries = [registry.consider(candidate(one, 0.5, 0.5)).tries for one in (pair, pair, other, pair)]
    assert tries == [1, 1, 2, 2]


def test_a_rule_is_changed_only_with_a_reason(pair: Pair, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    with pytest.raises(LexError, match="no rule is frozen"):
        registry.rules.change("law", "why")
    registry.consider(candidate(pair, 0.5, 0.5))
    with pytest.raises(LexError, match="give the reason"):
        registry.rules.change("law", " ")
    registry.rules.change("law", "more questions")
    assert registry.rules.frozen("law") is None
    assert registry.consider(candidate(pair, 0.3, 0.8), GateConfig(min_difference=0.02)).promoted
    assert registry.rules.frozen("law").rule.gate.min_difference == 0.02
    kept = json.loads((tmp_path / "registry" / "gates" / "law.json").read_text("utf-8"))
    assert [change["note"] for change in kept["changes"]] == ["more questions"]


def test_latency_and_size_are_those_of_the_candidate(pair: Pair) -> None:
    one = candidate(pair, 0.3, 0.8)
    bounds = GateConfig(max_latency_ms=20, max_size_bytes=6)
    assert pair.size_bytes == 6 and judge(replace(one, latency_ms=19.0), bounds).promoted
    failed = judge(replace(one, latency_ms=21.0), replace(bounds, max_size_bytes=5))
    assert [r.code for r in failed.failures] == ["latency", "size"]


def test_a_promotion_keeps_the_adapters_and_says_what_made_them(pair: Pair, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    assert registry.consider(candidate(pair, 0.3, 0.8)).promoted
    entry = registry.champions.show("law")
    folders = registry.champion_folders("law")
    assert [(f / "adapter_model.safetensors").read_bytes() for f in folders] == [b"a", b"b"]
    assert entry.manifest.gate["promoted"] and "승격" in entry.note
    assert set(entry.manifest.hashes) == {"corpus", "code", "retriever", "reranker"}
    assert all(len(value) == 64 for name, value in entry.manifest.hashes.items() if name != "corpus")
    assert registry.champion_folders("finance") is None
    (folders[0] / "adapter_model.safetensors").write_bytes(b"tampered")
    with pytest.raises(LexError, match="changed since"):
        registry.champion_folders("law")


def test_a_failed_gate_keeps_the_champion_and_the_same_pair_is_not_promoted_twice(pair: Pair, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    assert not registry.consider(candidate(pair, 0.5, 0.5)).promoted and registry.champions.show("law") is None
    registry.consider(candidate(pair, 0.3, 0.8))
    again = replace(candidate(pair, 0.3, 0.8), compared_with=1)
    assert registry.consider(again).promoted and registry.champions.version("law") == 1


def test_a_candidate_that_was_compared_with_an_older_champion_is_refused(pair: Pair, tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry")
    registry.consider(candidate(pair, 0.3, 0.8))
    other = replace(pair, retriever=adapter(tmp_path / "c", b"c"))
    with pytest.raises(LexError, match="version 1 was promoted while 0"):
        registry.consider(candidate(other, 0.3, 0.8))
    assert registry.is_champion("law", pair)
