"""What users rely on, on the double and on a real server (`make test-elasticsearch ES_URL=…`)."""

from __future__ import annotations

import itertools

import elasticsearch
import numpy as np
import pytest

from lex_assets.retrieval.elasticsearch import GivenTerms, Nori, Server, aliases, index
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.schemas import LexError
from lex_assets_tests.retrieval.elasticsearch.conftest import BODIES, IDS, MAJOR, ids_of
from lex_assets_tests.retrieval.elasticsearch.double import Double
from lex_assets_tests.retrieval.elasticsearch.front import Front, opened

SECRET = "c2VjcmV0OmtleQ=="


def test_answers_as_the_embedded_index_does(place):
    queries = ["이혼 재산분할", "과실상계", "우주선", ""]
    exclude = [{"p2", "unknown"}, {"p3"}, set(), set()]
    embedded, built = LexicalIndex.build(IDS, BODIES), place.build()
    for banned in (None, exclude):
        found = built.search(queries, 5, banned)
        assert ids_of(found) == ids_of(embedded.search(queries, 5, banned))
        assert all(isinstance(score, float) and score > 0 for hits in found for _, score in hits)


def test_given_terms_are_ranked_as_the_embedded_index_ranks_them(place):
    words = [f"{a}{b}" for a, b in itertools.product("가나다라마바사", "아자차카타파하")]
    draw = np.random.default_rng(1)
    texts = [" ".join(words[min(n, 48)] for n in draw.zipf(1.3, draw.integers(5, 60)) - 1) for _ in range(300)]
    ids, queries = [f"p{n:03}" for n in range(300)], [" ".join(draw.choice(words, 6)) for _ in range(100)]
    theirs = ids_of(place.build(ids, texts, GivenTerms("bigram")).search(queries, 10))
    ours = ids_of(LexicalIndex.build(ids, texts).search(queries, 10))
    overlap = [len({*a} & {*b}) / max(len(b), 1) for a, b in zip(theirs, ours, strict=True)]
    assert np.mean(overlap) >= 0.98


def test_equal_passages_come_in_order_of_id(place):
    built = place.build(IDS[::-1], BODIES[::-1])
    assert ids_of(built.search(["과실상계", "과실상계"], 1)) == [["p3"], ["p3"]]
    assert ids_of(built.search(["과실상계"], 10)) == [["p3", "p4"]]


def test_many_queries_are_sent_in_batches_and_answered_in_order(place, monkeypatch):
    monkeypatch.setattr(index, "SEARCHES_AT_ONCE", 3)
    assert ids_of(place.build().search(["과실상계", "소멸"] * 4, 1)) == [["p3"], ["p2"]] * 4
    assert place.asked("/_msearch") == 3


def test_words_of_the_user_dictionary_are_not_cut(place):
    text = "특금법상 신고"
    found = place.build(["a", "b"], [text, "금융"], Nori(user_words=("특금법", "특금법"))).search(["특금법", "금융"], 5)
    assert ids_of(found) == [["a"], ["b"]]


def test_a_new_build_takes_the_alias_and_the_same_content_is_used_again(place):
    first = place.build()
    assert place.behind() == [first.index]
    sent = place.asked("/_bulk")
    assert place.build(IDS[::-1], BODIES[::-1]).index == first.index
    assert place.asked("/_bulk") == sent
    second = place.build(["p9"], ["손해배상"])
    assert place.behind() == [second.index] != [first.index]
    assert ids_of(first.search(["과실상계"], 1)) == [["p3"]], "a build keeps answering from its own content"
    assert place.build(cut=Nori("mixed")).index not in (first.index, second.index)


def test_old_builds_are_removed_but_never_another_index(place, monkeypatch):
    client = place.client()
    notes, unfinished = f"{place.alias}-notes", f"{place.alias}-0123456789abcdef-012345"
    for name in (notes, unfinished):
        client.indices.create(index=name)
    made = [place.build([i], ["손해배상"]).index for i in "abc"]
    assert place.indices() == {notes, unfinished, *made[1:]}, "the build before stays, a build under way too"
    monkeypatch.setattr(aliases, "ABANDONED_S", -1)
    last = place.build(["d"], ["손해배상"]).index
    assert place.indices() == {notes, made[2], last}


def test_an_index_that_lost_passages_later_is_built_again(place):
    first, client = place.build(), place.client()
    client.bulk(operations=[{"delete": {"_index": first.index, "_id": "p1"}}])
    client.indices.refresh(index=first.index)
    assert place.build().index != first.index


def test_the_key_lets_in_and_is_never_shown(place, monkeypatch, caplog):
    caplog.set_level("DEBUG")
    place.double.api_key = SECRET
    with pytest.raises(LexError, match=r"401 .*; set LEX_ES_API_KEY"):
        place.build()
    monkeypatch.setenv("LEX_ES_API_KEY", "wrong" + SECRET)
    with pytest.raises(LexError, match="401") as failure:
        place.build()
    monkeypatch.setenv("LEX_ES_API_KEY", SECRET)
    built = place.build()
    shown = repr(Server.from_environment()) + repr(built) + repr(built.client) + str(failure.value) + caplog.text
    assert SECRET not in shown


def test_a_cloud_id_is_an_address_too_and_not_beside_another(monkeypatch):
    cloud_id = "law:bG9jYWxob3N0JGFiYw=="  # localhost, abc
    monkeypatch.setenv("LEX_ES_CLOUD_ID", cloud_id)
    monkeypatch.setenv("LEX_ES_URL", "http://localhost:9200")
    with pytest.raises(LexError, match="LEX_ES_URL and LEX_ES_CLOUD_ID are both set"):
        Server.from_environment()
    monkeypatch.delenv("LEX_ES_URL")
    server = Server.from_environment()
    assert server.address == "law" and cloud_id not in repr(server)
    with pytest.raises(LexError, match="LEX_ES_CLOUD_ID cannot be used"):
        Server(cloud_id="law:&").connect()


def test_a_certificate_that_is_not_there_is_named(monkeypatch, tmp_path):
    with pytest.raises(LexError, match=r"none\.pem: no such file; correct LEX_ES_CA_CERTS"):
        Server("https://localhost:9200", ca_certs=str(tmp_path / "none.pem")).connect()


def test_without_nori_the_plugin_is_named(place):
    place.double.has_nori = False
    with pytest.raises(LexError, match="install the analysis-nori plugin"):
        place.build()
    assert place.build(cut=GivenTerms()).index, "terms of our own need no plugin"


def test_a_server_of_an_older_major_is_named():
    with opened(Front(Double(MAJOR - 1), MAJOR - 1)) as url, pytest.raises(LexError, match="server's major version"):
        Server(url).connect()


def test_what_the_specification_does_not_know_is_refused(place):
    client, name, other = place.client(), place.build().index, f"{place.alias}-other"
    plain, misspelt = {"accept": "application/json"}, {"properties": {"a": {"type": "keyword", "analyser": "x"}}}
    for call in (
        lambda: client.perform_request("GET", f"/{name}", params={"colour": "red"}, headers=plain),
        lambda: client.indices.create(index=other, settings={"number_of_shard": 1}),
        lambda: client.indices.create(index=other, mappings=misspelt),
        lambda: client.msearch(searches=[{"index": name, "colour": 1}, {"query": {"match_all": {}}}]),
        lambda: client.msearch(searches=[{"index": name}, {"querry": {"match_all": {}}}]),
        lambda: client.bulk(operations=[{"index": {"_index": name, "_id": "x", "_type": "_doc"}}, {"id": "x"}]),
        lambda: client.indices.update_aliases(actions=[{"add": {"index": name, "alias": "a", "colour": 1}}]),
    ):
        with pytest.raises(elasticsearch.BadRequestError):
            call()


@pytest.mark.parametrize(
    ("ids", "texts", "message"),
    [
        (["a", "a"], ["가", "나"], "2 ids, 1 of them unique"),
        ([], [], "0 ids"),
        (["a" * 513], ["가"], "must have 1 to 512 bytes"),
        ([""], ["가"], "must have 1 to 512 bytes"),
    ],
)
def test_what_cannot_be_indexed_is_refused_before_anything_is_sent(place, ids, texts, message):
    with pytest.raises(LexError, match=message):
        place.build(ids, texts)
    assert place.asked("/_bulk") == 0


def test_settings_that_cannot_be_are_refused(place):
    with pytest.raises(LexError, match="decompound_mode all is not one of"):
        Nori("all")
    with pytest.raises(LexError, match="1 to 10000 passages per query"):
        place.build().search(["가"], 10_001)


def test_a_query_of_too_many_terms_says_so(place):
    assert place.double, "a real server with more memory takes more terms"
    numbers = " ".join(str(n) for n in range(1025))
    with pytest.raises(LexError, match="the query has too many terms"):
        place.build(cut=GivenTerms()).search([numbers], 1)
