"""A store as it is before mining, and the asset that mines it, for a test or for a process of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.assemble import citation_graph, corpus, split
from lex_assets.assets.mining import hard_negative_triplets, mining_model
from lex_assets.assets.quality import data_quality
from lex_assets.assets.questions import training_queries
from lex_assets.definitions import resources
from lex_assets.io_managers.parquet import read_tables, write_tables
from lex_assets.queries.quality import MEASURES
from lex_assets.queries.split import SplitConfig
from lex_assets.schemas import CITATIONS, QRELS, QUERIES, content_hash
from lex_assets_tests.evaluation import made_up

DOMAIN, ASSET = "law", "hard_negative_triplets"
FEW = {
    "pool_lexical": 8, "pool_dense": 8, "pool_sibling": 0, "pool_same_title": 0, "hard": 3, "mid": 2,
    "question_similarity": 0.0, "cap_quantile": 0.0, "rerank_margin": 0.0,
}  # fmt: skip
"""Few candidates, and few of them dropped."""


def give_minable(store: Path) -> None:
    """The tables that `hard_negative_triplets` of DOMAIN reads."""
    asked, qrels = made_up.queries(60)
    asked = asked.filter(pl.col("set").is_in(["train", "valid"])).with_columns(origin=pl.lit("citation"))
    passages = made_up.corpus()
    hashes = [content_hash(*row) for row in passages.select("context", "text").iter_rows()]
    tables = {
        f"training_queries/{DOMAIN}": {"queries": asked, "qrels": qrels.join(asked, on="query_id", how="semi")},
        "corpus": {"passages": passages.with_columns(content_hash=pl.Series(hashes))},
        "citation_graph": {"citations": CITATIONS.frame([])},
        "split": {
            "queries": QUERIES.frame([]), "qrels": QRELS.frame([]),
            "settings": pl.DataFrame([SplitConfig(held_out=0).model_dump()]),
        },
        f"data_quality/{DOMAIN}": {"measures": MEASURES.frame([])},
    }  # fmt: skip
    for name, frames in tables.items():
        write_tables(store / "tables" / name, frames)


def mine(config: dict[str, Any] | None = None, llm: dict[str, Any] | None = None) -> dg.ExecuteInProcessResult:
    """Materialize the asset in the store that the environment names."""
    sources = [one.to_source_asset() for one in (training_queries, corpus, citation_graph, split, data_quality)]
    run_config: dict[str, Any] = {"ops": {ASSET: {"config": FEW | (config or {})}}}
    if llm:
        run_config["resources"] = {"llm": {"config": llm}}
    return dg.materialize(
        [*sources, mining_model, hard_negative_triplets],
        selection=[hard_negative_triplets],
        partition_key=DOMAIN,
        resources=resources(),
        run_config=run_config,
        raise_on_error=False,
    )


def mined(store: Path) -> dict[str, pl.DataFrame]:
    """The published tables."""
    return {name: frame.collect() for name, frame in read_tables(store / "tables" / ASSET / DOMAIN).items()}
