"""A server that is down, busy, read-only or gone in the middle: an error or the right answer, and the alias as it was."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from lex_assets.schemas import LexError
from lex_assets_tests.retrieval.elasticsearch.conftest import ids_of

CREATION = "^PUT /[^/]+$"
REQUESTS = [CREATION, "/_bulk", "/_msearch", "/_count", "/_mapping", "/_aliases", "/_refresh"]


@pytest.mark.parametrize("request_", REQUESTS)
@pytest.mark.parametrize("fault", ["busy", "drop", "drop_answer"])
def test_a_busy_server_and_a_lost_connection_are_survived(place, request_, fault):
    place.build(["z"], ["옛것"])  # so that there is an alias to move
    getattr(place.front, fault)[request_] = 1
    built = place.build()
    assert ids_of(built.search(["과실상계"], 1)) == [["p3"]]
    assert getattr(place.front, fault)[request_] == 0
    assert place.behind() == [built.index]


def test_unavailable_is_waited_for_as_busy_is(place):
    place.front.busy_status = 503
    place.front.busy = {"/_bulk": 2, "/_msearch": 2}
    assert ids_of(place.build().search(["과실상계"], 1)) == [["p3"]]


def test_a_storm_of_refusals_is_an_error_and_leaves_the_good_index(place):
    good = place.build(["z"], ["옛것"])
    place.front.busy["/_bulk"] = 99
    with pytest.raises(LexError, match=r"429 rejected execution .*; the server is overloaded"):
        place.build()
    place.front.busy.clear()
    assert place.behind() == [good.index] and place.indices() == {good.index}


def test_lost_passages_leave_the_alias_alone(place):
    good = place.build()
    place.front.lose = {"b"}
    with pytest.raises(LexError, match="holds 1 of 2 passages; build it again"):
        place.build(["a", "b"], ["가", "나"])
    assert place.behind() == [good.index] and place.indices() == {good.index}


def test_refused_passages_are_named_and_leave_the_alias_alone(place):
    good = place.build()
    place.front.spoil = {"b"}
    with pytest.raises(LexError, match=r"passages refused \(b: .*strict.*\); the index is not as it was created"):
        place.build(["a", "b"], ["가", "나"])
    assert place.behind() == [good.index] and place.indices() == {good.index}


def under_way(place) -> str:
    """The build that no alias names yet."""
    return next(name for name, index in place.described().items() if not index["aliases"])


@pytest.mark.parametrize("kind", ["write", "read_only_allow_delete"])
def test_a_read_only_index_is_said_to_be_so(place, kind):
    good = place.build()

    def block():
        place.client().indices.put_settings(index=under_way(place), settings={"index": {"blocks": {kind: True}}})

    place.front.before["/_bulk"] = block
    with pytest.raises(LexError, match="it is read-only, often for a full disk"):
        place.build(["a"], ["가"])
    assert place.behind() == [good.index] and place.indices() == {good.index}


def test_an_index_that_the_server_made_anew_is_not_taken_for_the_build(place):
    good = place.build()
    place.front.before["/_bulk"] = lambda: place.client().indices.delete(index=under_way(place))
    with pytest.raises(LexError, match=r"build it again|build the index again"):
        place.build(["a"], ["가"])
    assert place.behind() == [good.index] and place.indices() == {good.index}


def test_a_mapping_that_conflicts_is_said_to_be_so(place):
    good = place.build()

    def another():
        index = under_way(place)
        place.client().indices.delete(index=index)
        fields = {"id": {"type": "keyword"}, "text": {"type": "keyword"}}
        place.client().indices.create(index=index, mappings={"properties": fields})

    place.front.before["/_bulk"] = another
    with pytest.raises(LexError, match=r": 400 .*; the index is not as it was created: look for an index template"):
        place.build(["a"], ["가"])
    assert place.behind() == [good.index] and place.indices() == {good.index}


def test_an_index_with_the_name_of_the_alias_is_named(place):
    place.client().indices.create(index=place.alias)
    with pytest.raises(LexError, match="remove that index, or set another index_prefix"):
        place.build()


def test_a_server_lost_in_the_middle_is_an_error_and_the_alias_answers_when_it_is_back(place):
    good = place.build()
    place.front.drop = dict.fromkeys(("/_bulk", "DELETE"), 99)
    with pytest.raises(LexError, match=r"no answer .* start the server"):
        place.build(["a"], ["가"])
    place.front.drop.clear()
    assert place.behind() == [good.index]
    assert ids_of(good.search(["과실상계"], 1)) == [["p3"]]
    again = place.build(["a"], ["가"])
    assert place.behind() == [again.index]


BUILD = """
import sys
from lex_assets.retrieval.elasticsearch import ElasticsearchIndex, Server
ElasticsearchIndex.build(Server.from_environment().connect(), sys.argv[1], ["a"], ["소멸"])
"""


def test_a_build_that_is_killed_leaves_the_alias_and_the_next_one_is_whole(place):
    good = place.build()
    place.front.before["/_bulk"] = lambda: child.kill()
    child = subprocess.Popen([sys.executable, "-c", BUILD, place.alias])
    assert child.wait(timeout=120) == -signal.SIGKILL
    assert place.behind() == [good.index] and under_way(place) != good.index
    assert ids_of(good.search(["과실상계"], 1)) == [["p3"]]
    again = place.build(["a"], ["소멸"])
    assert place.behind() == [again.index] and ids_of(again.search(["소멸"], 1)) == [["a"]]


def test_no_server_is_an_error_not_an_empty_answer(place, monkeypatch):
    monkeypatch.setenv("LEX_ES_URL", "http://elastic:c2VjcmV0@127.0.0.1:9")
    with pytest.raises(LexError, match=r"127\.0\.0\.1:9: no answer .* start the server") as failure:
        place.build()
    assert "c2VjcmV0" not in str(failure.value)
    monkeypatch.delenv("LEX_ES_URL")
    with pytest.raises(LexError, match="set LEX_ES_URL"):
        place.build()


def test_an_index_that_was_removed_is_an_error(place):
    built = place.build()
    place.client().indices.delete(index=built.index)
    with pytest.raises(LexError, match=r"no such index .*; build the index again"):
        built.search(["과실상계"], 1)
