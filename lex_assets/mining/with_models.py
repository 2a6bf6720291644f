"""Mining from models and texts alone: builds the indices, encodes with the cache, then mines.

For callers that have a retriever and a reranker rather than indices: the asset, and the command line.
"""

from __future__ import annotations

from collections.abc import Set
from pathlib import Path

import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.mine import Mined, citation_neighbours, mine_hard_negatives
from lex_assets.mining.pools import DenseSearch
from lex_assets.mining.scoring import Progress
from lex_assets.mining.select import Judge
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.retrieval.score_cache import with_score_cache
from lex_assets.retrieval.texts import PassageTexts
from lex_assets.retrieval.types import Encoder, LexicalSearch, PairScorer


def mine_with_models(
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    corpus: pl.DataFrame,
    encoder: Encoder,
    reranker: PairScorer | None,
    config: MiningConfig,
    *,
    citations: pl.DataFrame | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    lexical: LexicalSearch | None = None,
    held_out_families: Set[str] = frozenset(),
    judge: Judge | None = None,
    dense_config: DenseConfig = DenseConfig(),
) -> Mined:
    """`mine_hard_negatives` with BM25 and `encoder`; `citations` link the cited neighbours.

    lexical: an index over `corpus` to use instead of an embedded one that is built here · held_out_families: law families
    that the unseen-law regime keeps out of training, as negatives too · judge: see `select` · dense_config:
    devices and memory of the dense search.
    """
    if lexical is None:
        terms = cache_dir and cache_dir / "terms"
        lexical = LexicalIndex.build(corpus["passage_id"], PassageTexts(corpus), cache_dir=terms)
    dense = DenseSearch.encode(encoder, queries, corpus, cache_dir, dense_config)
    neighbours = {} if citations is None else citation_neighbours(citations, corpus)
    return mine_hard_negatives(
        queries,
        qrels,
        corpus,
        lexical,
        dense,
        reranker and with_score_cache(reranker, cache_dir),
        config,
        progress,
        neighbours=neighbours,
        held_out_families=held_out_families,
        judge=judge,
    )
