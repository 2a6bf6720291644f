"""What is exported, read from the tables that a pipeline published in its store, and checked: what is held back for
promotion or test gets into no file that a model is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.evaluation.question_sets import QuestionSet
from lex_assets.passages.stored import published, read_parquet
from lex_assets.queries.split import SplitConfig, held_out_families
from lex_assets.registry.published import published_questions
from lex_assets.retrieval.search import corpus_texts
from lex_assets.schemas import DOMAINS, PASSAGES, POSITIVES, QUERIES, RUN, LexError, frame_hash
from lex_assets.training.data import data_licences
from lex_assets.training.files import TrainingTables, store_tables

ALL = "all"
"""Every domain together, as the name of one."""

SELECTING = ("train", "valid")
"""Sets that training files may hold."""


@dataclass(frozen=True)
class Row:
    """A question with its passages. query: its row of QUERIES · positives: ids, best grade · negatives: as in TRIPLETS."""

    query: Mapping[str, Any]
    positives: list[str]
    negatives: list[Mapping[str, Any]]


@dataclass(frozen=True)
class TrainingSource:
    """The mined tables of a domain, and the scores of their positives (POSITIVES), if mining kept them."""

    domain: str
    tables: TrainingTables
    scores: pl.DataFrame | None = None

    @cached_property
    def texts(self) -> dict[str, str]:
        """Passage id → what is indexed and encoded of it."""
        return corpus_texts(self.tables.corpus)

    @property
    def hashes(self) -> dict[str, str]:
        """sha256 of every table."""
        return self.tables.hashes() | ({} if self.scores is None else {"positives": frame_hash(self.scores)})

    @property
    def licences(self) -> list[str]:
        """Of questions and passages."""
        return data_licences(self.tables.queries, self.tables.corpus)

    def train(self) -> Iterator[Row]:
        """Mined questions, by id."""
        queries = {row["query_id"]: row for row in self.tables.queries.iter_rows(named=True)}
        for row in self.tables.triplets.sort("query_id").iter_rows(named=True):
            yield Row(queries[row["query_id"]], row["positives"], row["negatives"])

    def valid(self) -> Iterator[Row]:
        """Questions that choose a checkpoint, by id, with the passages of their best grade; nothing is mined for them."""
        asked = self.tables.queries.filter(pl.col("set") == "valid").sort("query_id")
        known = self.tables.qrels.join(self.tables.corpus.select("passage_id"), on="passage_id", how="semi")
        best = known.filter(pl.col("grade") == pl.col("grade").max().over("query_id"))
        positives = dict(best.sort("passage_id").group_by("query_id").agg("passage_id").iter_rows())
        for row in asked.iter_rows(named=True):
            if row["query_id"] in positives:
                yield Row(row, positives[row["query_id"]], [])


@dataclass(frozen=True)
class EvaluationSource:
    """The human questions of some sets, each by regime, and the rankings of the last report (RUN), if there is one."""

    domain: str
    questions: Mapping[str, list[QuestionSet]]
    corpus: pl.DataFrame
    run: pl.DataFrame | None = None

    @property
    def hashes(self) -> dict[str, str]:
        """sha256 of every table."""
        tables = {"corpus": self.corpus} | ({} if self.run is None else {"run": self.run})
        for name, sets in self.questions.items():
            tables |= {f"queries/{name}/{one.name}": one.queries for one in sets}
            tables |= {f"qrels/{name}/{one.name}": one.qrels for one in sets}
        return {name: frame_hash(table) for name, table in tables.items()}

    @property
    def licences(self) -> list[str]:
        """Of questions and passages."""
        asked = [one.queries for sets in self.questions.values() for one in sets]
        return data_licences(pl.concat(asked), self.corpus)


def training_source(store: Path, domain: str) -> TrainingSource:
    """The tables that `domain`, or every one with `all`, is trained on. Raises LexError when mining was not run, or held-back
    material is in them."""
    domains = DOMAINS if domain == ALL else (domain,)
    each = [store_tables(store, one) for one in domains]
    names = [field.name for field in fields(TrainingTables)]
    tables = TrainingTables(*(pl.concat([getattr(one, name) for one in each]) for name in names))
    held = {name: _table(store, "split", name) for name in ("queries", "settings")}
    require_nothing_held_back(tables, held["queries"], SplitConfig(**held["settings"].row(0, named=True)))
    found = [_optional(store, f"hard_negative_triplets/{one}", "positives") for one in domains]
    scores = [POSITIVES.validate(one) for one in found if one is not None]
    return TrainingSource(domain, tables, pl.concat(scores) if len(scores) == len(domains) else None)


def evaluation_source(store: Path, domain: str, sets: tuple[str, ...] = ("valid", "test")) -> EvaluationSource:
    """The human questions of `domain` in `sets`. Raises LexError, naming the asset to materialize or the set that is empty."""
    if domain not in DOMAINS:
        raise LexError(f"domain {domain!r} has no questions of its own to report; choose from {', '.join(DOMAINS)}")
    questions = {name: published_questions(store, domain, query_set=name) for name in sets}
    corpus = PASSAGES.validate(_table(store, "corpus", "passages")).filter(pl.col("domain") == domain)
    run = _optional(store, f"eval_report/{domain}", "run")
    return EvaluationSource(domain, questions, corpus, None if run is None else RUN.validate(run))


def require_nothing_held_back(tables: TrainingTables, split: pl.DataFrame, config: SplitConfig) -> None:
    """Raise LexError when a question of `tables` belongs to promotion or test, by id or by text, is trained on without
    being of the set train, or has a passage of a held-out law family."""
    queries = QUERIES.validate(tables.queries)
    held = split.filter(~pl.col("set").is_in([*SELECTING, "dropped"]))
    same = queries.filter(
        ~pl.col("set").is_in(SELECTING) | pl.col("query_id").is_in(held["query_id"].implode())
        | _plain(pl.col("text")).is_in(held.select(_plain(pl.col("text"))).to_series().implode())
    )  # fmt: skip
    _refuse(same["query_id"], "is held back for promotion or test")
    train = queries.filter(pl.col("set") == "train")
    _refuse(
        tables.triplets.join(train, on="query_id", how="anti")["query_id"], "is trained on but not of the set train"
    )
    families = held_out_families(tables.corpus, config)
    family = tables.corpus.filter(pl.col("family").is_in(sorted(families))).select("passage_id")
    _refuse(_pairs(tables.triplets).join(family, on="passage_id", how="semi")["query_id"], "has a held-out law in it")


def _pairs(triplets: pl.DataFrame) -> pl.DataFrame:
    """(query_id, passage_id) of all positives and negatives."""
    negatives = pl.col("negatives").list.eval(pl.element().struct.field("passage_id"))
    both = triplets.select("query_id", passage_id=pl.concat_list("positives", negatives))
    return both.explode("passage_id").drop_nulls()


def _plain(text: pl.Expr) -> pl.Expr:
    return text.str.replace_all(r"\s+", "")


def _refuse(query_ids: pl.Series, what: str) -> None:
    if len(query_ids):
        raise LexError(
            f"export: question {query_ids.sort()[0]} {what} ({len(query_ids)} in all); "
            "run split, training_queries and mining again on the same store"
        )


def _table(store: Path, asset: str, table: str) -> pl.DataFrame:
    found = _optional(store, asset, table)
    if found is None:
        raise LexError(f"{store}: {asset} is not made yet; run the pipeline's jobs on this store first")
    return found


def _optional(store: Path, asset: str, table: str) -> pl.DataFrame | None:
    found = [read_parquet(path) for path in published(store / "tables" / asset, table) if path.is_file()]
    return found[0] if found else None
