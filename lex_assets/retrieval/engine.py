"""Which engine answers keyword searches, as settings: everything that searches a corpus by keywords asks here for its index."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from lex_assets.retrieval.ids import Ids
from lex_assets.retrieval.texts import PassageTexts
from lex_assets.retrieval.types import LexicalSearch, Progress
from lex_assets.schemas import LexError, content_hash

if TYPE_CHECKING:
    from lex_assets.retrieval.elasticsearch import Cut

ENGINES = ("embedded", "elasticsearch")
VARIABLE = "LEX_LEXICAL_"
"""A setting's variable in the environment is this and its name in capitals: LEX_LEXICAL_ENGINE."""


class LexicalConfig(BaseModel):
    """BM25 in this process, or on an Elasticsearch server whose address and key are in the environment (LEX_ES_…)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: str = Field(
        default="embedded", description=f"어휘 검색 엔진. Keyword search engine: {' or '.join(ENGINES)}."
    )
    analyzer: str = Field(
        default="bigram",
        description="분석기: bigram, kiwi, kiwi-legal, +로 이으면 함께. Analyzer of this package, or several joined by +.",
    )
    server_analyzer: str = Field(
        default="nori",
        description="서버의 분석: nori, 또는 given(analyzer의 단어를 보냄). On the server: nori, or given, terms of `analyzer`.",
    )
    decompound_mode: str = Field(
        default="discard",
        description="nori 복합어 처리: discard, none, mixed. How nori treats compounds; discard agrees with BM25.",
    )
    user_dictionary: str = Field(
        default="abbreviations",
        description=(
            "nori 사용자 사전: abbreviations(법령 약칭), legal(법률 용어도), 경로, 비우면 없음. User dictionary of nori: "
            "abbreviations of laws, legal terms too, or a path; empty for none. Terms kept whole are no longer found by their parts."
        ),
    )
    index_prefix: str = Field(
        default="lex-assets", description="별칭 앞부분. Aliases on the server are <prefix>-<domain>, lower case."
    )

    @classmethod
    def from_environment(cls, **given: Any) -> LexicalConfig:
        """Settings as LEX_LEXICAL_… say; those in `given` go before."""
        named = {name: os.environ.get(f"{VARIABLE}{name.upper()}") for name in cls.model_fields}
        return cls(**{name: value for name, value in named.items() if value is not None} | given)

    def version(self) -> str:
        """The engine and whatever changes its answers: part of the key of every stage that searches."""
        if self._known_engine() == "embedded" or self.server_analyzer == "given":
            from lex_assets.retrieval.lexical import version

            return f"{self.engine} {self.analyzer} {version(self.analyzer)}"
        return f"{self.engine} {content_hash(repr(self._cut()))[:16]}"

    def verified(self) -> LexicalConfig:
        """These settings. Raises LexError when one is not known, or the server does not answer."""
        self.version()
        if self.engine == "elasticsearch":
            self._connected()
        return self

    def over(
        self, corpus: pl.DataFrame, name: str, cache_dir: Path | None = None, progress: Progress | None = None
    ) -> LexicalSearch:
        """An index of `corpus` (PASSAGES). name, cache_dir, progress: see `build`."""
        return self.build(name, corpus["passage_id"], PassageTexts(corpus), cache_dir, progress)

    def build(
        self,
        name: str,
        ids: Ids,
        texts: Sequence[str],
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> LexicalSearch:
        """An index of passages. Raises LexError when the server fails or a setting is not known.

        name: of the corpus, a domain; the server's alias ends with it · cache_dir: where the embedded engine keeps terms and
        indices between runs · progress: told how many passages are cut, or sent.
        """
        if self._known_engine() == "embedded":
            from lex_assets.retrieval.lexical import LexicalIndex

            return LexicalIndex.build(ids, texts, self.analyzer, cache_dir, progress)
        from lex_assets.retrieval.elasticsearch import ElasticsearchIndex

        cut, alias = self._cut(), self._alias(name)
        return ElasticsearchIndex.build(self._connected(), alias, list(ids), texts, cut, progress)

    def _connected(self) -> Any:
        from lex_assets.retrieval.elasticsearch import Server

        return Server.from_environment().connect()

    def _known_engine(self) -> str:
        if self.engine not in ENGINES:
            raise LexError(
                f"lexical engine {self.engine!r} is not known; set {VARIABLE}ENGINE to {' or '.join(ENGINES)}"
            )
        return self.engine

    def _alias(self, name: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.index_prefix):
            raise LexError(f"index_prefix {self.index_prefix!r} must be lower-case letters, digits, - and _")
        return f"{self.index_prefix}-{name}"

    def _cut(self) -> Cut:
        from lex_assets.retrieval.elasticsearch import GivenTerms, Nori

        if self.server_analyzer == "given":
            return GivenTerms(self.analyzer)
        if self.server_analyzer == "nori":
            return Nori(self.decompound_mode, self._user_words())
        raise LexError(f"server_analyzer {self.server_analyzer!r} is not nori or given")

    def _user_words(self) -> tuple[str, ...]:
        from lex_assets.retrieval.kiwi import law_abbreviations, legal_words

        if not self.user_dictionary:
            return ()
        if self.user_dictionary in ("abbreviations", "legal"):
            return law_abbreviations() if self.user_dictionary == "abbreviations" else legal_words()
        path = Path(self.user_dictionary).expanduser()
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise LexError(f"{path}: nori user dictionary cannot be read ({error}); correct user_dictionary") from error
        return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
