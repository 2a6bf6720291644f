from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl

from lex_assets.retrieval import embedding_cache, ids, keys, mapped, texts, tokens
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.retrieval.texts import PassageTexts

BYTES_A_PASSAGE = 30
"""More than sorting takes while an index is made. An id alone is 70 and more as a string, a hash 32, a vector here 64."""


class Encoder:
    """A retriever of 32 units that costs nothing."""

    def encode_passages(self, texts):
        return np.ones((len(texts), 32), np.float32)

    def passage_windows(self, texts):
        return [[text] for text in texts]

    def cache_key(self, kind):
        return "ones"


def peak(passages: int, folder: Path) -> int:
    """Bytes that making both indices and searching takes at most, mapped files and the table left out."""
    numbers = pl.int_range(passages, eager=True)
    words = ["제" + (numbers // 30**n % 30).cast(pl.String) + "조 " for n in range(4)]  # few terms, no text twice
    text = words[0] + words[1] + words[2] + words[3]
    corpus = pl.DataFrame({"passage_id": "LAW_" + numbers.cast(pl.String), "context": "법률", "text": text})
    tracemalloc.start()
    LexicalIndex.build(corpus["passage_id"], PassageTexts(corpus), cache_dir=folder / "terms").search(["제7조"], 10)
    config = DenseConfig(memory_mib=1)
    index = DenseIndex.encode(Encoder(), corpus["passage_id"], PassageTexts(corpus), folder, config)
    index.search(np.ones((1, 32)), 10)
    try:
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_hardly_grows_with_the_corpus(tmp_path, monkeypatch):
    for module, at_once in ((tokens, "PART_TEXTS"), (embedding_cache, "PART_ROWS"), (texts, "AT_ONCE")):
        monkeypatch.setattr(module, at_once, 512)
    for module in (mapped, keys, ids):  # at this size all of it would stay in memory
        monkeypatch.setattr(module, "SMALL_MIB", 0)
    peak(1000, tmp_path / "first")  # what is loaded once
    small, large = 4000, 16_000
    growth = peak(large, tmp_path / "large") - peak(small, tmp_path / "small")
    assert growth / (large - small) < BYTES_A_PASSAGE
