from __future__ import annotations

import pickle

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lex_assets.retrieval import ids as module
from lex_assets.retrieval.ids import OrderedIds
from lex_assets.schemas import LexError

IDS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), unique=True, max_size=12)
reused = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@reused
@given(ids=IDS, at_once=st.integers(1, 5), column=st.booleans(), in_file=st.booleans())
def test_ids_come_in_order_and_are_found_again(ids, at_once, column, in_file, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    given_ids = pl.Series(ids, dtype=pl.String) if column else ids
    ordered, order = OrderedIds.of(given_ids, tmp_path if in_file else None)
    assert list(ordered) == sorted(ids) == [ids[n] for n in order]
    assert ordered[:2] == sorted(ids)[:2]
    assert [ordered.place(one) for one in ordered] == list(range(len(ids)))
    asked = [*reversed(ordered), "not there", *ordered]
    places = ordered.places(pl.Series(asked, dtype=pl.String))
    assert places.tolist() == [sorted(ids).index(one) if one in ids else -1 for one in asked]
    there = places[places >= 0]
    assert ordered.take(there).tolist() == [sorted(ids)[n] for n in there]
    assert list(tmp_path.iterdir()) == []


def test_an_id_that_is_taken_twice_is_one_string():
    ordered, _ = OrderedIds.of(["긴 이름의 단락", "p"])
    first, _, second = ordered.take(np.array([1, 0, 1]))
    assert first == "긴 이름의 단락"
    assert first is second


@pytest.mark.parametrize("at_once", [1, 2, 8192])
def test_an_id_that_occurs_twice_is_named(monkeypatch, at_once):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    with pytest.raises(LexError, match="id c occurs twice among 5"):
        OrderedIds.of(["c", "a", "d", "b", "c"])


def test_kept_and_pickled_ids_are_read_again(tmp_path):
    ordered, _ = OrderedIds.of(["나", "가", "다"])
    ordered.save(tmp_path)
    kept = OrderedIds.load(tmp_path)
    assert list(kept) == list(pickle.loads(pickle.dumps(kept))) == ["가", "나", "다"]
