"""A trained retriever or reranker beside its base on the same questions: what `lex-assets evaluate --model` says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.evaluation.metrics import oracle_run
from lex_assets.evaluation.question_sets import QuestionSet
from lex_assets.evaluation.scoring import Scored, score_runs
from lex_assets.models.weights import TRAINING_CONFIG, read_training_config
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.search import Searcher, rerank_run
from lex_assets.retrieval.types import Encoder, LexicalSearch, PairScorer
from lex_assets.schemas import LexError

BASE, MODEL = "base", "model"
METRICS = ("hit@1", "hit@3", "hit@5", "hit@10", "mrr@10", "ndcg@10")
DEPTH = 100
CANDIDATES, CEILING = "bm25", "ceiling"
RERANK_DEPTH = 30


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


def base_and_model(
    test: QuestionSet,
    base: Encoder,
    model: Encoder,
    cache_dir: Path | None = None,
    dense_config: DenseConfig = DenseConfig(),
) -> Scored:
    """Both retrievers, dense alone, on the whole corpus of `test`, counted by article. Raises EvaluationError for questions
    without labels or labels outside the corpus."""
    runs = [
        Searcher(test.corpus, encoder, cache_dir=cache_dir, dense_config=dense_config).search(
            test.queries, "dense", DEPTH, test.exclude, system=name
        )
        for name, encoder in ((BASE, base), (MODEL, model))
    ]
    return score_runs(
        pl.concat(runs), test.qrels, METRICS, BASE, unit="parent", parents=test.corpus, groups=test.queries
    )


def base_and_reranker(
    test: QuestionSet,
    base: PairScorer,
    model: PairScorer,
    depth: int = RERANK_DEPTH,
    lexical: LexicalSearch | None = None,
) -> Scored:
    """Both rerankers on the same frozen candidates, the first `depth` of BM25, counted by article; beside them the candidates'
    own order and the best possible one. lexical: an index over the corpus of `test`, built here without one. Raises as
    `base_and_model`."""
    candidates = Searcher(test.corpus, lexical=lexical).search(
        test.queries, "lexical", depth, test.exclude, system=CANDIDATES
    )
    runs = [
        rerank_run(candidates, test.queries, test.corpus, scorer, depth, name)
        for name, scorer in ((BASE, base), (MODEL, model))
    ]
    options: dict[str, Any] = {"unit": "parent", "parents": test.corpus}
    scored = score_runs(pl.concat(runs), test.qrels, METRICS, BASE, groups=test.queries, **options)
    ceiling = oracle_run(candidates, test.qrels, "parent", test.corpus, CEILING)
    beside = score_runs(pl.concat([candidates, ceiling]), test.qrels, METRICS, **options)
    return replace(scored, scores=pl.concat([scored.scores, beside.scores]))
