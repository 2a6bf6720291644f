"""Models that need no weights: words as dimensions, and a cross-encoder that counts shared words."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

DIMENSIONS = 64


class WordEncoder:
    """A bag of hashed character pairs; `deaf` share of the dimensions hear nothing."""

    def __init__(self, deaf: float = 0.0) -> None:
        self.heard = int(DIMENSIONS * (1 - deaf))

    def cache_key(self, kind: str) -> str:
        return f"words-{self.heard}-{kind}"

    def passage_windows(self, texts: Sequence[str]) -> list[list[str]]:
        return [[text] for text in texts]

    def encode_queries(self, texts: Sequence[str]) -> np.ndarray:
        vectors = np.zeros((len(texts), DIMENSIONS), np.float32)
        for row, text in enumerate(texts):
            for pair in pairwise(text):
                vectors[row, zlib.crc32("".join(pair).encode()) % DIMENSIONS] += 1
        vectors[:, self.heard :] = 0
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-6)

    encode_passages = encode_queries


class WordReranker:
    """Shared characters, or with `inverted` the fewest."""

    def __init__(self, inverted: bool = False) -> None:
        self.sign = -1 if inverted else 1

    def score(self, pairs: Sequence[tuple[str, str]], batch_size: int = 64) -> np.ndarray:
        return np.array([self.sign * len(set(a) & set(b)) for a, b in pairs], np.float32)
