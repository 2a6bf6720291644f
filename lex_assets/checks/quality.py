"""Checks of the data quality report: each measure within the bound that its run was given, before anything trains."""

from typing import Any

import dagster as dg
import polars as pl

from lex_assets.evaluation.quality import measure_name
from lex_assets.partitions import domain_partitions
from lex_assets.queries.quality import MEASURE_NAMES, MEASURES


def within_its_bound(measure: str) -> dg.AssetChecksDefinition:
    """The blocking check of one measure."""

    @dg.asset_check(
        asset="data_quality",
        name=measure,
        blocking=True,
        partitions_def=domain_partitions,
        description=measure_name(measure),
    )
    def check(data_quality: dict[str, Any]) -> dg.AssetCheckResult:
        table = MEASURES.validate(data_quality["measures"].collect())
        row = table.row(by_predicate=pl.col("measure") == measure, named=True)
        told = f"{measure_name(measure)}: {row['count']:,} / {row['total']:,} = {row['share']:.1%}"
        remedy = f"; 문서를 고치거나 data_quality의 {measure} 설정을 올림 · correct the documents or raise the setting"
        passed = row["share"] <= row["bound"]
        return dg.AssetCheckResult(
            passed=passed,
            description=f"{told} (≤ {row['bound']:.0%})" + ("" if passed else remedy),
            metadata={"count": row["count"], "of": row["total"], "share": row["share"], "bound": row["bound"]},
        )

    return check


QUALITY_CHECKS = [within_its_bound(measure) for measure in MEASURE_NAMES]
