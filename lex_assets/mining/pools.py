"""Candidate pools and what may never be in them.

Frames here are long: one row per (query_id, passage_id). Filters and selection are elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.retrieval.embedding_cache import cached_encode
from lex_assets.retrieval.types import Encoder, Hits, LexicalSearch
from lex_assets.schemas import LexError, search_text

OWN_DOCUMENT_ORIGINS = ("citation", "delegation")
"""Origins whose questions are cut from a citing document: its own passages are neither candidates nor answers.
A holding, MRC or synthetic question looks for its own document, whose other passages are fair negatives."""

SPARE = 50
"""Hits fetched beyond the pool size, to make up for those that the exclusions remove."""


@dataclass(frozen=True)
class DenseSearch:
    """Unit vectors of the mined queries, (n_queries, dim) float32, and the index over the passages."""

    index: DenseIndex
    query_ids: Sequence[str]
    queries: np.ndarray

    @classmethod
    def encode(
        cls, encoder: Encoder, queries: pl.DataFrame, corpus: pl.DataFrame, cache_dir: Path | None = None
    ) -> DenseSearch:
        """Encode both tables (what `cache_dir` holds is not encoded again) and index the passages."""
        texts = [search_text(c, t) for c, t in corpus.select("context", "text").iter_rows()]
        index = DenseIndex.encode(encoder, corpus["passage_id"].to_list(), texts, cache_dir)
        questions = cached_encode(encoder, "query", queries["text"].to_list(), cache_dir)
        return cls(index, queries["query_id"].to_list(), questions)

    def hits(self, query_ids: Sequence[str], k: int) -> Hits:
        """The best `k` passages of each query."""
        row = {query_id: n for n, query_id in enumerate(self.query_ids)}
        return self.index.search(self.queries[[row[query_id] for query_id in query_ids]], k)

    def scores(self, pairs: pl.DataFrame, chunk: int = 65_536) -> pl.Series:
        """Cosine of every (query_id, passage_id) row of `pairs`, float32."""
        order = list(self.query_ids)
        rows = pairs["query_id"].replace_strict(order, list(range(len(order))), return_dtype=pl.Int64).to_numpy()
        passages = pairs["passage_id"].to_list()
        parts = [
            self.index.scores(self.queries[rows[at : at + chunk]], passages[at : at + chunk])
            for at in range(0, len(pairs), chunk)
        ]
        return pl.Series("score_dense", np.concatenate(parts) if parts else [], dtype=pl.Float32)


def excluded_pairs(queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    """(query_id, passage_id, rule): what is never a negative of a query, nor counts against it in a batch.

    Rules: positive · equivalent (shares a positive's equivalence_id) · own_document (the question was cut from it).
    """
    positives = qrels.join(queries.select("query_id"), on="query_id").select("query_id", "passage_id")
    equivalence = corpus.select("passage_id", "equivalence_id").filter(pl.col("equivalence_id") != "")
    equivalents = (
        positives.join(equivalence, on="passage_id")
        .join(equivalence, on="equivalence_id", suffix="_other")
        .select("query_id", passage_id="passage_id_other")
    )
    own = (
        queries.filter(pl.col("origin").is_in(OWN_DOCUMENT_ORIGINS) & (pl.col("doc_id") != ""))
        .join(corpus.select("doc_id", "passage_id"), on="doc_id")
        .select("query_id", "passage_id")
    )
    rules = [(positives, "positive"), (equivalents, "equivalent"), (own, "own_document")]
    frames = [frame.with_columns(rule=pl.lit(name)) for frame, name in rules]
    return pl.concat(frames).unique(["query_id", "passage_id"], keep="first", maintain_order=True)


def raw_hits(
    queries: pl.DataFrame, lexical: LexicalSearch | None, dense: DenseSearch | None, config: MiningConfig
) -> dict[str, pl.DataFrame]:
    """Per pool the first hits of every query with their ranks, nothing excluded yet."""
    ids = queries["query_id"].to_list()
    hits: dict[str, pl.DataFrame] = {}
    if lexical is not None and config.pool_lexical:
        found = lexical.search(queries["text"].to_list(), config.pool_lexical + SPARE)
        hits["lexical"] = _ranked(ids, found, "rank_lexical")
    if dense is not None and config.pool_dense:
        hits["dense"] = _ranked(ids, dense.hits(ids, config.pool_dense + SPARE), "rank_dense")
    if not hits:
        raise LexError("mining: neither lexical nor dense search was given; pass at least one whose pool is not 0")
    return hits


def _ranked(ids: list[str], hits: Hits, column: str) -> pl.DataFrame:
    ranked = (
        (query, hit[0], rank) for query, found in zip(ids, hits, strict=True) for rank, hit in enumerate(found, 1)
    )
    rows = list(ranked)
    schema: Mapping[str, Any] = {"query_id": pl.String, "passage_id": pl.String, column: pl.Int32}
    return pl.DataFrame(rows, schema=schema, orient="row")


def hit_rules(
    hits: Mapping[str, pl.DataFrame], excluded: pl.DataFrame, corpus: pl.DataFrame, held_out_families: Set[str]
) -> pl.DataFrame:
    """(query_id, passage_id, rule) of every hit that may not become a candidate: `excluded`, or of a held-out family.

    Raises LexError when a hit is not in `corpus`: the index then belongs to another corpus.
    """
    pairs = pl.concat([frame.select("query_id", "passage_id") for frame in hits.values()]).unique()
    families = pairs.join(corpus.select("passage_id", "family"), on="passage_id", how="left")
    strangers = families.filter(pl.col("family").is_null())
    if len(strangers):
        stranger = strangers["passage_id"].sort()[0]
        raise LexError(f"mining: search found {stranger}, which the corpus lacks; rebuild the index")
    held = families.filter(pl.col("family").is_in(list(held_out_families))).select("query_id", "passage_id")
    ruled = pl.concat([pairs.join(excluded, on=["query_id", "passage_id"]), held.with_columns(rule=pl.lit("held_out"))])
    return ruled.unique(["query_id", "passage_id"], keep="first", maintain_order=True)


def candidate_pool(hits: Mapping[str, pl.DataFrame], rules: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """The union of the pools without the pairs in `rules`: query_id, passage_id, pool (lexical, dense or both), both
    ranks (those of the search, null where a pool did not find the passage)."""
    empty = pl.DataFrame(schema={"query_id": pl.String, "passage_id": pl.String})
    sizes = {"lexical": config.pool_lexical, "dense": config.pool_dense}
    lexical, dense = (
        _allowed(hits[name], rules, f"rank_{name}", size)
        if name in hits
        else empty.with_columns(pl.lit(None, pl.Int32).alias(f"rank_{name}"))
        for name, size in sizes.items()
    )
    joined = lexical.join(dense, on=["query_id", "passage_id"], how="full", coalesce=True)
    in_lexical, in_dense = pl.col("rank_lexical").is_not_null(), pl.col("rank_dense").is_not_null()
    pool = pl.when(in_lexical & in_dense).then(pl.lit("both")).when(in_lexical).then(pl.lit("lexical"))
    return joined.with_columns(pool=pool.otherwise(pl.lit("dense"))).sort("query_id", "passage_id")


def _allowed(frame: pl.DataFrame, rules: pl.DataFrame, rank: str, size: int) -> pl.DataFrame:
    allowed = frame.join(rules, on=["query_id", "passage_id"], how="anti").sort("query_id", rank)
    return allowed.group_by("query_id", maintain_order=True).head(size)
