"""Which survivors become negatives: hard, mid and random by config, each choice a function of the seed and the pair.

An optional judge reads what would be chosen; a passage that it calls an answer becomes a positive, one that it calls half
an answer is dropped, and the next survivor takes the place.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.pools import KEY
from lex_assets.schemas import LexError, content_hash

SELECTED = ("hard", "mid", "random")
"""Verdicts of the candidates that become hard negatives."""

Judge = Callable[[Sequence[tuple[str, str]]], Sequence[str]]
"""(question, passage) texts to one of the keys of JUDGED each."""

JUDGED = {"full": "judged_positive", "partial": "judged_partial", "none": "survivor"}
"""What a judge says of a passage → the verdict that it gets."""


def choose(judged: pl.DataFrame, config: MiningConfig) -> pl.DataFrame:
    """`judged` with the verdicts of its survivors given out: hard, mid, survivor (kept) or surplus (beyond `keep`)."""
    survivors = judged.filter(pl.col("verdict") == "survivor").with_columns(hardness=hardness_of(judged))
    survivors = survivors.sort(["query_id", "hardness", "passage_id"], descending=[False, True, False])
    kept = survivors.select(*KEY, place=pl.int_range(pl.len()).over("query_id")).filter(pl.col("place") < config.keep)
    lots = [content_hash(str(config.seed), "mid", query, passage) for query, passage in kept.select(KEY).iter_rows()]
    kept = kept.with_columns(lot=pl.Series(lots, dtype=pl.String))
    drawn = pl.when(pl.col("place") >= config.hard).then("lot").rank("ordinal").over("query_id")
    verdict = (
        pl.when(pl.col("place") < config.hard)
        .then(pl.lit("hard"))
        .when(drawn <= config.mid)
        .then(pl.lit("mid"))
        .otherwise(pl.lit("survivor"))
    )
    chosen = kept.select(*KEY, chosen=verdict)
    beyond = pl.when(pl.col("verdict") == "survivor").then(pl.lit("surplus")).otherwise("verdict")
    return judged.join(chosen, on=KEY, how="left").with_columns(verdict=pl.coalesce("chosen", beyond)).drop("chosen")


def choose_judged(
    judged: pl.DataFrame, config: MiningConfig, judge: Judge, texts: Callable[[pl.DataFrame], list[tuple[str, str]]]
) -> pl.DataFrame:
    """As `choose`, with every chosen candidate read by `judge` and replaced where it is an answer.

    texts: the texts of pairs. Raises LexError when the judge answers anything but full, partial or none."""
    read = judged.select(KEY).clear()
    while True:
        chosen = choose(judged, config)
        new = chosen.filter(pl.col("verdict").is_in(SELECTED)).join(read, on=KEY, how="anti").sort(KEY).select(KEY)
        if new.is_empty():
            return chosen
        verdicts = new.with_columns(said=pl.Series(_read(judge, texts(new)), dtype=pl.String))
        judged = judged.join(verdicts, on=KEY, how="left")
        judged = judged.with_columns(verdict=pl.coalesce("said", "verdict")).drop("said")
        read = pl.concat([read, new])


def _read(judge: Judge, texts: list[tuple[str, str]]) -> list[str]:
    answers = list(judge(texts))
    wrong = [answer for answer in answers if answer not in JUDGED]
    if wrong or len(answers) != len(texts):
        said = f"{wrong[0]!r}" if wrong else f"{len(answers)} verdicts for {len(texts)} pairs"
        raise LexError(f"mining: the judge answered {said}; it must say {', '.join(JUDGED)} once for each pair")
    return [JUDGED[answer] for answer in answers]


def hardness_of(judged: pl.DataFrame) -> pl.Expr:
    """What survivors are ranked by: the best evidence there is."""
    for column in ("score_rerank", "score_dense"):
        if judged[column].is_not_null().any():
            return pl.col(column)
    return pl.col("fused")


def random_negatives(
    queries: pl.DataFrame, allowed: pl.Series, taken: pl.DataFrame, config: MiningConfig
) -> pl.DataFrame:
    """(query_id, passage_id, pool, verdict) of `config.random` passages of `allowed` per query that are not in `taken`
    (query_id, passage_id): its candidates and what is excluded."""
    schema = dict.fromkeys((*KEY, "pool", "verdict"), pl.String)
    unfit: dict[str, set[str]] = {}
    for query_id, passage_id in taken.select(KEY).iter_rows() if config.random else ():
        unfit.setdefault(query_id, set()).add(passage_id)
    rows = []
    for query_id in queries["query_id"] if config.random else ():
        barred = unfit.get(query_id, set())
        count = min(len(allowed), config.random + len(barred))
        draws = random.Random(f"{config.seed}/random/{query_id}").sample(range(len(allowed)), count)
        free = [passage for n in draws if (passage := allowed[n]) not in barred][: config.random]
        rows += [(query_id, passage, "random", "random") for passage in free]
    return pl.DataFrame(rows, schema=schema, orient="row")
