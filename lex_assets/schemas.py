"""Records and table schemas: the one place that says what passes between the rooms.

Here: the document tree, one `TableSchema` per table, and the errors that every room raises. Not here: how anything is
read, searched or trained. Nothing in this module imports dagster or torch.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import polars as pl

DOMAINS = ("finance", "law", "precedent")
"""Partition keys, in the order in which they are ingested."""

SETS = ("train", "valid", "promotion", "test")
"""Split sets: train, valid (choose), promotion (gate), test (report)."""

REGIMES = ("unseen_query", "unseen_law")
"""How a test is held out: a new question about known law (headline), or a law family that training never cited."""

HUMAN_ORIGINS = ("citation", "holding", "interpretation", "mrc", "pair", "delegation")
"""Query origins whose labels come from people; `synthetic` is never averaged with them."""

STATUTE_TYPES = ("law", "admin_rule", "markdown")
"""Source types that are cited by article."""

DECISION_TYPES = ("precedent", "constitutional", "appeal")
"""Source types with numbered issues and holdings: courts, Constitutional Court, administrative appeals."""

DATED_TYPES = (*DECISION_TYPES, "interpretation")
"""Source types whose questions were asked on a day: the split by time goes by it."""


class LexError(Exception):
    """A failure that a user can mend: one line with the cause, the path or id, and the remedy."""


class SchemaError(LexError):
    """A table that does not follow its schema."""


@dataclass
class Unit:
    """One node of a document tree.

    kind: 편 장 절 관 조 항 호 목 별표 부칙 (statutes, rules) · issue holding cited_articles cited_decisions (decisions) ·
    question answer reason (interpretations) · context question (MRC) · question (pairs) · text (plain records). `number`
    is the source's own: "53의2", "①", "3.", "가.", "1".
    """

    kind: str
    number: str = ""
    title: str = ""
    text: str = ""
    effective_date: str = ""
    deleted: bool = False
    children: list[Unit] = field(default_factory=list)
    meta: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Unit:
        """Inverse of `to_dict` (and of `dataclasses.asdict`)."""
        return cls(**{**raw, "children": [cls.from_dict(child) for child in raw.get("children", [])]})

    def to_dict(self) -> dict[str, Any]:
        """Plain values, empty fields left out; `from_dict` restores the unit. Much cheaper than `dataclasses.asdict`."""
        values = {name: value for name, value in self.__dict__.items() if value and name != "children"}
        if self.children:
            values["children"] = [child.to_dict() for child in self.children]
        return values | {"kind": self.kind}

    def walk(self) -> Iterable[Unit]:
        """This unit and all below it, in document order."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass
class Document:
    """One law, rule, decision, interpretation, MRC context, plain record or paired question. `doc_id` is like LAW_000030,
    ADM_2100000243102, PREC_147381, DETC_<id>, DECC_<id>, INTERP_<id>, MRC_<context id>, DOC_<id>, PAIR_<hash>; `family`
    is what the unseen-law regime holds out together (an act with its decrees, rules and interpretations)."""

    doc_id: str
    source_type: str
    title: str
    tree: Unit
    domain: str = ""
    abbreviation: str = ""
    authority: str = ""
    effective_date: str = ""
    version: str = ""
    family: str = ""
    source_path: str = ""
    content_hash: str = ""
    meta: dict[str, Any] = field(default_factory=dict)

    def row(self) -> dict[str, Any]:
        """The document as a row of the `documents` table; the tree becomes JSON."""
        values = {name: getattr(self, name) for name in DOCUMENTS.names if name not in ("tree", "meta")}
        tree = json.dumps(self.tree.to_dict(), ensure_ascii=False)
        return values | {"tree": tree, "meta": json.dumps(self.meta, ensure_ascii=False, sort_keys=True)}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Document:
        """Inverse of `row`."""
        tree = Unit.from_dict(json.loads(row["tree"]))
        return cls(**{**{k: row[k] for k in DOCUMENTS.names}, "tree": tree, "meta": json.loads(row["meta"])})


@dataclass(frozen=True)
class Column:
    """One column: polars type and what it means. `nullable` columns may hold nulls."""

    dtype: Any
    description: str
    nullable: bool = False


@dataclass(frozen=True)
class TableSchema:
    """A table's columns and key. The same object validates frames, documents them and gives Dagster its column schema."""

    name: str
    columns: Mapping[str, Column]
    key: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Column names, in order."""
        return list(self.columns)

    @property
    def polars(self) -> pl.Schema:
        """The polars schema."""
        return pl.Schema({name: column.dtype for name, column in self.columns.items()})

    def frame(self, rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
        """A validated frame of `rows`; an empty iterable gives an empty frame with the right types."""
        return self.validate(pl.DataFrame(list(rows), schema=self.polars, orient="row"))

    def validate(self, frame: pl.DataFrame) -> pl.DataFrame:
        """`frame` with exactly these columns, in order. Raises SchemaError naming the first column or key that is wrong."""
        missing = [name for name in self.names if name not in frame.columns]
        if missing:
            raise SchemaError(f"table {self.name}: column {missing[0]} is missing; rebuild the asset that wrote it")
        frame = frame.select(self.names)
        wrong = [n for n, c in self.columns.items() if frame.schema[n] != c.dtype]
        if wrong:
            raise SchemaError(
                f"table {self.name}: column {wrong[0]} is {frame.schema[wrong[0]]}, expected {self.columns[wrong[0]].dtype}"
            )
        nulls = [n for n, c in self.columns.items() if not c.nullable and frame[n].null_count()]
        if nulls:
            raise SchemaError(f"table {self.name}: column {nulls[0]} holds nulls")
        if self.key and frame.select(self.key).is_duplicated().any():
            duplicate = frame.filter(frame.select(self.key).is_duplicated()).select(self.key).row(0)
            raise SchemaError(f"table {self.name}: key {self.key} = {duplicate} occurs more than once")
        return frame


_TEXT = pl.String
DOCUMENTS = TableSchema(
    "documents",
    {
        "doc_id": Column(
            _TEXT, "stable id: LAW_000030, PREC_147381, INTERP_<id>, MRC_<context>, DOC_<id>, PAIR_<hash>"
        ),
        "domain": Column(_TEXT, "finance, law or precedent, by the domain rules"),
        "source_type": Column(
            _TEXT, "law, admin_rule, precedent, constitutional, appeal, interpretation, mrc, markdown, jsonl or pair"
        ),
        "title": Column(_TEXT, "official name"),
        "abbreviation": Column(_TEXT, "official abbreviation (법령명약칭), or empty"),
        "authority": Column(_TEXT, "competent authority or court"),
        "effective_date": Column(_TEXT, "YYYYMMDD; for a decision the day it was given"),
        "version": Column(_TEXT, "promulgation or issue number"),
        "family": Column(_TEXT, "act family (act, decree, rule) or the document itself; held out together"),
        "content_hash": Column(_TEXT, "sha256 of the source record"),
        "source_path": Column(_TEXT, "path relative to the raw folder"),
        "tree": Column(_TEXT, "units as JSON"),
        "meta": Column(_TEXT, "what only this source has, as JSON"),
    },
    ("doc_id",),
)
QUARANTINE = TableSchema(
    "quarantine",
    {
        "source_path": Column(_TEXT, "path relative to the raw folder"),
        "record": Column(_TEXT, "record inside the file: line, id or empty"),
        "reason": Column(_TEXT, "cause and remedy in one line"),
    },
    (),
)
PASSAGES = TableSchema(
    "passages",
    {
        "passage_id": Column(_TEXT, "stable id, for example LAW_000030_제53조의2_①"),
        "doc_id": Column(_TEXT, "document"),
        "parent_id": Column(
            _TEXT, "the article, decision or context that the passage belongs to; evaluation counts these"
        ),
        "domain": Column(_TEXT, "finance, law or precedent"),
        "source_type": Column(_TEXT, "as in documents"),
        "family": Column(_TEXT, "as in documents"),
        "context": Column(_TEXT, "law > chapter > article title; put before the text for searching"),
        "text": Column(_TEXT, "searchable text, amendment marks stripped"),
        "citation": Column(_TEXT, "label for people: 민법 제839조의2제1항"),
        "unit": Column(_TEXT, "항, 조, 별표, 부칙, holding, issue, answer, reason, context or text"),
        "effective_date": Column(_TEXT, "YYYYMMDD or empty"),
        "equivalence_id": Column(_TEXT, "passages with equal values count as one when masking and mining"),
        "content_hash": Column(_TEXT, "sha256 of context and text"),
    },
    ("passage_id",),
)
CITATIONS = TableSchema(
    "citations",
    {
        "source_id": Column(_TEXT, "citing unit: document and unit, for example PREC_147381#2 or LAW_003083_제3조_①"),
        "source_doc_id": Column(_TEXT, "citing document"),
        "kind": Column(_TEXT, "article (참조조문, interpretations), decision (참조판례), in_text or delegation"),
        "issue": Column(pl.Int32, "issue or question number; 0 where there is none"),
        "raw": Column(_TEXT, "the citation spelled out in full; the docket number of a decision"),
        "target_parent_id": Column(_TEXT, "article, 별표 or decision cited; null when refused", nullable=True),
        "target_passage_id": Column(
            _TEXT, "passage of the named 항 or 호 (one row each); null when the whole article is meant", nullable=True
        ),
        "reason": Column(_TEXT, "resolved, or why not: old_version, unknown_law, no_such_article, …"),
    },
    (),
)
QUERIES = TableSchema(
    "queries",
    {
        "query_id": Column(_TEXT, "stable id"),
        "domain": Column(_TEXT, "domain of the passages it looks for"),
        "origin": Column(_TEXT, "citation, holding, interpretation, mrc, pair, delegation or synthetic"),
        "text": Column(_TEXT, "the question, article numbers masked"),
        "split_group": Column(_TEXT, "queries that must share a set: smallest id of the group"),
        "set": Column(_TEXT, "train, valid, promotion, test, or dropped (held out of training and not a fair test)"),
        "regime": Column(_TEXT, "unseen_query or unseen_law"),
        "doc_id": Column(_TEXT, "document that the question comes from"),
        "decided": Column(_TEXT, "YYYYMMDD of the decision or reply, or empty"),
        "meta": Column(_TEXT, "JSON: issue number, answer, generator, licence, …"),
    },
    ("query_id",),
)
QRELS = TableSchema(
    "qrels",
    {
        "query_id": Column(_TEXT, "query"),
        "passage_id": Column(_TEXT, "relevant passage"),
        "grade": Column(pl.Int32, "2 the named 항, 1 the rest of its article"),
    },
    ("query_id", "passage_id"),
)
REJECTED = TableSchema(
    "rejected",
    {
        "passage_id": Column(_TEXT, "passage that was asked about"),
        "kind": Column(_TEXT, "kind of question; empty where none was made"),
        "text": Column(_TEXT, "the question; empty where none was made"),
        "filter": Column(
            _TEXT, "what rejected it: a filter, or why the generator gave up (budget, endpoint, answer, …)"
        ),
        "detail": Column(_TEXT, "what that found"),
    },
    (),
)
NEGATIVE = pl.Struct(
    {
        "passage_id": pl.String,
        "pool": pl.String,
        "rank_lexical": pl.Int32,
        "rank_dense": pl.Int32,
        "score_dense": pl.Float32,
        "score_rerank": pl.Float32,
        "verdict": pl.String,
    }
)
TRIPLETS = TableSchema(
    "triplets",
    {
        "query_id": Column(_TEXT, "query"),
        "positives": Column(pl.List(pl.String), "passage ids, best grade first"),
        "negatives": Column(pl.List(NEGATIVE), "hard negatives with every rank and score that led to them"),
        "fill_reason": Column(
            _TEXT,
            "why there are fewer negatives than wanted: no_candidates, pool_short, budget, filtered; null when full",
            nullable=True,
        ),
    },
    ("query_id",),
)
POSITIVES = TableSchema(
    "positives",
    {
        "query_id": Column(_TEXT, "query"),
        "passage_id": Column(_TEXT, "a positive of it"),
        "score_dense": Column(pl.Float32, "cosine to the query", nullable=True),
        "score_rerank": Column(pl.Float32, "logit of the cross-encoder", nullable=True),
    },
    ("query_id", "passage_id"),
)
CANDIDATES = TableSchema(
    "candidates",
    {
        "query_id": Column(_TEXT, "query"),
        "passage_id": Column(_TEXT, "passage proposed as a negative"),
        "pool": Column(
            _TEXT, "every pool that proposed it, joined by +: lexical, dense, sibling, same_title, cited; or random"
        ),
        "rank_lexical": Column(pl.Int32, "rank in lexical search; null when not found there", nullable=True),
        "rank_dense": Column(pl.Int32, "rank in dense search; null when not found there", nullable=True),
        "score_dense": Column(pl.Float32, "cosine to the query", nullable=True),
        "score_rerank": Column(pl.Float32, "logit of the cross-encoder; null when it was not scored", nullable=True),
        "verdict": Column(
            _TEXT, "hard, mid, random: selected · survivor: kept · surplus, not_reranked, duplicate, false_negative_*"
        ),
    },
    ("query_id", "passage_id"),
)
ADAPTERS = TableSchema(
    "adapters",
    {
        "kind": Column(_TEXT, "retriever or reranker"),
        "domain": Column(_TEXT, "domain it was trained for"),
        "seed": Column(
            pl.Int64, "training seed; the first row is the adapter, the others are trained to see whether they agree"
        ),
        "base": Column(_TEXT, "preset, hub id or folder of the frozen weights"),
        "path": Column(_TEXT, "adapter folder below the store"),
        "weights_hash": Column(_TEXT, "sha256 of the adapter's weights"),
        "steps": Column(pl.Int32, "optimizer steps"),
        "metric_name": Column(_TEXT, "validation metric that chose the checkpoint"),
        "base_metric": Column(pl.Float32, "that metric before training"),
        "best_metric": Column(pl.Float32, "that metric of the kept checkpoint"),
    },
    ("kind", "domain", "seed"),
)
RUN = TableSchema(
    "run",
    {
        "query_id": Column(_TEXT, "query"),
        "passage_id": Column(_TEXT, "retrieved passage (or article, when ranked by article)"),
        "rank": Column(pl.Int32, "1 is best; ties by (-score, id)"),
        "score": Column(pl.Float32, "higher is better"),
        "system": Column(_TEXT, "name of the system"),
    },
    ("query_id", "passage_id", "system"),
)


def content_hash(*parts: str) -> str:
    """sha256 over the parts, separated so that ("ab", "c") and ("a", "bc") differ. 64 hex digits."""
    return hash_of(parts)


def hash_of(parts: Iterable[str]) -> str:
    """`content_hash` of parts that need not be there all at once."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    return digest.hexdigest()


_HASHED_ROWS = 65_536
"""Written as text at once: all rows of a corpus would take several times its memory."""


def frame_hash(*frames: pl.DataFrame) -> str:
    """sha256 over the frames' contents in row order: equal tables have equal hashes on every machine."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(repr(frame.schema).encode())
        for part in frame.iter_slices(_HASHED_ROWS):
            digest.update(part.write_ndjson().encode())
    return digest.hexdigest()


def search_text(context: str, text: str) -> str:
    """What is indexed and encoded for a passage: its context line, then its text."""
    return f"{context}\n{text}" if context else text
