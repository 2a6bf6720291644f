"""How text becomes terms: by the server's nori plugin, or by an analyzer of this package, the server only counting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from lex_assets.retrieval.bm25 import K1, B
from lex_assets.retrieval.tokens import terms_of
from lex_assets.schemas import LexError

DECOMPOUND_MODES = ("discard", "none", "mixed")


class Cut(Protocol):
    """A way of cutting text, the same for passages and queries."""

    def analysis(self) -> dict[str, Any]:
        """The index's `analysis` settings, which define an analyzer named korean."""

    def sent(self, texts: Sequence[str]) -> list[str]:
        """What is sent to the server for each text."""


@dataclass(frozen=True)
class Nori:
    """The server's analysis-nori plugin.

    decompound_mode: `discard` scores as BM25 does over the same terms; `mixed` stacks terms, which are scored as
    synonyms · user_words: lines of a nori user dictionary, `세종시 세종 시` for a compound with its parts.
    """

    decompound_mode: str = "discard"
    user_words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.decompound_mode not in DECOMPOUND_MODES:
            raise LexError(f"decompound_mode {self.decompound_mode} is not one of {', '.join(DECOMPOUND_MODES)}")

    def analysis(self) -> dict[str, Any]:
        """A tokenizer with the dictionary, and the filters of Elasticsearch's own `nori` analyzer."""
        tokenizer: dict[str, Any] = {"type": "nori_tokenizer", "decompound_mode": self.decompound_mode}
        if self.user_words:
            tokenizer["user_dictionary_rules"] = list(dict.fromkeys(self.user_words))
        filters = ["nori_part_of_speech", "nori_readingform", "lowercase"]
        return {
            "tokenizer": {"korean": tokenizer},
            "analyzer": {"korean": {"type": "custom", "tokenizer": "korean", "filter": filters}},
        }

    def sent(self, texts: Sequence[str]) -> list[str]:
        """The texts themselves."""
        return list(texts)


@dataclass(frozen=True)
class GivenTerms:
    """Terms of an analyzer of this package, sent with spaces between: the server ranks as the embedded engine does."""

    name: str = "bigram"

    def analysis(self) -> dict[str, Any]:
        """Terms are what stands between spaces."""
        return {"analyzer": {"korean": {"type": "custom", "tokenizer": "whitespace"}}}

    def sent(self, texts: Sequence[str]) -> list[str]:
        """The terms of each text."""
        return [" ".join(terms) for terms in terms_of(texts, self.name)]


def index_body(cut: Cut) -> dict[str, Any]:
    """Settings and mappings: one shard, so that term statistics are the corpus's, with a copy where the cluster has a second
    node; the embedded engine's constants."""
    return {
        "settings": {
            "number_of_shards": 1,
            "auto_expand_replicas": "0-1",
            "analysis": cut.analysis(),
            "similarity": {"bm25": {"type": "BM25", "k1": K1, "b": B}},
        },
        "mappings": {
            "dynamic": "strict",
            "properties": {
                "id": {"type": "keyword"},
                "text": {"type": "text", "analyzer": "korean", "similarity": "bm25"},
            },
        },
    }
