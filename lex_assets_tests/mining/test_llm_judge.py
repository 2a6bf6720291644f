"""A language model as the judge of mining: its verdicts decide, its replies are paid for once, and half a judgement is none."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from lex_assets.llm.budget import Budget, Meter
from lex_assets.mining.config import MiningConfig
from lex_assets.mining.llm_judge import LlmRelevanceJudge
from lex_assets.mining.mine import mine_hard_negatives
from lex_assets.schemas import LexError
from lex_assets_tests.llm.asking import client
from lex_assets_tests.llm.server import Answer, LlmServer
from lex_assets_tests.mining.conftest import paragraph

CONFIG = MiningConfig(question_similarity=0)
SAID = {paragraph(5, 1): "full", paragraph(5, 2): "partial"}


def says(body: dict) -> Answer:
    said = [verdict for passage, verdict in SAID.items() if f"{passage}의 본문" in str(body["messages"])]
    return Answer(json.dumps({"verdict": (said or ["none"])[0]}))


def test_answers_become_positives_and_half_answers_nothing_and_a_rerun_asks_nothing(
    queries, qrels, corpus, lexical, tmp_path: Path
) -> None:
    lexical.scores = {
        text: {p: s + 9 * (p in SAID) for p, s in found.items()} for text, found in lexical.scores.items()
    }
    with LlmServer(says) as server:
        judge = LlmRelevanceJudge(client(server, tmp_path))
        mined = mine_hard_negatives(queries, qrels, corpus, lexical, None, None, CONFIG, judge=judge)
        asked = len(server.seen)
        again = mine_hard_negatives(queries, qrels, corpus, lexical, None, None, CONFIG, judge=judge)
        assert len(server.seen) == asked > 0
    assert again.triplets.equals(mined.triplets)
    found = mined.candidates.filter(pl.col("passage_id").is_in(list(SAID)))
    assert set(found.select("passage_id", "verdict").iter_rows()) == {
        (paragraph(5, 1), "judged_positive"),
        (paragraph(5, 2), "judged_partial"),
    }
    assert all(paragraph(5, 1) in row for row in mined.triplets["positives"])


def test_a_budget_that_ends_the_judgement_ends_the_mining(queries, qrels, corpus, lexical, tmp_path: Path) -> None:
    meter = Meter(Budget(budget_requests=5))
    with LlmServer(says) as server:
        judge = LlmRelevanceJudge(client(server, tmp_path, meter=meter))
        with pytest.raises(LexError, match=r"no verdict on .* raise budget_requests"):
            mine_hard_negatives(queries, qrels, corpus, lexical, None, None, CONFIG, judge=judge)
