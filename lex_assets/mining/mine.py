"""From queries and a corpus to hard negatives: pools, exclusions, false-negative filters, selection.

The order matters: filter, then rank. Taking what the cross-encoder likes best and filtering afterwards picks the
unlabelled answers first. Every candidate keeps its ranks, scores and verdict; a short pool stays short.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass
from typing import Any

import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.filters import caps_of, judge_unread, suspicion, thresholds, with_neighbours
from lex_assets.mining.hidden import hidden_gold
from lex_assets.mining.pools import KEY, DenseSearch, candidate_pool, excluded_pairs, hit_rules, raw_hits
from lex_assets.mining.report import mining_report
from lex_assets.mining.scoring import Progress, Scorer
from lex_assets.mining.select import SELECTED, Judge, choose, choose_judged, random_negatives
from lex_assets.mining.similar import answers_of_similar, similar_questions
from lex_assets.mining.structural import linked_articles, structural_hits
from lex_assets.mining.triplets import scores_of_positives, triplets, with_judged
from lex_assets.retrieval.texts import rows_of
from lex_assets.retrieval.types import LexicalSearch, PairScorer
from lex_assets.schemas import CANDIDATES, LexError


@dataclass(frozen=True)
class Mined:
    """Triplets to train on, every candidate with its verdict, the audit as plain JSON values, the qrels with the positives
    that a judge found, and the scores of all positives."""

    triplets: pl.DataFrame
    candidates: pl.DataFrame
    report: dict[str, Any]
    qrels: pl.DataFrame
    positives: pl.DataFrame


@dataclass(frozen=True)
class _Task:
    """What is mined: training queries with the passages of their best grade, held-out queries with theirs, which calibrate,
    the corpus, citation links between its articles (parent_id → parent_ids), and the pairs that are excluded."""

    queries: pl.DataFrame
    relevant: pl.DataFrame
    held_out: pl.DataFrame
    corpus: pl.DataFrame
    neighbours: Mapping[str, Iterable[str]]
    excluded: pl.DataFrame
    config: MiningConfig


@dataclass(frozen=True)
class _Evidence:
    """What the filters and the audit read: hits per pool, hits that a rule excludes, scored positives, thresholds, and
    pairs of similar questions."""

    hits: Mapping[str, pl.DataFrame]
    rules: pl.DataFrame
    positives: pl.DataFrame
    limits: pl.DataFrame
    near: pl.DataFrame


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
    judge: Judge | None = None,
) -> Mined:
    """Hard negatives of the training queries.

    queries, qrels, corpus: tables; only queries of the set `train` are mined, those of `valid` calibrate the absolute cap,
    and `corpus` is what the indices hold. neighbours: parent_id → parent_ids linked by citation; they are candidates and
    need a wider margin to count as negative. judge: reads what would be chosen (see `select`).
    Raises LexError when no query is left, a score is NaN, an index belongs to another corpus, the judge gives no verdict,
    or every candidate was filtered away.
    """
    task = _task(queries, qrels, corpus, neighbours or {}, config or MiningConfig())
    scorer = Scorer(queries, corpus, dense, reranker, task.config.batch_size, progress)
    evidence = _evidence(task, lexical, dense, scorer, held_out_families)
    judged = _judged(task, evidence, scorer)
    if reranker is not None:
        judged = _rerank_rounds(judged, scorer, task.config)
    chosen = choose_judged(judged, task.config, judge, scorer.texts) if judge else choose(judged, task.config)
    candidates = _with_random(chosen, task, scorer, held_out_families)
    _require_negatives(candidates, evidence.rules)
    labels = with_judged(qrels, candidates)
    positives = _best_grade(labels.join(task.queries.select("query_id"), on="query_id"), corpus)
    return Mined(
        triplets(positives, candidates, task.config),
        candidates,
        _audit(task, evidence, candidates),
        labels,
        scores_of_positives(evidence.positives, candidates),
    )


def _evidence(
    task: _Task, lexical: LexicalSearch | None, dense: DenseSearch | None, scorer: Scorer, held_out: Set[str]
) -> _Evidence:
    hits = raw_hits(task.queries, lexical, dense, task.config)
    hits |= structural_hits(task.relevant, task.corpus, task.neighbours, task.config, scorer.dense)
    positives = _positives(task.relevant, task.corpus, scorer, "positives")
    calibration = _positives(task.held_out, task.corpus, scorer, "held-out")
    return _Evidence(
        hits,
        hit_rules(hits, task.excluded, task.corpus, held_out),
        positives,
        thresholds(positives, calibration, task.config),
        # Synthetic questions share the wording of their kind, not an answer.
        similar_questions(task.queries.filter(pl.col("origin") != "synthetic"), task.config.question_similarity),
    )


def _judged(task: _Task, evidence: _Evidence, scorer: Scorer) -> pl.DataFrame:
    """The candidates with the verdicts of all rules that need no reranker."""
    similar = answers_of_similar(evidence.near, task.relevant, task.corpus)
    pool = candidate_pool(evidence.hits, evidence.rules, task.config)
    flagged = with_neighbours(pool, task.relevant, task.corpus, task.neighbours, similar)
    scored = scorer.dense(flagged).join(evidence.limits, on="query_id", how="left")
    return judge_unread(scored, task.corpus, task.config)


def _with_random(chosen: pl.DataFrame, task: _Task, scorer: Scorer, held_out: Set[str]) -> pl.DataFrame:
    """The CANDIDATES table: `chosen`, and the random negatives."""
    allowed = task.corpus.filter(~pl.col("family").is_in(list(held_out)))["passage_id"].sort()
    taken = pl.concat([chosen.select(KEY), task.excluded.select(KEY)])
    spare = scorer.score(random_negatives(task.queries, allowed, taken, task.config), "random")
    found = pl.concat([chosen, spare], how="diagonal")
    return CANDIDATES.validate(found.select(CANDIDATES.names).sort(KEY))


def _audit(task: _Task, evidence: _Evidence, candidates: pl.DataFrame) -> dict[str, Any]:
    strangers = answers_of_similar(_of_other_groups(evidence.near, task.queries), task.relevant, task.corpus)
    links = linked_articles(task.neighbours)
    hidden = hidden_gold(evidence.hits, candidates, evidence.positives, evidence.limits, links, strangers, task.config)
    caps = caps_of(evidence.limits)
    return mining_report(
        task.queries, task.corpus, evidence.rules, candidates, evidence.positives, caps, hidden, task.config
    )


def _of_other_groups(near: pl.DataFrame, queries: pl.DataFrame) -> pl.DataFrame:
    """The pairs of `near` whose questions are of different split groups."""
    groups = queries.select("query_id", "split_group")
    joined = near.join(groups, on="query_id").join(groups, left_on="similar", right_on="query_id", suffix="_other")
    return joined.filter(pl.col("split_group") != pl.col("split_group_other")).select(near.columns)


def _task(
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    corpus: pl.DataFrame,
    neighbours: Mapping[str, Iterable[str]],
    config: MiningConfig,
) -> _Task:
    """Training queries that have a positive in the corpus, in order of id, with what belongs to them.

    Positives are the passages of a query's best grade. Lower grades (the rest of a cited article) are excluded from
    the negatives and no more: as positives they would teach, and set thresholds by, text that answers nothing."""
    best = _best_grade(qrels, corpus)
    train = queries.filter(pl.col("set") == "train").sort("query_id")
    train = train.join(best.select("query_id").unique(), on="query_id", how="semi", maintain_order="left")
    if not len(train):
        raise LexError(
            f"mining: none of {len(queries)} queries is in the set train with a positive in the corpus of "
            f"{len(corpus)} passages; check the split, and that corpus and qrels come from the same run"
        )
    valid = queries.filter(pl.col("set") == "valid").join(best, on="query_id", how="semi")["query_id"].sort().to_list()
    drawn = random.Random(f"{config.seed}/cap").sample(valid, min(config.cap_queries, len(valid)))
    return _Task(
        train,
        best.join(train, on="query_id", how="semi", maintain_order="left"),
        best.filter(pl.col("query_id").is_in(drawn)) if config.cap_quantile else best.clear(),
        corpus,
        neighbours,
        excluded_pairs(train, qrels, corpus),
        config,
    )


def _best_grade(qrels: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    """The rows of `qrels` with a query's best grade among the passages of `corpus`, sorted."""
    known = qrels.join(rows_of(corpus, qrels["passage_id"]).select("passage_id"), on="passage_id")
    return known.filter(pl.col("grade") == pl.col("grade").max().over("query_id")).sort(KEY)


def _positives(relevant: pl.DataFrame, corpus: pl.DataFrame, scorer: Scorer, stage: str) -> pl.DataFrame:
    """(query_id, passage_id, parent_id, score_dense, score_rerank) of `relevant`."""
    scored = scorer.score(relevant.select(KEY), stage)
    articles = rows_of(corpus, relevant["passage_id"]).select("passage_id", "parent_id")
    return scored.join(articles, on="passage_id", maintain_order="left")


def _rerank_rounds(judged: pl.DataFrame, scorer: Scorer, config: MiningConfig) -> pl.DataFrame:
    """Score survivors in rounds, best fused rank first, until a query has enough or its budget is spent.

    What was not scored gets the verdict `not_reranked`: it is neither negative nor dropped."""
    enough = math.ceil(config.enough * (config.hard + config.mid))
    waiting = judged.filter(pl.col("verdict") == "survivor")
    waiting = waiting.group_by("query_id", maintain_order=True).head(config.rerank_depth)
    done = [waiting.clear()]
    verdict = pl.coalesce(suspicion(config, "rerank"), pl.lit("survivor"))
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


def _require_negatives(candidates: pl.DataFrame, rules: pl.DataFrame) -> None:
    if candidates["verdict"].is_in(SELECTED).any():
        return
    counts = pl.concat([rules["rule"], candidates["verdict"].alias("rule")]).value_counts(name="n").sort("rule")
    drops = ", ".join(f"{name} {count}" for name, count in counts.iter_rows()) or "the searches found nothing"
    raise LexError(
        f"mining: no candidate became a negative ({drops}); enlarge the corpus or the pools, lower the margins, "
        "raise question_similarity, or set dense_reference and rerank_reference to highest"
    )


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
