"""The evaluation report, per domain: every system on the whole corpus, base against adapter against champion."""

import dataclasses
import datetime
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.assemble import SPLIT_HASH, domain_passages, split_hash_of
from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import plot, preview, stage_metadata, table_metadata
from lex_assets.assets.mining import mining_report
from lex_assets.assets.progress import staged_progress_log
from lex_assets.evaluation import history
from lex_assets.evaluation.config import EvaluationConfig
from lex_assets.evaluation.costs import COSTS, measure
from lex_assets.evaluation.guards import GUARD_SCORES, METRIC, Guard, domain_guards, folder_guard, score_guards
from lex_assets.evaluation.report import HEADLINE, EvalReport, build_report, read_report
from lex_assets.evaluation.seen import seen_by_base
from lex_assets.evaluation.systems import SystemsConfig, sample_evaluation
from lex_assets.registry.adapters import folder_hash
from lex_assets.registry.candidate import Registry
from lex_assets.registry.leaderboard import LEADERBOARD_FILE, history_with, leaderboard_rows
from lex_assets.registry.published import evaluation_queries
from lex_assets.registry.stages import run_stage, stage_key
from lex_assets.resources.gpu import GpuResource
from lex_assets.resources.lexical import LexicalSearchResource
from lex_assets.resources.models import BaseModelsResource
from lex_assets.resources.store import StoreResource
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.schemas import ADAPTERS, PASSAGES, QRELS, QUERIES, RUN, frame_hash

EvaluationRun = run_config(EvaluationConfig, DenseConfig)

Tables = dict[str, pl.LazyFrame]


@stage_asset(group="train", kinds={"torch"}, code_version="4", gpu=True)
def eval_report(
    context: dg.AssetExecutionContext,
    config: EvaluationRun,
    store: StoreResource,
    models: BaseModelsResource,
    gpu: GpuResource,
    lexical: LexicalSearchResource,
    split: dict[str, Any],
    synthetic_qa: dict[str, Any],
    corpus: dict[str, Any],
    hard_negative_triplets: dict[str, Any],
    retriever_adapter: dict[str, Any],
    reranker_adapter: dict[str, Any],
) -> dg.MaterializeResult:
    """기반과 어댑터의 비교 보고서. Every system on the whole corpus, both regimes, with intervals; one HTML file."""
    domain, settings = context.partition_key, core_settings(config, EvaluationConfig)
    dense = core_settings(config, DenseConfig)
    labelled, synthetic = _collected(split), _collected(synthetic_qa)
    queries, qrels = evaluation_queries(labelled, synthetic, domain)
    queries = sample_evaluation(queries, settings.queries_per_set)
    passages = domain_passages(corpus, domain)
    adapters = {"retriever": adapter_row(retriever_adapter), "reranker": adapter_row(reranker_adapter)}
    registry = Registry(store.registry)
    champion = rival(registry, domain, adapter_folders(store, adapters))
    seeds = seed_folders(store, {"retriever": retriever_adapter, "reranker": reranker_adapter})
    guards = _guards(domain, labelled, corpus, settings)
    seen = seen_by_base(queries, qrels, passages, models.trained_documents())
    mining = mining_report(hard_negative_triplets["report"].collect(), store)
    bases = models.identities()
    provenance = {
        "corpus": frame_hash(passages)[:16],
        "queries": frame_hash(queries, qrels)[:16],
        **{f"{kind}_base": identity for kind, identity in bases.items()},
        **{f"{kind}_adapter": row["weights_hash"][:16] for kind, row in adapters.items()},
        **{name: "+".join(folder_hash(folder)[:16] for folder in pair) for name, pair in seeds.items()},
        **({"champion": champion.version} if champion else {}),
        "lexical": lexical.version(),
        **{f"guard_{guard.name}": guard.hash[:16] for guard in guards},
    }

    def compute(folder: Path) -> None:
        from lex_assets.evaluation.systems import rank_systems

        progress = staged_progress_log(context.log)
        index = lexical.over(passages, domain, store.terms, progress)
        with gpu.held() as device:
            load = partial(models.load, device, expected=bases)
            stacks = _stacks(load, adapter_folders(store, adapters), champion, seeds)
            ranked = rank_systems(queries, qrels, passages, stacks, settings, store.embeddings, progress, index, dense)
            models_of = [(stack.name, stack.encoder, stack.reranker) for stack in stacks if stack.name not in seeds]
            score_guards(guards, models_of, store.embeddings, dense).write_parquet(folder / "guards.parquet")
            test = queries.filter(pl.col("set") == "test")
            costs = [measure(*one, test, passages, settings.rerank_depth, store.embeddings, dense) for one in models_of]
            pl.concat(costs).write_parquet(folder / "costs.parquet")
        ranked.runs.write_parquet(folder / "run.parquet", compression="zstd")
        fusions = {f"fusion_{system}": f"{f.method} {f.weight:.2f}" for system, f in ranked.fusions.items()}
        report = build_report(
            domain, ranked.runs, queries, qrels, passages, config=settings.report(),
            training=_training(store, adapters), mining=mining, provenance=provenance | fusions, seen_by_base=seen,
        )  # fmt: skip
        report.write(folder / "report")

    stage = run_stage(store.stages, "eval_report", stage_key("3", settings.model_dump(), provenance), compute)
    report = read_report(stage.path / "report")
    tables = _tables(stage.path, report)
    tables["report"] = pl.DataFrame(
        {
            "path": [str((stage.path / "report").relative_to(store.path))],
            "champion_version": [registry.champions.version(domain)],
            "measured": [json.dumps(_measured(settings, guards, seeds), sort_keys=True)],
        }
    )
    return dg.MaterializeResult(
        value=tables,
        data_version=dg.DataVersion(report.report_hash),
        metadata=table_metadata(HEADLINE, tables["headline"], partitioned=True)
        | stage_metadata(stage, store.path)
        | {SPLIT_HASH: split_hash_of(split)}
        | _shown(report, stage.path / "report" / "report.html")
        | {"미리보기 · preview": preview(tables["headline"].drop("scores"))}
        | {"비용 · cost": preview(tables["costs"]), "보호 집합 · guards": _guard_means(tables["guards"])}
        | _history(store, report, adapters),
    )


def _tables(folder: Path, report: EvalReport) -> dict[str, pl.DataFrame]:
    """What the stage left in its folder, as the asset's tables."""
    read = {name: pl.read_parquet(folder / f"{name}.parquet") for name in ("run", "guards", "costs")}
    schemas = {"run": RUN, "guards": GUARD_SCORES, "costs": COSTS}
    return {"headline": report.headline()} | {name: schemas[name].validate(frame) for name, frame in read.items()}


def _collected(tables: Tables) -> dict[str, pl.DataFrame]:
    return {name: frame.collect() for name, frame in tables.items()}


def _guards(domain: str, labelled: dict[str, pl.DataFrame], corpus: Tables, settings: SystemsConfig) -> list[Guard]:
    """Other domains' promotion sets, and the folders that the config names."""
    folders = [folder_guard(Path(folder)) for folder in settings.guard_folders]
    if not settings.guard_queries:
        return folders
    tables = QUERIES.validate(labelled["queries"]), QRELS.validate(labelled["qrels"])
    everything = PASSAGES.validate(corpus["passages"].collect())
    found = domain_guards(domain, *tables, everything, settings.guard_queries, settings.guard_passages)
    return [*found, *folders]


@dataclasses.dataclass(frozen=True)
class Rival:
    """The champion that a candidate has to beat: its adapters' identity and folders."""

    version: str
    folders: tuple[Path | None, Path | None]


def rival(registry: Registry, domain: str, candidate: tuple[Path, Path]) -> Rival | None:
    """The current champion, unless the base is in use or the candidate itself is the champion."""
    folders = registry.champion_folders(domain)
    if folders is None or [f and folder_hash(f) for f in folders] == [folder_hash(f) for f in candidate]:
        return None
    return Rival(registry.champions.data_version(domain), folders)


Folders = tuple[Path, Path]
"""Adapter folders of a retriever and a reranker."""


def seed_folders(store: StoreResource, adapters: dict[str, Tables]) -> dict[str, Folders]:
    """Stack name (seed2, seed3, …) → adapter folders of each further seed. Where one of the two was trained with fewer seeds
    than the other, its adapter stands in."""
    kinds = [ADAPTERS.validate(adapters[kind]["adapter"].collect())["path"] for kind in ("retriever", "reranker")]
    count = max(map(len, kinds))
    at = [[paths[n] if n < len(paths) else paths[0] for paths in kinds] for n in range(1, count)]
    return {f"seed{n}": (store.path / pair[0], store.path / pair[1]) for n, pair in enumerate(at, start=2)}


def _measured(settings: EvaluationConfig, guards: list[Guard], seeds: dict[str, Folders]) -> dict[str, Any]:
    """Everything of this report's making that the gate depends on; guard folders by their content."""
    folders = [Path(folder).name for folder in settings.guard_folders]
    contents = [f"{guard.name} {guard.hash[:16]}" for guard in guards if guard.name in folders]
    return settings.decisive() | {"guard_folders": contents, "seeds": 1 + len(seeds)}


def adapter_row(tables: Tables) -> dict[str, Any]:
    """The one row of an adapter asset's table."""
    return ADAPTERS.validate(tables["adapter"].collect()).row(0, named=True)


def adapter_folders(store: StoreResource, adapters: dict[str, dict[str, Any]]) -> tuple[Path, Path]:
    """Folders of the retriever and the reranker adapter."""
    return store.path / adapters["retriever"]["path"], store.path / adapters["reranker"]["path"]


def _stacks(
    load: Callable[..., Any], candidate: Folders, champion: Rival | None, seeds: dict[str, Folders]
) -> list[Any]:
    from lex_assets.evaluation.systems import Stack

    stacks = [Stack("base", *load()), Stack("adapter", *load(candidate))]
    stacks += [Stack("champion", *load(champion.folders))] if champion else []
    return stacks + [Stack(name, *load(folders)) for name, folders in seeds.items()]


def _training(store: StoreResource, adapters: dict[str, dict[str, Any]]) -> dict[str, Any]:
    files = {kind: (store.path / row["path"]).with_name("result.json") for kind, row in adapters.items()}
    return {kind: json.loads(path.read_text("utf-8")) for kind, path in files.items()}


def _shown(report: EvalReport, page: Path) -> dict[str, Any]:
    """The same tables and plots as on the page."""
    return {
        "보고서 · report": dg.MetadataValue.path(str(page)),
        **{title: dg.MetadataValue.md(text) for title, text in report.tables().items()},
        **{title: plot(svg) for title, svg in report.plots().items()},
    }


def _guard_means(guards: pl.DataFrame) -> dg.MetadataValue:
    means = guards.group_by("guard", "part", "system").agg(pl.col(METRIC).mean(), pl.len().alias("n"))
    return preview(means.sort("guard", "part", "system"), means.height)


def _history(store: StoreResource, report: EvalReport, adapters: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """This report after the earlier ones on the same frozen test set."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    rows = history_with(store.registry / LEADERBOARD_FILE, leaderboard_rows(report, *adapter_names(adapters), now))
    drawn = {title: plot(svg) for title, svg in history.plots(rows).items()} if len(rows) else {}
    return {"역사 · history": dg.MetadataValue.md("\n".join(history.lines(rows)))} | drawn


def adapter_names(adapters: dict[str, dict[str, Any]]) -> tuple[str, str]:
    """How the leaderboard calls the retriever and the reranker adapter."""
    retriever, reranker = (adapters[kind]["weights_hash"][:16] for kind in ("retriever", "reranker"))
    return retriever, reranker
