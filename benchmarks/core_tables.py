"""`bench/core` (court issues → the articles that they cite) as the pipeline's tables, split as the pipeline splits.

Boilerplate articles, which courts cite everywhere, are left out of questions and corpus alike (`qrels_specific`).
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lex_assets.models.presets import BUILTIN_DIR
from lex_assets.passages.groups import Groups
from lex_assets.passages.overlap import near_duplicates
from lex_assets.queries.split import SplitConfig, assign_split, held_out_families
from lex_assets.schemas import PASSAGES, QRELS, QUERIES, content_hash
from lex_assets.sources.statute import family_title

NEAR = 0.6
"""Jaccard similarity from which two questions are of one split group."""


@dataclass(frozen=True)
class CoreTables:
    """queries, qrels, corpus: the pipeline's tables · held_out: law families of the unseen-law regime · seen: documents
    that the built-in models were trained on."""

    queries: pl.DataFrame
    qrels: pl.DataFrame
    corpus: pl.DataFrame
    held_out: frozenset[str]
    seen: frozenset[str]

    def asked(self, name: str) -> pl.DataFrame:
        """Questions of a set; those of evaluation sets without what the built-in models have seen."""
        chosen = self.queries.filter(pl.col("set") == name)
        return chosen if name == "train" else chosen.filter(~pl.col("doc_id").is_in(sorted(self.seen)))


def load(shared: Path) -> CoreTables:
    """The tables of `shared`/bench/core."""
    folder = shared / "bench" / "core"
    articles = list(_lines(folder / "articles.jsonl.gz"))
    every, specific = (_pairs(folder / f"{name}.tsv") for name in ("qrels", "qrels_specific"))
    boilerplate = {article for _, article in every} - {article for _, article in specific}
    corpus = PASSAGES.frame(_passage(row) for row in articles if row["id"] not in boilerplate)
    known, labelled = set(corpus["passage_id"]), {query for query, _ in specific}
    rows = [row for row in _lines(folder / "queries.jsonl.gz") if row["id"] in labelled]
    groups = _groups(rows)
    queries = QUERIES.frame(_query(row, groups) for row in rows)
    qrels = QRELS.frame({"query_id": q, "passage_id": a, "grade": 2} for q, a in specific if a in known)
    config = SplitConfig()
    seen = (BUILTIN_DIR / "retriever" / "trained_documents.txt").read_text("utf-8").split()
    return CoreTables(
        assign_split(queries, qrels, corpus, config), qrels, corpus, held_out_families(corpus, config), frozenset(seen)
    )


def _lines(path: Path) -> Iterator[dict]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def _pairs(path: Path) -> list[tuple[str, str]]:
    return [(query, article) for query, _, article, _ in map(str.split, path.read_text("utf-8").splitlines())]


def _passage(row: dict[str, str]) -> dict[str, str]:
    context = f"{row['law']} > {row['article']}" + (f"({row['title']})" if row["title"] else "")
    return dict.fromkeys(PASSAGES.names, "") | {
        "passage_id": row["id"],
        "doc_id": f"LAW_{row['law_id']}",
        "parent_id": row["id"],
        "domain": "law",
        "source_type": "law",
        "family": family_title(row["law"]),
        "context": context,
        "text": row["text"],
        "citation": f"{row['law']} {row['article']}",
        "unit": "조",
        "content_hash": content_hash(context, row["text"]),
    }


def _query(row: dict[str, str], groups: Groups) -> dict[str, str]:
    return dict.fromkeys(QUERIES.names, "") | {
        "query_id": row["id"],
        "domain": "law",
        "origin": "citation",
        "text": row["text"],
        "split_group": groups.find(f"PREC_{row['precedent_id']}"),
        "doc_id": f"PREC_{row['precedent_id']}",
        "decided": row["decided"],
        "meta": "{}",
    }


def _groups(rows: list[dict]) -> Groups:
    """Decisions joined by a question that is nearly the same, or that the benchmark lists as a duplicate."""
    groups, owner = Groups(), {row["id"]: f"PREC_{row['precedent_id']}" for row in rows}
    for row in rows:
        for other in row["duplicates"]:
            groups.union(owner[row["id"]], owner.get(other, owner[row["id"]]))
    owners = list(owner.values())
    for left, right in near_duplicates([row["text"] for row in rows], NEAR).select("left", "right").iter_rows():
        groups.union(owners[left], owners[right])
    return groups
