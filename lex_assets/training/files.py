"""Training tables from files: what the graph wrote, or the rows that other tools train on.

FlagEmbedding `{query, pos, neg}`, LexDPR pairs `{query_text, positive_passages, hard_negatives}` and reranker rows
`{query_text, positives, negatives}`, one object per line, gzipped or not. A passage is a text or `{doc_id|id, text}`; in
LexDPR pairs also the id of a passage of the corpus. Here: reading. Not here: whether it suffices to train (`data`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.passages.stored import published, read_parquet
from lex_assets.schemas import DOMAINS, PASSAGES, QRELS, QUERIES, TRIPLETS, LexError, content_hash, frame_hash
from lex_assets.sources.lines import read_objects
from lex_assets.sources.pairs import IDS, TEXTS

_FORMATS = (
    ("query", "pos", "neg"),
    ("query_text", "positive_passages", "hard_negatives"),
    ("query_text", "positives", "negatives"),
)


@dataclass(frozen=True)
class TrainingTables:
    """What `train_retriever` and `train_reranker` take: queries hold the sets train and valid."""

    triplets: pl.DataFrame
    queries: pl.DataFrame
    qrels: pl.DataFrame
    corpus: pl.DataFrame

    @property
    def rows(self) -> int:
        """Training queries."""
        return self.triplets.height

    def hashes(self) -> dict[str, str]:
        """sha256 of each table."""
        return {field.name: frame_hash(getattr(self, field.name)) for field in fields(self)}

    def write(self, folder: Path) -> None:
        """One parquet file per table, for `read`. Raises LexError when the folder cannot be written."""
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for field in fields(self):
                getattr(self, field.name).write_parquet(folder / f"{field.name}.parquet")
        except OSError as error:
            raise LexError(
                f"{folder}: cannot write ({error.strerror or error}); free space or set LEX_STORE"
            ) from error

    @classmethod
    def read(cls, folder: Path) -> TrainingTables:
        """What `write` wrote there."""
        return cls(*(read_parquet(folder / f"{field.name}.parquet") for field in fields(cls)))

    def trainable(self, kind: str) -> int:
        """Training queries that a model of `kind` learns from: a reranker needs a negative, a retriever has the batch."""
        hard = self.triplets.filter(pl.col("negatives").list.len() > 0)
        return hard.height if kind == "reranker" else self.rows

    @property
    def pairs(self) -> int:
        """(query, passage) pairs that the training rows hold, positives and negatives."""
        lengths = self.triplets.select(pl.col("positives").list.len().sum(), pl.col("negatives").list.len().sum())
        return int(sum(lengths.row(0)))

    @property
    def valid_queries(self) -> int:
        """Queries that choose the checkpoint."""
        return self.queries.filter(pl.col("set") == "valid").height


def store_tables(store: Path, domain: str) -> TrainingTables:
    """What the graph of the pipeline's `store` trains `domain` on. Raises LexError when it has not come that far."""
    if domain not in DOMAINS:
        raise LexError(f"domain {domain!r} is not known; choose from {', '.join(DOMAINS)}")
    mined, asked = (f"{name}/{domain}" for name in ("hard_negative_triplets", "training_queries"))
    return TrainingTables(
        TRIPLETS.validate(_published(store, mined, "triplets")),
        QUERIES.validate(_published(store, asked, "queries")),
        QRELS.validate(_published(store, mined, "qrels")),
        PASSAGES.validate(_published(store, "corpus", "passages")).filter(pl.col("domain") == domain),
    )


def _published(store: Path, asset: str, table: str) -> pl.DataFrame:
    for path in published(store / "tables" / asset, table):
        return read_parquet(path)
    raise LexError(f"{store}: {asset} is not made yet; run the pipeline's jobs on this store first")


def pair_tables(train: Path, valid: Path, corpus: pl.DataFrame | None = None, licence: str = "") -> TrainingTables:
    """Tables of two row files. corpus: PASSAGES that LexDPR ids name, all of them part of the result.

    Raises LexError with file and line for a row of no known format, an unknown id, one id for two texts, or a question that
    is in both files.
    """
    reader = _Reader(corpus, licence)
    for path, chosen in ((train, "train"), (valid, "valid")):
        for where, row in read_objects(path):
            reader.add(where, row, chosen)
        if not any(query["set"] == chosen for query in reader.queries.values()):
            raise LexError(f"{path}: holds no row; write one JSON object {{query, pos, neg}} per line")
    return reader.tables()


class _Reader:
    """Rows collected by query and passage. A question that comes again adds to its passages; a negative of a question that
    is also its positive is none."""

    def __init__(self, corpus: pl.DataFrame | None, licence: str) -> None:
        self.given = PASSAGES.frame([]) if corpus is None else corpus
        self.known = set(self.given["passage_id"])
        self.licence = licence
        self.texts: dict[str, str] = {}
        self.queries: dict[str, dict[str, Any]] = {}
        self.positives: dict[str, dict[str, None]] = {}
        self.negatives: dict[str, dict[str, None]] = {}

    def add(self, where: str, row: Mapping[str, Any], chosen: str) -> None:
        """One row of the set `chosen`."""
        query, positives, negatives = self._fields(row, where)
        query_id = f"Q_{content_hash(query)[:16]}"
        known = self.queries.setdefault(query_id, self._query(query_id, query, chosen))
        if known["set"] != chosen:
            raise LexError(f"{where}: the question is in the training file too; remove it from one of them")
        self.positives.setdefault(query_id, {}).update(dict.fromkeys(positives))
        self.negatives.setdefault(query_id, {}).update(dict.fromkeys(negatives))

    def tables(self) -> TrainingTables:
        """All that was added."""
        train = [query_id for query_id, query in self.queries.items() if query["set"] == "train"]
        triplets = [
            {"query_id": q, "positives": list(self.positives[q]), "negatives": list(map(_negative, self._wrong(q)))}
            for q in train
        ]
        qrels = [{"query_id": q, "passage_id": p, "grade": 1} for q, found in self.positives.items() for p in found]
        added = PASSAGES.frame(_passage(passage_id, text) for passage_id, text in self.texts.items())
        return TrainingTables(
            TRIPLETS.frame(triplets),
            QUERIES.frame(self.queries.values()),
            QRELS.frame(qrels),
            pl.concat([self.given, added]),
        )

    def _wrong(self, query_id: str) -> list[str]:
        return [passage for passage in self.negatives[query_id] if passage not in self.positives[query_id]]

    def _fields(self, row: Mapping[str, Any], where: str) -> tuple[str, list[str], list[str]]:
        for names in _FORMATS:
            if all(name in row for name in names[:2]):
                query = row[names[0]]
                by_id = names[1] == "positive_passages"
                positives, negatives = (list(self._ids(row.get(name) or [], name, where, by_id)) for name in names[1:])
                if not isinstance(query, str) or not query.strip() or not positives:
                    raise LexError(
                        f"{where}: {names[0]} or {names[1]} is empty; every row needs a question and a positive"
                    )
                return query, positives, negatives
        formats = " or ".join("{" + ", ".join(names) + "}" for names in _FORMATS)
        raise LexError(f"{where}: the row is of no known format; write {formats}")

    def _ids(self, items: Any, name: str, where: str, by_id: bool) -> Iterator[str]:
        if not isinstance(items, list):
            raise LexError(f"{where}: {name} is a {type(items).__name__}; write a list")
        for item in items:
            yield self._id(item, name, where, by_id)

    def _id(self, item: Any, name: str, where: str, by_id: bool) -> str:
        """Id of a passage, whose text is kept unless the corpus has it."""
        if isinstance(item, str) and by_id:
            if item not in self.known:
                raise LexError(
                    f"{where}: {name} names {item}, which the corpus lacks; set data.corpus to the file that has it"
                )
            return item
        text = next((item[key] for key in TEXTS if item.get(key)), None) if isinstance(item, dict) else item
        if not isinstance(text, str) or not text.strip():
            raise LexError(
                f"{where}: {name} holds a passage without text; write a text, or an object with doc_id and text"
            )
        own = next((str(item[key]) for key in IDS if item.get(key)), "") if isinstance(item, dict) else ""
        passage_id = own or f"T_{content_hash(text)[:16]}"
        if passage_id not in self.known and self.texts.setdefault(passage_id, text) != text:
            raise LexError(f"{where}: {passage_id} has another text than before; give each passage its own id")
        return passage_id

    def _query(self, query_id: str, text: str, chosen: str) -> dict[str, Any]:
        blank = dict.fromkeys(QUERIES.names, "")
        meta = json.dumps({"licence": self.licence} if self.licence else {})
        own = {"query_id": query_id, "origin": "file", "text": text, "split_group": query_id, "set": chosen}
        return blank | own | {"regime": "unseen_query", "meta": meta}


def _negative(passage_id: str) -> dict[str, Any]:
    empty = dict.fromkeys(("rank_lexical", "rank_dense", "score_dense", "score_rerank"))
    return {"passage_id": passage_id, "pool": "given", "verdict": "given", **empty}


def _passage(passage_id: str, text: str) -> dict[str, Any]:
    hashed = content_hash("", text)
    own = {"passage_id": passage_id, "doc_id": passage_id, "parent_id": passage_id, "text": text}
    return dict.fromkeys(PASSAGES.names, "") | own | {"equivalence_id": hashed, "content_hash": hashed}


def flag_embedding_rows(tables: TrainingTables) -> Iterator[dict[str, Any]]:
    """The training rows as `{query, pos, neg}`, which FlagEmbedding and sentence-transformers read."""
    from lex_assets.retrieval.search import corpus_texts

    texts, questions = corpus_texts(tables.corpus), dict(tables.queries.select("query_id", "text").iter_rows())
    for row in tables.triplets.iter_rows(named=True):
        negatives: Sequence[Mapping[str, Any]] = row["negatives"]
        yield {
            "query": questions[row["query_id"]],
            "pos": [texts[passage] for passage in row["positives"]],
            "neg": [texts[negative["passage_id"]] for negative in negatives],
        }
