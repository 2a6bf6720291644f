"""The code location: assembly and nothing else. Loading it imports no model library and does no I/O."""

import os

import dagster as dg

from lex_assets.assets import (
    ablation,
    adapters,
    assemble,
    evaluate,
    exports,
    ingest,
    mining,
    promote,
    quality,
    questions,
    rounds,
)
from lex_assets.checks import ALL_CHECKS
from lex_assets.io_managers.parquet import ParquetIOManager
from lex_assets.jobs import ALL_JOBS
from lex_assets.resources.gpu import GpuResource
from lex_assets.resources.lexical import LexicalSearchResource
from lex_assets.resources.llm import LlmResource
from lex_assets.resources.models import BaseModelsResource
from lex_assets.resources.raw import RawDocumentsResource
from lex_assets.resources.store import StoreResource
from lex_assets.retrieval.engine import LexicalConfig
from lex_assets.schedules import weekly_remine
from lex_assets.sensors import automation, corpus_change, run_failure_alert


def resources() -> dict[str, object]:
    """The pipeline's resources, pointed by environment variables; run config may override each field."""
    env = os.environ.get
    store = StoreResource(root=env("LEX_STORE", "data/store"))
    return {
        "store": store,
        "tables": ParquetIOManager(store=store),
        "raw": RawDocumentsResource(
            root=env("LEX_RAW", "data/sample"),
            domain_rules=env("LEX_DOMAIN_RULES", ""),
            workers=int(env("LEX_WORKERS", "1")),
        ),
        "models": BaseModelsResource(
            retriever=env("LEX_RETRIEVER", "builtin"), reranker=env("LEX_RERANKER", "builtin")
        ),
        "lexical": LexicalSearchResource(**LexicalConfig.from_environment().model_dump()),
        "llm": LlmResource(store=store),
        "gpu": GpuResource(profile=env("LEX_GPU_PROFILE", ""), count=int(env("LEX_GPU_COUNT", "1"))),
    }


@dg.definitions
def defs() -> dg.Definitions:
    """Assets, checks, jobs, the schedule and the sensors of lex_assets."""
    return dg.Definitions(
        assets=dg.load_assets_from_modules(
            [ingest, assemble, questions, quality, mining, adapters, evaluate, promote, rounds, ablation, exports]
        ),
        asset_checks=ALL_CHECKS,
        jobs=ALL_JOBS,
        schedules=[weekly_remine],
        sensors=[run_failure_alert, automation, corpus_change],
        resources=resources(),
        executor=dg.in_process_executor,  # a step in a process of its own would import the model libraries again
    )
