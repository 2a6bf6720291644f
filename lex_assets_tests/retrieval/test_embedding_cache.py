from __future__ import annotations

import numpy as np
import pytest

from lex_assets.retrieval.embedding_cache import cached_encode
from lex_assets.schemas import LexError


class CountingEncoder:
    """Vectors from the texts' lengths; remembers what it was asked to encode."""

    def __init__(self, key="weights-1"):
        self.key, self.asked = key, []

    def cache_key(self, kind):
        return f"{self.key}-{kind}"

    def encode_passages(self, texts):
        self.asked += texts
        return np.array([[len(text), 1 / 3] for text in texts], np.float32)

    def encode_queries(self, texts):
        return -self.encode_passages(texts)


def test_only_new_texts_are_encoded_and_each_once(tmp_path):
    encoder = CountingEncoder()
    first = cached_encode(encoder, "passage", ["가", "나다", "가"], tmp_path)
    again = cached_encode(encoder, "passage", ["나다", "라마바", "가"], tmp_path)
    assert sorted(encoder.asked) == ["가", "나다", "라마바"]
    np.testing.assert_array_equal(again[[2, 0, 2]], first)


def test_other_weights_or_another_kind_read_nothing_old(tmp_path):
    cached_encode(CountingEncoder(), "passage", ["가"], tmp_path)
    other, same = CountingEncoder("weights-2"), CountingEncoder()
    cached_encode(other, "passage", ["가"], tmp_path)
    assert other.asked == ["가"]
    assert cached_encode(same, "query", ["가"], tmp_path)[0, 0] == -1


def test_with_and_without_cache_the_vectors_are_equal(tmp_path):
    kept = cached_encode(CountingEncoder(), "passage", ["가", "나"], tmp_path)
    np.testing.assert_array_equal(cached_encode(CountingEncoder(), "passage", ["가", "나"], None), kept)


def test_a_damaged_part_is_named(tmp_path):
    cached_encode(CountingEncoder(), "passage", ["가"], tmp_path)
    [part] = (tmp_path / "weights-1-passage").iterdir()
    part.write_bytes(part.read_bytes()[:40])
    with pytest.raises(LexError, match=f"{part.name}.*delete it"):
        cached_encode(CountingEncoder(), "passage", ["가"], tmp_path)
