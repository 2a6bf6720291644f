"""Which engine answers keyword searches."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

import dagster as dg
from pydantic import Field

from lex_assets.retrieval.types import LexicalSearch
from lex_assets.schemas import LexError

ENGINES = ("embedded", "elasticsearch")


class LexicalSearchResource(dg.ConfigurableResource):
    """BM25 in this process, or on an Elasticsearch server whose address and key are in LEX_ES_URL and LEX_ES_API_KEY."""

    engine: str = Field(
        default="embedded", description=f"어휘 검색 엔진. Keyword search engine: {' or '.join(ENGINES)}."
    )
    analyzer: str = Field(
        default="bigram",
        description="내장 엔진의 분석기: bigram, kiwi, kiwi-legal, 또는 +로 이은 것. Analyzer of the embedded engine, or several joined by +.",
    )
    decompound_mode: str = Field(
        default="discard",
        description="nori 복합어 처리: discard, none, mixed. How nori treats compounds; discard agrees with BM25.",
    )
    user_dictionary: str = Field(
        default="", description="nori 사용자 사전 경로; 비우면 없음. Path of a nori user dictionary; empty means none."
    )
    index_prefix: str = Field(
        default="lex-assets", description="별칭 앞부분. Aliases on the server are <prefix>-<domain>, lower case."
    )

    def version(self) -> str:
        """The engine and whatever changes its answers: part of the key of every stage that searches."""
        if self._known_engine() == "embedded":
            from lex_assets.retrieval.lexical import version

            return f"embedded {self.analyzer} {version(self.analyzer)}"
        words = json.dumps(self._user_words(), ensure_ascii=False)
        return f"elasticsearch {self.decompound_mode} {words}"

    def build(
        self, domain: str, ids: Sequence[str], texts: Sequence[str], cache_dir: Path | None = None
    ) -> LexicalSearch:
        """An index of a domain's passages. Raises LexError when the server fails or a setting is not known.

        cache_dir: where the embedded engine keeps terms and indices between runs.
        """
        if self._known_engine() == "embedded":
            from lex_assets.retrieval.lexical import LexicalIndex

            return LexicalIndex.build(ids, texts, self.analyzer, cache_dir)
        from lex_assets.retrieval.elasticsearch import ElasticsearchIndex, Nori, Server

        nori = Nori(self.decompound_mode, tuple(self._user_words()))
        return ElasticsearchIndex.build(Server.from_environment().connect(), self._alias(domain), ids, texts, nori)

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

    def _user_words(self) -> list[str]:
        if not self.user_dictionary:
            return []
        path = Path(self.user_dictionary).expanduser()
        try:
            lines = path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise LexError(f"{path}: nori user dictionary cannot be read ({error}); correct user_dictionary") from error
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]
