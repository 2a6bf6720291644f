"""A trained retriever or reranker beside its base on the same questions: what `lex-assets evaluate --model` says."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.evaluation.metrics import oracle_run
from lex_assets.evaluation.refusals import EvaluationError, refuse
from lex_assets.evaluation.scoring import Scored, score_runs
from lex_assets.evaluation.seen import seen_by_base
from lex_assets.evaluation.systems import own_passages
from lex_assets.evaluation.trec import read_qrels
from lex_assets.models.weights import TRAINING_CONFIG, read_training_config
from lex_assets.passages.stored import TEXT_ROW, read_corpus
from lex_assets.retrieval.search import Searcher, rerank_run
from lex_assets.retrieval.types import Encoder, PairScorer
from lex_assets.schemas import HUMAN_ORIGINS, PASSAGES, QRELS, QUERIES, REGIMES, LexError
from lex_assets.sources.lines import read_objects

BASE, MODEL = "base", "model"
METRICS = ("hit@1", "hit@3", "hit@5", "hit@10", "mrr@10", "ndcg@10")
DEPTH = 100
CANDIDATES, CEILING = "bm25", "ceiling"
RERANK_DEPTH = 30


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


def human_test_sets(
    queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, domain: str, trained: Collection[str] = ()
) -> Iterator[QuestionSet]:
    """The human test questions of a domain, one set per regime: the two are never averaged.

    queries, qrels, corpus: QUERIES, QRELS and PASSAGES of all domains · trained: documents that the base has seen; questions
    about them are left out. Raises EvaluationError when there is no question."""
    table = PASSAGES.validate(corpus).filter(pl.col("domain") == domain)
    human = QUERIES.validate(queries).filter(
        pl.col("set") == "test", pl.col("domain") == domain, pl.col("origin").is_in(HUMAN_ORIGINS)
    )
    labels = QRELS.validate(qrels).join(human, on="query_id", how="semi")
    if labels.is_empty():
        raise EvaluationError(f"{domain}: no human test question; add documents or raise the test share of the split")
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


def base_of(model: Path, base: str = "") -> tuple[str, str | None]:
    """(base, adapter folder) of what lies in folder `model`; the adapter is None for a complete model.

    base: a name to use instead of the recorded one. Raises LexError when the folder is missing, or nothing says what the base
    is."""
    if not model.is_dir():
        raise LexError(f"{model}: no such folder; give an adapter or a complete model")
    is_adapter = (model / "adapter_config.json").is_file()
    if base:
        return base, str(model) if is_adapter else None
    recorded = (read_training_config(model).get("base") or {}).get("name")
    if not recorded:
        raise LexError(f"{model}: {TRAINING_CONFIG} does not name the base; say it with --base")
    return recorded, str(model) if is_adapter else None


def is_reranker(model: Path) -> bool:
    """Whether the folder says that it is a reranker."""
    return read_training_config(model).get("kind") == "reranker"


def base_and_model(test: QuestionSet, base: Encoder, model: Encoder, cache_dir: Path | None = None) -> Scored:
    """Both retrievers, dense alone, on the whole corpus of `test`, counted by article. Raises EvaluationError for questions
    without labels or labels outside the corpus."""
    runs = [
        Searcher(test.corpus, encoder, cache_dir=cache_dir).search(
            test.queries, "dense", DEPTH, test.exclude, system=name
        )
        for name, encoder in ((BASE, base), (MODEL, model))
    ]
    return score_runs(
        pl.concat(runs), test.qrels, METRICS, BASE, unit="parent", parents=test.corpus, groups=test.queries
    )


def base_and_reranker(test: QuestionSet, base: PairScorer, model: PairScorer, depth: int = RERANK_DEPTH) -> Scored:
    """Both rerankers on the same frozen candidates, the first `depth` of BM25, counted by article; beside them the candidates'
    own order and the best possible one. Raises as `base_and_model`."""
    candidates = Searcher(test.corpus).search(test.queries, "lexical", depth, test.exclude, system=CANDIDATES)
    runs = [
        rerank_run(candidates, test.queries, test.corpus, scorer, depth, name)
        for name, scorer in ((BASE, base), (MODEL, model))
    ]
    options: dict[str, Any] = {"unit": "parent", "parents": test.corpus}
    scored = score_runs(pl.concat(runs), test.qrels, METRICS, BASE, groups=test.queries, **options)
    ceiling = oracle_run(candidates, test.qrels, "parent", test.corpus, CEILING)
    beside = score_runs(pl.concat([candidates, ceiling]), test.qrels, METRICS, **options)
    return replace(scored, scores=pl.concat([scored.scores, beside.scores]))
