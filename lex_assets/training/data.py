"""Tables to training data: texts by id, what may not count as a negative, and the fixed validation set.

A check on an earlier asset blocks only inside its own run, so what training relies on is asserted here again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

import numpy as np
import polars as pl

from lex_assets.mining.pools import excluded_pairs
from lex_assets.retrieval.types import LexicalSearch
from lex_assets.schemas import QRELS, QUERIES, TRIPLETS, LexError, content_hash, frame_hash, search_text
from lex_assets.training.config import TrainingConfig

OFFICIAL = ("law", "admin_rule", "precedent", "constitutional", "appeal", "interpretation")
OFFICIAL_LICENCE = "passages: official texts, not protected (Copyright Act of Korea, article 7)"
LEXICAL_SHARE = 0.5
"""Share of the validation pool that lexical search fills: without it a pool is easier than the corpus."""


@dataclass(frozen=True)
class ValidationSet:
    """Fixed validation queries. relevant: query → its passages · gains: query → article → grade, as evaluation counts
    articles · unfit: query → passages that are neither right nor wrong for it."""

    query_ids: Sequence[str]
    texts: Sequence[str]
    relevant: Mapping[str, frozenset[str]]
    gains: Mapping[str, Mapping[str, int]]
    unfit: Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class TrainingData:
    """Training queries with their triplets, all passages of the corpus (text, article), and the validation set.

    grades: per query those of its positives · unfit: per query the passages that never count as its negatives
    (positives, equivalents, its own decision) · hashes: sha256 of each table · licences: of questions and passages.
    """

    texts: Mapping[str, str]
    positives: Mapping[str, Sequence[str]]
    grades: Mapping[str, Mapping[str, int]]
    negatives: Mapping[str, Sequence[str]]
    unfit: Mapping[str, frozenset[str]]
    passages: Mapping[str, str]
    parents: Mapping[str, str]
    valid: ValidationSet
    hashes: Mapping[str, str]
    licences: Sequence[str]

    @cached_property
    def data_hash(self) -> str:
        """One hash for all tables."""
        return content_hash(*self.hashes.values())

    @cached_property
    def query_ids(self) -> list[str]:
        """Training queries, sorted."""
        return sorted(self.texts)

    @cached_property
    def passage_ids(self) -> list[str]:
        """Passages of the corpus, sorted."""
        return sorted(self.passages)


def training_data(
    triplets: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, config: TrainingConfig
) -> TrainingData:
    """Check the tables and index them by id.

    Raises LexError when a triplet's query is not a training query or its passage not in the corpus, when there is too
    little data, no negative, or nothing to validate on.
    """
    triplets, queries, qrels = TRIPLETS.validate(triplets), QUERIES.validate(queries), QRELS.validate(qrels)
    tables = {"triplets": triplets, "queries": queries, "qrels": qrels, "corpus": corpus}
    passages = {i: search_text(c, t) for i, c, t in corpus.select("passage_id", "context", "text").iter_rows()}
    train = queries.join(triplets.select("query_id"), on="query_id")
    _require_training_queries(triplets, train, config)
    positives = dict(triplets.select("query_id", "positives").iter_rows())
    negatives = {q: [n["passage_id"] for n in rows] for q, rows in triplets.select("query_id", "negatives").iter_rows()}
    _require_passages(positives, negatives, passages)
    grades = _grades(train, qrels)
    _require_labels(positives, grades)
    if config.hard_ratio and not any(negatives.values()):
        raise LexError(
            "training: every hard negative was filtered away; loosen the filters of mining or enlarge its pools"
        )
    return TrainingData(
        texts=dict(train.select("query_id", "text").iter_rows()),
        positives=positives,
        grades=grades,
        negatives=negatives,
        unfit=_unfit(train, qrels, corpus),
        passages=passages,
        parents=dict(corpus.select("passage_id", "parent_id").iter_rows()),
        valid=_validation_set(queries, qrels, corpus, config),
        hashes={name: frame_hash(frame.sort(frame.columns[:2])) for name, frame in tables.items()},
        licences=data_licences(train, corpus),
    )


def data_licences(queries: pl.DataFrame, corpus: pl.DataFrame) -> list[str]:
    """What the training data is under: what its questions say of themselves, and what official texts are by law."""
    stated = {json.loads(meta or "{}").get("licence") or "" for meta in queries["meta"]}
    official = corpus["source_type"].is_in(OFFICIAL)
    passages = [OFFICIAL_LICENCE] * bool(official.any()) + ["passages: not stated"] * bool((~official).any())
    return [f"questions: {licence}" for licence in sorted(stated - {""})] + passages


def _require_training_queries(triplets: pl.DataFrame, train: pl.DataFrame, config: TrainingConfig) -> None:
    if len(train) < len(triplets):
        unknown = triplets.join(train, on="query_id", how="anti")["query_id"].sort()[0]
        raise LexError(f"training: triplet of {unknown} has no row in queries; mine again from the same queries")
    leaked = train.filter(pl.col("set") != "train")
    if len(leaked):
        row = leaked.sort("query_id").row(0, named=True)
        raise LexError(f"training: triplet of {row['query_id']} is in the set {row['set']}, not train; mine again")
    if len(train) < config.min_queries:
        raise LexError(
            f"training: {len(train)} training queries, at least {config.min_queries} needed; add documents or "
            "synthetic questions, or lower min_queries"
        )


def _require_passages(
    positives: Mapping[str, Sequence[str]], negatives: Mapping[str, Sequence[str]], passages: Mapping[str, str]
) -> None:
    for query_id in sorted(positives):
        strangers = [p for p in (*positives[query_id], *negatives[query_id]) if p not in passages]
        if strangers or not positives[query_id]:
            what = f"passage {strangers[0]} is not in the corpus" if strangers else "no positive is left"
            raise LexError(f"training: triplet of {query_id}: {what}; mine again from the same corpus")


def _require_labels(positives: Mapping[str, Sequence[str]], grades: Mapping[str, Mapping[str, int]]) -> None:
    for query_id in sorted(positives):
        unlabelled = [passage for passage in positives[query_id] if not grades[query_id].get(passage)]
        if unlabelled:
            raise LexError(
                f"training: triplet of {query_id}: positive {unlabelled[0]} is not in qrels; mine again from the same qrels"
            )


def _grades(queries: pl.DataFrame, qrels: pl.DataFrame) -> dict[str, dict[str, int]]:
    grades: dict[str, dict[str, int]] = {query_id: {} for query_id in queries["query_id"]}
    for query_id, passage_id, grade in qrels.join(queries.select("query_id"), on="query_id").iter_rows():
        grades[query_id][passage_id] = grade
    return grades


def _unfit(queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> dict[str, frozenset[str]]:
    pairs = excluded_pairs(queries, qrels, corpus).group_by("query_id").agg("passage_id")
    return {query_id: frozenset(passage_ids) for query_id, passage_ids in pairs.iter_rows()}


def _validation_set(
    queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, config: TrainingConfig
) -> ValidationSet:
    valid = queries.filter(pl.col("set") == "valid").sort("query_id")
    parents = corpus.select("passage_id", "parent_id")
    labelled = qrels.join(valid.select("query_id"), on="query_id").join(parents, on="passage_id")
    ids = sorted(set(labelled["query_id"]))
    if not ids:
        raise LexError("training: no query of the set valid has a positive in the corpus; check the split")
    ids = sorted(random.Random(f"{config.seed}/valid").sample(ids, min(config.valid_queries, len(ids))))
    valid = valid.filter(pl.col("query_id").is_in(ids))
    relevant: dict[str, set[str]] = {query_id: set() for query_id in ids}
    gains: dict[str, dict[str, int]] = {query_id: {} for query_id in ids}
    wanted = labelled.filter(pl.col("query_id").is_in(ids))
    for query_id, passage_id, grade, parent_id in wanted.select(*QRELS.names, "parent_id").iter_rows():
        relevant[query_id].add(passage_id)
        gains[query_id][parent_id] = max(grade, gains[query_id].get(parent_id, 0))
    every = _unfit(valid, qrels, corpus)
    unfit = {query_id: every[query_id] - relevant[query_id] for query_id in ids}
    frozen = {query_id: frozenset(passages) for query_id, passages in relevant.items()}
    return ValidationSet(valid["query_id"].to_list(), valid["text"].to_list(), frozen, gains, unfit)


def validation_pool(data: TrainingData, lexical: LexicalSearch, size: int, seed: int) -> list[str]:
    """Passages that validation queries are ranked against, sorted: every relevant one, hard ones from lexical search,
    and a seeded sample of the rest, `size` in all (more when the relevant ones alone are more)."""
    pool = {passage for passages in data.valid.relevant.values() for passage in passages}
    hits = lexical.search(list(data.valid.texts), size)
    by_rank = [hit[0] for row in zip_longest(*hits) for hit in row if hit and hit[0] not in pool]
    pool |= set(list(dict.fromkeys(by_rank))[: max(int((size - len(pool)) * LEXICAL_SHARE), 0)])
    rest = sorted(set(data.passages) - pool)
    return sorted(pool | set(random.Random(f"{seed}/pool").sample(rest, max(min(size - len(pool), len(rest)), 0))))


def validation_candidates(data: TrainingData, lexical: LexicalSearch, count: int) -> dict[str, list[str]]:
    """Per validation query its first-stage hits, best first. Positives are not added: a set that always holds them
    inflates the metric."""
    hits = lexical.search(list(data.valid.texts), count + 50)
    return {
        query_id: [passage for passage, _ in found if passage not in data.valid.unfit[query_id]][:count]
        for query_id, found in zip(data.valid.query_ids, hits, strict=True)
    }


@dataclass(frozen=True)
class ArticleColumns:
    """Passages of a row of scores, and the articles they belong to, as columns.

    An article scores what its best passage scores: the unit that evaluation counts.
    """

    articles: Sequence[str]
    slots: np.ndarray

    @classmethod
    def of(cls, passages: Sequence[str], parents: Mapping[str, str]) -> ArticleColumns:
        """Articles in order of first appearance; slots (n_passages,) the column of each passage's article."""
        column: dict[str, int] = {}
        slots = [column.setdefault(parents[passage], len(column)) for passage in passages]
        return cls(list(column), np.array(slots, dtype=np.int64))

    def collapse(self, scores: np.ndarray) -> np.ndarray:
        """(…, n_passages) to (…, n_articles)."""
        best = np.full((len(self.articles), *scores.shape[:-1]), -np.inf)
        np.maximum.at(best, self.slots, np.moveaxis(scores, -1, 0))
        return np.moveaxis(best, 0, -1)


def gain_matrix(valid: ValidationSet, columns: Sequence[Sequence[str]]) -> np.ndarray:
    """Gains (n_queries, n_articles) of each query's articles; short rows are padded with 0."""
    width = max(len(row) for row in columns)
    gains = np.zeros((len(columns), width))
    for row, (query_id, articles) in enumerate(zip(valid.query_ids, columns, strict=True)):
        gains[row, : len(articles)] = [valid.gains[query_id].get(article, 0) for article in articles]
    return gains


def ideal_gains(valid: ValidationSet) -> np.ndarray:
    """Gains (n_queries, n_relevant) of all relevant articles of each query."""
    return gain_matrix(valid, [sorted(valid.gains[query_id]) for query_id in valid.query_ids])
