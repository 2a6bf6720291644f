"""Texts and pieces that are made when they are asked for are those that a list would hold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lex_assets.retrieval import texts
from lex_assets.retrieval.search import corpus_texts
from lex_assets.retrieval.texts import PassageTexts, Pieces, texts_of
from lex_assets_tests.evaluation import made_up

CORPUS = made_up.corpus()


def test_texts_by_number_by_part_and_by_id_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "AT_ONCE", 7)
    expected = [f"{row['context']}\n{row['text']}" for row in CORPUS.to_dicts()]
    found = PassageTexts(CORPUS)
    assert list(found) == expected == [found[n] for n in np.arange(len(found))]
    assert found[3:9] == expected[3:9]
    by_id = corpus_texts(CORPUS)
    some = CORPUS["passage_id"].to_list()[5:8]
    assert texts_of(CORPUS, [*some, *some]) == {one: by_id[one] for one in some}
    assert texts_of(CORPUS, []) == {}


class Windowed:
    """Windows of `size` characters that share `overlap`."""

    def __init__(self, size: int, overlap: int) -> None:
        self.size, self.step = size, size - overlap

    def passage_windows(self, some: list[str]) -> list[list[str]]:
        return [[one[at : at + self.size] for at in range(0, max(len(one), 1), self.step)] for one in some]


@given(st.lists(st.text("가나", max_size=20), max_size=9), st.integers(1, 6), st.integers(0, 5), st.randoms())
def test_pieces_are_the_windows_of_the_texts_also_where_a_text_repeats_itself(
    given_texts, size, overlap, random
) -> None:
    encoder = Windowed(size, min(overlap, size - 1))
    order = random.sample(range(len(given_texts)), len(given_texts))
    expected = encoder.passage_windows([given_texts[n] for n in order])
    pieces = Pieces.of(encoder, given_texts, np.array(order, np.int64))
    assert pieces.windows.tolist() == list(map(len, expected))
    assert list(pieces) == pieces[:] == [piece for windows in expected for piece in windows]
