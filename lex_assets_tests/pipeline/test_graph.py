"""The whole graph on the bundled sample, materialized for real: what would hurt a user if it were wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Callable

import dagster as dg
import numpy as np
import polars as pl
import pytest

from lex_assets import pipeline
from lex_assets.definitions import defs
from lex_assets.schemas import DOMAINS, REGIMES
from lex_assets_tests.pipeline.conftest import World
from lex_assets_tests.pipeline.swapped import nothing, struck

pytestmark = pytest.mark.xdist_group("pipeline")


def test_passage_ids_are_unique_over_all_domains(world: World) -> None:
    corpus = world.table("corpus", "passages")
    assert corpus["passage_id"].is_unique().all()
    assert set(corpus["domain"]) == set(DOMAINS)


def test_no_split_group_is_in_two_sets(world: World) -> None:
    queries = world.table("split", "queries").filter(pl.col("set") != "dropped")
    assert queries.group_by("split_group").agg(pl.col("set").n_unique())["set"].max() == 1


def test_every_domain_has_training_and_test_queries_in_both_regimes(world: World) -> None:
    queries = world.table("split", "queries")
    for domain in DOMAINS:
        own = queries.filter(pl.col("domain") == domain)
        assert (own["set"] == "train").sum() > 20
        tests = own.filter(pl.col("set") == "test")
        assert set(tests["regime"]) == set(REGIMES), domain


def test_training_never_sees_promotion_or_test(world: World) -> None:
    held = set(world.table("split", "queries").filter(pl.col("set").is_in(["promotion", "test"]))["query_id"])
    for domain in DOMAINS:
        assert not held & set(world.table("training_queries", "queries", domain)["query_id"])
        assert not held & set(world.table("hard_negative_triplets", "triplets", domain)["query_id"])


def test_negatives_are_no_positives(world: World) -> None:
    for domain in DOMAINS:
        triplets = world.table("hard_negative_triplets", "triplets", domain)
        assert triplets["negatives"].list.len().sum() > 0
        for row in triplets.iter_rows(named=True):
            assert not set(row["positives"]) & {negative["passage_id"] for negative in row["negatives"]}


def test_adapter_reloads_as_saved_and_changes_the_vectors(world: World) -> None:
    from lex_assets import BiEncoder

    row = world.table("retriever_adapter", "adapter", "law").row(0, named=True)
    adapted = BiEncoder("builtin", peft_adapter_path=str(world.store / row["path"]))
    again = BiEncoder("builtin", peft_adapter_path=str(world.store / row["path"]))
    base = BiEncoder("builtin", query_max_seq_length=adapted.get_max_seq_length("query"))
    question = ["임대인이 보증금을 돌려주지 않으면 어떻게 되는지 여부"]
    np.testing.assert_array_equal(adapted.encode_queries(question), again.encode_queries(question))
    assert np.abs(adapted.encode_queries(question) - base.encode_queries(question)).max() > 1e-4


def test_the_report_compares_base_and_adapter_with_intervals(world: World) -> None:
    for domain in DOMAINS:
        headline = world.table("eval_report", "headline", domain)
        assert {"bm25", "base_dense", "adapter_dense", "adapter_hybrid_rerank", "adapter_oracle"} <= set(
            headline["system"]
        )
        for row in headline.iter_rows(named=True):
            scores = json.loads(row["scores"])
            assert all(0 <= score <= 1 for name, score in scores.items() if not name.startswith("unjudged"))
        page = world.store / world.table("eval_report", "report", domain).item(0, "path") / "report.html"
        text = page.read_text("utf-8")
        assert "증거" in text and "http://" not in text.replace("http://www.w3.org", "")


def test_a_champion_is_named_only_with_a_reason(world: World) -> None:
    for domain in DOMAINS:
        row = world.table("champion", "champion", domain).row(0, named=True)
        assert row["candidate_promoted"] == (row["in_use"] != "base")
        assert "승격" in row["summary"]


def test_metadata_shows_rows_columns_lineage_and_plots(world: World) -> None:
    shown = world.metadata("passages", "finance")
    assert shown["dagster/partition_row_count"] == world.table("passages", "passages", "finance").height
    assert {column.name for column in shown["dagster/column_schema"].columns} >= {"passage_id", "text"}
    assert "dagster/column_lineage" in shown
    assert any("data:image/svg+xml" in str(value) for value in world.metadata("retriever_adapter", "law").values())
    mined = world.metadata("hard_negative_triplets", "law")
    assert "data:image/svg+xml" in str(mined["그림 · plots"]) and "✘" in str(mined["예시 · examples"])
    quality = world.metadata("data_quality", "law")
    assert "한도" in str(quality["측정 · measures"]) and "data:image/svg+xml" in str(quality["그림 · plots"])
    report = world.metadata("eval_report", "law")
    assert any("data:image/svg+xml" in str(value) for value in report.values())
    tables = ("법령 혼동 · confusion by law", "이긴 질의와 진 질의 · won and lost", "역사 · history", "비용 · cost")
    assert all(str(report[name]).startswith("| ") or "없습니다" in str(report[name]) for name in tables)


def test_the_ablation_job_compares_pairs_in_one_table_and_is_reused(world: World) -> None:
    job = defs().resolve_job_def("ablation")
    settings = {"pairs": ["builtin + builtin"], "max_queries": 4, "rerank_depth": 3}
    for status in ("computed", "reused"):
        config = {"ops": {"model_ablation": {"config": settings}}}
        assert job.execute_in_process(instance=world.instance, partition_key="law", run_config=config).success
        shown = world.metadata("model_ablation", "law")
        assert shown["상태 · status"] == status
    assert "builtin + builtin" in str(shown["비교 · comparison"]) and "svg+xml" in str(shown["그림 · plots"])
    assert set(world.table("model_ablation", "quality", "law")["mode"]) == {"lexical", "dense", "reranked"}


@pytest.mark.parametrize("asset", ["eval_report", "model_ablation"])
def test_weights_swapped_between_their_hash_and_their_loading_end_the_run(
    asset: str, world: World, monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]
) -> None:
    """What they score would be reported as the other weights'."""
    stages = world.store / "stages" / asset
    before = sorted(stages.glob("*"))
    job = defs().resolve_job_def({"eval_report": "train", "model_ablation": "ablation"}[asset])
    pairs = {"pairs": [f"builtin + {os.environ['LEX_RERANKER']}"]} if asset == "model_ablation" else {}
    config = {"ops": {asset: {"config": {"rerank_depth": 4} | pairs}}}
    struck(monkeypatch, swap, nothing)
    result = job.execute_in_process(
        config, world.instance, "law", raise_on_error=False, asset_selection=[dg.AssetKey(asset)]
    )
    assert not result.success
    assert "its weights were replaced while this run began; run it again" in pipeline._cause(result)
    assert sorted(stages.glob("*")) == before


def test_the_leaderboard_has_every_report_and_a_page(world: World) -> None:
    table = world.table("leaderboard", "leaderboard")
    assert set(table["domain"]) == set(DOMAINS)
    shown = world.metadata("leaderboard")
    assert any("data:image/svg+xml" in str(value) for value in shown.values())
    page = (world.store / "registry" / "leaderboard.html").read_text("utf-8")
    assert page.count("<section>") == table["test_hash"].n_unique()


def test_the_round_of_mining_is_recorded_and_shown(world: World) -> None:
    rounds, mined = world.table("mining_rounds", "rounds", "law"), world.table("hard_negative_triplets", "round", "law")
    assert rounds["number"].to_list() == [1] and rounds["mined"].to_list() == mined["mined"].to_list()
    shown = world.metadata("mining_rounds", "law")
    assert "<svg" in str(shown["그림 · plot"]) or "data:image/svg" in str(shown["그림 · plot"])
    assert "go on" in str(shown["다음 · next"]) or "stop" in str(shown["다음 · next"])


def test_an_unchanged_rerun_reuses_every_expensive_stage(world: World) -> None:
    def versions() -> dict[str, str]:
        return {
            str(p): (p / "CURRENT").read_text()
            for p in sorted((world.store / "tables").rglob("*"))
            if (p / "CURRENT").exists()
        }

    before = versions()
    world.run()
    for domain in DOMAINS:
        for asset in ("hard_negative_triplets", "retriever_adapter", "reranker_adapter", "eval_report"):
            assert world.metadata(asset, domain)["상태 · status"] == "reused", (asset, domain)
    after = versions()
    changed = [path for path in before if before[path] != after[path] and "champion" not in path]
    assert not changed
