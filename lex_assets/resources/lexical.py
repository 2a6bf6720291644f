"""Which engine answers keyword searches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg
from pydantic import Field

from lex_assets.retrieval.types import LexicalSearch
from lex_assets.schemas import LexError, content_hash

if TYPE_CHECKING:
    from lex_assets.retrieval.elasticsearch import Cut

ENGINES = ("embedded", "elasticsearch")
LEGAL = "legal"


class LexicalSearchResource(dg.ConfigurableResource):
    """BM25 in this process, or on an Elasticsearch server whose address and key are in the environment (LEX_ES_…)."""

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
        default="",
        description="nori 사용자 사전 경로, legal은 내장 법률 사전. Path of a nori user dictionary; legal is the bundled one.",
    )
    index_prefix: str = Field(
        default="lex-assets", description="별칭 앞부분. Aliases on the server are <prefix>-<domain>, lower case."
    )

    def version(self) -> str:
        """The engine and whatever changes its answers: part of the key of every stage that searches."""
        if self._known_engine() == "embedded" or self.server_analyzer == "given":
            from lex_assets.retrieval.lexical import version

            return f"{self.engine} {self.analyzer} {version(self.analyzer)}"
        return f"{self.engine} {content_hash(repr(self._cut()))[:16]}"

    def build(
        self, domain: str, ids: Sequence[str], texts: Sequence[str], cache_dir: Path | None = None
    ) -> LexicalSearch:
        """An index of a domain's passages. Raises LexError when the server fails or a setting is not known.

        cache_dir: where the embedded engine keeps terms and indices between runs.
        """
        if self._known_engine() == "embedded":
            from lex_assets.retrieval.lexical import LexicalIndex

            return LexicalIndex.build(ids, texts, self.analyzer, cache_dir)
        from lex_assets.retrieval.elasticsearch import ElasticsearchIndex, Server

        cut, alias = self._cut(), self._alias(domain)
        return ElasticsearchIndex.build(Server.from_environment().connect(), alias, ids, texts, cut)

    def _known_engine(self) -> str:
        if self.engine not in ENGINES:
            raise LexError(
                f"lexical engine {self.engine!r} is not known; set LEX_LEXICAL_ENGINE to {' or '.join(ENGINES)}"
            )
        return self.engine

    def _alias(self, domain: str) -> str:
        if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", self.index_prefix):
            raise LexError(f"index_prefix {self.index_prefix!r} must be lower-case letters, digits, - and _")
        return f"{self.index_prefix}-{domain}"

    def _cut(self) -> Cut:
        from lex_assets.retrieval.elasticsearch import GivenTerms, Nori

        if self.server_analyzer == "given":
            return GivenTerms(self.analyzer)
        if self.server_analyzer == "nori":
            return Nori(self.decompound_mode, self._user_words())
        raise LexError(f"server_analyzer {self.server_analyzer!r} is not nori or given")

    def _user_words(self) -> tuple[str, ...]:
        if not self.user_dictionary:
            return ()
        if self.user_dictionary == LEGAL:
            from lex_assets.retrieval.kiwi import legal_words

            return legal_words()
        path = Path(self.user_dictionary).expanduser()
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise LexError(f"{path}: nori user dictionary cannot be read ({error}); correct user_dictionary") from error
        return tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
