"""Questions, per domain: generated ones, and the selection that trains."""

from typing import Any

import dagster as dg

from lex_assets.assets.assemble import SPLIT_HASH, split_hash_of, split_settings
from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import counts, data_version, markdown_table, table_metadata
from lex_assets.queries.rules import RuleGenerator
from lex_assets.queries.synthetic import SyntheticConfig, synthetic_queries
from lex_assets.queries.training import TrainingConfig as QuerySelection
from lex_assets.queries.training import training_queries as select_queries
from lex_assets.schemas import PASSAGES, QRELS, QUERIES

EXAMPLES = 12

SyntheticRun = run_config(SyntheticConfig)
QuerySelectionRun = run_config(QuerySelection)


@stage_asset(group="train", kinds={"polars"}, code_version="1")
def synthetic_qa(
    context: dg.AssetExecutionContext, config: SyntheticRun, passages: dict[str, Any], split: dict[str, Any]
) -> dg.MaterializeResult:
    """문서에서 만든 질문(규칙 기반, 모델 없이). Questions made from passages; each inherits its source's split set."""
    queries, qrels, rejected = synthetic_queries(
        PASSAGES.validate(passages["passages"].collect()),
        RuleGenerator(),
        core_settings(config, SyntheticConfig),
        split=split_settings(split),
        labelled=QUERIES.validate(split["queries"].collect()),
        labelled_qrels=QRELS.validate(split["qrels"].collect()),
    )
    tables = {"queries": queries, "qrels": qrels}
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(QUERIES, queries, partitioned=True)
        | {
            "분할 · sets": counts(queries, "set"),
            SPLIT_HASH: split_hash_of(split),
            "걸러진 질문 · rejected": markdown_table(["이유 · reason", "건수 · questions"], sorted(rejected.items())),
            "예시 · examples": markdown_table(["질문 · question"], [[text] for text in queries["text"].head(EXAMPLES)]),
        },
    )


@stage_asset(group="train", kinds={"polars"}, code_version="1")
def training_queries(
    context: dg.AssetExecutionContext, config: QuerySelectionRun, split: dict[str, Any], synthetic_qa: dict[str, Any]
) -> dg.MaterializeResult:
    """학습·검증에 쓰는 질문. The domain's labelled and synthetic queries of the sets train and valid."""
    queries, qrels = select_queries(
        QUERIES.validate(split["queries"].collect()),
        QRELS.validate(split["qrels"].collect()),
        QUERIES.validate(synthetic_qa["queries"].collect()),
        QRELS.validate(synthetic_qa["qrels"].collect()),
        context.partition_key,
        core_settings(config, QuerySelection),
    )
    tables = {"queries": queries, "qrels": qrels}
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(QUERIES, queries, partitioned=True)
        | {
            "출처별 · by origin": counts(queries, "origin"),
            "분할 · sets": counts(queries, "set"),
            SPLIT_HASH: split_hash_of(split),
        },
    )
