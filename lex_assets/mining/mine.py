"""From queries and a corpus to hard negatives: pools, exclusions, false-negative filters, selection.

The order matters: filter, then rank. Taking what the cross-encoder likes best and filtering afterwards picks the
unlabelled answers first. Every candidate keeps its ranks, scores and verdict; a short pool stays short.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.filters import KEY, judge_dense, suspicious, thresholds, with_neighbours
from lex_assets.mining.pools import DenseSearch, candidate_pool, excluded_pairs, hit_rules, raw_hits
from lex_assets.mining.report import SELECTED, mining_report
from lex_assets.retrieval.types import LexicalSearch, PairScorer
from lex_assets.schemas import CANDIDATES, NEGATIVE, TRIPLETS, LexError, search_text

Progress = Callable[[str, int, int], None]
"""Called with (stage, done, total)."""


@dataclass(frozen=True)
class Mined:
    """Triplets to train on, every candidate with its verdict, and the audit as plain JSON values."""

    triplets: pl.DataFrame
    candidates: pl.DataFrame
    report: dict[str, Any]


@dataclass(frozen=True)
class _Task:
    """What is mined, and from what: training queries, their qrels, the corpus, and the pairs that are excluded."""

    queries: pl.DataFrame
    relevant: pl.DataFrame
    corpus: pl.DataFrame
    excluded: pl.DataFrame
    held_out_families: Set[str]
    config: MiningConfig


def mine_hard_negatives(
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    corpus: pl.DataFrame,
    lexical: LexicalSearch | None,
    dense: DenseSearch | None,
    reranker: PairScorer | None = None,
    config: MiningConfig | None = None,
    progress: Progress | None = None,
    *,
    neighbours: Mapping[str, Iterable[str]] | None = None,
    held_out_families: Set[str] = frozenset(),
) -> Mined:
    """Hard negatives of the training queries.

    queries, qrels, corpus: tables; only queries of the set `train` are mined, and `corpus` is what the indices hold.
    neighbours: parent_id → parent_ids linked by citation; they need a wider margin to count as negative.
    Raises LexError when no query is left, a score is NaN, an index belongs to another corpus, or every candidate was
    filtered away.
    """
    config = config or MiningConfig()
    task = _task(queries, qrels, corpus, held_out_families, config)
    scorer = _Scorer(task, dense, reranker, progress or (lambda stage, done, total: None))
    hits = raw_hits(task.queries, lexical, dense, config)
    rules = hit_rules(hits, task.excluded, corpus, held_out_families)
    positives = scorer.score(task.relevant.select(KEY), "positives")
    positives = positives.join(corpus.select("passage_id", "parent_id"), on="passage_id")
    pool = scorer.dense(with_neighbours(candidate_pool(hits, rules, config), task.relevant, corpus, neighbours or {}))
    limits = thresholds(positives, config)
    judged = judge_dense(pool.join(limits, on="query_id", how="left"), corpus, config)
    if reranker is not None:
        judged = _rerank_rounds(judged, scorer, config)
    candidates = CANDIDATES.validate(_select(judged, task, scorer).select(CANDIDATES.names).sort(KEY))
    _require_negatives(candidates, rules)
    report = mining_report(task.queries, corpus, hits, rules, candidates, positives, limits, config)
    return Mined(_triplets(task.relevant, candidates), candidates, report)


def _task(
    queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, held_out: Set[str], config: MiningConfig
) -> _Task:
    """Training queries that have a positive in the corpus, in order of id, with what belongs to them.

    Positives are the passages of a query's best grade. Lower grades (the rest of a cited article) are excluded from
    the negatives and no more: as positives they would teach, and set thresholds by, text that answers nothing."""
    train = queries.filter(pl.col("set") == "train").sort("query_id")
    relevant = qrels.join(train.select("query_id"), on="query_id").join(corpus.select("passage_id"), on="passage_id")
    relevant = relevant.filter(pl.col("grade") == pl.col("grade").max().over("query_id"))
    train = train.join(relevant.select("query_id").unique(), on="query_id", how="semi", maintain_order="left")
    if not len(train):
        raise LexError(
            f"mining: none of {len(queries)} queries is in the set train with a positive in the corpus of "
            f"{len(corpus)} passages; check the split, and that corpus and qrels come from the same run"
        )
    excluded = excluded_pairs(train, qrels, corpus)
    return _Task(train, relevant.sort(KEY), corpus, excluded, held_out, config)


class _Scorer:
    """Adds dense and reranker scores to frames of (query_id, passage_id); fails on NaN."""

    def __init__(self, task: _Task, dense: DenseSearch | None, reranker: PairScorer | None, progress: Progress) -> None:
        passages = task.corpus.select("passage_id", "context", "text")
        self._query = dict(task.queries.select("query_id", "text").iter_rows())
        self._passage = {i: search_text(context, text) for i, context, text in passages.iter_rows()}
        self._dense, self._reranker, self._progress = dense, reranker, progress
        self._batch_size = task.config.batch_size

    def dense(self, pairs: pl.DataFrame) -> pl.DataFrame:
        """`pairs` with score_dense, null without dense search."""
        if self._dense is None:
            return pairs.with_columns(score_dense=pl.lit(None, pl.Float32))
        return pairs.with_columns(_finite(self._dense.scores(pairs), "dense"))

    def rerank(self, pairs: pl.DataFrame, stage: str) -> pl.Series:
        """Reranker logits of `pairs`."""
        assert self._reranker is not None
        texts = [(self._query[query], self._passage[passage]) for query, passage in pairs.select(KEY).iter_rows()]
        step = 16 * self._batch_size  # pairs per progress report; length sorting needs a few batches to pay
        scores = np.zeros(len(texts), np.float32)
        for at in range(0, len(texts), step):
            scores[at : at + step] = self._reranker.score(texts[at : at + step], batch_size=self._batch_size)
            self._progress(f"rerank {stage}", min(at + step, len(texts)), len(texts))
        return _finite(pl.Series("score_rerank", scores), "reranker")

    def score(self, pairs: pl.DataFrame, stage: str) -> pl.DataFrame:
        """`pairs` with score_dense and score_rerank, null without the model."""
        scored = self.dense(pairs)
        if self._reranker is None:
            return scored.with_columns(score_rerank=pl.lit(None, pl.Float32))
        return scored.with_columns(self.rerank(pairs, stage))


def _finite(scores: pl.Series, model: str) -> pl.Series:
    if len(scores) and not scores.is_finite().all():
        raise LexError(f"mining: the {model} model gave NaN or infinite scores; check its weights and precision")
    return scores


def _rerank_rounds(judged: pl.DataFrame, scorer: _Scorer, config: MiningConfig) -> pl.DataFrame:
    """Score survivors in rounds, best fused rank first, until a query has enough or its budget is spent.

    What was not scored gets the verdict `not_reranked`: it is neither negative nor dropped."""
    enough = math.ceil(config.enough * (config.hard + config.mid))
    waiting = judged.filter(pl.col("verdict") == "survivor")
    waiting = waiting.group_by("query_id", maintain_order=True).head(config.rerank_depth)
    done = [waiting.clear()]
    verdict = pl.when(suspicious(config, "rerank")).then(pl.lit("false_negative_rerank")).otherwise(pl.lit("survivor"))
    while len(waiting):
        batch = waiting.group_by("query_id", maintain_order=True).head(config.rerank_chunk)
        scored = batch.with_columns(scorer.rerank(batch, f"round {len(done)}"))
        done.append(scored.with_columns(verdict=verdict))
        kept = pl.concat(done).filter(pl.col("verdict") == "survivor")["query_id"].value_counts()
        satisfied = kept.filter(pl.col("count") >= enough)
        waiting = waiting.join(batch, on=KEY, how="anti", maintain_order="left")
        waiting = waiting.join(satisfied, on="query_id", how="anti", maintain_order="left")
    scored = pl.concat(done)
    unseen = pl.when(pl.col("verdict") == "survivor").then(pl.lit("not_reranked")).otherwise("verdict")
    return pl.concat([scored, judged.join(scored, on=KEY, how="anti").with_columns(verdict=unseen)])


def _hardness(judged: pl.DataFrame) -> pl.Expr:
    """What survivors are ranked by: the best evidence there is."""
    for column in ("score_rerank", "score_dense"):
        if judged[column].is_not_null().any():
            return pl.col(column)
    return pl.col("fused")


def _select(judged: pl.DataFrame, task: _Task, scorer: _Scorer) -> pl.DataFrame:
    """`judged` with the verdicts hard and mid given out, and the random negatives appended."""
    config = task.config
    ranked = judged.filter(pl.col("verdict") == "survivor").with_columns(hardness=_hardness(judged))
    ranked = ranked.sort(["query_id", "hardness", "passage_id"], descending=[False, True, False])
    rows: list[tuple[str, str, str]] = []
    for query_id, ids in ranked.group_by("query_id", maintain_order=True).agg("passage_id").select(KEY).iter_rows():
        rest = ids[config.hard :]
        mid = random.Random(f"{config.seed}/mid/{query_id}").sample(rest, min(config.mid, len(rest)))
        rows += [(query_id, passage, "hard") for passage in ids[: config.hard]]
        rows += [(query_id, passage, "mid") for passage in mid]
    chosen = pl.DataFrame(rows, schema=dict.fromkeys((*KEY, "chosen"), pl.String), orient="row")
    judged = judged.join(chosen, on=KEY, how="left").with_columns(verdict=pl.coalesce("chosen", "verdict"))
    return pl.concat([judged, scorer.score(_random_negatives(judged, task), "random")], how="diagonal")


def _random_negatives(judged: pl.DataFrame, task: _Task) -> pl.DataFrame:
    """Passages from outside the pools: (query_id, passage_id, pool, verdict). The exclusions hold here too."""
    schema = dict.fromkeys((*KEY, "pool", "verdict"), pl.String)
    if not task.config.random:
        return pl.DataFrame(schema=schema)
    held = pl.col("family").is_in(list(task.held_out_families))
    allowed = task.corpus.filter(~held)["passage_id"].sort().to_list()
    taken: dict[str, set[str]] = {}
    for query_id, passage_id in pl.concat([judged.select(KEY), task.excluded.select(KEY)]).iter_rows():
        taken.setdefault(query_id, set()).add(passage_id)
    rows = []
    for query_id in task.queries["query_id"]:
        unfit = taken.get(query_id, set())
        count = min(len(allowed), task.config.random + len(unfit))
        draws = random.Random(f"{task.config.seed}/random/{query_id}").sample(allowed, count)
        free = [passage for passage in draws if passage not in unfit][: task.config.random]
        rows += [(query_id, passage, "random", "random") for passage in free]
    return pl.DataFrame(rows, schema=schema, orient="row")


def _require_negatives(candidates: pl.DataFrame, rules: pl.DataFrame) -> None:
    if candidates["verdict"].is_in(SELECTED).any():
        return
    counts = pl.concat([rules["rule"], candidates["verdict"].alias("rule")]).value_counts(name="n").sort("rule")
    drops = ", ".join(f"{name} {count}" for name, count in counts.iter_rows()) or "the searches found nothing"
    raise LexError(
        f"mining: no candidate became a negative ({drops}); enlarge the corpus or the pools, lower the margins, "
        "or set dense_reference and rerank_reference to highest"
    )


def _triplets(relevant: pl.DataFrame, candidates: pl.DataFrame) -> pl.DataFrame:
    """The TRIPLETS table: a query without negatives keeps an empty list."""
    positives = relevant.group_by("query_id", maintain_order=True).agg(positives="passage_id")
    order = pl.col("verdict").replace_strict(SELECTED, range(len(SELECTED)), return_dtype=pl.Int32)
    negatives = (
        candidates.filter(pl.col("verdict").is_in(SELECTED))
        .with_columns(order=order, hardness=pl.coalesce("score_rerank", "score_dense"))
        .sort(["query_id", "order", "hardness", "passage_id"], descending=[False, False, True, False])
        .group_by("query_id", maintain_order=True)
        .agg(negatives=pl.struct([field.name for field in NEGATIVE.fields]))
    )
    joined = positives.join(negatives, on="query_id", how="left", maintain_order="left")
    return TRIPLETS.validate(joined.with_columns(pl.col("negatives").fill_null([])))


def citation_neighbours(citations: pl.DataFrame, corpus: pl.DataFrame) -> dict[str, list[str]]:
    """parent_id → parent_ids that its passages cite, from the citation graph: the argument `neighbours`."""
    parent = corpus.select(source_id="passage_id", source_parent="parent_id")
    linked = (
        citations.filter(pl.col("kind").is_in(["in_text", "delegation"]) & pl.col("target_parent_id").is_not_null())
        .join(parent, on="source_id")
        .filter(pl.col("source_parent") != pl.col("target_parent_id"))
        .group_by("source_parent")
        .agg(pl.col("target_parent_id").unique().sort())
    )
    return dict(linked.sort("source_parent").iter_rows())
