from __future__ import annotations

import elasticsearch
import pytest

from lex_assets.resources.lexical import LexicalSearchResource
from lex_assets.retrieval import elasticsearch as room
from lex_assets.retrieval.elasticsearch import ElasticsearchIndex, Nori, Server
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.schemas import LexError
from lex_assets_tests.retrieval.elasticsearch_server import running

MAJOR = elasticsearch.__version__[0]
TEXTS = {
    "p3": "손해배상 범위 과실상계",
    "p1": "이혼 재산분할 청구",
    "p2": "재산분할 청구권 이혼 소멸 기간",
    "p4": "손해배상 범위 과실상계",
}
IDS, BODIES = list(TEXTS), list(TEXTS.values())
SECRET = "c2VjcmV0OmtleQ=="


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(room, "BACKOFF_S", (0.01, 0.01))
    with running(MAJOR) as (state, url):
        monkeypatch.setenv("LEX_ES_URL", url)
        monkeypatch.delenv("LEX_ES_API_KEY", raising=False)
        yield state


def build(ids=IDS, texts=BODIES, nori=None):
    return ElasticsearchIndex.build(Server.from_environment().connect(), "lex-law", ids, texts, nori)


def ids_of(hits):
    return [[passage_id for passage_id, _ in found] for found in hits]


def test_answers_as_the_embedded_index_does(server):
    queries = ["이혼 재산분할", "과실상계", "없는말", ""]
    exclude = [{"p2", "unknown"}, {"p3"}, set(), set()]
    embedded = LexicalIndex.build(IDS, BODIES)
    index = build()
    for banned in (None, exclude):
        for found, expected in zip(index.search(queries, 5, banned), embedded.search(queries, 5, banned), strict=True):
            assert ids_of([found]) == ids_of([expected])
            assert all(isinstance(score, float) for _, score in found)


def test_equal_passages_come_in_order_of_id(server):
    index = build(IDS[::-1], BODIES[::-1])
    assert ids_of(index.search(["과실상계", "과실상계"], 1)) == [["p3"], ["p3"]]


def test_many_queries_are_sent_in_batches_and_answered_in_order(server, monkeypatch):
    monkeypatch.setattr(room, "SEARCHES_AT_ONCE", 3)
    index = build()
    assert ids_of(index.search(["과실상계", "소멸"] * 4, 1)) == [["p3"], ["p2"]] * 4
    assert [path for _, path in server.log].count("/_msearch") == 3


def test_a_new_build_takes_the_alias_and_the_same_content_is_used_again(server):
    first = build()
    assert server.behind("lex-law") == [first.index]
    sent = [path for _, path in server.log].count("/_bulk")
    assert build(IDS[::-1], BODIES[::-1]).index == first.index
    assert [path for _, path in server.log].count("/_bulk") == sent
    second = build(["p9"], ["손해배상"])
    assert server.behind("lex-law") == [second.index] != [first.index]
    assert ids_of(first.search(["과실상계"], 1)) == [["p3"]], "a build keeps answering from its own content"
    assert build(nori=Nori("mixed")).index not in (first.index, second.index)


def test_only_old_complete_indices_of_this_alias_are_removed(server):
    for name in ("lex-law-notes", "lex-law-0123456789abcdef-012345", "other"):
        server.create(name, {})  # the second looks like a build under way
    made = [build([name], ["손해배상"]).index for name in "abc"]
    kept = {"lex-law-notes", "lex-law-0123456789abcdef-012345", "other", *made[1:]}
    assert set(server.indices) == kept
    server.indices["lex-law-0123456789abcdef-012345"].created_ms = 0  # abandoned long ago
    last = build(["d"], ["손해배상"]).index
    assert set(server.indices) == {"lex-law-notes", "other", made[2], last}


def test_lost_passages_leave_the_alias_alone(server):
    good = build()
    server.lose = 1
    with pytest.raises(LexError, match="holds 1 of 2 passages; build it again"):
        build(["a", "b"], ["가", "나"])
    assert server.behind("lex-law") == [good.index]
    assert set(server.indices) == {good.index}


def test_refused_passages_are_named_and_leave_the_alias_alone(server):
    good = build()
    server.refuse_ids = {"b"}
    with pytest.raises(LexError, match=r"passages refused \(b: failed to parse\)"):
        build(["a", "b"], ["가", "나"])
    assert server.behind("lex-law") == [good.index]
    assert set(server.indices) == {good.index}


def test_an_index_that_lost_passages_later_is_built_again(server):
    first = build()
    del server.indices[first.index].visible["p1"]
    assert build().index != first.index


@pytest.mark.parametrize("path", ["/_bulk", "/_msearch", "/_count", "/_mapping", "/_aliases"])
@pytest.mark.parametrize("fault", ["busy", "drop"])
def test_a_busy_server_and_a_lost_connection_are_survived(server, path, fault):
    getattr(server, fault)[path] = 1
    assert ids_of(build().search(["과실상계"], 1)) == [["p3"]]
    assert getattr(server, fault)[path] == 0


def test_a_server_that_stays_busy_is_an_error_and_leaves_nothing_behind(server):
    server.busy["/_bulk"] = 99
    with pytest.raises(LexError, match="429 rejected execution; the server is overloaded"):
        build()
    assert server.indices == {}


def test_no_server_is_an_error_not_an_empty_answer(monkeypatch):
    monkeypatch.setenv("LEX_ES_URL", f"http://elastic:{SECRET}@127.0.0.1:9")
    with pytest.raises(LexError, match=r"127\.0\.0\.1:9: no answer .* start the server") as failure:
        build()
    assert SECRET not in str(failure.value)
    monkeypatch.delenv("LEX_ES_URL")
    with pytest.raises(LexError, match="set LEX_ES_URL"):
        build()


def test_the_key_lets_in_and_is_never_shown(server, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    server.api_key = SECRET
    with pytest.raises(LexError, match=r"401 .*; set LEX_ES_API_KEY"):
        build()
    monkeypatch.setenv("LEX_ES_API_KEY", "wrong" + SECRET)
    with pytest.raises(LexError, match="401") as failure:
        build()
    monkeypatch.setenv("LEX_ES_API_KEY", SECRET)
    index = build()
    shown = repr(Server.from_environment()) + repr(index) + repr(index.client) + str(failure.value) + caplog.text
    assert SECRET not in shown


def test_without_nori_the_plugin_is_named(server):
    server.has_nori = False
    with pytest.raises(LexError, match="install the analysis-nori plugin"):
        build()


def test_a_server_of_another_major_is_named():
    with running(MAJOR - 1) as (_, url), pytest.raises(LexError, match="client of the server's major version"):
        Server(url).connect()


def test_an_index_that_was_removed_is_an_error(server):
    index = build()
    server.indices.clear()
    with pytest.raises(LexError, match="no such index"):
        index.search(["과실상계"], 1)


def test_settings_that_cannot_be_are_refused(server):
    with pytest.raises(LexError, match="decompound_mode all is not one of"):
        Nori("all")
    with pytest.raises(LexError, match="2 ids, 1 of them unique"):
        build(["a", "a"], ["가", "나"])
    with pytest.raises(LexError, match="1 to 10000 passages per query"):
        build().search(["가"], 10_001)


def test_the_resource_builds_the_engine_that_is_asked_for(server, tmp_path):
    assert isinstance(LexicalSearchResource().build("law", IDS, BODIES), LexicalIndex)
    words = tmp_path / "words.txt"
    words.write_text("# 약칭\n재산분할\n", "utf-8")
    resource = LexicalSearchResource(engine="elasticsearch", index_prefix="test", user_dictionary=str(words))
    index = resource.build("law", IDS, BODIES)
    assert server.behind("test-law") == [index.index]
    tokenizer = server.indices[index.index].settings["analysis"]["tokenizer"]["korean"]
    assert tokenizer["user_dictionary_rules"] == ["재산분할"]
    versions = {LexicalSearchResource().version(), LexicalSearchResource(engine="elasticsearch").version()}
    assert len(versions | {resource.version()}) == 3, "a stage made by one engine is not reused for another"


def test_a_resource_that_cannot_work_says_why(tmp_path):
    with pytest.raises(LexError, match="set LEX_LEXICAL_ENGINE to embedded or elasticsearch"):
        LexicalSearchResource(engine="solr").version()
    with pytest.raises(LexError, match="user dictionary cannot be read"):
        LexicalSearchResource(engine="elasticsearch", user_dictionary=str(tmp_path / "none")).version()
