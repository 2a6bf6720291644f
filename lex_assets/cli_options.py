"""Options that several commands have, and what they stand for."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from lex_assets.console import TimeLeft
from lex_assets.retrieval.engine import LexicalConfig

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


def keyword_index(
    corpus: pl.DataFrame, engine: str, cache: Path | None = None, analyzer: str | None = None
) -> LexicalSearch:
    """An index of `corpus` by that engine, its other settings from LEX_LEXICAL_…. cache: folder where the embedded one keeps
    terms and indices. Raises LexError as `LexicalConfig.build` does."""
    given = {"engine": engine} | ({"analyzer": analyzer} if analyzer else {})
    return LexicalConfig.from_environment(**given).over(corpus, ALIAS, cache and cache / "terms", TimeLeft())
