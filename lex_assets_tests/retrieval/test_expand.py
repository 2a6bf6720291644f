"""HyDE and rewriting before the search: longer queries, stored answers, no silent loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lex_assets.retrieval.expand import expand_queries
from lex_assets.retrieval.search import Searcher
from lex_assets.schemas import LexError
from lex_assets_tests.llm.asking import client
from lex_assets_tests.llm.server import Answer, LlmServer
from lex_assets_tests.queries.writer import passage, user

QUERIES = pl.DataFrame(
    {"query_id": ["a", "b"], "text": ["맡긴 돈을 못 찾으면?", "빌린 돈을 늦게 갚으면?"], "exclude": [["x"], []]}
)


def lawyer(body: dict[str, Any]) -> Answer:
    text = "은행은 예금을 반환하여야 한다." if "맡긴" in user(body) else "채무자는 지연손해금을 지급한다."
    return Answer(json.dumps({"text": text}, ensure_ascii=False))


@pytest.mark.parametrize("how", ["hyde", "rewrite"])
def test_the_question_stays_and_the_models_words_follow(how: str, tmp_path: Path) -> None:
    with LlmServer(lawyer) as server:
        found = expand_queries(QUERIES, client(server, tmp_path), how)
        assert found.queries["text"].to_list() == [
            "맡긴 돈을 못 찾으면?\n은행은 예금을 반환하여야 한다.",
            "빌린 돈을 늦게 갚으면?\n채무자는 지연손해금을 지급한다.",
        ]
        assert found.queries["exclude"].to_list() == [["x"], []] and not found.unanswered
        again = client(server, tmp_path)
        assert expand_queries(QUERIES, again, how).queries.equals(found.queries)
    assert again.meter.usage.requests == 0 and len(server.seen) == 2


def test_what_is_found_changes(tmp_path: Path) -> None:
    texts = {1: "은행은 예금을 반환하여야 한다.", 2: "채무자는 지연손해금을 지급한다.", 3: "맡긴 물건을 돌려준다."}
    table = pl.DataFrame([passage(n, text) for n, text in texts.items()])
    searcher = Searcher(table)
    assert searcher.search(QUERIES, k=1)["passage_id"][0] == "LAW_3_제1조_①"
    with LlmServer(lawyer) as server:
        longer = expand_queries(QUERIES, client(server, tmp_path), "hyde").queries
    assert searcher.search(longer, k=1)["passage_id"].to_list() == ["LAW_1_제1조_①", "LAW_2_제1조_①"]


def test_a_query_without_an_answer_stays_and_is_named(tmp_path: Path) -> None:
    with LlmServer(lambda body: lawyer(body) if "맡긴" in user(body) else Answer("못 합니다")) as server:
        found = expand_queries(QUERIES, client(server, tmp_path), "hyde")
    assert found.queries["text"][1] == QUERIES["text"][1]
    assert found.unanswered == {"b": "no complete JSON object in the answer"}


def test_an_unknown_way_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LexError, match="expansion 'magic' is not known"):
        expand_queries(QUERIES, client("http://127.0.0.1:1/v1", tmp_path), "magic")
