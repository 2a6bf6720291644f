"""The queries one domain's models are trained and chosen on: labelled and synthetic, train and valid sets only.

Here: selection and deduplication. Not here: negatives (`mining`), sampling (`training`).
"""

from __future__ import annotations

import json

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from lex_assets.passages.overlap import contained
from lex_assets.schemas import QRELS, QUERIES, LexError, content_hash

SELECTED = ("train", "valid")


class TrainingConfig(BaseModel):
    """Which queries train."""

    model_config = ConfigDict(frozen=True)

    max_positives: int = Field(
        default=5,
        ge=1,
        description="이보다 많은 조문을 인용한 질의는 학습에서만 제외(평가는 정답을 모두 유지). Training queries that cite more articles "
        "are left out, they name a field of law and no answer; evaluation keeps every query with all its answers, since to "
        "drop some of them would count right answers as wrong.",
    )
    synthetic: bool = Field(default=True, description="생성 질문도 학습에 사용. Whether generated questions train too.")
    synthetic_in_valid: bool = Field(
        default=False,
        description="생성 질문을 검증에도 사용(정답이 없는 도메인용). Whether generated questions also choose the model.",
    )
    max_train: int = Field(
        default=0,
        ge=0,
        description="학습 질의 수의 상한, 0은 전부(사람이 붙인 정답 먼저). Training queries at most; 0 means all, human labels first.",
    )
    overlap: float = Field(
        default=0.8,
        gt=0,
        le=1,
        description="평가 질의의 반복으로 보는 n-gram 비율. Share of an evaluation query's n-grams that repeats it.",
    )


def training_queries(
    labelled: pl.DataFrame,
    labelled_qrels: pl.DataFrame,
    synthetic: pl.DataFrame | None,
    synthetic_qrels: pl.DataFrame | None,
    domain: str,
    config: TrainingConfig | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(queries, qrels) of `domain` in the sets train and valid, sorted by id.

    Synthetic questions that repeat an evaluation query of any domain are left out. Raises LexError when nothing is left
    to train on.
    """
    config = config or TrainingConfig()
    chosen = labelled.filter((pl.col("domain") == domain) & pl.col("set").is_in(SELECTED))
    chosen = chosen.filter((pl.col("set") != "train") | ~_scattered(chosen, config.max_positives))
    qrels = labelled_qrels
    if config.synthetic and synthetic is not None and synthetic_qrels is not None:
        generated = _usable(synthetic, labelled, domain, config)
        chosen, qrels = pl.concat([chosen, generated]), pl.concat([labelled_qrels, synthetic_qrels])
    if not (chosen["set"] == "train").any():
        raise LexError(
            f"domain {domain} has no training queries: neither citations, holdings, MRC nor synthetic questions; "
            "add documents of the domain or materialize synthetic_qa for it"
        )
    chosen = _capped(chosen, config.max_train)
    qrels = qrels.join(chosen.select("query_id"), on="query_id", how="semi")
    return QUERIES.validate(chosen.sort("query_id")), QRELS.validate(qrels.sort("query_id", "passage_id"))


def _capped(queries: pl.DataFrame, limit: int) -> pl.DataFrame:
    """At most `limit` training queries, human before synthetic, drawn by the hash of their ids: new documents do not
    reshuffle the old ones."""
    train = queries.filter(pl.col("set") == "train")
    if not limit or len(train) <= limit:
        return queries
    draws = [(origin == "synthetic", content_hash(i)) for i, origin in train.select("query_id", "origin").iter_rows()]
    kept = train[sorted(range(len(train)), key=draws.__getitem__)[:limit]]
    return pl.concat([queries.filter(pl.col("set") != "train"), kept])


def _scattered(queries: pl.DataFrame, limit: int) -> pl.Series:
    counts = [len(json.loads(meta).get("articles", ())) > limit for meta in queries["meta"]]
    return pl.Series(counts, dtype=pl.Boolean)


def _usable(synthetic: pl.DataFrame, labelled: pl.DataFrame, domain: str, config: TrainingConfig) -> pl.DataFrame:
    sets = SELECTED if config.synthetic_in_valid else ("train",)
    wanted = synthetic.filter((pl.col("domain") == domain) & pl.col("set").is_in(sets))
    held = labelled.filter(~pl.col("set").is_in(["train", "dropped"]))["text"].unique(maintain_order=True).to_list()
    repeats = repeated_in(wanted["text"].to_list(), held, config.overlap)
    return wanted.filter(~pl.Series(repeats, dtype=pl.Boolean))


def repeated_in(texts: list[str], held: list[str], threshold: float) -> list[bool]:
    """For each text, whether it holds ≥ threshold of the n-grams of one of the `held` texts."""
    repeating = set(contained(held, texts, threshold)["within"])
    return [position in repeating for position in range(len(texts))]
