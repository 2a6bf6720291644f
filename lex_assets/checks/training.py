"""Checks of what the training side hands over: sets, negatives, learning, a complete report."""

import json
from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.describe import markdown_table
from lex_assets.evaluation.report import HEADLINE
from lex_assets.partitions import domain_partitions
from lex_assets.schemas import ADAPTERS, PASSAGES, QRELS, QUERIES, TRIPLETS

COMPARED = {
    "bm25",
    "base_dense",
    "base_hybrid",
    "base_hybrid_rerank",
    "adapter_dense",
    "adapter_hybrid",
    "adapter_hybrid_rerank",
}
FUSION_COLUMNS = ("regime", "system", "hybrid", "bm25", "dense", "difference")
FUSION_TOLERANCE = 0.005  # of the report's metric: less is noise that nobody would act on


@dg.asset_check(asset="training_queries", blocking=True, partitions_def=domain_partitions)
def only_train_and_valid(training_queries: dict[str, Any]) -> dg.AssetCheckResult:
    """시험·승격 질문이 학습에 섞이지 않았는가. No promotion or test query, and every query has a label."""
    queries = QUERIES.validate(training_queries["queries"].collect())
    qrels = QRELS.validate(training_queries["qrels"].collect())
    foreign = queries.filter(~pl.col("set").is_in(["train", "valid"])).height
    unlabelled = queries.join(qrels, on="query_id", how="anti").height
    return dg.AssetCheckResult(
        passed=foreign == unlabelled == 0, metadata={"foreign sets": foreign, "without label": unlabelled}
    )


@dg.asset_check(
    asset="training_queries",
    blocking=True,
    partitions_def=domain_partitions,
    additional_ins={"split": dg.AssetIn("split")},
)
def training_follows_the_split(training_queries: dict[str, Any], split: dict[str, Any]) -> dg.AssetCheckResult:
    """학습 질문의 분할이 분할표와 같은가. Every labelled query has the set that the current split table gives it."""
    labelled = training_queries["queries"].filter(pl.col("origin") != "synthetic").select("query_id", "set").collect()
    current = split["queries"].select("query_id", "set").collect()
    stale = labelled.join(current, on=["query_id", "set"], how="anti").height
    return dg.AssetCheckResult(passed=stale == 0, metadata={"labelled": labelled.height, "not as in the split": stale})


@dg.asset_check(
    asset="hard_negative_triplets",
    blocking=True,
    partitions_def=domain_partitions,
    additional_ins={"corpus": dg.AssetIn("corpus")},
)
def negatives_are_not_positives(hard_negative_triplets: dict[str, Any], corpus: dict[str, Any]) -> dg.AssetCheckResult:
    """음성이 정답이나 그 동치가 아닌가. No negative is a positive of its query, nor equivalent to one."""
    triplets = TRIPLETS.validate(hard_negative_triplets["triplets"].collect())
    classes = PASSAGES.validate(corpus["passages"].collect()).select("passage_id", "equivalence_id")
    positives = triplets.select("query_id", passage_id="positives").explode("passage_id").drop_nulls()
    negatives = triplets.select("query_id", "negatives").explode("negatives").drop_nulls().unnest("negatives")
    wrong = negatives.join(classes, on="passage_id").join(
        positives.join(classes, on="passage_id"), on=["query_id", "equivalence_id"], how="semi"
    )
    return dg.AssetCheckResult(passed=wrong.is_empty(), metadata={"negatives": negatives.height, "wrong": wrong.height})


@dg.asset_check(asset="retriever_adapter", partitions_def=domain_partitions)
def retriever_is_no_worse_than_its_base(retriever_adapter: dict[str, Any]) -> dg.AssetCheckResult:
    """검증에서 기반보다 나쁘지 않은가. The kept checkpoint is no worse than the base on validation."""
    return _no_worse(retriever_adapter)


@dg.asset_check(asset="reranker_adapter", partitions_def=domain_partitions)
def reranker_is_no_worse_than_its_base(reranker_adapter: dict[str, Any]) -> dg.AssetCheckResult:
    """검증에서 기반보다 나쁘지 않은가. The kept checkpoint is no worse than the base on validation."""
    return _no_worse(reranker_adapter)


def _no_worse(tables: dict[str, Any]) -> dg.AssetCheckResult:
    row = ADAPTERS.validate(tables["adapter"].collect()).row(0, named=True)
    return dg.AssetCheckResult(
        passed=row["best_metric"] >= row["base_metric"],
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"base": row["base_metric"], "adapter": row["best_metric"], "metric": row["metric_name"]},
    )


@dg.asset_check(asset="eval_report", blocking=True, partitions_def=domain_partitions)
def report_compares_all_systems(eval_report: dict[str, Any]) -> dg.AssetCheckResult:
    """보고서에 비교할 체계가 모두 있는가. Every system is in the report: a gate on half a comparison would be a guess."""
    headline = HEADLINE.validate(eval_report["headline"].collect())
    missing = sorted(COMPARED - set(headline["system"]))
    return dg.AssetCheckResult(passed=not missing, metadata={"missing": ", ".join(missing) or "-"})


@dg.asset_check(asset="eval_report", partitions_def=domain_partitions)
def hybrid_is_not_below_its_better_half(eval_report: dict[str, Any]) -> dg.AssetCheckResult:
    """혼합이 BM25와 밀집 검색 가운데 나은 쪽보다 낮지 않은가. A weight learnt on few validation questions can lose on the test."""
    rows = fusion_differences(HEADLINE.validate(eval_report["headline"].collect()))
    return dg.AssetCheckResult(
        passed=all(row["difference"] >= -FUSION_TOLERANCE for row in rows),
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "혼합 − 나은 쪽 · hybrid − better half": markdown_table(
                FUSION_COLUMNS, [tuple(row.values()) for row in rows]
            ),
            "tolerance": FUSION_TOLERANCE,
        },
    )


def fusion_differences(headline: pl.DataFrame) -> list[dict[str, Any]]:
    """FUSION_COLUMNS of every hybrid in a report: its score, those of its halves, and how far it is from the better one."""
    rows = headline.select("regime", "metric", "system", "scores").iter_rows()
    scores = {(regime, system): json.loads(found)[metric] for regime, metric, system, found in rows}
    found = []
    for (regime, system), hybrid in sorted(scores.items()):
        if system.endswith("_hybrid"):
            halves = scores[regime, "bm25"], scores[regime, f"{system.removesuffix('_hybrid')}_dense"]
            values = (regime, system, hybrid, *halves, round(hybrid - max(halves), 6))
            found.append(dict(zip(FUSION_COLUMNS, values, strict=True)))
    return found


TRAINING_CHECKS = [
    only_train_and_valid,
    training_follows_the_split,
    negatives_are_not_positives,
    retriever_is_no_worse_than_its_base,
    reranker_is_no_worse_than_its_base,
    report_compares_all_systems,
    hybrid_is_not_below_its_better_half,
]
