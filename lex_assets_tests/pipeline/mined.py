"""A store as mining leaves it, with the toy language in it."""

from __future__ import annotations

from pathlib import Path

from lex_assets.io_managers.parquet import write_tables
from lex_assets_tests.training.conftest import Toy

DOMAIN = "law"


def give_mined(store: Path) -> None:
    """The tables that the adapters of DOMAIN are trained on."""
    toy, tables = Toy(), store / "tables"
    write_tables(tables / "hard_negative_triplets" / DOMAIN, {"triplets": toy.triplets, "qrels": toy.qrels})
    write_tables(tables / "training_queries" / DOMAIN, {"queries": toy.queries, "qrels": toy.qrels})
    write_tables(tables / "corpus", {"passages": toy.corpus})
