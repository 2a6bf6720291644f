"""The estimated false-negative rate: hide one of several labelled articles of a query and see whether it would be mined.

A hidden article is judged as if it had never been labelled, by the query's other articles alone. What questions of its own
split group say does not count either: they come from the same decisions and share its labels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.filters import MODELS, article_scores, reference, suspicion
from lex_assets.mining.pools import KEY
from lex_assets.mining.select import SELECTED

ARTICLE = ["query_id", "parent_id"]


def hidden_gold(
    hits: Mapping[str, pl.DataFrame],
    candidates: pl.DataFrame,
    positives: pl.DataFrame,
    limits: pl.DataFrame,
    links: pl.DataFrame,
    similar: pl.DataFrame,
    config: MiningConfig,
) -> dict[str, Any]:
    """hidden: articles hidden that a search had found · survived: those that no filter drops · selected: how many of them
    would be expected among the negatives · survived_rate, selected_rate: as shares of `hidden`; null where nothing
    could be hidden.

    positives: query_id, passage_id, parent_id, both scores · limits: see `filters.thresholds` · links, similar: citation
    links between articles (parent_id, other), and articles that similar questions of other split groups have for answers.
    The reranking budget is taken to reach every hidden article, which errs on the safe side.
    """
    hidden = _as_candidates(positives, limits, links, similar, config).join(_found(hits, config), on=KEY)
    rules = pl.coalesce(suspicion(config, "dense"), suspicion(config, "rerank"))
    survived = hidden.filter(~pl.col("similar") & rules.is_null())
    chances = _chances(survived, candidates, config).group_by(ARTICLE).agg(pl.col("chance").max())
    total, kept, chosen = len(hidden.unique(ARTICLE)), len(survived.unique(ARTICLE)), float(chances["chance"].sum())
    rates = {"survived_rate": round(kept / total, 4), "selected_rate": round(chosen / total, 4)} if total else {}
    counts = {"hidden": total, "survived": kept, "selected": round(chosen, 1)}
    return counts | {"survived_rate": None, "selected_rate": None} | rates


def _found(hits: Mapping[str, pl.DataFrame], config: MiningConfig) -> pl.DataFrame:
    """Pairs inside the pools of the searches; a structural pool would find a hidden article by its own label."""
    searches = [name for name in ("lexical", "dense") if name in hits]
    return pl.concat([hits[n].filter(pl.col("rank") <= config.pool_sizes[n]).select(KEY) for n in searches]).unique()


def _as_candidates(
    positives: pl.DataFrame, limits: pl.DataFrame, links: pl.DataFrame, similar: pl.DataFrame, config: MiningConfig
) -> pl.DataFrame:
    """`positives` of queries with several articles, with what the filters read: references by the other articles, units,
    caps, and the flags neighbour and similar."""
    articles = article_scores(positives)
    others = articles.join(articles, on="query_id", suffix="_other").filter(
        pl.col("parent_id") != pl.col("parent_id_other")
    )
    given = [reference(config, model, "score_{}_other") for model in MODELS]
    references = others.group_by(ARTICLE).agg(given)
    cited = others.join(links, left_on=["parent_id", "parent_id_other"], right_on=["parent_id", "other"])
    flags = {"neighbour": cited.select(ARTICLE).unique(), "similar": similar.select(ARTICLE).unique()}
    hidden = positives.join(references, on=ARTICLE).join(limits.select(pl.exclude("^reference_.*$")), on="query_id")
    for name, rows in flags.items():
        hidden = hidden.join(rows.with_columns(pl.lit(True).alias(name)), on=ARTICLE, how="left")
    return hidden.with_columns(pl.col(*flags).fill_null(False))


def _chances(hidden: pl.DataFrame, candidates: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """`hidden` with `chance`: how likely it would have been selected beside the query's kept survivors."""
    hardness = pl.coalesce("score_rerank", "score_dense")
    kept = candidates.filter(pl.col("verdict").is_in([*SELECTED[:2], "survivor"]))
    rivals = hidden.select(*KEY, "parent_id", own=hardness).join(
        kept.select("query_id", rival=hardness), on="query_id", how="left"
    )
    places = rivals.group_by(*KEY, "parent_id").agg(
        place=(pl.col("rival") > pl.col("own")).sum(), others=pl.col("rival").count()
    )
    drawn = config.mid / pl.max_horizontal(pl.col("others") + 1 - config.hard, pl.lit(max(config.mid, 1)))
    chance = (
        pl.when(pl.col("place") < config.hard).then(1.0).when(pl.col("place") < config.keep).then(drawn).otherwise(0.0)
    )
    return places.with_columns(chance=chance)
