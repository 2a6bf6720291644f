"""The champion, which only a passed gate changes, and the leaderboard."""

import datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.assemble import domain_passages
from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import table_metadata
from lex_assets.assets.evaluate import adapter_folders, adapter_row, evaluation_queries
from lex_assets.evaluation.report import read_report
from lex_assets.registry.adapters import folder_hash
from lex_assets.registry.candidate import UNDECIDED, Pair, Registry, judge_candidate
from lex_assets.registry.leaderboard import LEADERBOARD, append, leaderboard_rows
from lex_assets.registry.promotion import Decision, GateConfig
from lex_assets.resources.models import BaseModelsResource
from lex_assets.resources.store import StoreResource
from lex_assets.schemas import RUN, frame_hash

GateRun = run_config(GateConfig)


@stage_asset(group="train", kinds={"polars"}, code_version="1")
def champion(
    context: dg.AssetExecutionContext,
    config: GateRun,
    store: StoreResource,
    models: BaseModelsResource,
    eval_report: dict[str, Any],
    split: dict[str, Any],
    synthetic_qa: dict[str, Any],
    corpus: dict[str, Any],
    retriever_adapter: dict[str, Any],
    reranker_adapter: dict[str, Any],
) -> dg.MaterializeResult:
    """승격 관문을 통과한 어댑터만 쓰임. The adapters in use; changed only when the gate on the promotion set is passed."""
    domain, registry = context.partition_key, Registry(store.registry)
    adapters = {"retriever": adapter_row(retriever_adapter), "reranker": adapter_row(reranker_adapter)}
    compared_with = eval_report["report"].collect().item(0, "champion_version")
    run, passages = RUN.validate(eval_report["run"].collect()), domain_passages(corpus, domain)
    queries, qrels = evaluation_queries(split, synthetic_qa, domain)
    queries = queries.join(run.select("query_id").unique(), on="query_id", how="semi")
    incumbent = "champion" if run["system"].str.starts_with("champion").any() else "base"
    licences = {f"{kind} {preset.name}": preset.licence for kind, preset in models.presets().items()}
    settings = core_settings(config, GateConfig)
    decision = judge_candidate(run, queries, qrels, passages, incumbent, settings, licences)
    if decision is not None and decision.promoted and _is_new(registry, domain, adapter_folders(store, adapters)):
        pair = Pair(*adapter_folders(store, adapters), bases=models.identities(), licences=licences)
        hashes = {"corpus": frame_hash(passages), "queries": frame_hash(queries, qrels), "run": frame_hash(run)}
        registry.promote(domain, pair, decision, hashes, compared_with)
    return _champion_result(registry, domain, incumbent, decision)


def _is_new(registry: Registry, domain: str, candidate: tuple[Path, Path]) -> bool:
    folders = registry.champion_folders(domain)
    return folders is None or [f and folder_hash(f) for f in folders] != [folder_hash(f) for f in candidate]


def _champion_result(
    registry: Registry, domain: str, incumbent: str, decision: Decision | None
) -> dg.MaterializeResult:
    row: dict[str, Any] = {
        "domain": domain,
        "in_use": registry.champions.data_version(domain),
        "version": registry.champions.version(domain),
        "candidate_promoted": decision is not None and decision.promoted,
        "summary": decision.summary() if decision else UNDECIDED,
    }
    conditions = dg.MetadataValue.md(decision.markdown()) if decision else UNDECIDED
    return dg.MaterializeResult(
        value={"champion": pl.DataFrame([row])},
        data_version=dg.DataVersion(row["in_use"]),
        metadata={
            "판정 · decision": row["summary"],
            "조건 · conditions": conditions,
            "비교 대상 · compared with": incumbent,
            "사용 중 · in use": row["in_use"],
        },
    )


@stage_asset(group="train", kinds={"polars"}, code_version="1", partitioned=False)
def leaderboard(
    store: StoreResource,
    eval_report: dict[str, Any],
    retriever_adapter: dict[str, Any],
    reranker_adapter: dict[str, Any],
) -> dg.MaterializeResult:
    """모든 보고서의 성적표(시간순). Every report's headline over time; only rows of the same test set compare."""
    table = LEADERBOARD.frame([])
    for domain, tables in sorted(eval_report.items()):
        report = read_report(store.path / tables["report"].collect().item(0, "path"))
        names = [
            adapter_row(adapters[domain])["weights_hash"][:16] for adapters in (retriever_adapter, reranker_adapter)
        ]
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        rows = leaderboard_rows(report, names[0], names[1], now)
        table = append(store.registry / "leaderboard.parquet", rows)
    return dg.MaterializeResult(
        value={"leaderboard": table}, metadata=table_metadata(LEADERBOARD, table, partitioned=False)
    )
