"""Questions to compare systems on, from the tables of a pipeline or from files."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from lex_assets.evaluation.refusals import EvaluationError, refuse
from lex_assets.evaluation.seen import seen_by_base
from lex_assets.evaluation.systems import own_passages
from lex_assets.evaluation.trec import read_qrels
from lex_assets.passages.stored import TEXT_ROW, read_corpus
from lex_assets.schemas import HUMAN_ORIGINS, PASSAGES, QRELS, QUERIES, REGIMES
from lex_assets.sources.lines import read_objects


@dataclass(frozen=True)
class QuestionSet:
    """Questions to compare on. queries: query_id, text and split_group · exclude: query → passages that may not answer it ·
    seen: number of questions left out because the base was trained on them."""

    name: str
    queries: pl.DataFrame
    qrels: pl.DataFrame
    corpus: pl.DataFrame
    exclude: dict[str, set[str]]
    seen: int = 0

    def restricted(self, queries: pl.DataFrame) -> QuestionSet:
        """Only the questions in `queries`."""
        return replace(self, queries=queries, qrels=self.qrels.join(queries, on="query_id", how="semi"))


def human_questions(
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    corpus: pl.DataFrame,
    domain: str,
    trained: Collection[str] = (),
    query_set: str = "test",
) -> Iterator[QuestionSet]:
    """The human questions of a domain's test set (or of another), one QuestionSet per regime: the two are never averaged.

    queries, qrels, corpus: QUERIES, QRELS and PASSAGES of all domains · trained: documents that the base has seen; questions
    about them are left out. Raises EvaluationError when there is no question."""
    table = PASSAGES.validate(corpus).filter(pl.col("domain") == domain)
    human = QUERIES.validate(queries).filter(
        pl.col("set") == query_set, pl.col("domain") == domain, pl.col("origin").is_in(HUMAN_ORIGINS)
    )
    labels = QRELS.validate(qrels).join(human, on="query_id", how="semi")
    if labels.is_empty():
        raise EvaluationError(
            f"{domain}: no human {query_set} question; add documents or raise the {query_set} share of the split"
        )
    seen = sorted(seen_by_base(human, labels, table, trained))
    for regime in REGIMES:
        asked = human.filter(pl.col("regime") == regime).join(labels, on="query_id", how="semi").sort("query_id")
        own = asked.filter(~pl.col("query_id").is_in(seen))
        if len(own):
            gold = labels.join(own, on="query_id", how="semi")
            yield QuestionSet(regime, own, gold, table, dict(own_passages(own, table)), asked.height - own.height)


def question_set(corpus: Path, queries: Path, qrels: Path, groups: pl.DataFrame | None = None) -> QuestionSet:
    """From files: a store or JSONL, JSONL {id, text, exclude?}, and qrels; groups: (query_id, split_group).

    Raises LexError for what is malformed, and for labelled questions that the file of questions does not hold."""
    rows = [(str(row["id"]), row["text"], row.get("exclude") or []) for _, row in read_objects(queries, TEXT_ROW)]
    labels = read_qrels(qrels)
    asked = pl.DataFrame([row[:2] for row in rows], schema={"query_id": pl.String, "text": pl.String}, orient="row")
    refuse(labels.join(asked, on="query_id", how="anti")["query_id"], f"{qrels}: query", f"is not in {queries}")
    refuse(asked.filter(asked["query_id"].is_duplicated())["query_id"], f"{queries}: query", "occurs twice")
    asked = asked.join(labels, on="query_id", how="semi")
    known = (
        pl.DataFrame({"query_id": asked["query_id"], "split_group": asked["query_id"]}) if groups is None else groups
    )
    exclude = {query_id: {str(one) for one in banned} for query_id, _, banned in rows if banned}
    return QuestionSet("test", asked.join(known, on="query_id", how="left"), labels, read_corpus(corpus), exclude)
