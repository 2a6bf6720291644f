"""The tables that training reads: triplets, with the reason where a query got fewer negatives than wanted."""

from __future__ import annotations

import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.pools import KEY
from lex_assets.mining.select import JUDGED, SELECTED
from lex_assets.schemas import NEGATIVE, POSITIVES, QRELS, TRIPLETS


def triplets(relevant: pl.DataFrame, candidates: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """The TRIPLETS table of `relevant` (query_id, passage_id) and CANDIDATES: a query without negatives keeps an empty
    list and its reason."""
    positives = relevant.group_by("query_id", maintain_order=True).agg(positives="passage_id")
    order = pl.col("verdict").replace_strict(SELECTED, range(len(SELECTED)), return_dtype=pl.Int32)
    negatives = (
        candidates.filter(pl.col("verdict").is_in(SELECTED))
        .with_columns(order=order, hardness=pl.coalesce("score_rerank", "score_dense"))
        .sort(["query_id", "order", "hardness", "passage_id"], descending=[False, False, True, False])
        .group_by("query_id", maintain_order=True)
        .agg(negatives=pl.struct([field.name for field in NEGATIVE.fields]))
    )
    joined = positives.join(negatives, on="query_id", how="left", maintain_order="left")
    joined = joined.join(fill_reasons(positives, candidates, config), on="query_id", maintain_order="left")
    return TRIPLETS.validate(joined.with_columns(pl.col("negatives").fill_null([])))


def fill_reasons(queries: pl.DataFrame, candidates: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """(query_id, fill_reason) of every row of `queries`: null where nothing is missing, else the first that holds of

    no_candidates (the pools were empty) · pool_short (fewer candidates than wanted) · budget (candidates were left
    unscored: raise rerank_depth) · filtered (too few passed the filters).
    """
    counts = candidates.group_by("query_id").agg(
        found=pl.len(),
        chosen=pl.col("verdict").is_in(SELECTED).sum(),
        waiting=(pl.col("verdict") == "not_reranked").sum(),
    )
    short = pl.col("chosen") < config.wanted
    reason = (
        pl.when(pl.col("found").is_null())
        .then(pl.lit("no_candidates"))
        .when(short & (pl.col("found") < config.wanted))
        .then(pl.lit("pool_short"))
        .when(short & (pl.col("waiting") > 0))
        .then(pl.lit("budget"))
        .when(short)
        .then(pl.lit("filtered"))
    )
    rows = queries.select("query_id").join(counts, on="query_id", how="left", maintain_order="left")
    return rows.select("query_id", fill_reason=reason)


def with_judged(qrels: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """`qrels` and, at the query's best grade, the candidates that the judge found to be answers."""
    best = qrels.group_by("query_id").agg(pl.col("grade").max())
    extra = candidates.filter(pl.col("verdict") == JUDGED["full"]).select(KEY).join(best, on="query_id")
    return QRELS.validate(pl.concat([qrels, extra.select(qrels.columns)]))


def scores_of_positives(scored: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """The POSITIVES table: the labelled ones as `scored`, and the candidates that the judge found to be answers."""
    judged = candidates.filter(pl.col("verdict") == JUDGED["full"])
    found = pl.concat([scored.select(POSITIVES.names), judged.select(POSITIVES.names)])
    return POSITIVES.validate(found.sort(KEY))
