"""Negatives that a round of re-mining keeps of the round before.

Only new negatives let a retriever forget what the old ones taught. What is kept must still be a fair negative: of this
corpus, excluded by no rule, and suspected by no filter of this round.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace

import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.mine import Mined
from lex_assets.mining.pools import KEY, excluded_pairs
from lex_assets.mining.select import SELECTED
from lex_assets.schemas import TRIPLETS, content_hash

KEPT = "kept"
"""Verdict of a negative that comes from the round before."""

_FAIR = (*SELECTED, "survivor", "surplus", "not_reranked")


def with_previous(
    mined: Mined,
    previous: pl.DataFrame,
    queries: pl.DataFrame,
    corpus: pl.DataFrame,
    config: MiningConfig,
    held_out_families: Set[str] = frozenset(),
) -> Mined:
    """`mined` with `config.keep_share` of the wanted negatives taken from `previous` (TRIPLETS).

    They fill what is missing, then take the place of the last ones; which are kept is a function of the seed and the pair."""
    most = int(config.keep_share * config.wanted)
    allowed = corpus.filter(~pl.col("family").is_in(list(held_out_families))).select("passage_id")
    old = _negatives(previous).join(allowed, on="passage_id", how="semi")
    for barred in (
        excluded_pairs(queries, mined.qrels, corpus).select(KEY),
        _suspected(mined),
        _negatives(mined.triplets),
    ):
        old = old.join(barred.select(KEY), on=KEY, how="anti", maintain_order="left")
    lots = [content_hash(str(config.seed), KEPT, *pair) for pair in old.select(KEY).iter_rows()]
    drawn = old.with_columns(lot=pl.Series(lots, dtype=pl.String), verdict=pl.lit(KEPT)).sort("query_id", "lot")
    kept = drawn.group_by("query_id", maintain_order=True).head(most).select("query_id", negative="negative")
    return replace(mined, triplets=_merged(mined.triplets, kept, config.wanted))


def kept_of(triplets: pl.DataFrame) -> int:
    """How many negatives come from the round before."""
    return int((_negatives(triplets)["negative"].struct.field("verdict") == KEPT).sum())


def _negatives(triplets: pl.DataFrame) -> pl.DataFrame:
    """(query_id, passage_id, negative) of every negative."""
    rows = triplets.select("query_id", negative="negatives").explode("negative").drop_nulls()
    return rows.with_columns(passage_id=pl.col("negative").struct.field("passage_id"))


def _suspected(mined: Mined) -> pl.DataFrame:
    return mined.candidates.filter(~pl.col("verdict").is_in(_FAIR))


def _merged(triplets: pl.DataFrame, kept: pl.DataFrame, wanted: int) -> pl.DataFrame:
    marked = kept.with_columns(pl.col("negative").struct.with_fields(verdict=pl.lit(KEPT)))
    lists = marked.group_by("query_id", maintain_order=True).agg(old="negative")
    joined = triplets.join(lists, on="query_id", how="left", maintain_order="left")
    joined = joined.with_columns(pl.col("old").fill_null([]))
    room = (pl.lit(wanted) - pl.col("old").list.len().cast(pl.Int64)).clip(lower_bound=0)
    negatives = pl.concat_list(pl.col("negatives").list.head(room), "old")
    filled = joined.with_columns(negatives=negatives).with_columns(
        fill_reason=pl.when(pl.col("negatives").list.len() < wanted).then("fill_reason")
    )
    return TRIPLETS.validate(filled.select(TRIPLETS.names))
