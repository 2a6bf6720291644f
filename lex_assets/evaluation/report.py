"""The evaluation report of one domain: everything that a team decides from, as data, as a page and as Markdown.

Here: what the report contains. The page is drawn by `render` from the data alone, so the JSON file says all that the
page says. Not here: searching (`systems`), and whether anything is promoted (`registry.promotion`).

Only the test set is reported. Human and synthetic queries are never averaged, nor are the two regimes; test queries
that the base model has seen are counted and left out.
"""

from __future__ import annotations

import json
import math
import shutil
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl

from lex_assets.evaluation import render
from lex_assets.evaluation.cases import won_and_lost
from lex_assets.evaluation.metrics import (
    DEFAULT_METRICS,
    oracle_run,
    per_query,
    summarise,
)
from lex_assets.evaluation.refusals import EvaluationError
from lex_assets.evaluation.significance import Comparison, ComparisonConfig, compare, compare_all, correct
from lex_assets.evaluation.slices import error_groups, query_slices, slice_sizes, trained_parents
from lex_assets.evaluation.units import Unit
from lex_assets.schemas import (
    HUMAN_ORIGINS,
    REGIMES,
    SETS,
    Column,
    LexError,
    TableSchema,
    content_hash,
    frame_hash,
)

ORACLE = "oracle"
SYSTEM_ORDER = (
    "bm25",
    "base_dense",
    "base_hybrid",
    "base_hybrid_rerank",
    "champion_dense",
    "champion_hybrid",
    "champion_hybrid_rerank",
    "adapter_dense",
    "adapter_hybrid",
    "adapter_hybrid_rerank",
    ORACLE,
)
"""The systems of `systems.rank_systems`, and the ceiling, in the order in which they are shown."""

HEADLINE = TableSchema(
    "headline",
    {
        "domain": Column(pl.String, "finance, law or precedent"),
        "regime": Column(pl.String, "unseen_query or unseen_law"),
        "system": Column(pl.String, "name of the system"),
        "baseline": Column(pl.String, "system it is compared with", nullable=True),
        "metric": Column(pl.String, "metric of the difference, for example ndcg@10"),
        "scores": Column(pl.String, "JSON: metric → mean over the human test queries"),
        "difference": Column(pl.Float64, "mean difference to the baseline", nullable=True),
        "low": Column(pl.Float64, "lower end of its interval", nullable=True),
        "high": Column(pl.Float64, "upper end of its interval", nullable=True),
        "p_holm": Column(pl.Float64, "sign-flip p after Holm's correction", nullable=True),
        "n": Column(pl.Int64, "queries"),
        "n_clusters": Column(pl.Int64, "independent groups of queries", nullable=True),
        "smallest_detectable": Column(pl.Float64, "true difference found with probability 0.8", nullable=True),
        "verdict": Column(pl.String, "better, worse or insufficient; null without a baseline", nullable=True),
    },
    ("domain", "regime", "system"),
)


@dataclass(frozen=True)
class ReportConfig:
    """What the report shows. `min_slice`: smaller slices are hidden (queries). `oracle_depth`: candidates that the
    ceiling may reorder. `pairs`: (baseline, system); by default each adapter system against its base, and the others
    against the base retriever. `on_missing`: "zero" scores 0 where a system found nothing, and the report says so."""

    metric: str = "ndcg@10"
    metrics: tuple[str, ...] = DEFAULT_METRICS
    unit: Unit = "parent"
    query_set: str = "test"
    comparison: ComparisonConfig = field(default_factory=ComparisonConfig)
    pairs: tuple[tuple[str, str], ...] | None = None
    oracle_depth: int = 100
    min_slice: int = 20
    cases: int = 5
    on_missing: Literal["error", "zero"] = "zero"


@dataclass(frozen=True)
class EvalReport:
    """A finished report. `data` is JSON-ready and complete; `scores` has one row per (query, system) with regime,
    origin and split group, for anyone who wants to test again."""

    domain: str
    data: dict[str, Any]
    scores: pl.DataFrame

    @property
    def report_hash(self) -> str:
        """16 hex digits over the data: equal reports are one report."""
        return content_hash(self.to_json())[:16]

    def headline(self) -> pl.DataFrame:
        """Table `headline`: one row per regime and system."""
        return headline_table(self.data)

    def plots(self) -> dict[str, str]:
        """Title → SVG, in the order of the report."""
        return {title: svg for group in render.plots(self.data).values() for title, svg in group}

    def to_json(self) -> str:
        """The data as JSON, in the order in which it is shown."""
        return json.dumps(self.data, ensure_ascii=False, indent=1, allow_nan=False) + "\n"

    def to_markdown(self, plots: bool = False) -> str:
        """The headline, origins, slices and provenance as Markdown; with `plots`, as embedded images as well."""
        return render.markdown(self.data, plots)

    def to_html(self) -> str:
        """One page that needs nothing else."""
        return render.html(self.data)

    def write(self, directory: Path) -> Path:
        """Writes report.html, report.json, report.md and scores.parquet into `directory`, beside and renamed: an
        existing folder is replaced as a whole. Returns `directory`. Raises LexError when it cannot be written."""
        directory = Path(directory)
        staging = directory.with_name(f".{directory.name}.{uuid.uuid4().hex[:8]}")
        try:
            staging.mkdir(parents=True)
            (staging / "report.html").write_text(self.to_html(), encoding="utf-8")
            (staging / "report.json").write_text(self.to_json(), encoding="utf-8")
            (staging / "report.md").write_text(self.to_markdown(), encoding="utf-8")
            self.scores.write_parquet(staging / "scores.parquet", compression="zstd")
            if directory.exists():
                shutil.rmtree(directory)
            staging.rename(directory)
        except OSError as error:
            raise LexError(f"{directory}: cannot write the report ({error.strerror or error})") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        return directory


def headline_table(data: Mapping[str, Any]) -> pl.DataFrame:
    """Table `headline` of a report's data, so that a report read from JSON gives it too."""
    own = ("system", "baseline", *[n for n in HEADLINE.names if n not in ("domain", "regime", "metric", "scores")])
    return HEADLINE.frame(
        {name: row.get(name) for name in own}
        | {
            "domain": data["domain"],
            "regime": part["regime"],
            "metric": data["metric"],
            "scores": json.dumps(row["scores"], sort_keys=True),
        }
        for part in data["regimes"]
        for row in part["rows"]
    )


def read_report(directory: Path) -> EvalReport:
    """A report that `write` left. Raises LexError when the folder does not hold one."""
    try:
        data = json.loads((directory / "report.json").read_text(encoding="utf-8"))
        return EvalReport(data["domain"], data, pl.read_parquet(directory / "scores.parquet"))
    except (OSError, ValueError, KeyError) as error:
        raise LexError(f"{directory}: not a report ({error}); materialize eval_report again") from error


def check_comparable(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raises EvaluationError when two reports' data come from different test sets: their figures do not compare."""
    if one["test_hash"] != other["test_hash"]:
        raise EvaluationError(
            f"reports of {one['domain']} and {other['domain']} have different test sets "
            f"({one['test_hash'][:8]}, {other['test_hash'][:8]}); evaluate both systems on one test set"
        )


def build_report(
    domain: str,
    run: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    corpus: pl.DataFrame,
    *,
    config: ReportConfig | None = None,
    training: Mapping[str, Mapping[str, Any]] | None = None,
    mining: Mapping[str, Any] | None = None,
    provenance: Mapping[str, str] | None = None,
    seen_by_base: Collection[str] = (),
) -> EvalReport:
    """The report of one domain.

    Args:
        run: table `run`, all systems; rankings of other sets than the test set are left aside.
        queries: table `queries` of the domain, all sets: the others are only counted.
        qrels: table `qrels`; labels of training queries tell which articles training has seen.
        corpus: table `passages`, all domains or this one.
        training: stage ("retriever", "reranker") → {"history": rows, and the fields of `TrainingResult`}.
        mining: what mining reported. provenance: name → hash, version or setting, as text.
        seen_by_base: test queries that the base model was trained on; counted, and left out of every figure.

    Raises EvaluationError when there is no test query, a test query has no label, or the run cannot be scored.
    """
    config = config or ReportConfig()
    test = _Test.of(domain, run, queries, qrels, corpus, config, frozenset(seen_by_base))
    regimes = [_regime(test, regime) for regime in REGIMES]
    data = {
        "schema": 1,
        "domain": domain,
        "metric": config.metric,
        "metrics": list(config.metrics),
        "unit": config.unit,
        "test_hash": test.hash(),
        "margin": config.comparison.margin,
        "alpha": config.comparison.alpha,
        "power": config.comparison.power,
        "primary": _primary(test),
        "regimes": regimes,
        "origins": _origins(test),
        "slices": _slices(test),
        "errors": _errors(test),
        "cases": _cases(test),
        "training": {name: _training(stage) for name, stage in (training or {}).items()},
        "mining": {k: v for k, v in (mining or {}).items() if k not in ("examples", "config")},
        "counts": _counts(domain, queries, qrels, corpus)
        | {"seen_by_base": test.n_seen, "unanswered": test.unanswered()},
        "provenance": dict(provenance or {}),
    }
    return EvalReport(domain, _plain(data), test.scores)


@dataclass(frozen=True)
class _Test:
    """The test queries with their rankings and scores. `scores` carries regime, origin and split group."""

    queries: pl.DataFrame
    all_queries: pl.DataFrame
    qrels: pl.DataFrame
    all_qrels: pl.DataFrame
    run: pl.DataFrame
    corpus: pl.DataFrame
    scores: pl.DataFrame
    config: ReportConfig
    n_seen: int

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
    ) -> _Test:
        wanted = queries.filter(pl.col("set") == config.query_set, pl.col("domain") == domain).sort("query_id")
        known = wanted.filter(~pl.col("query_id").is_in(list(seen)))
        if known.is_empty():
            raise EvaluationError(
                f"{domain}: no query in set {config.query_set!r} to report on; add documents or raise the test share"
            )
        labels = qrels.join(known.select("query_id"), on="query_id", how="semi")
        unlabelled = known.join(labels, on="query_id", how="anti")["query_id"]
        if len(unlabelled):
            raise EvaluationError(f"{domain}: test query {min(unlabelled)} has no label; leave it out of the test set")
        rankings = _with_oracle(run.join(known.select("query_id"), on="query_id", how="semi"), labels, corpus, config)
        scores = per_query(rankings, labels, config.metrics, config.unit, corpus, on_missing=config.on_missing)
        facts = known.select("query_id", "regime", "origin", "split_group")
        scores = scores.join(facts, on="query_id", maintain_order="left")
        return cls(known, queries, labels, qrels, rankings, corpus, scores, config, wanted.height - known.height)

    @property
    def systems(self) -> list[str]:
        """Known systems in their order, then the others by name."""
        present = set(self.run["system"].unique())
        return [s for s in SYSTEM_ORDER if s in present] + sorted(present - set(SYSTEM_ORDER))

    def part(self, regime: str | None = None, human: bool = True) -> pl.DataFrame:
        """Scores of one regime, of human or of synthetic queries."""
        chosen = self.scores.filter(pl.col("origin").is_in(HUMAN_ORIGINS) == human)
        return chosen if regime is None else chosen.filter(pl.col("regime") == regime)

    def compare(self, scores: pl.DataFrame, pairs: Sequence[tuple[str, str]]) -> list[Comparison]:
        metric, config = self.config.metric, self.config.comparison
        return compare_all(scores, pairs, metric, scores, config, self.config.query_set)

    def pairs(self) -> list[tuple[str, str]]:
        """(baseline, system) of every comparison."""
        if self.config.pairs is not None:
            return list(self.config.pairs)
        present = self.systems
        found = [(_baseline(name, present), name) for name in present if name != ORACLE]
        return [(baseline, name) for baseline, name in found if baseline is not None]

    def primary(self) -> tuple[str, str] | None:
        """The comparison that the page is about: the retriever adapter against its base, or the first one there is."""
        pairs = self.pairs()
        claims = [pair for pair in pairs if pair[1].startswith("adapter")]
        return next(iter(claims or pairs), None)

    def hash(self) -> str:
        """Changes with any test query, its text or its labels, and with nothing else."""
        columns = ["query_id", "text", "regime", "origin", "split_group"]
        return frame_hash(self.queries.select(columns), self.qrels.sort("query_id", "passage_id"))

    def unanswered(self) -> dict[str, int]:
        """System → test queries for which it found nothing, where there are any; they score 0."""
        answered = dict(self.run.group_by("system").agg(pl.col("query_id").n_unique()).iter_rows())
        return {s: self.queries.height - n for s, n in sorted(answered.items()) if n < self.queries.height}


def _baseline(system: str, present: Sequence[str]) -> str | None:
    stack, _, mode = system.partition("_")
    if stack in ("adapter", "champion") and f"base_{mode}" in present:
        return f"base_{mode}"
    fallback = "base_dense" if "base_dense" in present else present[0]
    return fallback if system != fallback else None


def _with_oracle(run: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, config: ReportConfig) -> pl.DataFrame:
    """The run with the ceiling over the best hybrid's candidates."""
    present = set(run["system"].unique())
    source = next((s for s in ("adapter_hybrid", "base_hybrid", "adapter_dense", "base_dense") if s in present), None)
    if source is None or ORACLE in present:
        return run
    candidates = run.filter(pl.col("system") == source, pl.col("rank") <= config.oracle_depth)
    ceiling = oracle_run(candidates, qrels, config.unit, corpus, ORACLE)
    return pl.concat([run, ceiling.select(run.columns)])


def _primary(test: _Test) -> dict[str, str] | None:
    pair = test.primary()
    return {"baseline": pair[0], "system": pair[1]} if pair else None


def _regime(test: _Test, regime: str) -> dict[str, Any]:
    """Headline rows of one regime. Adapter systems are corrected together: they are what is claimed."""
    scores = test.part(regime)
    if scores.is_empty():
        return {"regime": regime, "n": 0, "rows": [], "versus_champion": None}
    pairs = test.pairs()
    claims = [pair for pair in pairs if pair[1].startswith("adapter")]
    others = [pair for pair in pairs if pair not in claims]
    judged = {one.system: one for one in [*test.compare(scores, claims), *test.compare(scores, others)]}
    means = {row["system"]: row for row in summarise(scores).to_dicts()}
    rows = [_row(name, means[name], judged.get(name), test.config.metrics) for name in test.systems]
    return {
        "regime": regime,
        "n": scores["query_id"].n_unique(),
        "rows": rows,
        "versus_champion": _versus_champion(test, scores),
    }


def _versus_champion(test: _Test, scores: pl.DataFrame) -> dict[str, Any] | None:
    """The adapter's best-equipped system against the champion's, where a champion was ranked."""
    present = test.systems
    modes = [mode for mode in ("hybrid_rerank", "hybrid", "dense") if f"champion_{mode}" in present]
    pair = next(((f"champion_{m}", f"adapter_{m}") for m in modes if f"adapter_{m}" in present), None)
    if pair is None:
        return None
    return {k: v for k, v in test.compare(scores, [pair])[0].to_dict().items() if k != "config"}


def _row(system: str, means: Mapping[str, Any], one: Comparison | None, metrics: Sequence[str]) -> dict[str, Any]:
    row = {"system": system, "n": means["n"], "scores": {metric: means[metric] for metric in metrics}, "baseline": None}
    if one is not None:
        compared = {k: v for k, v in one.to_dict().items() if k not in ("config", "metric", "query_set", "system", "n")}
        row |= compared
    return row


def _origins(test: _Test) -> list[dict[str, Any]]:
    """The primary comparison per origin and regime, human origins first; corrected together."""
    order = {name: i for i, name in enumerate((*HUMAN_ORIGINS, "synthetic"))}
    parts = test.queries.group_by("origin", "regime").len("n").to_dicts()
    parts.sort(key=lambda part: (order.get(part["origin"], len(order)), REGIMES.index(part["regime"])))
    keys = [{"origin": part["origin"], "regime": part["regime"]} for part in parts]
    frames = [test.scores.filter(pl.col("origin") == k["origin"], pl.col("regime") == k["regime"]) for k in keys]
    return _compared_rows(test, keys, frames)


def _slices(test: _Test) -> dict[str, Any]:
    """The primary comparison per slice of the headline's queries (human, first regime that has any)."""
    regime = next((r for r in REGIMES if not test.part(r).is_empty()), None)
    if regime is None:
        return {"regime": None, "rows": [], "hidden": 0, "minimum": test.config.min_slice}
    scores = test.part(regime)
    queries = test.queries.join(scores.select("query_id").unique(), on="query_id", how="semi")
    trained = trained_parents(test.all_queries, test.all_qrels, test.corpus)
    slices = query_slices(queries, test.qrels, test.corpus, trained)
    shown, hidden = slice_sizes(slices, test.config.min_slice)
    keys = shown.select("slice", "value").to_dicts()
    members = [slices.filter(pl.col("slice") == k["slice"], pl.col("value") == k["value"]) for k in keys]
    frames = [scores.join(one.select("query_id"), on="query_id", how="semi") for one in members]
    rows = _compared_rows(test, keys, frames)
    return {"regime": regime, "rows": rows, "hidden": hidden, "minimum": test.config.min_slice}


def _compared_rows(test: _Test, keys: Sequence[dict[str, Any]], frames: Sequence[pl.DataFrame]) -> list[dict[str, Any]]:
    pair, metric, config = test.primary(), test.config.metric, test.config.comparison
    if pair is None:
        return [key | {"n": frame["query_id"].n_unique()} for key, frame in zip(keys, frames, strict=True)]
    found = correct([compare(frame, *pair, metric, frame, config, test.config.query_set) for frame in frames])
    return [
        key | {k: v for k, v in one.to_dict().items() if k != "config"} for key, one in zip(keys, found, strict=True)
    ]


def _errors(test: _Test) -> dict[str, dict[str, int]]:
    """System → kind of the first result → human test queries."""
    human = test.part()["query_id"].unique()
    counted = error_groups(
        test.run.filter(pl.col("query_id").is_in(human.to_list()), pl.col("system") != ORACLE),
        test.qrels.filter(pl.col("query_id").is_in(human.to_list())),
        test.corpus,
    )
    found: dict[str, dict[str, int]] = {}
    for system, kind, n in counted.iter_rows():
        found.setdefault(system, {})[kind] = n
    return {system: found[system] for system in test.systems if system in found}


def _cases(test: _Test) -> dict[str, Any]:
    pair, metric = test.primary(), test.config.metric
    human = test.part()
    if pair is None or human.is_empty():
        return {"won": [], "lost": []}
    sides = dict(zip(pair, ("baseline", "system"), strict=True))
    named = human.filter(pl.col("system").is_in(pair)).with_columns(pl.col("system").replace_strict(sides))
    paired = named.pivot("system", index="query_id", values=metric)
    run = test.run.filter(pl.col("system").is_in(pair)).with_columns(pl.col("system").replace_strict(sides))
    return won_and_lost(paired, run, test.queries, test.qrels, test.corpus, test.config.cases)


def _training(stage: Mapping[str, Any]) -> dict[str, Any]:
    """What the curves need: whatever the stage says of itself, without paths."""
    plain = {k: v for k, v in stage.items() if isinstance(v, (int, float, str, bool)) or v is None}
    rows = [{k: row.get(k) for k in ("step", "loss", "chance", "metric")} for row in stage.get("history", [])]
    return plain | {"history": rows}


def _counts(domain: str, queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> dict[str, Any]:
    """Documents, passages and queries, per set, origin and regime."""
    own = corpus.filter(pl.col("domain") == domain)
    mine = queries.filter(pl.col("domain") == domain)
    per_set = mine.group_by("set", "origin", "regime").len("n").to_dicts()
    order = {name: i for i, name in enumerate((*SETS, "dropped"))}
    per_set.sort(key=lambda row: (order.get(row["set"], len(order)), row["origin"], row["regime"]))
    labels = qrels.join(mine.select("query_id"), on="query_id", how="semi")
    return {
        "documents": own["doc_id"].n_unique(),
        "parents": own["parent_id"].n_unique(),
        "passages": own.height,
        "queries": mine.height,
        "labels": labels.height,
        "per_set": per_set,
    }


def _plain(value: Any) -> Any:
    """JSON values only: numbers that are not finite become null, long fractions are cut at six digits."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
