"""What passages and training pairs are like before anything trains on them: lengths, repeats, cuts, positives, coverage.

Here: measuring, and which bound a measure must keep. Not here: how it is shown (`evaluation.quality`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from lex_assets.schemas import Column, LexError, TableSchema, search_text

BINS = 30
QUANTILES = (0.0, 0.5, 0.9, 0.99, 1.0)

MEASURES = TableSchema(
    "measures",
    {
        "measure": Column(pl.String, "name, as in MEASURE_NAMES"),
        "count": Column(pl.Int64, "how many"),
        "total": Column(pl.Int64, "of how many"),
        "share": Column(pl.Float64, "count / total; 0 of nothing"),
        "bound": Column(pl.Float64, "largest share that passes"),
    },
    ("measure",),
)
LENGTHS = TableSchema(
    "lengths",
    {
        "of": Column(pl.String, "passage or query"),
        "unit": Column(pl.String, "characters or tokens"),
        "limit": Column(pl.Int64, "tokens that the base reads; null for characters", nullable=True),
        "quantiles": Column(pl.List(pl.Int64), "at QUANTILES"),
        "edges": Column(pl.List(pl.Float64), "of the histogram; the last bin holds all that is longer"),
        "counts": Column(pl.List(pl.Int64), "per bin"),
    },
    ("of", "unit"),
)
COVERAGE = TableSchema(
    "coverage",
    {
        "doc_id": Column(pl.String, "law, rule, decision or context"),
        "title": Column(pl.String, "its name, as passages state it"),
        "articles": Column(pl.Int64, "articles or other parents"),
        "asked": Column(pl.Int64, "those that some training query asks for"),
        "pairs": Column(pl.Int64, "training pairs whose positive is in it"),
    },
    ("doc_id",),
)
POSITIVES = TableSchema(
    "positives",
    {
        "positives": Column(pl.Int64, "positive articles of a query"),
        "queries": Column(pl.Int64, "queries that have so many"),
    },
    ("positives",),
)


class QualityConfig(BaseModel):
    """Largest shares that pass; the defaults let the built-in base pass on statutes and decisions, so tighten them for a base
    that reads more. What is always wrong (a query without a positive, one that the corpus lacks) has no setting."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    duplicate_passages: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="다른 단락과 글이 같은 단락의 최대 비율. Passages that repeat another's text.",
    )
    duplicate_queries: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="다른 질의와 글이 같은 질의의 최대 비율. Queries that repeat another's text.",
    )
    duplicate_pairs: float = Field(
        default=0.1, ge=0, le=1, description="글이 같은 (질의, 정답)의 최대 비율. Pairs that repeat another's texts."
    )
    truncated_passages: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="기반 모델의 한도를 넘는 단락의 최대 비율. Passages longer than the base reads.",
    )
    truncated_queries: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="기반 모델의 한도를 넘는 질의의 최대 비율. Queries longer than the base reads.",
    )
    truncated_positives: float = Field(
        default=0.9,
        ge=0,
        le=1,
        description="기반 모델의 한도를 넘는 정답(쌍)의 최대 비율. Pairs whose positive is longer than the base reads.",
    )
    uncovered_documents: float = Field(
        default=1.0,
        ge=0,
        le=1,
        description="학습 질의가 하나도 묻지 않는 문서의 최대 비율. Documents that no training query asks for.",
    )


MEASURE_NAMES = (*QualityConfig.model_fields, "queries_without_positive", "positives_outside_corpus")


class CountsTokens(Protocol):
    """A base's tokenizer (`models.token_lengths`)."""

    @property
    def limits(self) -> Mapping[str, int]:
        """Tokens that the base reads, by kind: query, passage."""

    def count(self, kind: str, texts: Sequence[str]) -> np.ndarray:
        """(n,) tokens of each text."""


@dataclass(frozen=True)
class Quality:
    """What was measured, as tables: MEASURES, LENGTHS, POSITIVES, COVERAGE."""

    measures: pl.DataFrame
    lengths: pl.DataFrame
    positives: pl.DataFrame
    coverage: pl.DataFrame

    def tables(self) -> dict[str, pl.DataFrame]:
        """By name."""
        return {name: getattr(self, name) for name in ("measures", "lengths", "positives", "coverage")}


def data_quality(
    passages: pl.DataFrame,
    known: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    tokens: CountsTokens,
    config: QualityConfig | None = None,
) -> Quality:
    """Of one domain's passages and training pairs.

    passages: PASSAGES of the domain · known: ids that may be positives, column passage_id · queries, qrels: QUERIES that train or
    choose, and QRELS of them · tokens: of the base. Raises LexError when there is no passage or no query."""
    if passages.is_empty() or queries.is_empty():
        raise LexError("data quality: there is no passage or no training query; ingest documents and assemble first")
    texts = [search_text(c, t) for c, t in passages.select("context", "text").iter_rows()]
    sized = passages.select("passage_id", "doc_id", "parent_id", "context", "content_hash").with_columns(
        tokens=pl.Series(tokens.count("passage", texts)), characters=pl.Series([len(text) for text in texts])
    )
    asked = queries.select("query_id", text=pl.col("text").str.replace_all(r"\s+", " ").str.strip_chars()).with_columns(
        tokens=pl.Series(tokens.count("query", queries["text"].to_list())), characters=pl.col("text").str.len_chars()
    )
    pairs = qrels.filter(pl.col("grade") > 0).join(asked.select("query_id", "text"), on="query_id")
    own = pairs.join(sized, on="passage_id")
    counted = {
        "duplicate_passages": _repeats(sized.select("content_hash")),
        "duplicate_queries": _repeats(asked.select("text")),
        "duplicate_pairs": _repeats(own.select("text", "content_hash")),
        "truncated_passages": _beyond(sized, tokens.limits["passage"]),
        "truncated_queries": _beyond(asked, tokens.limits["query"]),
        "truncated_positives": _beyond(own, tokens.limits["passage"]),
        "uncovered_documents": _uncovered(coverage := _coverage(sized, own)),
        "queries_without_positive": (asked.join(pairs, on="query_id", how="anti").height, asked.height),
        "positives_outside_corpus": (pairs.join(known, on="passage_id", how="anti").height, pairs.height),
    }
    return Quality(
        _measures(counted, config or QualityConfig()),
        _lengths({"passage": sized, "query": asked}, tokens.limits),
        _positives(own),
        coverage,
    )


def require_within_bounds(measures: pl.DataFrame) -> None:
    """Raise LexError naming every measure of MEASURES that exceeds its bound."""
    broken = measures.filter(pl.col("share") > pl.col("bound"))
    if len(broken):
        told = ", ".join(f"{row['measure']} {row['share']:.1%} > {row['bound']:.1%}" for row in broken.to_dicts())
        raise LexError(f"data quality: {told}; correct the documents or raise the bounds, and materialize data_quality")


def _repeats(keys: pl.DataFrame) -> tuple[int, int]:
    """(rows that repeat an earlier one, rows)."""
    return keys.height - keys.n_unique() if keys.height else 0, keys.height


def _beyond(sized: pl.DataFrame, limit: int) -> tuple[int, int]:
    return sized.filter(pl.col("tokens") > limit).height, sized.height


def _uncovered(coverage: pl.DataFrame) -> tuple[int, int]:
    return coverage.filter(pl.col("pairs") == 0).height, coverage.height


def _measures(counted: Mapping[str, tuple[int, int]], config: QualityConfig) -> pl.DataFrame:
    bounds = dict.fromkeys(counted, 0.0) | config.model_dump()
    return MEASURES.frame(
        {"measure": name, "count": n, "total": total, "share": n / total if total else 0.0, "bound": bounds[name]}
        for name, (n, total) in counted.items()
    )


def _lengths(sized: Mapping[str, pl.DataFrame], limits: Mapping[str, int]) -> pl.DataFrame:
    rows = [_length(of, unit, frame[unit], limits) for of, frame in sized.items() for unit in ("characters", "tokens")]
    return LENGTHS.frame(rows)


def _length(of: str, unit: str, lengths: pl.Series, limits: Mapping[str, int]) -> dict[str, Any]:
    """One LENGTHS row; the histogram ends at the 99th percentile, or a little beyond the limit where that is farther."""
    limit = limits[of] if unit == "tokens" else None
    values = lengths.to_numpy()
    end = max(float(np.quantile(values, 0.99)), 1.1 * (limit or 0), 1.0)
    edges = np.linspace(0, end, BINS + 1)
    counts, _ = np.histogram(np.minimum(values, end), edges)
    quantiles = np.quantile(values, QUANTILES, method="higher")
    return {
        "of": of, "unit": unit, "limit": limit, "quantiles": quantiles.astype(int).tolist(), "edges": edges.tolist(),
        "counts": counts.tolist(),
    }  # fmt: skip


def _positives(own: pl.DataFrame) -> pl.DataFrame:
    each = own.group_by("query_id").agg(pl.col("parent_id").n_unique().cast(pl.Int64).alias("positives"))
    counts = each.group_by("positives").agg(pl.len().cast(pl.Int64).alias("queries")).sort("positives")
    return POSITIVES.validate(counts)


def _coverage(sized: pl.DataFrame, own: pl.DataFrame) -> pl.DataFrame:
    """Per document, most asked first."""
    title = pl.col("context").first().str.split(" > ").list.first().alias("title")
    documents = sized.group_by("doc_id").agg(title, pl.col("parent_id").n_unique().cast(pl.Int64).alias("articles"))
    asked = own.group_by("doc_id").agg(
        pl.col("parent_id").n_unique().cast(pl.Int64).alias("asked"), pl.len().cast(pl.Int64).alias("pairs")
    )
    joined = documents.join(asked, on="doc_id", how="left").with_columns(pl.col("asked", "pairs").fill_null(0))
    return COVERAGE.validate(joined.sort(["pairs", "doc_id"], descending=[True, False]))
