"""The rounds of re-mining, per domain: what each reached, and whether another is worth it."""

import dataclasses
from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import data_version, markdown_table, plot
from lex_assets.evaluation.rounds import HEADER, STOPS, round_plot, round_rows
from lex_assets.registry.candidate import Registry
from lex_assets.registry.rounds import Round, RoundsConfig
from lex_assets.resources.store import StoreResource
from lex_assets.schemas import ADAPTERS, TRIPLETS

RoundsRun = run_config(RoundsConfig)


@stage_asset(group="train", kinds={"polars"}, code_version="1")
def mining_rounds(
    context: dg.AssetExecutionContext,
    config: RoundsRun,
    store: StoreResource,
    hard_negative_triplets: dict[str, Any],
    retriever_adapter: dict[str, Any],
    champion: dict[str, Any],
) -> dg.MaterializeResult:
    """채굴 라운드의 기록. What each round of mining and training reached; says whether another is due."""
    done = _round(hard_negative_triplets, retriever_adapter, champion)
    rounds = Registry(store.registry).rounds
    history = rounds.record(context.partition_key, done, core_settings(config, RoundsConfig))
    rows = [dataclasses.asdict(one) for one in history]
    tables = {"rounds": pl.DataFrame(rows, schema_overrides={"failed": pl.List(pl.String), "gain": pl.Float64})}
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version({"rounds": tables["rounds"].drop("at")}),
        metadata={
            "라운드 · rounds": markdown_table(HEADER, round_rows(rows)),
            "그림 · plot": plot(round_plot(rows)),
            "다음 · next": STOPS[history[-1].stop],
        },
    )


def _round(mined: dict[str, Any], retriever: dict[str, Any], champion: dict[str, Any]) -> Round:
    from lex_assets.mining.previous import kept_of

    adapter = ADAPTERS.validate(retriever["adapter"].collect()).row(0, named=True)
    decided = champion["champion"].collect().row(0, named=True)
    return Round(
        **mined["round"].collect().row(0, named=True),
        adapter=adapter["weights_hash"],
        kept=kept_of(TRIPLETS.validate(mined["triplets"].collect())),
        metric_name=adapter["metric_name"],
        base_metric=adapter["base_metric"],
        metric=adapter["best_metric"],
        promoted=decided["candidate_promoted"],
        failed=tuple(decided["failed"]),
    )
