"""The retriever's and the reranker's LoRA adapters, per domain."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import dagster as dg

from lex_assets.assets.assemble import domain_passages
from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import markdown_table, plot, stage_metadata, table_metadata
from lex_assets.assets.progress import training_progress
from lex_assets.models.devices import profile_named
from lex_assets.registry.stages import StageResult, run_stage, stage_key
from lex_assets.resources.gpu import GpuResource
from lex_assets.resources.models import BaseModelsResource
from lex_assets.resources.store import StoreResource
from lex_assets.resources.training_process import train_in_process
from lex_assets.schemas import ADAPTERS, QRELS, QUERIES, TRIPLETS, LexError
from lex_assets.training.config import AnyTrainingConfig, RerankerTrainingConfig, RetrieverTrainingConfig, SeedsConfig
from lex_assets.training.curves import loss_curve, metric_curve, seed_curves
from lex_assets.training.files import TrainingTables

RetrieverRun = run_config(RetrieverTrainingConfig, SeedsConfig)
RerankerRun = run_config(RerankerTrainingConfig, SeedsConfig)


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
    seeds = core_settings(config, SeedsConfig).more_seeds
    stages = _trained_seeds("retriever", models, data, settings, seeds, store, gpu, context)
    return _described("retriever", models.retriever, stages, store, context)


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
    seeds = core_settings(config, SeedsConfig).more_seeds
    stages = _trained_seeds("reranker", models, data, settings, seeds, store, gpu, context)
    return _described("reranker", models.reranker, stages, store, context)


def _training_tables(
    mined: dict[str, Any], queries: dict[str, Any], corpus: dict[str, Any], domain: str
) -> TrainingTables:
    return TrainingTables(
        TRIPLETS.validate(mined["triplets"].collect()),
        QUERIES.validate(queries["queries"].collect()),
        QRELS.validate(mined["qrels"].collect()),
        domain_passages(corpus, domain),
    )


def _trained_seeds(
    kind: Literal["retriever", "reranker"],
    models: BaseModelsResource,
    data: TrainingTables,
    settings: AnyTrainingConfig,
    more_seeds: int,
    store: StoreResource,
    gpu: GpuResource,
    context: dg.AssetExecutionContext,
) -> dict[int, StageResult]:
    """Seed → what it trained; the first is the adapter, the others repeat it."""
    stages: dict[int, StageResult] = {}
    for seed in range(settings.seed, settings.seed + more_seeds + 1):
        if more_seeds:
            context.log.info(f"시드 · seed {seed}: {len(stages) + 1}/{more_seeds + 1}")
        one = settings.model_copy(update={"seed": seed})
        stages[seed] = _trained(kind, models, data, one, store, gpu, context)
    return stages


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
    kind: str, base: str, stages: Mapping[int, StageResult], store: StoreResource, context: dg.AssetExecutionContext
) -> dg.MaterializeResult:
    results = {seed: json.loads((stage.path / "result.json").read_text("utf-8")) for seed, stage in stages.items()}
    about = {"kind": kind, "domain": context.partition_key, "base": base}
    rows = [about | _row(seed, stage, results[seed], store) for seed, stage in stages.items()]
    table, stage, result = ADAPTERS.frame(rows), next(iter(stages.values())), next(iter(results.values()))
    return dg.MaterializeResult(
        value={"adapter": table},
        data_version=dg.DataVersion("+".join(row["weights_hash"][:16] for row in rows)),
        metadata=table_metadata(ADAPTERS, table, partitioned=True)
        | stage_metadata(stage, store.path)
        | {
            "첫 손실 · initial loss": result["initial_loss"],
            "끝 손실 · final loss": result["final_loss"],
            "우연 수준 · chance": result["chance"],
            "검증 전 · valid before": result["base_metric"],
            "검증 후 · valid after": result["best_metric"],
            "양상 · pattern": result["pattern"],
            "손실 · loss": plot(loss_curve(result["history"], result["chance"])),
        }
        | _validation(results),
    )


def _row(seed: int, stage: StageResult, result: Mapping[str, Any], store: StoreResource) -> dict[str, Any]:
    """The columns of ADAPTERS that a seed differs in."""
    from lex_assets.models.weights import Adapter

    adapter = stage.path / "adapter"
    measured = {name: result[name] for name in ("steps", "metric_name", "base_metric", "best_metric")}
    path = str(adapter.relative_to(store.path))
    return {"seed": seed, "path": path, "weights_hash": Adapter.open(adapter).hash} | measured


def _validation(results: Mapping[int, Mapping[str, Any]]) -> dict[str, Any]:
    """The validation curve, one line per seed; with several seeds also what each of them reached."""
    first = next(iter(results.values()))
    if len(results) == 1:
        return {"검증 · validation": plot(metric_curve(first["history"], first["metric_name"], first["base_metric"]))}
    header = ["시드 · seed", "검증 전 · before", "검증 후 · after", "스텝 · steps"]
    rows = [[s, f"{r['base_metric']:.4f}", f"{r['best_metric']:.4f}", r["steps"]] for s, r in results.items()]
    histories = {f"seed {seed}": result["history"] for seed, result in results.items()}
    return {
        "시드 · seeds": markdown_table(header, rows),
        "검증 · validation": plot(seed_curves(histories, first["base_metric"])),
    }
