"""The systems that every report compares, ranked over the whole corpus of a domain.

BM25; and for the base and for the adapter: dense, hybrid, and the hybrid's candidates reranked. Fusion weights are learnt
on the validation set. Candidates are frozen before reranking and positives are never injected. Not here: scoring the
rankings (`metrics`), deciding what a difference means (`significance`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from lex_assets.evaluation.metrics import per_query
from lex_assets.mining.pools import OWN_DOCUMENT_ORIGINS
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.fusion import LearntFusion, fuse, learn_weight
from lex_assets.retrieval.search import Searcher, rerank_run
from lex_assets.retrieval.types import Encoder, Hits, LexicalSearch, PairScorer, hits_to_run, run_to_hits
from lex_assets.schemas import LexError, content_hash

BM25 = "bm25"
FUSION_METRIC = "ndcg@10"
FUSION_DEPTH = 30  # fused passages per query while weights are learnt: enough for 10 articles
Progress = Callable[[str, int, int], None]


class SystemsConfig(BaseModel):
    """How deep the compared systems look."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    depth: int = Field(default=100, ge=10, description="질의당 검색 결과 수. Passages retrieved per query and system.")
    rerank_depth: int = Field(
        default=30, ge=1, description="재순위할 후보 수. Candidates of the hybrid that are reranked."
    )
    valid_queries: int = Field(
        default=200, ge=1, description="결합 가중치를 배우는 질의 수. Validation queries for fusion weights."
    )
    queries_per_set: int = Field(
        default=0,
        ge=0,
        description="집합·방식별 질의 수 상한, 0은 전부. Queries ranked per set, regime and origin; 0 means all.",
    )
    guard_queries: int = Field(
        default=100,
        ge=0,
        description="보호 집합마다 질의 수 상한, 0은 없음. Queries per guard set (other domains' promotion sets); 0 for none.",
    )
    guard_passages: int = Field(
        default=2000, ge=1, description="보호 집합에서 검색할 단락 수. Passages searched in a guard set, gold included."
    )
    guard_folders: tuple[str, ...] = Field(
        default=(),
        description="일반 보호 집합 폴더(corpus.jsonl, queries.jsonl, qrels.tsv). Folders of general guard sets.",
    )
    batch_size: int = Field(default=64, ge=1, description="한 번에 계산할 쌍·글 수. Texts or pairs per forward pass.")

    def decisive(self) -> dict[str, Any]:
        """The settings, by name, on which depends what the gate sees of the promotion set."""
        names = [name for name in SystemsConfig.model_fields if name != "batch_size"]
        return self.model_dump(mode="json", include=set(names))


def sample_evaluation(queries: pl.DataFrame, limit: int) -> pl.DataFrame:
    """`queries` with at most `limit` per evaluation set, regime and origin, drawn by the hash of their ids; 0 keeps all.

    Training queries stay: they say what training has seen."""
    if not limit:
        return queries
    place = pl.col("_draw").rank("ordinal").over("set", "regime", "origin")
    return _drawn(queries).filter(~pl.col("set").is_in(["promotion", "test"]) | (place <= limit)).drop("_draw")


def sample_queries(queries: pl.DataFrame, limit: int) -> pl.DataFrame:
    """At most `limit` of `queries`, the same in every run, by id; 0 keeps all. Drawn, not the first ones: ids begin with
    their origin."""
    return _drawn(queries).sort("_draw").head(limit or len(queries)).drop("_draw").sort("query_id")


def _drawn(queries: pl.DataFrame) -> pl.DataFrame:
    """With the column `_draw`, by which a sample is the same in every run."""
    return queries.with_columns(_draw=pl.Series([content_hash(i) for i in queries["query_id"]], dtype=pl.String))


@dataclass(frozen=True)
class Stack:
    """A retriever and a reranker that are compared together. name: base or adapter."""

    name: str
    encoder: Encoder
    reranker: PairScorer

    @property
    def dense(self) -> str:
        """System name of the retriever alone."""
        return f"{self.name}_dense"

    @property
    def hybrid(self) -> str:
        """System name of BM25 and the retriever."""
        return f"{self.name}_hybrid"

    @property
    def reranked(self) -> str:
        """System name of the hybrid with the reranker."""
        return f"{self.name}_hybrid_rerank"


@dataclass
class Ranked:
    """Rankings of every system (RUN) and the fusions that validation chose, by system."""

    runs: pl.DataFrame
    fusions: dict[str, LearntFusion] = field(default_factory=dict)


def rank_systems(
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    corpus: pl.DataFrame,
    stacks: list[Stack],
    config: SystemsConfig | None = None,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    lexical: LexicalSearch | None = None,
    dense_config: DenseConfig = DenseConfig(),
) -> Ranked:
    """Rank every query that is not for training with BM25 and with each stack.

    queries: QUERIES of one domain, any set; `valid` teaches the fusion, `promotion` and `test` are ranked ·
    corpus: PASSAGES of that domain, searched whole · lexical: an index over `corpus` to use
    instead of an embedded one that is built here · dense_config: devices and memory of the dense searches. Raises LexError when
    there is nothing to rank.
    """
    config, tell = config or SystemsConfig(), progress or (lambda stage, done, total: None)
    bench = _Bench.of(queries, qrels, corpus, config)
    lexical_search = Searcher(corpus, lexical=lexical, cache_dir=cache_dir)
    bm25 = bench.hits(lexical_search, "lexical")
    ranked = Ranked(bench.run(bm25, BM25))
    for done, stack in enumerate(stacks):
        tell(f"평가 · evaluating {stack.name}", done, len(stacks))
        searcher = Searcher(corpus, stack.encoder, lexical_search.lexical, cache_dir, dense_config)
        dense = bench.hits(searcher, "dense")
        hybrid = bench.fused(ranked, stack.hybrid, bm25, dense)
        reranked = bench.reranked(stack, hybrid, cache_dir)
        final = bench.fused(ranked, stack.reranked, [hits[: config.rerank_depth] for hits in hybrid], reranked)
        runs = [(dense, stack.dense), (hybrid, stack.hybrid), (final, stack.reranked)]
        ranked.runs = pl.concat([ranked.runs, *(bench.run(hits, name) for hits, name in runs)])
    tell("평가 · evaluating", len(stacks), len(stacks))
    return ranked


def own_passages(queries: pl.DataFrame, corpus: pl.DataFrame) -> Mapping[str, set[str]]:
    """Per query the passages of the document that it was cut from, which may not answer it."""
    own = queries.filter(pl.col("origin").is_in(OWN_DOCUMENT_ORIGINS)).join(
        corpus.select("doc_id", "passage_id"), on="doc_id"
    )
    return {q: set(ids) for q, ids in own.group_by("query_id").agg("passage_id").iter_rows()}


@dataclass(frozen=True)
class _Bench:
    """The queries to rank, in one order: first those that teach the fusion, then those that are reported."""

    queries: pl.DataFrame
    qrels: pl.DataFrame
    corpus: pl.DataFrame
    n_valid: int
    exclude: list[set[str]]
    config: SystemsConfig

    @classmethod
    def of(cls, queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, config: SystemsConfig) -> _Bench:
        labelled = queries.join(qrels.select("query_id").unique(), on="query_id", how="semi").sort("query_id")
        valid = labelled.filter(pl.col("set") == "valid")
        human = valid.filter(pl.col("origin") != "synthetic")
        teaching = sample_queries(human if len(human) else valid, config.valid_queries)
        reported = labelled.filter(pl.col("set").is_in(["promotion", "test"]))
        if reported.is_empty():
            raise LexError(
                "no query is in the sets promotion or test; add documents or raise their shares in the split"
            )
        chosen = pl.concat([teaching, reported])
        own = own_passages(chosen, corpus)
        exclude = [own.get(query_id, set()) for query_id in chosen["query_id"]]
        return cls(chosen, qrels, corpus, len(teaching), exclude, config)

    def hits(self, searcher: Searcher, mode: str) -> Hits:
        return searcher.hits(self.queries["text"].to_list(), mode, self.config.depth, self.exclude)

    def run(self, hits: Hits, system: str) -> pl.DataFrame:
        """RUN of the reported queries."""
        return hits_to_run(self.queries["query_id"].to_list()[self.n_valid :], hits[self.n_valid :], system)

    def fused(self, ranked: Ranked, system: str, first: Hits, second: Hits) -> Hits:
        """Both rankings fused as validation likes it; without validation queries, by reciprocal rank."""
        learnt = LearntFusion("rrf", 0.5, 0.0, 0.0, 0.0)
        if self.n_valid:
            groups = self.queries["split_group"].to_list()[: self.n_valid]
            halves = first[: self.n_valid], second[: self.n_valid]
            learnt = learn_weight(*halves, self._quality, k=FUSION_DEPTH, groups=groups)
        ranked.fusions[system] = learnt
        return fuse(first, second, learnt.weight, self.config.depth, learnt.method)

    def reranked(self, stack: Stack, hybrid: Hits, cache_dir: Path | None) -> Hits:
        ids = self.queries["query_id"].to_list()
        run = rerank_run(
            hits_to_run(ids, hybrid, stack.hybrid),
            self.queries,
            self.corpus,
            stack.reranker,
            self.config.rerank_depth,
            batch_size=self.config.batch_size,
            cache_dir=cache_dir,
        )
        return run_to_hits(run, ids)

    def _quality(self, hits: Hits) -> np.ndarray:
        ids = self.queries["query_id"].to_list()[: self.n_valid]
        gold = self.qrels.filter(pl.col("query_id").is_in(ids))
        run = hits_to_run(ids, hits, "candidate")
        return per_query(run, gold, [FUSION_METRIC], parents=self.corpus, on_missing="zero")[FUSION_METRIC].to_numpy()
