"""A candidate from the tables that a pipeline published in its store, for the `champion` asset and for the command alike."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.evaluation.question_sets import QuestionSet, human_questions
from lex_assets.evaluation.report import read_report
from lex_assets.models.presets import reranker_preset, retriever_preset
from lex_assets.models.weights import Base, trained_documents
from lex_assets.passages.stored import published, read_parquet
from lex_assets.registry.candidate import Candidate, Pair
from lex_assets.schemas import ADAPTERS, DOMAINS, HUMAN_ORIGINS, PASSAGES, QRELS, QUERIES, RUN, LexError, frame_hash

Tables = Mapping[str, Mapping[str, pl.DataFrame]]
"""Asset → table → rows."""

_NEEDED = {
    "eval_report": ("run", "guards", "costs", "report"),
    "split": ("queries", "qrels"),
    "synthetic_qa": ("queries", "qrels"),
    "corpus": ("passages",),
    "retriever_adapter": ("adapter",),
    "reranker_adapter": ("adapter",),
}
_WHOLE = ("split", "corpus")  # not partitioned by domain


def candidate_in(store: Path, domain: str) -> Candidate:
    """The candidate of `domain` that the store's last report is about.

    Raises LexError, naming the asset to materialize, when something was not published."""
    if domain not in DOMAINS:
        raise LexError(f"domain {domain!r} is not known; choose from {', '.join(DOMAINS)}")
    store = store.resolve()
    return candidate_from(store, domain, {asset: _tables(store, asset, domain) for asset in _NEEDED})


def _tables(store: Path, asset: str, domain: str) -> dict[str, pl.DataFrame]:
    folder = store / "tables" / asset / ("" if asset in _WHOLE else domain)
    files = {name: path for name in _NEEDED[asset] for path in published(folder, name)}
    if not files:
        option = "" if asset in _WHOLE else f" --partition {domain}"
        raise LexError(
            f"{store}: {asset} was not materialized; "
            f"run: dagster asset materialize -m lex_assets.definitions --select {asset}{option}"
        )
    return {name: read_parquet(path) for name, path in files.items()}


def published_questions(
    store: Path, domain: str, trained: Collection[str] = (), query_set: str = "test"
) -> list[QuestionSet]:
    """The human questions of `domain` in a pipeline's store, one set per regime; as `human_questions`.

    Raises LexError."""
    split, corpus = (_tables(store.resolve(), asset, domain) for asset in ("split", "corpus"))
    return list(human_questions(split["queries"], split["qrels"], corpus["passages"], domain, trained, query_set))


def published_rankings(store: Path, domain: str) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(RUN of every system, human test QUERIES, PASSAGES) that the last report of `domain` in a pipeline's store is about.

    Raises LexError, naming the asset to materialize."""
    report, split, corpus = (_tables(store.resolve(), name, domain) for name in ("eval_report", "split", "corpus"))
    asked = QUERIES.validate(split["queries"]).filter(
        pl.col("set") == "test", pl.col("domain") == domain, pl.col("origin").is_in(HUMAN_ORIGINS)
    )
    run = RUN.validate(report["run"]).join(asked, on="query_id", how="semi", maintain_order="left")
    return run, asked, PASSAGES.validate(corpus["passages"]).filter(pl.col("domain") == domain)


def candidate_from(store: Path, domain: str, tables: Tables) -> Candidate:
    """As `candidate_in`, from tables that were read already."""
    queries, qrels = evaluation_queries(tables["split"], tables["synthetic_qa"], domain)
    passages = PASSAGES.validate(tables["corpus"]["passages"].filter(pl.col("domain") == domain))
    found = tables["eval_report"]
    run, costs, about = RUN.validate(found["run"]), found["costs"], found["report"].row(0, named=True)
    adapters = {kind: _row(tables[f"{kind}_adapter"]["adapter"]) for kind in ("retriever", "reranker")}
    presets = {kind: _PRESETS[kind](row["base"]) for kind, row in adapters.items()}
    if "measured" not in about:
        raise LexError(
            f"{store}: the report of {domain} does not say how it was measured; materialize eval_report again"
        )
    latency = costs.filter(pl.col("system") == "adapter")["latency_ms"]
    return Candidate(
        domain=domain,
        pair=Pair(
            retriever=store / adapters["retriever"]["path"],
            reranker=store / adapters["reranker"]["path"],
            bases={kind: Base(p.name, p.hub_id, p.revision).hash[:16] for kind, p in presets.items()},
            licences={f"{kind} {p.name}": p.licence for kind, p in presets.items()},
        ),
        run=run,
        queries=queries,
        qrels=qrels,
        corpus=passages,
        incumbent="champion" if run["system"].str.starts_with("champion").any() else "base",
        compared_with=about["champion_version"],
        guards=found["guards"],
        trained=frozenset().union(*(trained_documents(p.hub_id) or () for p in presets.values())),
        latency_ms=latency.item() if len(latency) else None,
        hashes={
            "corpus": frame_hash(passages),
            "queries": frame_hash(queries, qrels),
            "run": frame_hash(run),
            "report": read_report(store / about["path"]).report_hash,
        },
        measured=json.loads(about["measured"]),
    )


_PRESETS: dict[str, Any] = {"retriever": retriever_preset, "reranker": reranker_preset}


def evaluation_queries(
    split: Mapping[str, pl.DataFrame], synthetic: Mapping[str, pl.DataFrame], domain: str
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Labelled and synthetic queries of `domain`, all sets, with their qrels."""
    queries = pl.concat([QUERIES.validate(tables["queries"]) for tables in (split, synthetic)])
    qrels = pl.concat([QRELS.validate(tables["qrels"]) for tables in (split, synthetic)])
    queries = queries.filter(pl.col("domain") == domain).sort("query_id")
    return queries, qrels.join(queries.select("query_id"), on="query_id", how="semi").sort("query_id", "passage_id")


def _row(adapter: pl.DataFrame) -> dict[str, Any]:
    return ADAPTERS.validate(adapter).row(0, named=True)
