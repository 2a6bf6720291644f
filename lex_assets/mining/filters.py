"""False-negative filters: which candidates are probably unlabelled answers.

The relative rules compare a candidate's score with that of the query's own positives, on the same model, so that they do
not depend on how a model is calibrated; the absolute cap is calibrated on questions that are not mined. What a rule drops
keeps its scores and carries the rule's name as verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.structural import linked_articles
from lex_assets.retrieval.texts import rows_of

MODELS = ("dense", "rerank")
MIN_HELD_OUT_ARTICLES = 20  # the tail of fewer scores says nothing


def thresholds(positives: pl.DataFrame, held_out: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """Per query the reference scores (query_id, reference_dense, reference_rerank; null without the model) and, in every
    row alike, the units of the margins (unit_dense, unit_rerank) and the absolute caps (cap_dense, cap_rerank; null where
    there is none).

    An article answers by its best passage; the query's lowest or highest article is the reference. The unit is the
    standard deviation of the articles' scores: a margin in cosines or logits would mean something else for each model,
    and one in shares of the reference would turn around where scores are negative. positives, held_out: query_id,
    parent_id, score_dense, score_rerank of the mined questions and of those that calibrate the caps.
    """
    articles, calibration = article_scores(positives), article_scores(held_out)
    units = {f"unit_{model}": pl.lit(_spread(articles[f"score_{model}"])) for model in MODELS}
    caps = {
        f"cap_{model}": pl.lit(_cap(calibration[f"score_{model}"], config.cap_quantile), pl.Float64) for model in MODELS
    }
    references = articles.group_by("query_id").agg(reference(config, "dense"), reference(config, "rerank"))
    return references.with_columns(**units, **caps)


def caps_of(limits: pl.DataFrame) -> dict[str, float | None]:
    """Model → its absolute cap in `limits` (see `thresholds`)."""
    return {model: limits[f"cap_{model}"][0] for model in MODELS}


def article_scores(positives: pl.DataFrame) -> pl.DataFrame:
    """Per query and positive article the best score of its passages."""
    return positives.group_by("query_id", "parent_id").agg(pl.col("score_dense", "score_rerank").max())


def reference(config: MiningConfig, model: str, column: str = "score_{}") -> pl.Expr:
    """The aggregation over a query's articles that gives its reference for `model`: dense or rerank."""
    scores = pl.col(column.format(model))
    by = {"lowest": scores.min(), "highest": scores.max(), "none": pl.lit(None, pl.Float32)}
    return by[getattr(config, f"{model}_reference")].alias(f"reference_{model}")


def _spread(scores: pl.Series) -> float:
    values = scores.drop_nulls().to_numpy()
    return float(np.std(values)) if len(values) else 0.0


def _cap(scores: pl.Series, quantile: float) -> float | None:
    values = scores.drop_nulls().to_numpy()
    return float(np.quantile(values, quantile)) if quantile and len(values) >= MIN_HELD_OUT_ARTICLES else None


def suspicion(config: MiningConfig, model: str) -> pl.Expr:
    """The rule by which the score of `model` (dense or rerank) says unlabelled answer: `false_negative_<model>` near the
    query's own positives, `false_negative_<model>_cap` above the cap; null where neither does or it was not scored."""
    widen = pl.when("neighbour").then(config.neighbour_factor).otherwise(1.0)
    margin = getattr(config, f"{model}_margin") * widen * pl.col(f"unit_{model}")
    score = pl.col(f"score_{model}")
    return (
        pl.when(score >= pl.col(f"reference_{model}") - margin)
        .then(pl.lit(f"false_negative_{model}"))
        .when(score >= pl.col(f"cap_{model}"))
        .then(pl.lit(f"false_negative_{model}_cap"))
    )


def with_neighbours(
    pool: pl.DataFrame,
    relevant: pl.DataFrame,
    corpus: pl.DataFrame,
    neighbours: Mapping[str, Iterable[str]],
    similar: pl.DataFrame,
) -> pl.DataFrame:
    """`pool` with `neighbour`, the candidate shares its article with a positive or a citation links the two, and
    `similar`, its article is among those in `similar` (query_id, parent_id)."""
    named = pl.concat([pool["passage_id"], relevant["passage_id"]])
    parents = rows_of(corpus, named).select("passage_id", "parent_id")
    near = relevant.join(parents, on="passage_id").select("query_id", "parent_id").unique()
    cited = near.join(linked_articles(neighbours), on="parent_id").select("query_id", parent_id="other")
    joined = pool.join(parents, on="passage_id")
    for name, articles in (("neighbour", pl.concat([near, cited])), ("similar", similar)):
        flagged = articles.unique().with_columns(pl.lit(True).alias(name))
        joined = joined.join(flagged, on=["query_id", "parent_id"], how="left").with_columns(
            pl.col(name).fill_null(False)
        )
    return joined.drop("parent_id")


def judge_unread(pool: pl.DataFrame, corpus: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """`pool` (with fused, score_dense, references, caps, neighbour, similar) plus score_rerank (null) and the verdict of
    all rules that need no reranker, sorted by query and fused rank, best first.

    Of survivors that are equivalent to each other only the best is kept; the others are `duplicate`."""
    similar = pl.when("similar").then(pl.lit("false_negative_similar"))
    verdict = pl.coalesce(similar, suspicion(config, "dense"), pl.lit("survivor"))
    contents = rows_of(corpus, pool["passage_id"]).select("passage_id", "equivalence_id", "content_hash")
    judged = (
        pool.join(contents, on="passage_id")
        .with_columns(score_rerank=pl.lit(None, pl.Float32), verdict=verdict)
        .sort(["query_id", "fused", "passage_id"], descending=[False, True, False])
    )
    for column in ("equivalence_id", "content_hash"):
        same = pl.when(pl.col(column) == "").then("passage_id").otherwise(column)
        twin = pl.struct("query_id", "verdict", same).is_first_distinct().not_() & (pl.col("verdict") == "survivor")
        judged = judged.with_columns(verdict=pl.when(twin).then(pl.lit("duplicate")).otherwise("verdict"))
    return judged.drop("equivalence_id", "content_hash")
