"""Hard negatives, per domain.

`mining_model` is observed, not made: its data version is the weights that mine, so that a new champion makes the hard
negatives stale without a cycle in the graph.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.assemble import domain_passages, split_settings
from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import data_version, markdown_table, stage_metadata, table_metadata, titled_plots
from lex_assets.assets.progress import spending_log, staged_progress_log
from lex_assets.evaluation.mining import examples, mining_plots, mining_tables
from lex_assets.llm.budget import Meter
from lex_assets.mining.config import JudgeConfig, MiningConfig
from lex_assets.mining.llm_judge import LlmRelevanceJudge
from lex_assets.mining.stored import MINED_TABLES, REPORT_FILE
from lex_assets.partitions import domain_partitions
from lex_assets.queries.quality import MEASURES, require_within_bounds
from lex_assets.queries.split import held_out_families
from lex_assets.registry.candidate import Registry
from lex_assets.registry.rounds import Round
from lex_assets.registry.stages import run_stage, stage_key
from lex_assets.resources.gpu import GpuResource
from lex_assets.resources.lexical import LexicalSearchResource
from lex_assets.resources.llm import LlmResource
from lex_assets.resources.models import BaseModelsResource
from lex_assets.resources.store import StoreResource
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.schemas import CITATIONS, DOMAINS, QRELS, QUERIES, TRIPLETS, LexError, content_hash, frame_hash

CODE_VERSION, STAGE = "4", "hard_negative_triplets"
MiningRun = run_config(MiningConfig, DenseConfig, JudgeConfig)


@dg.observable_source_asset(
    group_name="train",
    partitions_def=domain_partitions,
    description="채굴에 쓰는 모델: 챔피언이 있으면 그 가중치, 없으면 기반 모델. Weights that mine, by their hash.",
)
def mining_model(store: StoreResource, models: BaseModelsResource) -> dg.DataVersionsByPartition:
    """One data version per domain: the champion's adapters on the base, or the base alone."""
    registry = Registry(store.registry)
    bases = models.identities()
    return dg.DataVersionsByPartition({domain: mining_version(registry, domain, bases) for domain in DOMAINS})


def mining_version(registry: Registry, domain: str, bases: Mapping[str, str]) -> str:
    """What identifies the mining model: the bases' weights and the champion's adapters."""
    return content_hash(*bases.values(), registry.champions.data_version(domain))[:16]


@stage_asset(group="train", kinds={"torch"}, code_version=CODE_VERSION, gpu=True, deps=[mining_model])
def hard_negative_triplets(
    context: dg.AssetExecutionContext,
    config: MiningRun,
    store: StoreResource,
    models: BaseModelsResource,
    gpu: GpuResource,
    lexical: LexicalSearchResource,
    llm: LlmResource,
    training_queries: dict[str, Any],
    corpus: dict[str, Any],
    citation_graph: dict[str, Any],
    split: dict[str, Any],
    data_quality: dict[str, Any],
) -> dg.MaterializeResult:
    """정답이 아니면서 헷갈리는 단락. BM25 and dense pools, filtered for false negatives, every rank and score kept."""
    require_within_bounds(MEASURES.validate(data_quality["measures"].collect()))  # its checks block their own run alone
    settings = core_settings(config, MiningConfig)
    queries = QUERIES.validate(training_queries["queries"].collect())
    qrels = QRELS.validate(training_queries["qrels"].collect())
    passages = domain_passages(corpus, context.partition_key)
    citations = CITATIONS.validate(citation_graph["citations"].collect())
    held_out = held_out_families(passages, split_settings(split))
    registry, bases = Registry(store.registry), models.identities()
    adapters = registry.champion_folders(context.partition_key)
    meter = llm.meter()
    judge = _judge(core_settings(config, JudgeConfig), llm, meter, context)
    data = frame_hash(queries, qrels, passages)
    inputs = {
        "held_out": ",".join(sorted(held_out)),
        "queries": frame_hash(queries, qrels),
        "corpus": frame_hash(passages),
        "citations": frame_hash(citations),
        "mining_model": mining_version(registry, context.partition_key, bases),
        "lexical": lexical.version(),
        "judge": judge.version() if judge else "",
    }
    question = stage_key(CODE_VERSION, settings.model_dump(), inputs)
    before = registry.rounds.before(context.partition_key, question) if settings.keep_share else None
    old = previous_triplets(store, before)

    def compute(folder: Path) -> None:
        from lex_assets.mining.stored import write_mined
        from lex_assets.mining.with_models import mine_with_models

        progress = staged_progress_log(context.log)
        index = lexical.over(passages, context.partition_key, store.terms, progress)
        with gpu.held() as device:
            retriever, reranker = models.load(device, adapters, bases)
            mined = mine_with_models(
                queries, qrels, passages, retriever, reranker, settings,
                citations=citations, cache_dir=store.embeddings, progress=progress,
                lexical=index, held_out_families=held_out, dense_config=core_settings(config, DenseConfig), judge=judge,
            )  # fmt: skip
        if old is not None:
            from lex_assets.mining.previous import with_previous

            mined = with_previous(mined, old, queries, passages, settings, held_out)
        write_mined(mined, folder)

    key = stage_key(CODE_VERSION, settings.model_dump(), inputs | {"previous": before.mined if before else ""})
    stage = run_stage(store.stages, STAGE, key, compute)
    tables = {name: pl.read_parquet(stage.path / f"{name}.parquet") for name in MINED_TABLES}
    tables["report"] = pl.DataFrame({"path": [str((stage.path / REPORT_FILE).relative_to(store.path))]})
    mined_by = {"question": question, "mined": key, "mining_model": inputs["mining_model"], "data": data}
    tables["round"] = pl.DataFrame([mined_by])
    report = mining_report(tables["report"], store)
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(TRIPLETS, tables["triplets"], partitioned=True)
        | stage_metadata(stage, store.path)
        | ({"판정 비용 · judging": str(meter.usage)} if judge else {})
        | _audit(report),
    )


def _judge(
    config: JudgeConfig, llm: LlmResource, meter: Meter, context: dg.AssetExecutionContext
) -> LlmRelevanceJudge | None:
    """Who reads the chosen negatives; None when nobody is to."""
    if config.judge == "none":
        return None
    return LlmRelevanceJudge(llm.judging(meter), spending_log(context.log, "오답 판정 · judging negatives"))


def previous_triplets(store: StoreResource, before: Round | None) -> pl.DataFrame | None:
    """The triplets of the round before. Raises LexError when they are gone."""
    if before is None:
        return None
    path = store.stages / STAGE / before.mined / "triplets.parquet"
    if not path.is_file():
        raise LexError(f"{path}: the negatives of round {before.number} are gone; restore them, or set keep_share to 0")
    return TRIPLETS.validate(pl.read_parquet(path))


def mining_report(location: pl.DataFrame, store: StoreResource) -> dict[str, Any]:
    """The audit that mining left, from the asset's table `report`."""
    return json.loads((store.path / location.item(0, "path")).read_text("utf-8"))


def _audit(report: dict[str, Any]) -> dict[str, Any]:
    """The mining report as tables, plots, and examples to read."""
    tables = {title: markdown_table(*table) for title, table in mining_tables(report).items()}
    return (
        {"질의당 음성 수 · negatives per query": report["negatives_per_query"]}
        | tables
        | {
            "그림 · plots": titled_plots(mining_plots(report)),
            "예시 · examples": dg.MetadataValue.md(examples(report)),
            "보고서 · report": dg.MetadataValue.json(report),
        }
    )
