"""Finance questions with real answers, that nothing is trained on: decree article → the act article it implements, and court
issue → the finance articles it cites; and search for articles over their passages.

Each question is in one of two parts, drawn by the hash of its cluster (act family, decision): for choosing, or reported.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from lex_assets.citations.resolve import citation_graph
from lex_assets.queries.inherit import SourceSets
from lex_assets.queries.pairs import comparison_pairs
from lex_assets.queries.questions import Row
from lex_assets.retrieval.fusion import LearntFusion, fuse
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.retrieval.types import Encoder, Hits, ranked
from lex_assets.schemas import search_text
from lex_assets.sources.archives import unpacked
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.read import ingest

Pair = tuple[Row, Row]
DEPTH = 100
SALT = "synthetic value, second draw"
CHOSEN_ON = 3
"""One cluster in so many is for choosing."""


def for_choosing(cluster: str) -> bool:
    """Whether settings are chosen on the questions of a cluster; else they are reported. The same on every machine."""
    return int(hashlib.sha256(f"{SALT}/{cluster}".encode()).hexdigest(), 16) % CHOSEN_ON == 0


def statutes_and_rules(raw: Path) -> pl.DataFrame:
    """DOCUMENTS of every domain: statutes, decrees, administrative rules."""
    with TemporaryDirectory() as folder:
        files = unpacked(raw, Path(folder) / "raw", exclude=("precedents*", "partitions.json"))
        return ingest(files, DomainRules.load(None)).documents


def cited_pairs(documents: pl.DataFrame, passages: pl.DataFrame, bench: Path, sets: SourceSets) -> list[Pair]:
    """(citing, cited) rows. What finance decrees cite is left out altogether: that a decree's article names the act's is what
    the bench `delegation` asks for, and none of its answers may be seen."""
    decrees = documents.filter(pl.col("title").str.contains(r"시행(?:령|규칙)$"), domain="finance")["doc_id"]
    citations = citation_graph(documents, passages).filter(~pl.col("source_doc_id").is_in(decrees.to_list()))
    pairs = comparison_pairs(passages, citations, sets)
    answers = qrels(bench / "delegation/qrels.tsv")
    seen = [
        (a, b) for a, b in pairs if article_of(b["passage_id"]) in answers.get(article_of(a["passage_id"]) or "", ())
    ]
    assert not seen, f"{seen[0][0]['passage_id']} → {seen[0][1]['passage_id']} is an answer of the bench"
    return pairs


def article_of(passage_id: str) -> str | None:
    """The bench's id of a passage's article: LAW_001706_제839조의2_① → 001706:839-2; None for what is no article."""
    found = re.match(r"LAW_(\d+)_제(\d+)조(?:의(\d+))?(?:_|@|$)", passage_id)
    return f"{found[1]}:{found[2]}" + (f"-{found[3]}" if found[3] else "") if found else None


@dataclass(frozen=True)
class Task:
    """Questions with their articles. clusters: what rises and falls together · texts: of the articles that are ranked."""

    name: str
    texts: dict[str, str]
    questions: list[str]
    gold: list[set[str]]
    clusters: list[str]

    def part(self, choosing: bool) -> Task:
        """The questions that settings are chosen on, or those that are reported."""
        kept = self.of([for_choosing(cluster) == choosing for cluster in self.clusters])
        return replace(kept, name=f"{self.name} (for choosing)") if choosing else kept

    def of(self, kept: Sequence[bool]) -> Task:
        """The questions that are kept."""
        questions, gold, clusters = (
            list(compress(column, kept)) for column in (self.questions, self.gold, self.clusters)
        )
        return Task(self.name, self.texts, questions, gold, clusters)

    @cached_property
    def lexical(self) -> Hits:
        """BM25 over whole articles: law and text."""
        return LexicalIndex.build(list(self.texts), list(self.texts.values())).search(self.questions, DEPTH)

    def scores(self, hits: Hits) -> np.ndarray:
        """(n,) NDCG@10 with binary relevance."""
        return np.array([ndcg_at_10([i for i, _ in found], gold) for found, gold in zip(hits, self.gold, strict=True)])

    def hybrid(self, dense: Hits, fusion: LearntFusion) -> np.ndarray:
        """(n,) NDCG@10 of BM25 and `dense` together."""
        return self.scores(fuse(self.lexical, dense, fusion.weight, DEPTH, fusion.method))


def ndcg_at_10(found: Sequence[str], gold: set[str]) -> float:
    """Of one ranking."""
    discount = 1 / np.log2(np.arange(2, 12))
    return float(sum(discount[n] for n, i in enumerate(found[:10]) if i in gold) / discount[: len(gold)].sum())


def rows(path: Path) -> Iterator[dict[str, str]]:
    """Records of a bench file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def finance_laws(raw: Path) -> set[str]:
    """Ids of the laws that the data set calls finance."""
    named = json.loads((raw / "partitions.json").read_text("utf-8"))
    return {law["law_id"] for law in named["finance"]["laws"]}


def qrels(path: Path) -> dict[str, set[str]]:
    """Query → documents."""
    gold: dict[str, set[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        query, _, document, _ = line.split()
        gold.setdefault(query, set()).add(document)
    return gold


def delegation(bench: Path) -> Task:
    """Decree article → the act article it implements."""
    texts = {row["id"]: search_text(row["law"], row["text"]) for row in rows(bench / "delegation/articles.jsonl.gz")}
    gold = qrels(bench / "delegation/qrels.tsv")
    asked = [row for row in rows(bench / "delegation/queries.jsonl.gz") if row["id"] in gold]
    families = [row["family"] for row in asked]
    return Task("delegation", texts, [row["text"] for row in asked], [gold[row["id"]] for row in asked], families)


def core(bench: Path, finance: set[str]) -> Task:
    """Court issue → finance articles it cites, boilerplate left out."""
    everything, specific = (qrels(bench / f"core/{name}.tsv") for name in ("qrels", "qrels_specific"))
    boilerplate = set().union(*everything.values()) - set().union(*specific.values())
    articles = [row for row in rows(bench / "core/articles.jsonl.gz") if row["law_id"] in finance]
    texts = {row["id"]: search_text(row["law"], row["text"]) for row in articles if row["id"] not in boilerplate}
    gold = {query: documents & texts.keys() for query, documents in specific.items()}
    asked = [row for row in rows(bench / "core/queries.jsonl.gz") if gold.get(row["id"])]
    decisions = [row["precedent_id"] for row in asked]
    return Task("core", texts, [row["text"] for row in asked], [gold[row["id"]] for row in asked], decisions)


class Articles:
    """Dense search for articles: one scores what its best passage scores."""

    def __init__(self, passages: pl.DataFrame, texts: dict[str, str]) -> None:
        known = passages.filter(pl.col("unit") != "별표").select("passage_id", "context", "text").iter_rows()
        pieces = [(a, search_text(c, t)) for p, c, t in known if (a := article_of(p)) in texts]
        covered = {article for article, _ in pieces}
        pieces += [(article, text) for article, text in texts.items() if article not in covered]
        self.pieces = sorted(pieces)
        self.owners = [article for article, _ in self.pieces]

    def encoded(self, encoder: Encoder) -> np.ndarray:
        """(n_pieces, d)."""
        return encoder.encode_passages([text for _, text in self.pieces])

    def search(self, encoder: Encoder, vectors: np.ndarray, task: Task) -> Hits:
        """The best articles of `task` for each of its questions."""
        kept = [n for n, owner in enumerate(self.owners) if owner in task.texts]
        articles, first = np.unique([self.owners[n] for n in kept], return_index=True)
        best = np.maximum.reduceat(encoder.encode_queries(task.questions) @ vectors[kept].T, first, axis=1)
        return [ranked(zip(articles.tolist(), map(float, row), strict=True), DEPTH) for row in best]
