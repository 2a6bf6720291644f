"""Court issues and the articles that they cite (`bench/core`, `bench/wide`), in the pipeline's sets and regimes.

The set of a question is that of its decision's split group in the pipeline, so that a model trained here has seen nothing
that the pipeline evaluates with. Boilerplate articles, which courts cite everywhere, are no documents and no answers.
"""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lex_assets.passages.overlap import contained
from lex_assets.queries.split import DROPPED, SplitConfig, family_is_held_out, split_set
from lex_assets.retrieval.types import Hits
from lex_assets.schemas import search_text
from lex_assets.sources.statute import family_title

EVALUATION = ("valid", "promotion", "test")
UNSEEN_LAW = "unseen_law"


@dataclass(frozen=True)
class Article:
    """One document. held_out: its law family is kept out of training."""

    id: str
    law: str
    title: str
    text: str
    held_out: bool

    @property
    def searched(self) -> str:
        """What is indexed and encoded."""
        return search_text(self.law, self.text)


@dataclass(frozen=True)
class Question:
    """One issue. gold: ids of the articles it cites · group: what it rises and falls with in a bootstrap."""

    id: str
    text: str
    group: str
    set: str
    regime: str
    gold: frozenset[str]


@dataclass(frozen=True)
class IssueArticles:
    """Articles and questions of one benchmark."""

    articles: list[Article]
    questions: list[Question]

    def asked(self, *sets: str) -> list[Question]:
        """Questions of these sets, in the order of their ids."""
        return [question for question in self.questions if question.set in sets]

    def counts(self) -> Counter[tuple[str, str]]:
        """Questions per set and regime."""
        return Counter((question.set, question.regime) for question in self.questions)


def load(
    folder: Path,
    groups: Mapping[str, str],
    split: SplitConfig | None = None,
    evaluation: Sequence[str] = EVALUATION,
) -> IssueArticles:
    """The benchmark in `folder`; `groups`: decision → split group of the pipeline · evaluation: sets that are kept from
    training; questions of the others train."""
    split = split or SplitConfig()
    every, specific = (read_qrels(folder / f"{name}.tsv") for name in ("qrels", "qrels_specific"))
    boilerplate = set().union(*every.values()) - set().union(*specific.values())
    rows = list(read_lines(folder / "articles.jsonl.gz"))
    held = {row["id"]: family_is_held_out(family_title(row["law"]), split.seed, split.held_out) for row in rows}
    articles = [
        Article(row["id"], row["law"], row["title"], row["text"], held[row["id"]])
        for row in rows
        if row["id"] not in boilerplate
    ]
    texts = {row["id"]: row["text"] for row in read_lines(folder / "queries.jsonl.gz")}
    questions = []
    for query_id, gold in sorted(specific.items()):
        decision = f"PREC_{query_id.rsplit('-', 1)[0]}"
        group = groups.get(decision, decision)
        share = float(np.mean([held[article] for article in every[query_id] if article in held]))
        name = split_set(group, split.seed, split.fractions)
        name = _set_of(share, name if name in evaluation else "train")
        regime = UNSEEN_LAW if share == 1 else "unseen_query"
        questions.append(Question(query_id, texts[query_id], group, name, regime, frozenset(gold)))
    return IssueArticles(articles, _without_leaks(questions, evaluation))


def _set_of(held_share: float, name: str) -> str:
    return DROPPED if 0 < held_share < 1 or (held_share == 1 and name == "train") else name


def _without_leaks(questions: Sequence[Question], evaluation: Sequence[str]) -> list[Question]:
    """Training questions that nearly repeat an evaluation question are dropped, and unseen-law questions with a gold article
    that training has."""
    trained = [n for n, question in enumerate(questions) if question.set == "train"]
    asked = [question.text for question in questions if question.set in evaluation]
    repeats = contained(asked, [questions[n].text for n in trained], SplitConfig().overlap)["within"].unique()
    dropped = {trained[n] for n in repeats}
    known = set().union(*(questions[n].gold for n in trained if n not in dropped))
    dropped |= {n for n, question in enumerate(questions) if question.regime == UNSEEN_LAW and question.gold & known}
    return [_dropped(question) if n in dropped else question for n, question in enumerate(questions)]


def _dropped(question: Question) -> Question:
    return Question(question.id, question.text, question.group, DROPPED, question.regime, question.gold)


def ndcg_at_10(hits: Hits, gold: Sequence[frozenset[str] | set[str]]) -> np.ndarray:
    """(n_queries,) NDCG@10 with binary relevance."""
    discount = 1 / np.log2(np.arange(2, 12))

    def one(found: Sequence[tuple[str, float]], wanted: frozenset[str] | set[str]) -> float:
        gains = [float(document in wanted) for document, _ in found[:10]]
        return float(np.dot(gains, discount[: len(gains)]) / discount[: min(10, len(wanted))].sum())

    return np.array([one(found, wanted) for found, wanted in zip(hits, gold, strict=True)])


def read_lines(path: Path) -> Iterator[dict[str, str]]:
    """Records of a compressed JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def read_qrels(path: Path) -> dict[str, set[str]]:
    """Query id → its right documents."""
    gold: dict[str, set[str]] = {}
    for line in path.read_text("utf-8").splitlines():
        query, _, document, _ = line.split()
        gold.setdefault(query, set()).add(document)
    return gold
