"""Tables as mining leaves them, with any text in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import strategies as st

from lex_assets.evaluation.question_sets import QuestionSet
from lex_assets.exports.source import EvaluationSource, TrainingSource
from lex_assets.schemas import PASSAGES, POSITIVES, QRELS, QUERIES, RUN, TRIPLETS
from lex_assets.training.files import TrainingTables
from lex_assets_tests.mining.conftest import passage_row, query_row

TYPES = ("law", "admin_rule", "precedent", "mrc")
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=12).filter(str.strip)
SCORES = st.floats(-20, 20, width=32)


def lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a file, read with nothing but the standard library."""
    return [json.loads(line) for line in path.read_bytes().decode("utf-8").split("\n") if line]


@st.composite
def sources(draw: Any) -> TrainingSource:
    """Some questions of both sets over a corpus, each text there once: a format without ids tells texts apart."""
    words = draw(st.lists(TEXTS, min_size=6, max_size=12, unique_by=str.strip))
    passages = [f"P{n}" for n in range(len(words))]
    corpus = PASSAGES.frame(
        passage_row(
            name, f"A{n // 2}", text=word, source_type=TYPES[n % 4], context=draw(st.sampled_from(["", "법 > 조"]))
        )
        for n, (name, word) in enumerate(zip(passages, words, strict=True))
    )
    asked = draw(st.lists(TEXTS, min_size=2, max_size=6, unique_by=str.strip))
    sets = ["train", "valid", *draw(st.lists(st.sampled_from(["train", "valid"]), min_size=4, max_size=4))]
    queries = QUERIES.frame(
        query_row(f"Q{n}", text=text, set=sets[n], meta=json.dumps({"licence": "CC0-1.0"}))
        for n, text in enumerate(asked)
    )
    cuts = {name: draw(st.permutations(passages)) for name in queries["query_id"]}
    width = {name: (draw(st.integers(1, 3)), draw(st.integers(0, 3))) for name in cuts}
    positives = {name: sorted(order[: width[name][0]]) for name, order in cuts.items()}
    train = queries.filter(set="train")["query_id"].to_list()
    triplets = TRIPLETS.frame(
        {
            "query_id": name,
            "positives": positives[name],
            "negatives": [_negative(one, draw(SCORES)) for one in cuts[name][3 : 3 + width[name][1]]],
        }
        for name in train
    )
    qrels = QRELS.frame(_qrel(name, one) for name, found in positives.items() for one in found)
    scores = POSITIVES.frame(
        {"query_id": name, "passage_id": one, "score_dense": 0.5, "score_rerank": draw(SCORES)}
        for name in train
        for one in positives[name]
    )
    return TrainingSource("law", TrainingTables(triplets, queries, qrels, corpus), scores)


@st.composite
def evaluations(draw: Any) -> EvaluationSource:
    """Questions of the test set in both regimes, with a ranking of each."""
    source = draw(sources())
    tables, regimes = source.tables, ("unseen_query", "unseen_law")
    sets = []
    for n, regime in enumerate(regimes):
        asked = tables.queries.gather_every(2, n).with_columns(set=pl.lit("test"), regime=pl.lit(regime))
        gold = tables.qrels.join(asked, on="query_id", how="semi")
        sets.append(QuestionSet(regime, asked, gold, tables.corpus, {asked["query_id"][0]: {"P0"}}))
    ranked = [
        {"query_id": name, "passage_id": one, "rank": rank, "score": draw(SCORES), "system": system}
        for name in tables.queries["query_id"]
        for system in ("bm25", "dense")
        for rank, one in enumerate(draw(st.permutations(tables.corpus["passage_id"].to_list()))[:3], 1)
    ]
    return EvaluationSource("law", {"test": sets}, tables.corpus, RUN.frame(ranked))


def _negative(passage_id: str, score: float) -> dict[str, Any]:
    empty = dict.fromkeys(("rank_lexical", "rank_dense"))
    return {
        "passage_id": passage_id,
        "pool": "lexical",
        **empty,
        "score_dense": 0.1,
        "score_rerank": score,
        "verdict": "hard",
    }


def _qrel(query_id: str, passage_id: str) -> dict[str, Any]:
    return {"query_id": query_id, "passage_id": passage_id, "grade": 2}
