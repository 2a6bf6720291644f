"""Whether the passages and pairs of a domain are fit to train on: measured before anything expensive runs."""

from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.assemble import SPLIT_HASH, domain_passages, split_hash_of
from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import data_version, markdown_table, table_metadata, titled_plots
from lex_assets.evaluation.quality import quality_plots, quality_tables
from lex_assets.queries.quality import MEASURES, QualityConfig
from lex_assets.queries.quality import data_quality as measure
from lex_assets.resources.models import BaseModelsResource
from lex_assets.schemas import QRELS, QUERIES

QualityRun = run_config(QualityConfig)


@stage_asset(group="train", kinds={"polars"}, code_version="1")
def data_quality(
    context: dg.AssetExecutionContext,
    config: QualityRun,
    models: BaseModelsResource,
    corpus: dict[str, Any],
    split: dict[str, Any],
    training_queries: dict[str, Any],
) -> dg.MaterializeResult:
    """단락과 학습 쌍의 품질: 길이, 중복, 잘림, 정답 수, 법령별 범위. Lengths, repeats, cuts, positives and coverage, within bounds."""
    quality = measure(
        domain_passages(corpus, context.partition_key),
        corpus["passages"].select(pl.col("passage_id")).collect(),
        QUERIES.validate(training_queries["queries"].collect()),
        QRELS.validate(training_queries["qrels"].collect()),
        models.token_lengths(),
        core_settings(config, QualityConfig),
    )
    tables = quality.tables()
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(MEASURES, quality.measures, partitioned=True)
        | {SPLIT_HASH: split_hash_of(split)}
        | {title: markdown_table(*table) for title, table in quality_tables(quality).items()}
        | {"그림 · plots": titled_plots(quality_plots(quality))},
    )
