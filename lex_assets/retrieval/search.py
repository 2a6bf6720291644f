"""Questions against a corpus, in one call: lexical, dense or both, then reranked if wished."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from functools import cached_property
from pathlib import Path

import polars as pl

from lex_assets.retrieval.dense import DenseIndex
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.embedding_cache import cached_encode
from lex_assets.retrieval.fusion import fuse
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.retrieval.score_cache import with_score_cache
from lex_assets.retrieval.texts import PassageTexts, texts_of
from lex_assets.retrieval.types import (
    Encoder,
    Exclude,
    Hits,
    LexicalSearch,
    PairScorer,
    hits_to_run,
    ranked,
    run_to_hits,
)
from lex_assets.schemas import LexError

MODES = ("lexical", "dense", "hybrid")


class Searcher:
    """Search over one corpus; each index is built when it is first needed.

    corpus: PASSAGES rows (passage_id, context and text are read) · encoder: needed for dense and hybrid · lexical: an
    index that exists already, of any engine (see `engine`); without one it is embedded, of bigrams · cache_dir: where vectors,
    terms and the keyword index are kept between runs · dense_config: devices and memory of the dense search.
    """

    def __init__(
        self,
        corpus: pl.DataFrame,
        encoder: Encoder | None = None,
        lexical: LexicalSearch | None = None,
        cache_dir: Path | None = None,
        dense_config: DenseConfig = DenseConfig(),
    ) -> None:
        if not len(corpus):
            raise LexError("search: the corpus is empty; ingest documents and assemble the corpus first")
        self.corpus, self.encoder = corpus, encoder
        self.cache_dir, self.dense_config = cache_dir, dense_config
        self._lexical = lexical

    @cached_property
    def lexical(self) -> LexicalSearch:
        """The keyword index."""
        if self._lexical is not None:
            return self._lexical
        terms = None if self.cache_dir is None else Path(self.cache_dir) / "terms"
        return LexicalIndex.build(self._ids, PassageTexts(self.corpus), cache_dir=terms)

    @cached_property
    def dense(self) -> DenseIndex:
        """The vector index."""
        encoder, texts = self._given_encoder(), PassageTexts(self.corpus)
        return DenseIndex.encode(encoder, self._ids, texts, self.cache_dir, self.dense_config)

    def search(
        self,
        queries: pl.DataFrame,
        mode: str = "lexical",
        k: int = 100,
        exclude: Mapping[str, AbstractSet[str]] | None = None,
        weight: float = 0.5,
        fusion: str = "minmax",
        system: str | None = None,
    ) -> pl.DataFrame:
        """A RUN of the best `k` passages per query.

        queries: rows with query_id and text · exclude: query_id → passage ids not to answer · weight, fusion: of the
        hybrid, see `fusion.fuse` · system: name in the run, by default the mode.
        """
        ids, texts = queries["query_id"].to_list(), queries["text"].to_list()
        banned = None if exclude is None else [exclude.get(query_id, frozenset()) for query_id in ids]
        hits = self.hits(texts, mode, k, banned, weight, fusion)
        return hits_to_run(ids, hits, system or mode)

    def hits(
        self, texts: list[str], mode: str, k: int, exclude: Exclude = None, weight: float = 0.5, fusion: str = "minmax"
    ) -> Hits:
        """As `search`, over plain texts. Raises LexError for an unknown mode."""
        if mode == "lexical":
            return self.lexical.search(texts, k, exclude)
        if mode == "dense":
            vectors = cached_encode(self._given_encoder(), "query", texts, self.cache_dir)
            return self.dense.search(vectors, k, exclude)
        if mode == "hybrid":
            lexical, dense = (self.hits(texts, half, k, exclude) for half in ("lexical", "dense"))
            return fuse(lexical, dense, weight, k, fusion)
        raise LexError(f"search mode {mode} is not known; use one of {', '.join(MODES)}")

    def ids(self, texts: list[str], mode: str, k: int) -> list[list[str]]:
        """As `hits`, without the scores: for each text the ids of its `k` best passages, best first."""
        return [[passage_id for passage_id, _ in found] for found in self.hits(texts, mode, k)]

    @property
    def _ids(self) -> pl.Series:
        return self.corpus["passage_id"]

    def _given_encoder(self) -> Encoder:
        if self.encoder is None:
            raise LexError("dense search needs a retriever; give one, or search with mode lexical")
        return self.encoder


def corpus_texts(corpus: pl.DataFrame) -> dict[str, str]:
    """passage_id → what is indexed and encoded for it."""
    return dict(zip(corpus["passage_id"].to_list(), PassageTexts(corpus), strict=True))


def rerank_run(
    run: pl.DataFrame,
    queries: pl.DataFrame,
    corpus: pl.DataFrame,
    reranker: PairScorer,
    depth: int = 50,
    system: str = "reranked",
    batch_size: int = 64,
    cache_dir: Path | None = None,
) -> pl.DataFrame:
    """`run` with the first `depth` passages of each query in the cross-encoder's order; deeper ones are dropped.

    All pairs are scored in one call, so that batches are of similar length across queries. cache_dir: where scores are kept
    between runs.
    """
    ids = queries["query_id"].to_list()
    heads = [found[:depth] for found in run_to_hits(run, ids)]
    texts = texts_of(corpus, (passage_id for head in heads for passage_id, _ in head))
    pairs = [
        (question, texts[passage_id])
        for question, head in zip(queries["text"].to_list(), heads, strict=True)
        for passage_id, _ in head
    ]
    scores = iter(with_score_cache(reranker, cache_dir).score(pairs, batch_size=batch_size).tolist() if pairs else [])
    hits = [ranked([(passage_id, next(scores)) for passage_id, _ in head]) for head in heads]
    return hits_to_run(ids, hits, system)
