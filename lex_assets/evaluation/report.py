"""The evaluation report of one domain: everything that a team decides from, as data, as a page and as Markdown.

Here: putting the sections together, writing and reading. The page is drawn by `render` from the data alone, so the JSON file
says all that the page says. Not here: searching (`systems`), the sections (`sections`), and whether anything is promoted
(`registry.promotion`).

Only the test set is reported. Human and synthetic queries are never averaged, nor are the two regimes; test queries
that the base model has seen are marked and stand apart.
"""

from __future__ import annotations

import json
import math
import shutil
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.evaluation import markdown, render, sections
from lex_assets.evaluation.tested import ReportConfig, Tested
from lex_assets.schemas import REGIMES, Column, LexError, TableSchema, content_hash

SCHEMA = 2
"""Version of the report's data; pages and comparisons read no other."""

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
class EvalReport:
    """A finished report. `data` is JSON-ready and complete; `scores` has one row per (unit, query, system) with every metric,
    regime, origin, split group and seen_by_base, for anyone who wants to test again."""

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

    def tables(self) -> dict[str, str]:
        """Title → Markdown, in the order of the report."""
        return markdown.sections(self.data)

    def summary(self) -> str:
        """How the systems compare, by origin and slice, as Markdown that fits a terminal."""
        return markdown.summary(self.data)

    def to_markdown(self, plots: bool = False) -> str:
        """Every table as Markdown; with `plots`, the plots as embedded images as well."""
        return markdown.document(self.data, plots)

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
        if data["schema"] != SCHEMA:
            raise ValueError(f"written as version {data['schema']}, this is {SCHEMA}")
        return EvalReport(data["domain"], data, pl.read_parquet(directory / "scores.parquet"))
    except (OSError, ValueError, KeyError) as error:
        raise LexError(f"{directory}: not a report ({error}); materialize eval_report again") from error


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
        seen_by_base: test queries that the base model was trained on; marked, and left out of every other figure.

    Raises EvaluationError when there is no test query, a test query has no label, or the run cannot be scored.
    """
    config = config or ReportConfig()
    test = Tested.of(domain, run, queries, qrels, corpus, config, frozenset(seen_by_base))
    data = {
        "schema": SCHEMA,
        "domain": domain,
        "metric": config.metric,
        "metrics": list(config.metrics),
        "cutoffs": list(config.cutoffs),
        "unit": config.unit,
        "oracle_depth": config.oracle_depth,
        "test_hash": test.hash(),
        "margin": config.comparison.margin,
        "alpha": config.comparison.alpha,
        "power": config.comparison.power,
        "primary": sections.primary(test),
        "regimes": [sections.regime(test, regime) for regime in REGIMES],
        "seen_by_base": sections.seen_by_base(test),
        "origins": sections.origins(test),
        "slices": sections.slices(test),
        "failures": sections.failures(test),
        "cases": sections.cases(test),
        "training": {name: sections.training(stage) for name, stage in (training or {}).items()},
        "mining": {k: v for k, v in (mining or {}).items() if k not in ("examples", "config")},
        "counts": sections.counts(domain, queries, qrels, corpus) | {"unanswered": test.unanswered()},
        "provenance": dict(provenance or {}),
    }
    return EvalReport(domain, _plain(data), test.all_scores)


def _plain(value: Any) -> Any:
    """JSON values only: numbers that are not finite become null, long fractions are cut at six digits."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
