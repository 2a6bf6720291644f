"""What a round keeps of the negatives of the round before."""

from __future__ import annotations

import polars as pl
import pytest

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.mine import Mined, mine_hard_negatives
from lex_assets.mining.previous import KEPT, kept_of, with_previous
from lex_assets.schemas import QRELS, frame_hash
from lex_assets_tests.mining.conftest import TableSearch, paragraph

CONFIG = MiningConfig(
    question_similarity=0,
    hard=4,
    mid=0,
    keep_share=0.5,
    pool_lexical=8,
    pool_sibling=0,
    pool_same_title=0,
    pool_cited=0,
)


def mined_by(order: int, queries, qrels, corpus) -> Mined:
    """A round of a search that finds passages in order of id (1), or in the opposite order (-1)."""
    ids = sorted(corpus["passage_id"])[::order]
    lexical = TableSearch({text: {passage: 1 / n for n, passage in enumerate(ids, 1)} for text in queries["text"]})
    return mine_hard_negatives(queries, qrels, corpus, lexical, None, None, CONFIG)


def negatives(triplets: pl.DataFrame, query_id: str) -> dict[str, str]:
    row = triplets.row(by_predicate=pl.col("query_id") == query_id, named=True)
    return {one["passage_id"]: one["verdict"] for one in row["negatives"]}


@pytest.fixture
def rounds(queries, qrels, corpus) -> tuple[Mined, Mined]:
    return mined_by(1, queries, qrels, corpus), mined_by(-1, queries, qrels, corpus)


def test_half_is_kept_and_the_other_half_is_new(rounds, queries, corpus) -> None:
    old, new = rounds
    both = with_previous(new, old.triplets, queries, corpus, CONFIG)
    for query in queries["query_id"]:
        found = negatives(both.triplets, query)
        kept = {passage for passage, verdict in found.items() if verdict == KEPT}
        assert len(found) == 4 and len(kept) == 2
        assert kept <= set(negatives(old.triplets, query)) - set(negatives(new.triplets, query))
    assert kept_of(both.triplets) == 2 * len(queries)


def test_the_same_rounds_keep_the_same(rounds, queries, corpus) -> None:
    old, new = rounds
    once, again = (with_previous(new, old.triplets, queries, corpus, CONFIG) for _ in range(2))
    assert frame_hash(once.triplets) == frame_hash(again.triplets)


def test_what_is_an_answer_now_or_left_the_corpus_or_is_held_out_is_not_kept(rounds, queries, qrels, corpus) -> None:
    old, new = rounds
    gone, labelled, held = sorted(negatives(old.triplets, "Q4"))[:3]
    corpus = corpus.filter(pl.col("passage_id") != gone)
    corpus = corpus.with_columns(family=pl.when(passage_id=held).then(pl.lit("남겨둔법")).otherwise("family"))
    answer = QRELS.frame([{"query_id": "Q4", "passage_id": labelled, "grade": 2}])
    told = Mined(new.triplets, new.candidates, new.report, pl.concat([new.qrels, answer]), new.positives)
    everything = CONFIG.model_copy(update={"keep_share": 1.0})
    both = with_previous(told, old.triplets, queries, corpus, everything, {"남겨둔법"})
    assert not {gone, labelled, held} & set(negatives(both.triplets, "Q4"))


def test_what_this_round_suspects_is_not_kept(rounds, queries, corpus) -> None:
    old, new = rounds
    suspect = min(negatives(old.triplets, "Q1"))
    row = new.candidates.head(1).with_columns(
        query_id=pl.lit("Q1"), passage_id=pl.lit(suspect), verdict=pl.lit("false_negative_dense")
    )
    told = Mined(new.triplets, pl.concat([new.candidates, row]), new.report, new.qrels, new.positives)
    both = with_previous(told, old.triplets, queries, corpus, CONFIG.model_copy(update={"keep_share": 1.0}))
    assert suspect not in negatives(both.triplets, "Q1")


def test_kept_ones_fill_what_is_missing_first(rounds, queries, corpus) -> None:
    old, new = rounds
    short = new.triplets.with_columns(pl.col("negatives").list.head(3), fill_reason=pl.lit("filtered"))
    told = Mined(short, new.candidates, new.report, new.qrels, new.positives)
    one = with_previous(told, old.triplets, queries, corpus, CONFIG.model_copy(update={"keep_share": 0.25}))
    assert set(one.triplets["negatives"].list.len()) == {4} and one.triplets["fill_reason"].null_count() == len(queries)
    assert list(negatives(one.triplets, "Q1").values()).count(KEPT) == 1
    assert paragraph(1, 1) not in negatives(one.triplets, "Q1")
