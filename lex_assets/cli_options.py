"""Options that several commands have, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from lex_assets.console import TimeLeft
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.engine import LexicalConfig
from lex_assets.settings import checked

if TYPE_CHECKING:
    from lex_assets.retrieval.types import LexicalSearch

ALIAS = "cli"
"""Last part of the server's alias: a command never moves the alias of a domain."""

Engine = Annotated[
    str,
    typer.Option(
        envvar="LEX_LEXICAL_ENGINE",
        help="어휘 검색 엔진: embedded 또는 elasticsearch(주소는 LEX_ES_URL) · engine of keyword search",
    ),
]

DenseDevices = Annotated[
    str,
    typer.Option(help="밀집 검색의 torch 장치, 쉼표로 · devices that share the passages of a dense search, by commas"),
]
MemoryMib = Annotated[
    int, typer.Option(min=1, help="밀집 검색의 메모리(MiB, 장치마다) · memory of a dense search on each device")
]
DEVICES, MEMORY_MIB = ",".join(DenseConfig().devices), DenseConfig().memory_mib


def dense_search(devices: str, memory_mib: int) -> DenseConfig:
    """The settings of dense search that the options stand for. Raises LexError when no device is named."""
    return checked(
        DenseConfig, {"devices": devices.replace(",", " ").split(), "memory_mib": memory_mib}, "dense search"
    )


def keyword_index(
    corpus: pl.DataFrame, engine: str, cache: Path | None = None, analyzer: str | None = None
) -> LexicalSearch:
    """An index of `corpus` by that engine, its other settings from LEX_LEXICAL_…. cache: folder where the embedded one keeps
    terms and indices. Raises LexError as `LexicalConfig.build` does."""
    given = {"engine": engine} | ({"analyzer": analyzer} if analyzer else {})
    return LexicalConfig.from_environment(**given).over(corpus, ALIAS, cache and cache / "terms", TimeLeft())
