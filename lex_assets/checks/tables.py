"""Checks of what ingest and assemble hand over: ids, keys, quarantine, citations, split leaks."""

from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.assemble import split_settings
from lex_assets.partitions import domain_partitions
from lex_assets.queries.split import DROPPED, split_leaks
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


@dg.asset_check(asset="passages", blocking=True, partitions_def=domain_partitions)
def passages_say_where_they_are_from(passages: dict[str, Any]) -> dg.AssetCheckResult:
    """빈 단락이 없고 상위 단위와 시행일이 적혀 있는가. Text, parent and a label for people; dates are days or empty."""
    table = passages["passages"].collect()
    empty = {name: (table[name].str.strip_chars() == "").sum() for name in ("text", "parent_id", "citation")}
    undated = (~table["effective_date"].str.contains(r"^(\d{8})?$")).sum()
    longest = table.select(pl.col("text").str.len_chars().max()).item() or 0
    return dg.AssetCheckResult(
        passed=not any(empty.values()) and not undated,
        metadata={
            **{f"empty {name}": count for name, count in empty.items()},
            "not a day": undated,
            "longest text": longest,
        },
    )


@dg.asset_check(asset="corpus", blocking=True)
def equivalence_classes_are_named_by_a_member(corpus: dict[str, Any]) -> dg.AssetCheckResult:
    """동치류가 그 안의 가장 작은 id로 불리는가. Every class has the smallest id of its members, so that masking can rely on it."""
    table = PASSAGES.validate(corpus["passages"].collect())
    classes = table.group_by("equivalence_id").agg(pl.col("passage_id").min(), pl.len())
    misnamed = classes.filter(pl.col("equivalence_id") != pl.col("passage_id")).height
    return dg.AssetCheckResult(
        passed=misnamed == 0,
        metadata={
            "misnamed": misnamed,
            "classes": classes.height,
            "largest class": classes.select(pl.col("len").max()).item() or 0,
        },
    )


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


@dg.asset_check(
    asset="synthetic_qa",
    blocking=True,
    partitions_def=domain_partitions,
    additional_ins={"split": dg.AssetIn("split")},
)
def synthetic_questions_inherit_their_set(synthetic_qa: dict[str, Any], split: dict[str, Any]) -> dg.AssetCheckResult:
    """생성 질문이 출처의 분할을 따르는가. With the split table, no group is in two sets."""
    frames = [QUERIES.validate(tables["queries"].collect()) for tables in (split, synthetic_qa)]
    kept = pl.concat(frames).filter(pl.col("set") != DROPPED)
    torn = kept.group_by("split_group").agg(pl.col("set").n_unique()).filter(pl.col("set") > 1)["split_group"].sort()
    return dg.AssetCheckResult(
        passed=torn.is_empty(), metadata={"groups in two sets": torn.len(), "first": ", ".join(torn.head(5)) or "-"}
    )


TABLE_CHECKS = [
    few_documents_quarantined,
    passages_follow_their_schema,
    passages_say_where_they_are_from,
    corpus_follows_its_schema,
    equivalence_classes_are_named_by_a_member,
    citations_resolve,
    split_does_not_leak,
    synthetic_questions_inherit_their_set,
]
