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
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.embedding_cache import cached_encode
from lex_assets.retrieval.texts import PassageTexts, rows_of
from lex_assets.retrieval.types import Encoder, Hits, LexicalSearch
from lex_assets.schemas import LexError

OWN_DOCUMENT_ORIGINS = ("citation", "delegation")
"""Origins whose questions are cut from a citing document: its own passages are neither candidates nor answers.
A holding, MRC or synthetic question looks for its own document, whose other passages are fair negatives."""

KEY = ["query_id", "passage_id"]
HIT_SCHEMA: Mapping[str, Any] = {"query_id": pl.String, "passage_id": pl.String, "rank": pl.Int32}
RRF_K = 60  # only orders the reranking budget, so the usual constant will do
ROWS_AT_ONCE = 65_536
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
        cls,
        encoder: Encoder,
        queries: pl.DataFrame,
        corpus: pl.DataFrame,
        cache_dir: Path | None = None,
        config: DenseConfig = DenseConfig(),
    ) -> DenseSearch:
        """Encode both tables (what `cache_dir` holds is not encoded again) and index the passages."""
        index = DenseIndex.encode(encoder, corpus["passage_id"], PassageTexts(corpus), cache_dir, config)
        questions = cached_encode(encoder, "query", queries["text"].to_list(), cache_dir)
        return cls(index, queries["query_id"].to_list(), questions)

    def hits(self, query_ids: Sequence[str], k: int) -> Hits:
        """The best `k` passages of each query."""
        row = {query_id: n for n, query_id in enumerate(self.query_ids)}
        return self.index.search(self.queries[[row[query_id] for query_id in query_ids]], k)

    def scores(self, pairs: pl.DataFrame) -> pl.Series:
        """Cosine of every (query_id, passage_id) row of `pairs`, float32."""
        order = list(self.query_ids)
        rows = pairs["query_id"].replace_strict(order, list(range(len(order))), return_dtype=pl.Int64).to_numpy()
        return pl.Series("score_dense", self.index.scores(self.queries, rows, pairs["passage_id"]))


def excluded_pairs(queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    """(query_id, passage_id, rule): what is never a negative of a query, nor counts against it in a batch.

    Rules: positive · equivalent (shares a positive's equivalence_id, or its words) · own_document (the question was cut
    from it) · question (the passage is the question itself, word for word).
    """
    positives = qrels.join(queries.select("query_id"), on="query_id").select(KEY)
    rules = {
        "positive": positives,
        "equivalent": _equivalents(positives, corpus),
        "own_document": queries.filter(pl.col("origin").is_in(OWN_DOCUMENT_ORIGINS) & (pl.col("doc_id") != ""))
        .join(corpus.select("doc_id", "passage_id"), on="doc_id")
        .select(KEY),
        "question": _same_words(queries, corpus),
    }
    frames = [frame.with_columns(rule=pl.lit(name)) for name, frame in rules.items()]
    return pl.concat(frames).unique(KEY, keep="first", maintain_order=True)


def _equivalents(positives: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    found = []
    for column in ("equivalence_id", "content_hash"):
        own = rows_of(corpus, positives["passage_id"]).filter(pl.col(column) != "").select("passage_id", column)
        same = corpus.filter(pl.col(column).is_in(own[column].unique().implode())).select("passage_id", column)
        others = positives.join(own, on="passage_id").join(same, on=column, suffix="_other")
        found.append(others.select("query_id", passage_id="passage_id_other"))
    return pl.concat(found)


def _same_words(queries: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    """Passages that are a question word for word; the corpus' words are not all there at once."""
    asked = queries.select("query_id", words=_words())
    parts = corpus.select("passage_id", "text").iter_slices(ROWS_AT_ONCE)
    found = [asked.join(part.select("passage_id", words=_words()), on="words").select(KEY) for part in parts]
    return pl.concat([asked.clear().select("query_id", passage_id="words"), *found])


def _words() -> pl.Expr:
    """The text with its white space evened out."""
    return pl.col("text").str.replace_all(r"\s+", " ").str.strip_chars()


def raw_hits(
    queries: pl.DataFrame, lexical: LexicalSearch | None, dense: DenseSearch | None, config: MiningConfig
) -> dict[str, pl.DataFrame]:
    """Per search the first hits of every query, (query_id, passage_id, rank), nothing excluded yet."""
    ids = queries["query_id"].to_list()
    hits: dict[str, pl.DataFrame] = {}
    if lexical is not None and config.pool_lexical:
        hits["lexical"] = _ranked(ids, lexical.search(queries["text"].to_list(), config.pool_lexical + SPARE))
    if dense is not None and config.pool_dense:
        hits["dense"] = _ranked(ids, dense.hits(ids, config.pool_dense + SPARE))
    if not hits:
        raise LexError("mining: neither lexical nor dense search was given; pass at least one whose pool is not 0")
    return hits


def _ranked(ids: list[str], hits: Hits) -> pl.DataFrame:
    rows = [(query, hit[0], rank) for query, found in zip(ids, hits, strict=True) for rank, hit in enumerate(found, 1)]
    return pl.DataFrame(rows, schema=HIT_SCHEMA, orient="row")


def hit_rules(
    hits: Mapping[str, pl.DataFrame], excluded: pl.DataFrame, corpus: pl.DataFrame, held_out_families: Set[str]
) -> pl.DataFrame:
    """(query_id, passage_id, rule) of every hit that may not become a candidate: `excluded`, or of a held-out family.

    Raises LexError when a hit is not in `corpus`: the index then belongs to another corpus.
    """
    pairs = pl.concat([frame.select(KEY) for frame in hits.values()]).unique()
    found = rows_of(corpus, pairs["passage_id"]).select("passage_id", "family")
    families = pairs.join(found, on="passage_id", how="left")
    strangers = families.filter(pl.col("family").is_null())
    if len(strangers):
        stranger = strangers["passage_id"].sort()[0]
        raise LexError(f"mining: search found {stranger}, which the corpus lacks; rebuild the index")
    held = families.filter(pl.col("family").is_in(list(held_out_families))).select(KEY)
    ruled = pl.concat([pairs.join(excluded, on=KEY), held.with_columns(rule=pl.lit("held_out"))])
    return ruled.unique(KEY, keep="first", maintain_order=True)


def candidate_pool(hits: Mapping[str, pl.DataFrame], rules: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """The union of the pools without the pairs in `rules`: query_id, passage_id, pool (names joined by +), rank_lexical
    and rank_dense (those of the search, null where it did not find the passage), and fused, the sum over the pools of
    1 / (60 + rank)."""
    proposed = pl.concat(
        [_allowed(hits[name], rules, size).with_columns(pool=pl.lit(name))
         for name, size in config.pool_sizes.items() if name in hits]
    )  # fmt: skip
    ranks = {f"rank_{name}": pl.col("rank").filter(pl.col("pool") == name).first() for name in ("lexical", "dense")}
    fused = (1 / (RRF_K + pl.col("rank"))).sum()
    merged = proposed.group_by(KEY, maintain_order=True).agg(pl.col("pool").str.join("+"), **ranks, fused=fused)
    return merged.sort(KEY)


def _allowed(frame: pl.DataFrame, rules: pl.DataFrame, size: int) -> pl.DataFrame:
    allowed = frame.join(rules, on=KEY, how="anti").sort("query_id", "rank")
    return allowed.group_by("query_id", maintain_order=True).head(size)
