"""Base models compared before one of them is adapted."""

from functools import partial
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.assemble import SPLIT_HASH, split_hash_of
from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import data_version, markdown_table, stage_metadata, table_metadata, titled_plots
from lex_assets.assets.progress import staged_progress_log
from lex_assets.evaluation.ablation import ABLATION, COSTS_OF_PAIRS, Ablation, AblationConfig, ablate, models_of
from lex_assets.evaluation.ablation_report import ablation_plots, ablation_table
from lex_assets.evaluation.question_sets import human_questions
from lex_assets.registry.stages import run_stage, stage_key
from lex_assets.resources.gpu import GpuResource
from lex_assets.resources.lexical import LexicalSearchResource
from lex_assets.resources.models import BaseModelsResource
from lex_assets.resources.store import StoreResource
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.schemas import frame_hash

AblationRun = run_config(AblationConfig, DenseConfig)


@stage_asset(group="study", kinds={"torch"}, code_version="1", gpu=True, automatic=False)
def model_ablation(
    context: dg.AssetExecutionContext,
    config: AblationRun,
    store: StoreResource,
    models: BaseModelsResource,
    gpu: GpuResource,
    lexical: LexicalSearchResource,
    split: dict[str, Any],
    corpus: dict[str, Any],
) -> dg.MaterializeResult:
    """검색기·재순위기 쌍의 비교: 품질, 파라미터, 지연, 메모리. Pairs of base models on the same questions, quality and cost in one table."""
    domain, settings = context.partition_key, core_settings(config, AblationConfig)
    bases = {pair: _bases(models, pair) for pair in settings.pairs}
    seen = frozenset[str]().union(*(base.trained_documents() for base in bases.values()))
    queries, qrels, passages = (frame.collect() for frame in (split["queries"], split["qrels"], corpus["passages"]))
    sets = list(human_questions(queries, qrels, passages, domain, seen, settings.query_set))
    identities = {pair: base.identities() for pair, base in bases.items()}
    loads = {models_of(pair): partial(base.load, expected=identities[pair]) for pair, base in bases.items()}
    inputs = {f"{kind} of {pair}": of for pair, found in identities.items() for kind, of in found.items()}
    inputs |= {one.name: frame_hash(one.queries, one.qrels, one.corpus) for one in sets}

    def compute(folder: Path) -> None:
        progress = staged_progress_log(context.log)
        index = lexical.over(sets[0].corpus, domain, store.terms, progress)
        with gpu.held() as device:
            made = ablate(
                sets, settings, lambda *pair: loads[pair](device),
                progress, index, store.embeddings, core_settings(config, DenseConfig),
            )  # fmt: skip
        made.quality.write_parquet(folder / "quality.parquet")
        made.costs.write_parquet(folder / "costs.parquet")

    key = stage_key("1", settings.model_dump(), inputs | {"lexical": lexical.version()})
    stage = run_stage(store.stages, "model_ablation", key, compute)
    read = {name: pl.read_parquet(stage.path / f"{name}.parquet") for name in ("quality", "costs")}
    found = Ablation(ABLATION.validate(read["quality"]), COSTS_OF_PAIRS.validate(read["costs"]))
    return dg.MaterializeResult(
        value=read,
        data_version=data_version(read),
        metadata=table_metadata(ABLATION, found.quality, partitioned=True)
        | stage_metadata(stage, store.path)
        | {SPLIT_HASH: split_hash_of(split), "집합 · set": settings.query_set}
        | {
            "비교 · comparison": markdown_table(*ablation_table(found)),
            "그림 · plots": titled_plots(ablation_plots(found)),
        },
    )


def _bases(models: BaseModelsResource, pair: str) -> BaseModelsResource:
    """The two models of a pair, loaded as the pipeline loads its own. Raises LexError for a missing folder when asked."""
    retriever, reranker = models_of(pair)
    return BaseModelsResource(retriever=retriever, reranker=reranker, trust_remote_code=models.trust_remote_code)
