"""Pairs of a retriever and a reranker, off the shelf, on the same questions: what they find, and what they cost.

Every pair ranks the whole corpus by its retriever and reorders the same number of candidates by its reranker. Not here: what
training adds (`report`), or which settings of a search are best (`grid`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator

from lex_assets.evaluation.costs import COSTS, measure
from lex_assets.evaluation.metrics import DEFAULT_METRICS, parse_metric, summarise
from lex_assets.evaluation.question_sets import QuestionSet
from lex_assets.evaluation.scoring import Scored, score_runs
from lex_assets.evaluation.systems import sample_queries
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.search import Searcher, rerank_run
from lex_assets.retrieval.types import Encoder, LexicalSearch, PairScorer, Progress
from lex_assets.schemas import SETS, Column, LexError, TableSchema

BM25 = "bm25"
DENSE, RERANKED = "dense", "reranked"
_MIB = 2**20

ABLATION = TableSchema(
    "ablation",
    {
        "pair": Column(pl.String, "retriever + reranker, or bm25"),
        "regime": Column(pl.String, "unseen_query, unseen_law, or test for questions from files"),
        "mode": Column(pl.String, "dense, reranked, or lexical for bm25"),
        "n": Column(pl.Int64, "questions"),
        "metric": Column(pl.String, "name of the metric, counted by article"),
        "score": Column(pl.Float64, "mean over the questions"),
        "difference": Column(pl.Float64, "to the first pair in the same mode; null for itself", nullable=True),
        "low": Column(pl.Float64, "lower end of its 95 % interval; null where there is none", nullable=True),
        "high": Column(pl.Float64, "upper end", nullable=True),
        "verdict": Column(pl.String, "better, worse or insufficient", nullable=True),
    },
    ("pair", "regime", "mode", "metric"),
)


class AblationConfig(BaseModel):
    """Which pairs, and on what."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pairs: tuple[str, ...] = Field(
        default=("builtin + builtin",),
        description="검색기 + 재순위기(프리셋, 프리셋=폴더, 허브 id, 폴더); 첫 쌍이 기준. Pairs `RETRIEVER + RERANKER`; the first one "
        "is what the others are compared with.",
    )
    query_set: str = Field(
        default="valid", description="질의 집합: 고르려면 valid. Set of the questions; choose on valid, report on test."
    )
    max_queries: int = Field(default=200, ge=0, description="방식마다 질의 수의 상한, 0은 전부. Questions per regime.")
    depth: int = Field(default=100, ge=10, description="질의당 검색 결과 수. Passages retrieved per question.")
    rerank_depth: int = Field(default=30, ge=1, description="재순위할 후보 수. Candidates that are reranked.")
    metrics: tuple[str, ...] = Field(default=DEFAULT_METRICS, description="지표(조문 단위). Metrics, by article.")

    @field_validator("pairs")
    @classmethod
    def _named(cls, pairs: tuple[str, ...]) -> tuple[str, ...]:
        if not pairs or len(set(pairs)) < len(pairs):
            raise ValueError("name at least one pair, and none twice")
        for pair in pairs:
            models_of(pair)
        return pairs

    @field_validator("query_set")
    @classmethod
    def _set(cls, name: str) -> str:
        if name not in SETS[1:]:
            raise ValueError(f"choose from {', '.join(SETS[1:])}")
        return name

    @field_validator("metrics")
    @classmethod
    def _known(cls, metrics: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(parse_metric(name)) for name in metrics)


def models_of(pair: str) -> tuple[str, str]:
    """`"kosimcse + KR-ELECTRA=folder"` → the two names. Raises ValueError."""
    names = [name.strip() for name in pair.split(" + ")]
    if len(names) != 2 or not all(names):
        raise ValueError(f"{pair!r} is not a pair; write RETRIEVER + RERANKER")
    return names[0], names[1]


COSTS_OF_PAIRS = TableSchema(
    "costs",
    dict(COSTS.columns) | {"weights_mib": Column(pl.Float64, "size of both models' weights in memory", nullable=True)},
    COSTS.key,
)


@dataclass(frozen=True)
class Ablation:
    """quality: ABLATION · costs: COSTS_OF_PAIRS, one row per pair."""

    quality: pl.DataFrame
    costs: pl.DataFrame


Load = Callable[[str, str], tuple[Encoder, PairScorer]]


def ablate(
    sets: Sequence[QuestionSet],
    config: AblationConfig,
    load: Load,
    progress: Progress,
    lexical: LexicalSearch | None = None,
    cache_dir: Path | None = None,
    dense_config: DenseConfig = DenseConfig(),
) -> Ablation:
    """Every pair of `config` on every set; one pair is in memory at a time.

    sets: over one corpus · load: (retriever, reranker) → models · lexical: an index over that corpus, built here without one ·
    dense_config: devices and memory of the dense searches. Raises LexError when there is no question, and what `load` raises."""
    if not sets:
        raise LexError("ablation: there is no question; add documents or choose another set")
    asked = [one.restricted(sample_queries(one.queries, config.max_queries)) for one in sets]
    keywords = Searcher(asked[0].corpus, lexical=lexical, cache_dir=cache_dir)
    runs = {one.name: [_search(one, keywords, "lexical", config, BM25)] for one in asked}
    costs = []
    for done, pair in enumerate(config.pairs):
        progress(pair, done, len(config.pairs))
        encoder, reranker = load(*models_of(pair))
        searcher = Searcher(asked[0].corpus, encoder, keywords.lexical, cache_dir, dense_config)
        for one in asked:
            runs[one.name] += _ranked(one, pair, searcher, reranker, config, cache_dir)
        costs.append(_cost(pair, encoder, reranker, asked[0], config, cache_dir, dense_config))
        del encoder, reranker, searcher
        _free()
    progress(config.pairs[-1], len(config.pairs), len(config.pairs))
    quality = ABLATION.frame(row for one in asked for row in _rows(one, pl.concat(runs[one.name]), config))
    return Ablation(quality, COSTS_OF_PAIRS.validate(pl.concat(costs)))


def _search(one: QuestionSet, searcher: Searcher, mode: str, config: AblationConfig, system: str) -> pl.DataFrame:
    return searcher.search(one.queries, mode, config.depth, one.exclude, system=system)


def _ranked(
    one: QuestionSet,
    pair: str,
    searcher: Searcher,
    reranker: PairScorer,
    config: AblationConfig,
    cache_dir: Path | None,
) -> Iterator[pl.DataFrame]:
    dense = _search(one, searcher, "dense", config, _system(pair, DENSE))
    yield dense
    yield rerank_run(
        dense, one.queries, one.corpus, reranker, config.rerank_depth, _system(pair, RERANKED), cache_dir=cache_dir
    )


def _system(pair: str, mode: str) -> str:
    return f"{pair}\n{mode}"


def _cost(
    pair: str,
    encoder: Encoder,
    reranker: PairScorer,
    one: QuestionSet,
    config: AblationConfig,
    cache_dir: Path | None,
    dense_config: DenseConfig,
) -> pl.DataFrame:
    row = measure(pair, encoder, reranker, one.queries, one.corpus, config.rerank_depth, cache_dir, dense_config)
    return row.with_columns(weights_mib=pl.lit(weights_mib(encoder, reranker), pl.Float64))


def weights_mib(*models: Any) -> float | None:
    """MiB of the parameters of models that wrap a torch module as `.model`; None when one does not. Unlike a process's memory
    it does not depend on what ran before."""
    if not all(hasattr(model, "model") for model in models):
        return None
    return sum(p.numel() * p.element_size() for model in models for p in model.model.parameters()) / _MIB


def _free() -> None:
    """Give back what the last pair held, before the next is loaded."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _rows(one: QuestionSet, runs: pl.DataFrame, config: AblationConfig) -> Iterator[dict[str, Any]]:
    """ABLATION rows of one set: each mode's systems against the first pair's."""
    lexical = _scored(one, runs.filter(pl.col("system") == BM25), config, None)
    yield from _mode_rows(one.name, "lexical", lexical, config)
    for mode in (DENSE, RERANKED):
        of_mode = runs.filter(pl.col("system").str.ends_with(f"\n{mode}"))
        yield from _mode_rows(one.name, mode, _scored(one, of_mode, config, _system(config.pairs[0], mode)), config)


def _scored(one: QuestionSet, runs: pl.DataFrame, config: AblationConfig, baseline: str | None) -> Scored:
    return score_runs(
        runs, one.qrels, config.metrics, baseline, unit="parent", parents=one.corpus, groups=one.queries,
        query_set=config.query_set,
    )  # fmt: skip


def _mode_rows(regime: str, mode: str, scored: Scored, config: AblationConfig) -> Iterator[dict[str, Any]]:
    compared = {(one.system, one.metric): one.to_dict() for one in scored.comparisons}
    means = {row["system"].partition("\n")[0]: row for row in summarise(scored.scores).iter_rows(named=True)}
    for pair, row in sorted(means.items(), key=lambda found: (BM25, *config.pairs).index(found[0])):
        for metric in config.metrics:
            one = compared.get((row["system"], metric), {})
            beside = {name: one.get(name) for name in ("difference", "low", "high", "verdict")}
            shown = {"pair": pair, "regime": regime, "mode": mode, "n": row["n"]}
            yield shown | {"metric": metric, "score": row[metric]} | beside
