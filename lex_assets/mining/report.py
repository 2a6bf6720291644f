"""The audit of a mining run: plain JSON values for the UI and the report, computed from the candidates."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.filters import KEY, MODELS, article_scores, reference, suspicious

SELECTED = ("hard", "mid", "random")
"""Verdicts of the candidates that become hard negatives."""

SNIPPET_CHARACTERS = 160


def mining_report(
    queries: pl.DataFrame,
    corpus: pl.DataFrame,
    hits: Mapping[str, pl.DataFrame],
    rules: pl.DataFrame,
    candidates: pl.DataFrame,
    positives: pl.DataFrame,
    limits: pl.DataFrame,
    config: MiningConfig,
) -> dict[str, Any]:
    """What happened to every candidate, as JSON values.

    queries, negatives, negatives_per_query · survivors (distribution over queries) · drops (rule → candidates) · fill
    (reason → queries) · pools (overlap) · scores (histograms of positives, negatives and dropped) · hidden_gold
    (estimate of false negatives) · examples · config.
    """
    selected = candidates.filter(pl.col("verdict").is_in(SELECTED))
    return {
        "queries": len(queries),
        "candidates": len(candidates),
        "negatives": len(selected),
        "negatives_per_query": round(len(selected) / len(queries), 3),
        "survivors": _survivors(queries, candidates),
        "drops": _drops(rules, candidates),
        "fill": _fill(queries, candidates, config),
        "pools": _pools(candidates),
        "scores": _scores(candidates, positives),
        "hidden_gold": hidden_gold(hits, candidates, positives, limits, config),
        "examples": _examples(queries, positives, corpus, candidates, config),
        "config": config.model_dump(),
    }


def _per_query(queries: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    counts = rows.group_by("query_id").len("count")
    return queries.select("query_id").join(counts, on="query_id", how="left").with_columns(pl.col("count").fill_null(0))


def _survivors(queries: pl.DataFrame, candidates: pl.DataFrame) -> dict[str, Any]:
    """Candidates per query that passed every filter, whether selected or not."""
    counts = _per_query(queries, candidates.filter(pl.col("verdict").is_in([*SELECTED, "survivor"])))["count"]
    quantiles = {f"p{q}": int(np.percentile(counts.to_numpy(), q)) for q in (5, 25, 50, 75, 95)}
    tally = {str(value): number for value, number in counts.value_counts(name="queries").sort("count").iter_rows()}
    return {"mean": round(float(np.mean(counts.to_numpy())), 2), **quantiles, "histogram": tally}


def _drops(rules: pl.DataFrame, candidates: pl.DataFrame) -> dict[str, int]:
    """Rule → pairs it removed: exclusions first, then filters and what the budget left unscored."""
    dropped = candidates.filter(~pl.col("verdict").is_in([*SELECTED, "survivor"]))
    named = pl.concat([rules.select("rule"), dropped.select(rule="verdict")])
    return dict(named.group_by("rule").len().sort("rule").iter_rows())


def _fill(queries: pl.DataFrame, candidates: pl.DataFrame, config: MiningConfig) -> dict[str, int]:
    """Reason → queries: full, pool_short (too few candidates), filtered (too few survivors), none (no negative)."""
    found = _per_query(queries, candidates).rename({"count": "found"})
    kept = _per_query(queries, candidates.filter(pl.col("verdict").is_in(SELECTED)))
    reason = (
        pl.when(pl.col("count") >= config.wanted)
        .then(pl.lit("full"))
        .when(pl.col("count") == 0)
        .then(pl.lit("none"))
        .when(pl.col("found") < config.wanted)
        .then(pl.lit("pool_short"))
        .otherwise(pl.lit("filtered"))
    )
    reasons = found.join(kept, on="query_id").with_columns(reason=reason)
    return dict(reasons.group_by("reason").len().sort("reason").iter_rows())


def _pools(candidates: pl.DataFrame) -> dict[str, Any]:
    """Where candidates and negatives came from; overlap = share of candidates that both searches found."""
    proposed = dict(candidates.group_by("pool").len().sort("pool").iter_rows())
    negatives = candidates.filter(pl.col("verdict").is_in(SELECTED))
    searched = sum(count for pool, count in proposed.items() if pool != "random")
    return {
        "candidates": proposed,
        "negatives": dict(negatives.group_by("pool").len().sort("pool").iter_rows()),
        "overlap": round(proposed.get("both", 0) / searched, 4) if searched else 0.0,
    }


def histogram(scores: pl.Series, edges: np.ndarray) -> list[int]:
    """Counts of `scores` in the bins of `edges` (n_bins + 1)."""
    return np.histogram(scores.drop_nulls().to_numpy(), edges)[0].tolist()


def _scores(candidates: pl.DataFrame, positives: pl.DataFrame) -> dict[str, Any]:
    """Per model the histograms of positives, selected negatives and suspected false negatives over common bins."""
    groups = {
        "positive": positives,
        "negative": candidates.filter(pl.col("verdict").is_in(SELECTED)),
        "false_negative": candidates.filter(pl.col("verdict").str.starts_with("false_negative")),
    }
    models = {}
    for model in ("score_dense", "score_rerank"):
        values = pl.concat([frame[model] for frame in groups.values()]).drop_nulls()
        if len(values):
            edges = np.histogram_bin_edges(values.to_numpy(), bins=24)
            counts = {name: histogram(frame[model], edges) for name, frame in groups.items()}
            means = {name: _mean(frame[model]) for name, frame in groups.items()}
            models[model] = {"edges": [round(float(e), 4) for e in edges], "counts": counts, "mean": means}
    return models


def _mean(scores: pl.Series) -> float | None:
    values = scores.drop_nulls()
    return round(float(np.mean(values.to_numpy())), 4) if len(values) else None


def hidden_gold(
    hits: Mapping[str, pl.DataFrame],
    candidates: pl.DataFrame,
    positives: pl.DataFrame,
    limits: pl.DataFrame,
    config: MiningConfig,
) -> dict[str, Any]:
    """Estimated false-negative rate: hide one labelled article of a query that has several, and see whether it would
    have been mined against the others.

    hidden: articles hidden that a pool had found · survived: those that no filter dropped · selected: those that would
    also have ranked among the hard negatives. Rates are shares of `hidden`; null where nothing could be hidden.
    """
    sizes = {"lexical": config.pool_lexical, "dense": config.pool_dense}
    found = pl.concat([hits[name].filter(pl.col(f"rank_{name}") <= sizes[name]).select(KEY) for name in hits])
    hidden = _leave_one_article_out(positives, limits, config).join(found.unique(), on=KEY)
    survived = hidden.filter(~suspicious(config, "dense") & ~suspicious(config, "rerank"))
    floor = _selection_floor(candidates, config)
    mined = survived.join(floor, on="query_id", how="left").filter(
        pl.coalesce("score_rerank", "score_dense") > pl.col("floor").fill_null(-np.inf)
    )
    total, kept, chosen = (len(frame.unique(["query_id", "parent_id"])) for frame in (hidden, survived, mined))
    rate = {"survived_rate": round(kept / total, 4), "selected_rate": round(chosen / total, 4)} if total else {}
    return {"hidden": total, "survived": kept, "selected": chosen, "survived_rate": None, "selected_rate": None} | rate


def _leave_one_article_out(positives: pl.DataFrame, limits: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """`positives` of queries with several articles, with the references that the query's other articles give."""
    articles = article_scores(positives)
    others = articles.join(articles, on="query_id", suffix="_other").filter(
        pl.col("parent_id") != pl.col("parent_id_other")
    )
    given = [reference(config, model, "score_{}_other") for model in MODELS]
    references = others.group_by("query_id", "parent_id").agg(given)
    units = limits.select("query_id", "unit_dense", "unit_rerank")
    hidden = positives.join(references, on=["query_id", "parent_id"]).join(units, on="query_id")
    return hidden.with_columns(neighbour=pl.lit(False))


def _selection_floor(candidates: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """Per query with a full set of hard negatives the score that a newcomer must beat."""
    hard = candidates.filter(pl.col("verdict") == "hard").with_columns(score=pl.coalesce("score_rerank", "score_dense"))
    full = hard.group_by("query_id").agg(pl.len(), floor=pl.col("score").min())
    return full.filter(pl.col("len") >= config.hard).select("query_id", "floor")


def _examples(
    queries: pl.DataFrame, positives: pl.DataFrame, corpus: pl.DataFrame, candidates: pl.DataFrame, config: MiningConfig
) -> list[dict[str, Any]]:
    """A seeded sample of queries with their positives, negatives and suspected false negatives, for people to read."""
    ids = queries["query_id"].to_list()
    chosen = sorted(random.Random(f"{config.seed}/examples").sample(ids, min(config.examples, len(ids))))
    texts = dict(queries.filter(pl.col("query_id").is_in(chosen)).select("query_id", "text").iter_rows())
    labels = corpus.select("passage_id", "citation", text=pl.col("text").str.slice(0, SNIPPET_CHARACTERS))
    shown = candidates.filter(pl.col("query_id").is_in(chosen)).join(labels, on="passage_id").sort(KEY)
    gold = positives.filter(pl.col("query_id").is_in(chosen)).join(labels, on="passage_id").sort(KEY)
    return [
        {
            "query_id": query_id,
            "text": texts[query_id],
            "positives": gold.filter(pl.col("query_id") == query_id).drop("query_id").to_dicts(),
            "negatives": _rows(shown, query_id, pl.col("verdict").is_in(SELECTED)),
            "dropped": _rows(shown, query_id, pl.col("verdict").str.starts_with("false_negative"))[:5],
        }
        for query_id in chosen
    ]


def _rows(shown: pl.DataFrame, query_id: str, condition: pl.Expr) -> list[dict[str, Any]]:
    return shown.filter((pl.col("query_id") == query_id) & condition).drop("query_id").to_dicts()
