"""The retriever's and the reranker's LoRA adapters, per domain."""

import json
import shutil
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from lex_assets.assets.assemble import domain_passages
from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import plot, stage_metadata, table_metadata
from lex_assets.assets.progress import training_progress
from lex_assets.models.devices import profile_named
from lex_assets.registry.stages import StageResult, run_stage, stage_key
from lex_assets.resources.gpu import GpuResource
from lex_assets.resources.models import BaseModelsResource
from lex_assets.resources.store import StoreResource
from lex_assets.resources.training_process import train_in_process
from lex_assets.schemas import ADAPTERS, QRELS, QUERIES, TRIPLETS, LexError
from lex_assets.training.config import AnyTrainingConfig, RerankerTrainingConfig, RetrieverTrainingConfig
from lex_assets.training.curves import loss_curve, metric_curve
from lex_assets.training.files import TrainingTables

RetrieverRun = run_config(RetrieverTrainingConfig)
RerankerRun = run_config(RerankerTrainingConfig)


@stage_asset(group="train", kinds={"torch", "huggingface"}, code_version="2", gpu=True)
def retriever_adapter(
    context: dg.AssetExecutionContext,
    config: RetrieverRun,
    store: StoreResource,
    models: BaseModelsResource,
    gpu: GpuResource,
    hard_negative_triplets: dict[str, Any],
    training_queries: dict[str, Any],
    corpus: dict[str, Any],
) -> dg.MaterializeResult:
    """검색 모델의 LoRA 어댑터. LoRA on the bi-encoder, InfoNCE masked by labels and equivalence."""
    data = _training_tables(hard_negative_triplets, training_queries, corpus, context.partition_key)
    settings = core_settings(config, RetrieverTrainingConfig)
    stage = _trained("retriever", models, data, settings, store, gpu, context)
    return _described("retriever", models.retriever, stage, store, context)


@stage_asset(group="train", kinds={"torch", "huggingface"}, code_version="2", gpu=True)
def reranker_adapter(
    context: dg.AssetExecutionContext,
    config: RerankerRun,
    store: StoreResource,
    models: BaseModelsResource,
    gpu: GpuResource,
    hard_negative_triplets: dict[str, Any],
    training_queries: dict[str, Any],
    corpus: dict[str, Any],
) -> dg.MaterializeResult:
    """재순위 모델의 LoRA 어댑터. LoRA on the cross-encoder with its head, several positives per query."""
    data = _training_tables(hard_negative_triplets, training_queries, corpus, context.partition_key)
    settings = core_settings(config, RerankerTrainingConfig)
    stage = _trained("reranker", models, data, settings, store, gpu, context)
    return _described("reranker", models.reranker, stage, store, context)


def _training_tables(
    mined: dict[str, Any], queries: dict[str, Any], corpus: dict[str, Any], domain: str
) -> TrainingTables:
    return TrainingTables(
        TRIPLETS.validate(mined["triplets"].collect()),
        QUERIES.validate(queries["queries"].collect()),
        QRELS.validate(mined["qrels"].collect()),
        domain_passages(corpus, domain),
    )


def _trained(
    kind: Literal["retriever", "reranker"],
    models: BaseModelsResource,
    data: TrainingTables,
    settings: AnyTrainingConfig,
    store: StoreResource,
    gpu: GpuResource,
    context: dg.AssetExecutionContext,
) -> StageResult:
    """The folder with `adapter/` and `result.json`, trained unless the same inputs were trained before."""
    if settings.tuning != "lora":
        raise LexError("tuning full: the pipeline registers adapters; set tuning to lora, or train with the library")
    profile = profile_named(gpu.profile)
    settings = settings.on_device(profile.precision, profile.train_micro_batch)
    inputs = data.hashes() | {"base": models.identities()[kind], "device": profile.name}
    key = stage_key("2", settings.decisive(), inputs)

    def compute(folder: Path) -> None:
        from lex_assets.training.job import TrainingJob

        tables = folder / "tables"
        data.write(tables)
        job = TrainingJob(
            name=f"{kind}-{key}",
            kind=kind,
            base=getattr(models, kind),
            trust_remote_code=models.trust_remote_code,
            settings=settings,
            tables=tables,
            out=folder,
            checkpoints=store.checkpoints / f"{kind}-{key}",
            tracking=store.path / settings.tracker_dir,
            profile=gpu.profile,
            index=gpu.index,
            count=gpu.count,
            lock_timeout_s=gpu.lock_timeout_s,
        )
        train_in_process(context, job, training_progress(context))
        shutil.rmtree(tables)

    return run_stage(store.stages, f"{kind}_adapter", key, compute)


def _described(
    kind: str, base: str, stage: StageResult, store: StoreResource, context: dg.AssetExecutionContext
) -> dg.MaterializeResult:
    from lex_assets.models.weights import Adapter

    result = json.loads((stage.path / "result.json").read_text("utf-8"))
    adapter = stage.path / "adapter"
    row = {
        "kind": kind,
        "domain": context.partition_key,
        "base": base,
        "path": str(adapter.relative_to(store.path)),
        "weights_hash": Adapter.open(adapter).hash,
        "steps": result["steps"],
        "metric_name": result["metric_name"],
        "base_metric": result["base_metric"],
        "best_metric": result["best_metric"],
    }
    table = ADAPTERS.frame([row])
    history = result["history"]
    return dg.MaterializeResult(
        value={"adapter": table},
        data_version=dg.DataVersion(row["weights_hash"][:16]),
        metadata=table_metadata(ADAPTERS, table, partitioned=True)
        | stage_metadata(stage, store.path)
        | {
            "첫 손실 · initial loss": result["initial_loss"],
            "끝 손실 · final loss": result["final_loss"],
            "우연 수준 · chance": result["chance"],
            "검증 전 · valid before": result["base_metric"],
            "검증 후 · valid after": result["best_metric"],
            "양상 · pattern": result["pattern"],
            "손실 · loss": plot(loss_curve(history, result["chance"])),
            "검증 · validation": plot(metric_curve(history, result["metric_name"], result["base_metric"])),
        },
    )
