from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lex_assets.retrieval import keys as module
from lex_assets.retrieval.keys import Contents, keys_of

TEXTS = st.lists(st.sampled_from(["", "가", "나", "다", "라", "마"]), max_size=12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS, parts=st.lists(TEXTS, max_size=4), at_once=st.integers(1, 5), in_file=st.booleans())
def test_each_content_is_there_once_and_found_in_the_parts_that_hold_it(
    texts, parts, at_once, in_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    contents = Contents.of(texts, tmp_path if in_file else None)
    assert contents.keys.tolist() == sorted(set(keys_of(texts).tolist()))
    assert contents.keys[contents.place].tolist() == keys_of(texts).tolist()
    assert contents.first.tolist() == [texts.index(texts[n]) for n in contents.first]
    assert keys_of([texts[n] for n in contents.first]).tolist() == contents.keys.tolist()

    held = contents.held()
    held.look(keys_of(some) for some in parts[:1])
    held.look(keys_of(some) for some in parts[1:])
    part, row = held.part, held.row
    for n, place in enumerate(contents.place):
        if part[place] < 0:
            assert not any(texts[n] in some for some in parts)
        else:
            assert parts[part[place]][row[place]] == texts[n]
    assert part.dtype == row.dtype == np.int32
    assert list(tmp_path.iterdir()) == []
