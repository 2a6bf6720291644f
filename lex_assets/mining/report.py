"""The audit of a mining run: plain JSON values for the UI and the report, computed from the candidates."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.pools import KEY
from lex_assets.mining.select import SELECTED
from lex_assets.mining.triplets import fill_reasons
from lex_assets.retrieval.texts import rows_of

SNIPPET_CHARACTERS = 160


def mining_report(
    queries: pl.DataFrame,
    corpus: pl.DataFrame,
    rules: pl.DataFrame,
    candidates: pl.DataFrame,
    positives: pl.DataFrame,
    caps: Mapping[str, float | None],
    hidden: Mapping[str, Any],
    config: MiningConfig,
) -> dict[str, Any]:
    """What happened to every candidate, as JSON values.

    queries, negatives, negatives_per_query · survivors (distribution over queries) · drops (rule → candidates) · fill
    (reason → queries) · pools (overlap) · scores (histograms of positives, negatives and dropped) · caps (model → absolute
    cap, null where there is none) · hidden_gold (estimate of false negatives, see `hidden`) · examples · config.
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
        "caps": {name: None if cap is None else round(cap, 4) for name, cap in caps.items()},
        "hidden_gold": dict(hidden),
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
    """Reason → queries; `full` where nothing is missing."""
    reasons = fill_reasons(queries, candidates, config).with_columns(pl.col("fill_reason").fill_null("full"))
    return dict(reasons.group_by("fill_reason").len().sort("fill_reason").iter_rows())


def _pools(candidates: pl.DataFrame) -> dict[str, Any]:
    """Where candidates and negatives came from: per combination of pools, and per pair of pools the candidates that both
    proposed (`together`; a pool with itself: all of its own). overlap: share of the searches' candidates that lexical and
    dense search both found."""
    proposed = dict(candidates.group_by("pool").len().sort("pool").iter_rows())
    negatives = candidates.filter(pl.col("verdict").is_in(SELECTED))
    together: dict[str, dict[str, int]] = {}
    for pools, count in proposed.items():
        for one in pools.split("+"):
            for other in pools.split("+"):
                row = together.setdefault(one, {})
                row[other] = row.get(other, 0) + count
    return {
        "candidates": proposed,
        "negatives": dict(negatives.group_by("pool").len().sort("pool").iter_rows()),
        "together": together,
        "overlap": _overlap(together),
    }


def _overlap(together: Mapping[str, Mapping[str, int]]) -> float:
    lexical, dense = (together.get(name, {}).get(name, 0) for name in ("lexical", "dense"))
    both = together.get("lexical", {}).get("dense", 0)
    return round(both / (lexical + dense - both), 4) if lexical + dense else 0.0


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


def _examples(
    queries: pl.DataFrame, positives: pl.DataFrame, corpus: pl.DataFrame, candidates: pl.DataFrame, config: MiningConfig
) -> list[dict[str, Any]]:
    """A seeded sample of queries with their positives, negatives and suspected false negatives, for people to read."""
    ids = queries["query_id"].to_list()
    chosen = sorted(random.Random(f"{config.seed}/examples").sample(ids, min(config.examples, len(ids))))
    texts = dict(queries.filter(pl.col("query_id").is_in(chosen)).select("query_id", "text").iter_rows())
    shown, gold = (frame.filter(pl.col("query_id").is_in(chosen)) for frame in (candidates, positives))
    read = rows_of(corpus, pl.concat([shown["passage_id"], gold["passage_id"]]))
    labels = read.select("passage_id", "citation", text=pl.col("text").str.slice(0, SNIPPET_CHARACTERS))
    shown, gold = (frame.join(labels, on="passage_id").sort(KEY) for frame in (shown, gold))
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
