"""False-negative filters: which candidates are probably unlabelled answers.

Each rule compares a candidate's score with that of the query's own positives, on the same model, so that no rule
depends on how a model is calibrated. What a rule drops keeps its scores and carries the rule's name as verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from lex_assets.mining.config import MiningConfig

KEY = ["query_id", "passage_id"]
MODELS = ("dense", "rerank")
RRF_K = 60  # only orders the reranking budget, so the usual constant will do


def thresholds(positives: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """Per query the reference scores (query_id, reference_dense, reference_rerank; null without the model) and, in every
    row alike, the units of the margins (unit_dense, unit_rerank).

    An article answers by its best passage; the query's lowest or highest article is the reference. The unit is the
    standard deviation of the articles' scores: a margin in cosines or logits would mean something else for each model,
    and one in shares of the reference would turn around where scores are negative. positives: query_id, parent_id,
    score_dense, score_rerank.
    """
    articles = article_scores(positives)
    units = {f"unit_{model}": pl.lit(_spread(articles[f"score_{model}"])) for model in MODELS}
    return (
        articles.group_by("query_id").agg(reference(config, "dense"), reference(config, "rerank")).with_columns(**units)
    )


def article_scores(positives: pl.DataFrame) -> pl.DataFrame:
    """Per query and positive article the best score of its passages."""
    return positives.group_by("query_id", "parent_id").agg(pl.col("score_dense", "score_rerank").max())


def reference(config: MiningConfig, model: str, column: str = "score_{}") -> pl.Expr:
    """The aggregation over a query's articles that gives its reference for `model`: dense or rerank."""
    scores = pl.col(column.format(model))
    lowest = getattr(config, f"{model}_reference") == "lowest"
    return (scores.min() if lowest else scores.max()).alias(f"reference_{model}")


def _spread(scores: pl.Series) -> float:
    values = scores.drop_nulls().to_numpy()
    return float(np.std(values)) if len(values) else 0.0


def suspicious(config: MiningConfig, model: str) -> pl.Expr:
    """True where the score of `model` (dense or rerank) says unlabelled answer; false where it was not scored."""
    widen = pl.when("neighbour").then(config.neighbour_factor).otherwise(1.0)
    margin = getattr(config, f"{model}_margin") * widen * pl.col(f"unit_{model}")
    return (pl.col(f"score_{model}") >= pl.col(f"reference_{model}") - margin).fill_null(False)


def with_neighbours(
    pool: pl.DataFrame, relevant: pl.DataFrame, corpus: pl.DataFrame, neighbours: Mapping[str, Iterable[str]]
) -> pl.DataFrame:
    """`pool` with `neighbour`: the candidate shares its article with a positive, or a citation links the two."""
    parents = corpus.select("passage_id", "parent_id")
    near = relevant.join(parents, on="passage_id").select("query_id", "parent_id").unique()
    links = [(a, b) for one, others in neighbours.items() for other in others for a, b in ((one, other), (other, one))]
    linked = pl.DataFrame(links, schema={"parent_id": pl.String, "other": pl.String}, orient="row").unique()
    cited = near.join(linked, on="parent_id").select("query_id", parent_id="other")
    flagged = pl.concat([near, cited]).unique().with_columns(neighbour=pl.lit(True))
    joined = pool.join(parents, on="passage_id").join(flagged, on=["query_id", "parent_id"], how="left")
    return joined.with_columns(pl.col("neighbour").fill_null(False)).drop("parent_id")


def judge_dense(pool: pl.DataFrame, corpus: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """`pool` (with scores, references, neighbour) plus verdict and `fused`, sorted by query and fused rank, best first.

    Of survivors that are equivalent to each other only the best is kept; the others are `duplicate`."""
    ranks = [(1 / (RRF_K + pl.col(rank))).fill_null(0.0) for rank in ("rank_lexical", "rank_dense")]
    verdict = pl.when(suspicious(config, "dense")).then(pl.lit("false_negative_dense")).otherwise(pl.lit("survivor"))
    judged = (
        pool.join(corpus.select("passage_id", "equivalence_id"), on="passage_id")
        .with_columns(fused=pl.sum_horizontal(ranks), score_rerank=pl.lit(None, pl.Float32), verdict=verdict)
        .sort(["query_id", "fused", "passage_id"], descending=[False, True, False])
    )
    same = pl.when(pl.col("equivalence_id") == "").then("passage_id").otherwise("equivalence_id")
    twin = pl.struct("query_id", "verdict", same).is_first_distinct().not_() & (pl.col("verdict") == "survivor")
    judged = judged.with_columns(verdict=pl.when(twin).then(pl.lit("duplicate")).otherwise("verdict"))
    return judged.drop("equivalence_id")
