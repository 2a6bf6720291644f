"""Checks of what ingest and assemble hand over: ids, keys, quarantine, citations, split leaks."""

from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.assemble import split_settings
from lex_assets.partitions import domain_partitions
from lex_assets.queries.split import split_leaks
from lex_assets.schemas import CITATIONS, PASSAGES, QRELS, QUERIES, SchemaError

QUARANTINE_WARNING = 0.02
RESOLVED_WARNING = 0.5


def schema_result(schema: Any, frame: pl.LazyFrame) -> dg.AssetCheckResult:
    """Passed when `frame` follows `schema`, keys included, and has a row."""
    try:
        rows = schema.validate(frame.collect()).height
    except SchemaError as error:
        return dg.AssetCheckResult(passed=False, description=str(error))
    return dg.AssetCheckResult(passed=rows > 0, description=f"{rows} rows", metadata={"rows": rows})


@dg.asset_check(asset="raw_documents", partitions_def=domain_partitions)
def few_documents_quarantined(raw_documents: dict[str, Any]) -> dg.AssetCheckResult:
    """격리된 기록이 적은가. Few records were quarantined; the list is in the asset's metadata."""
    kept = raw_documents["documents"].select(pl.len()).collect().item()
    dropped = raw_documents["quarantine"].select(pl.len()).collect().item()
    share = dropped / max(1, kept + dropped)
    return dg.AssetCheckResult(
        passed=share <= QUARANTINE_WARNING,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"quarantined": dropped, "share": share},
    )


@dg.asset_check(asset="passages", blocking=True, partitions_def=domain_partitions)
def passages_follow_their_schema(passages: dict[str, Any]) -> dg.AssetCheckResult:
    """검색 단위의 id가 유일하고 열이 맞는가. Ids unique, columns right, at least one passage."""
    return schema_result(PASSAGES, passages["passages"])


@dg.asset_check(asset="corpus", blocking=True)
def corpus_follows_its_schema(corpus: dict[str, Any]) -> dg.AssetCheckResult:
    """말뭉치의 id가 유일하고 열이 맞는가. Ids unique over all domains, columns right."""
    return schema_result(PASSAGES, corpus["passages"])


@dg.asset_check(asset="citation_graph")
def citations_resolve(citation_graph: dict[str, Any]) -> dg.AssetCheckResult:
    """현행 조문 인용이 해석되는가. Citations that point into this corpus resolve; the reasons of the others are listed."""
    table = CITATIONS.validate(citation_graph["citations"].collect())
    resolved = table.filter(pl.col("reason") == "resolved").height
    missing = table.filter(pl.col("reason") == "no_such_article").height
    share = resolved / max(1, resolved + missing)
    return dg.AssetCheckResult(
        passed=share >= RESOLVED_WARNING,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"resolved": resolved, "no_such_article": missing, "share": share},
    )


@dg.asset_check(asset="split", blocking=True, additional_ins={"corpus": dg.AssetIn("corpus")})
def split_does_not_leak(split: dict[str, Any], corpus: dict[str, Any]) -> dg.AssetCheckResult:
    """분할 사이에 새는 것이 없는가. No group in two sets, no test question in training, no shared gold when the law is unseen."""
    leaks = split_leaks(
        QUERIES.validate(split["queries"].collect()),
        QRELS.validate(split["qrels"].collect()),
        PASSAGES.validate(corpus["passages"].collect()),
        split_settings(split),
    )
    return dg.AssetCheckResult(passed=not any(leaks.values()), metadata=dict(leaks))


TABLE_CHECKS = [
    few_documents_quarantined,
    passages_follow_their_schema,
    corpus_follows_its_schema,
    citations_resolve,
    split_does_not_leak,
]
