"""The test set of one domain with every system's rankings and scores: what the report's sections are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import polars as pl

from lex_assets.evaluation.metrics import CUTOFFS, DEFAULT_METRICS, metric_names, oracle_run, per_query
from lex_assets.evaluation.refusals import EvaluationError
from lex_assets.evaluation.significance import Comparison, ComparisonConfig, compare_all
from lex_assets.evaluation.units import Unit
from lex_assets.schemas import HUMAN_ORIGINS, frame_hash

SYSTEM_ORDER = (
    "bm25",
    *(
        f"{stack}_{mode}"
        for stack in ("base", "champion", "adapter")
        for mode in ("dense", "hybrid", "hybrid_rerank", "oracle")
    ),
)
"""The systems of `systems.rank_systems`, and the ceilings, in the order in which they are shown."""
UNITS: tuple[Unit, ...] = ("parent", "passage")


@dataclass(frozen=True)
class ReportConfig:
    """What the report shows. metrics: those of the main tables · cutoffs: every metric is computed at each of them ·
    min_slice: smaller slices are hidden (queries) · oracle_depth: candidates that a ceiling may reorder, as many as the
    reranker sees · pairs: (baseline, system); by default each adapter system against its base, and the others against the
    base retriever · on_missing: "zero" scores 0 where a system found nothing, and the report says so."""

    metric: str = "ndcg@10"
    metrics: tuple[str, ...] = DEFAULT_METRICS
    cutoffs: tuple[int, ...] = CUTOFFS
    unit: Unit = "parent"
    query_set: str = "test"
    comparison: ComparisonConfig = field(default_factory=ComparisonConfig)
    pairs: tuple[tuple[str, str], ...] | None = None
    oracle_depth: int = 100
    min_slice: int = 20
    cases: int = 5
    on_missing: Literal["error", "zero"] = "zero"

    @property
    def every_metric(self) -> list[str]:
        """The metric of the verdict, those of the main tables, and all at every cutoff."""
        return list(dict.fromkeys([self.metric, *self.metrics, *metric_names(self.cutoffs)]))


@dataclass(frozen=True)
class Tested:
    """Test queries with their rankings and scores. `queries` and `qrels` are those that the base has not seen, `seen` the
    others; `all_scores` is of both, by unit, and carries regime, origin, split group and seen_by_base."""

    queries: pl.DataFrame
    seen: pl.DataFrame
    all_queries: pl.DataFrame
    qrels: pl.DataFrame
    all_qrels: pl.DataFrame
    run: pl.DataFrame
    corpus: pl.DataFrame
    all_scores: pl.DataFrame
    config: ReportConfig

    @classmethod
    def of(
        cls,
        domain: str,
        run: pl.DataFrame,
        queries: pl.DataFrame,
        qrels: pl.DataFrame,
        corpus: pl.DataFrame,
        config: ReportConfig,
        seen: frozenset[str],
    ) -> Tested:
        """Raises EvaluationError when there is no test query, one has no label, or the run cannot be scored."""
        wanted = queries.filter(pl.col("set") == config.query_set, pl.col("domain") == domain).sort("query_id")
        wanted = wanted.with_columns(seen_by_base=pl.col("query_id").is_in(sorted(seen)))
        known = wanted.filter(~pl.col("seen_by_base"))
        if known.is_empty():
            raise EvaluationError(
                f"{domain}: no query in set {config.query_set!r} to report on; add documents or raise the test share"
            )
        labels = qrels.join(wanted, on="query_id", how="semi")
        unlabelled = wanted.join(labels, on="query_id", how="anti")["query_id"]
        if len(unlabelled):
            raise EvaluationError(f"{domain}: test query {min(unlabelled)} has no label; leave it out of the test set")
        rankings = _with_ceilings(run.join(wanted, on="query_id", how="semi"), labels, corpus, config)
        return cls(
            queries=known.drop("seen_by_base"),
            seen=wanted.filter("seen_by_base").drop("seen_by_base"),
            all_queries=queries,
            qrels=labels.join(known, on="query_id", how="semi"),
            all_qrels=qrels,
            run=rankings,
            corpus=corpus,
            all_scores=_scores(rankings, labels, wanted, corpus, config),
            config=config,
        )

    @cached_property
    def scores(self) -> pl.DataFrame:
        """Scores at the report's unit, without the queries that the base has seen."""
        return self.at(self.config.unit).filter(~pl.col("seen_by_base"))

    def at(self, unit: Unit) -> pl.DataFrame:
        """Scores of every test query at one unit."""
        return self.all_scores.filter(pl.col("unit") == unit)

    @cached_property
    def systems(self) -> list[str]:
        """Known systems in their order, then the others by name; without the other seeds of the adapter."""
        present = {name for name in self.run["system"].unique() if not is_seed(name)}
        return [s for s in SYSTEM_ORDER if s in present] + sorted(present - set(SYSTEM_ORDER))

    @cached_property
    def seeds(self) -> list[str]:
        """Stacks that were trained as the adapter was, with another seed."""
        return sorted({name.partition("_")[0] for name in self.run["system"].unique() if is_seed(name)})

    def part(self, regime: str | None = None, human: bool = True) -> pl.DataFrame:
        """Scores of one regime, of human or of synthetic queries."""
        chosen = self.scores.filter(pl.col("origin").is_in(HUMAN_ORIGINS) == human)
        return chosen if regime is None else chosen.filter(pl.col("regime") == regime)

    def compare(self, scores: pl.DataFrame, pairs: Sequence[tuple[str, str]]) -> list[Comparison]:
        """The report's metric, p-values corrected over `pairs`."""
        metric, config = self.config.metric, self.config.comparison
        return compare_all(scores, pairs, metric, scores, config, self.config.query_set)

    def pairs(self) -> list[tuple[str, str]]:
        """(baseline, system) of every comparison."""
        if self.config.pairs is not None:
            return list(self.config.pairs)
        found = [(_baseline(name, self.systems), name) for name in self.systems if not is_ceiling(name)]
        return [(baseline, name) for baseline, name in found if baseline is not None]

    def primary(self) -> tuple[str, str] | None:
        """The comparison that the page is about: the retriever adapter against its base, or the first one there is."""
        pairs = self.pairs()
        claims = [pair for pair in pairs if pair[1].startswith("adapter")]
        return next(iter(claims or pairs), None)

    def hash(self) -> str:
        """Changes with any query of the headline, its text or its labels, and with nothing else."""
        columns = ["query_id", "text", "regime", "origin", "split_group"]
        return frame_hash(self.queries.select(columns), self.qrels.sort("query_id", "passage_id"))

    def unanswered(self) -> dict[str, int]:
        """System → test queries for which it found nothing, where there are any; they score 0."""
        found = self.run.join(self.queries, on="query_id", how="semi").group_by("system")
        answered = dict(found.agg(pl.col("query_id").n_unique()).iter_rows())
        return {s: self.queries.height - n for s, n in sorted(answered.items()) if n < self.queries.height}


def is_seed(system: str) -> bool:
    """Whether a system is another training seed of the adapter: `seed2_dense`, …"""
    return system.startswith("seed")


def is_ceiling(system: str) -> bool:
    """Whether a system is the best that a reranker could make of a stack's candidates."""
    return system.endswith("_oracle")


def _baseline(system: str, present: Sequence[str]) -> str | None:
    stack, _, mode = system.partition("_")
    if stack in ("adapter", "champion") and f"base_{mode}" in present:
        return f"base_{mode}"
    fallback = "base_dense" if "base_dense" in present else present[0]
    return fallback if system != fallback else None


def _with_ceilings(run: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, config: ReportConfig) -> pl.DataFrame:
    """The run with each stack's ceiling: the frozen candidates that its reranker sees, in the best order."""
    present = set(run["system"].unique())
    frames = [run]
    for stack in ("base", "champion", "adapter"):
        source = next((s for s in (f"{stack}_hybrid", f"{stack}_dense") if s in present), None)
        if source:
            candidates = run.filter(pl.col("system") == source, pl.col("rank") <= config.oracle_depth)
            ceiling = oracle_run(candidates, qrels, config.unit, corpus, f"{stack}_oracle")
            frames.append(ceiling.select(run.columns))
    return pl.concat(frames)


def _scores(
    run: pl.DataFrame, labels: pl.DataFrame, wanted: pl.DataFrame, corpus: pl.DataFrame, config: ReportConfig
) -> pl.DataFrame:
    """Every metric of every (query, system), by article and by passage."""
    units = UNITS if config.unit == "parent" else (config.unit,)
    facts = wanted.select("query_id", "regime", "origin", "split_group", "seen_by_base")
    scored = [
        per_query(run, labels, config.every_metric, unit, corpus, on_missing=config.on_missing).with_columns(
            pl.lit(unit).alias("unit")
        )
        for unit in units
    ]
    return pl.concat(scored).join(facts, on="query_id", maintain_order="left")
