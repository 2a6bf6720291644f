"""The champion, which only a passed gate changes, and the leaderboard."""

import datetime
from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import plot, preview, table_metadata
from lex_assets.assets.evaluate import adapter_names, adapter_row
from lex_assets.evaluation import history
from lex_assets.evaluation.report import read_report
from lex_assets.registry.candidate import UNDECIDED, Candidate, Registry
from lex_assets.registry.leaderboard import (
    LEADERBOARD,
    LEADERBOARD_FILE,
    PAGE_FILE,
    append,
    leaderboard_rows,
    write_page,
)
from lex_assets.registry.promotion import Decision, GateConfig
from lex_assets.registry.published import candidate_from
from lex_assets.resources.store import StoreResource

GateRun = run_config(GateConfig)


@stage_asset(group="train", kinds={"polars"}, code_version="2")
def champion(
    context: dg.AssetExecutionContext,
    config: GateRun,
    store: StoreResource,
    eval_report: dict[str, Any],
    split: dict[str, Any],
    synthetic_qa: dict[str, Any],
    corpus: dict[str, Any],
    retriever_adapter: dict[str, Any],
    reranker_adapter: dict[str, Any],
) -> dg.MaterializeResult:
    """승격 관문을 통과한 어댑터만 쓰임. The adapters in use; changed only when the gate on the promotion set is passed."""
    given = {
        "eval_report": eval_report,
        "split": split,
        "synthetic_qa": synthetic_qa,
        "corpus": corpus,
        "retriever_adapter": retriever_adapter,
        "reranker_adapter": reranker_adapter,
    }
    tables = {asset: {name: frame.collect() for name, frame in found.items()} for asset, found in given.items()}
    candidate = candidate_from(store.path, context.partition_key, tables)
    registry = Registry(store.registry)
    decision = registry.consider(candidate, core_settings(config, GateConfig))
    return _champion_result(registry, candidate, decision)


def _champion_result(registry: Registry, candidate: Candidate, decision: Decision | None) -> dg.MaterializeResult:
    domain = candidate.domain
    row: dict[str, Any] = {
        "domain": domain,
        "in_use": registry.champions.data_version(domain),
        "version": registry.champions.version(domain),
        "candidate_promoted": decision is not None and decision.promoted,
        "summary": decision.summary() if decision else UNDECIDED,
        "failed": [reason.code for reason in decision.failures] if decision else [],
    }
    conditions = dg.MetadataValue.md(decision.markdown()) if decision else UNDECIDED
    return dg.MaterializeResult(
        value={"champion": pl.DataFrame([row], schema_overrides={"failed": pl.List(pl.String)})},
        data_version=dg.DataVersion(row["in_use"]),
        metadata={
            "판정 · decision": row["summary"],
            "조건 · conditions": conditions,
            "비교 대상 · compared with": candidate.incumbent,
            "이 승격 집합에서 본 후보 · candidates tried": decision.tries if decision else 0,
            "사용 중 · in use": row["in_use"],
        },
    )


@stage_asset(group="train", kinds={"polars"}, code_version="2", partitioned=False)
def leaderboard(
    store: StoreResource,
    eval_report: dict[str, Any],
    retriever_adapter: dict[str, Any],
    reranker_adapter: dict[str, Any],
) -> dg.MaterializeResult:
    """모든 보고서의 성적표(시간순). Every report's headline over time; only rows of the same test set compare."""
    path, table = store.registry / LEADERBOARD_FILE, LEADERBOARD.frame([])
    for domain, tables in sorted(eval_report.items()):
        report = read_report(store.path / tables["report"].collect().item(0, "path"))
        adapters = {"retriever": retriever_adapter[domain], "reranker": reranker_adapter[domain]}
        names = adapter_names({kind: adapter_row(found) for kind, found in adapters.items()})
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        table = append(path, leaderboard_rows(report, *names, now))
    write_page(path.with_name(PAGE_FILE), table)
    return dg.MaterializeResult(
        value={"leaderboard": table},
        metadata=table_metadata(LEADERBOARD, table, partitioned=False)
        | {"미리보기 · preview": preview(table.drop("scores"))}
        | {"성적표 · page": dg.MetadataValue.path(str(path.with_name(PAGE_FILE)))}
        | _histories(table),
    )


def _histories(table: pl.DataFrame) -> dict[str, Any]:
    """A table and plots per domain and test set."""
    found: dict[str, Any] = {}
    for domain, test_hash, rows in history.by_test_set(table):
        name = f"{domain} {test_hash[:8]}"
        found[name] = dg.MetadataValue.md("\n".join(history.lines(rows)))
        found |= {f"{name} {title}": plot(svg) for title, svg in history.plots(rows).items()}
    return found
