"""Test questions that the base model has seen: they are counted and left out, for what they measure is memory."""

from __future__ import annotations

from collections.abc import Collection

import polars as pl

from lex_assets.queries.split import LAW_TYPES


def seen_by_base(
    queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, trained: Collection[str]
) -> frozenset[str]:
    """Ids of the queries whose source the base was trained on: the decision or context that the question comes from, and
    under the unseen-law regime any law that it comes from or asks for. The text of known law is known by definition.

    queries: QUERIES · corpus: PASSAGES that hold the gold · trained: document ids.
    """
    laws = corpus.filter(pl.col("source_type").is_in(LAW_TYPES))["doc_id"].unique()
    known, held_out = pl.col("doc_id").is_in(sorted(trained)), pl.col("regime") == "unseen_law"
    from_law = (pl.col("origin") == "delegation") | pl.col("doc_id").is_in(laws.implode())
    asked = queries.filter(known & (held_out | ~from_law))
    gold = qrels.join(corpus.select("passage_id", "doc_id"), on="passage_id").filter(known)
    wanted = queries.filter(held_out).join(gold.select("query_id"), on="query_id", how="semi")
    return frozenset(asked["query_id"]) | frozenset(wanted["query_id"])
