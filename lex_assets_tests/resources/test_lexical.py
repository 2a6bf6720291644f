from __future__ import annotations

import pytest

from lex_assets.resources.lexical import LexicalSearchResource
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.schemas import LexError
from lex_assets_tests.retrieval.elasticsearch.conftest import BODIES, IDS, LIVE, MAJOR, ids_of
from lex_assets_tests.retrieval.elasticsearch.double import Double
from lex_assets_tests.retrieval.elasticsearch.front import Front, opened

pytestmark = pytest.mark.skipif(bool(LIVE), reason="the double shows what was sent")


@pytest.fixture
def server(monkeypatch):
    front = Front(Double(MAJOR), MAJOR)
    with opened(front) as url:
        monkeypatch.setenv("LEX_ES_URL", url)
        monkeypatch.delenv("LEX_ES_API_KEY", raising=False)
        yield front.behind


def test_the_engine_that_is_asked_for_is_built(server, tmp_path):
    assert isinstance(LexicalSearchResource().build("law", IDS, BODIES, tmp_path), LexicalIndex)
    words = tmp_path / "words.txt"
    words.write_text("# 약칭\n재산분할\n", "utf-8")
    resource = LexicalSearchResource(engine="elasticsearch", index_prefix="test", user_dictionary=str(words))
    index = resource.build("law", IDS, BODIES)
    assert server.indices[index.index].aliases == {"test-law"}
    tokenizer = server.indices[index.index].settings["analysis"]["tokenizer"]["korean"]
    assert tokenizer["user_dictionary_rules"] == ["재산분할"]


def test_the_server_ranks_our_terms_when_asked_to(server):
    resource = LexicalSearchResource(engine="elasticsearch", server_analyzer="given")
    index = resource.build("law", IDS, BODIES)
    assert "tokenizer" not in server.indices[index.index].settings["analysis"]
    assert ids_of(index.search(["과실상"], 5)) == [["p3", "p4"]], "pairs of characters, which nori does not make"


def test_the_legal_dictionary_can_be_given_to_nori(server):
    resource = LexicalSearchResource(engine="elasticsearch", user_dictionary="legal")
    index = resource.build("law", IDS, BODIES)
    rules = server.indices[index.index].settings["analysis"]["tokenizer"]["korean"]["user_dictionary_rules"]
    assert {"특금법", "재산분할청구권"} <= set(rules)


def test_a_stage_made_by_one_engine_is_not_reused_for_another():
    made = [
        LexicalSearchResource(),
        LexicalSearchResource(analyzer="bigram+kiwi"),
        LexicalSearchResource(engine="elasticsearch"),
        LexicalSearchResource(engine="elasticsearch", decompound_mode="mixed"),
        LexicalSearchResource(engine="elasticsearch", user_dictionary="legal"),
        LexicalSearchResource(engine="elasticsearch", server_analyzer="given"),
    ]
    assert len({resource.version() for resource in made}) == len(made)


def test_a_resource_that_cannot_work_says_why(tmp_path):
    with pytest.raises(LexError, match="set LEX_LEXICAL_ENGINE to embedded or elasticsearch"):
        LexicalSearchResource(engine="solr").version()
    with pytest.raises(LexError, match="user dictionary cannot be read"):
        LexicalSearchResource(engine="elasticsearch", user_dictionary=str(tmp_path / "none")).version()
    with pytest.raises(LexError, match="server_analyzer 'standard' is not nori or given"):
        LexicalSearchResource(engine="elasticsearch", server_analyzer="standard").version()
    with pytest.raises(LexError, match="index_prefix 'Lex' must be"):
        LexicalSearchResource(engine="elasticsearch", index_prefix="Lex").build("law", IDS, BODIES)
