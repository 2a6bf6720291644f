from __future__ import annotations

import pytest

from lex_assets.retrieval.elasticsearch import URL_VARIABLE, connect, settings_and_mappings
from lex_assets.schemas import LexError


def test_without_an_address_the_remedy_is_named(monkeypatch):
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    with pytest.raises(LexError, match="set ELASTICSEARCH_URL"):
        connect()


def test_a_server_that_does_not_answer_is_an_error_not_an_empty_result():
    with pytest.raises(LexError, match=r"127\.0\.0\.1:9 does not answer"):
        connect("http://127.0.0.1:9")


def test_scores_are_those_of_the_embedded_index():
    settings = settings_and_mappings()["settings"]
    assert settings["number_of_shards"] == 1
    assert settings["similarity"]["bm25"] == {"type": "BM25", "k1": 1.5, "b": 0.75}
