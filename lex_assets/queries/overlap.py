"""Near-duplicate texts by character n-gram overlap, exact and without comparing all pairs."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import polars as pl

NGRAM = 3
"""Characters in an n-gram; spaces and punctuation are dropped first."""
_HITS = 3
_NOISE = re.compile(r"[\W_]+")


@lru_cache(maxsize=1 << 16)
def shingles(text: str, n: int = NGRAM) -> np.ndarray:
    """Sorted distinct hashes of the text's character n-grams, uint32. A text shorter than n is its own n-gram.

    Cached, because the same texts are compared when grouping, when splitting and when training: do not write to it.
    """
    squeezed = _NOISE.sub("", text)
    codes = np.frombuffer(squeezed.encode("utf-32-le", "surrogatepass"), dtype=np.uint32).astype(np.uint64)
    if len(codes) < n:
        return np.array([zlib.crc32(squeezed.encode("utf-8", "surrogatepass"))], dtype=np.uint32)
    mixed = np.zeros(len(codes) - n + 1, dtype=np.uint64)
    for offset in range(n):
        mixed = (mixed * np.uint64(1_000_003) + codes[offset : len(codes) - n + 1 + offset]) & np.uint64(0xFFFFFFFFFF)
    return np.unique((mixed ^ (mixed >> np.uint64(20))).astype(np.uint32))


def overlap(left: str, right: str) -> float:
    """Share of the shorter text's n-grams that the other text has, 0 to 1."""
    a, b = shingles(left), shingles(right)
    return len(np.intersect1d(a, b, assume_unique=True)) / min(len(a), len(b))


_PAIRS = pl.Schema(
    {"left": pl.Int64, "right": pl.Int64, "of_left": pl.Float64, "of_right": pl.Float64, "jaccard": pl.Float64}
)


def near_duplicates(texts: Sequence[str], threshold: float = 0.8) -> pl.DataFrame:
    """All pairs of which the shorter text shares ≥ `threshold` of its n-grams with the other.

    Columns: left < right (positions in `texts`), of_left, of_right (shared n-grams as a share of that text's, 0 to 1),
    jaccard. Exact: candidates come from each text's rarest n-grams, enough of which every such pair must share.
    """
    unique = list(dict.fromkeys(texts))
    where = {text: n for n, text in enumerate(unique)}
    groups: dict[int, list[int]] = {}
    for position, text in enumerate(texts):
        groups.setdefault(where[text], []).append(position)
    rows = [(i, j, 1.0, 1.0, 1.0) for same in groups.values() for n, i in enumerate(same) for j in same[n + 1 :]]
    for a, b, of_a, of_b, jaccard in _distinct_pairs(unique, threshold):
        for i in groups[a]:
            rows += [(i, j, of_a, of_b, jaccard) if i < j else (j, i, of_b, of_a, jaccard) for j in groups[b]]
    return pl.DataFrame(rows, schema=_PAIRS, orient="row").sort("left", "right")


def _distinct_pairs(texts: list[str], threshold: float) -> list[tuple[int, int, float, float, float]]:
    if len(texts) < 2:
        return []
    sets = [shingles(text) for text in texts]
    sizes = np.array([len(s) for s in sets])
    owner = np.repeat(np.arange(len(sets)), sizes)
    _, gram, counts = np.unique(np.concatenate(sets), return_inverse=True, return_counts=True)
    pairs = np.array(_candidates(owner, gram, counts, sizes, threshold), dtype=np.int64).reshape(-1, 2)
    shared = np.array([_shared(sets[i], sets[j]) for i, j in pairs], dtype=np.int64)
    left, right = sizes[pairs[:, 0]], sizes[pairs[:, 1]]
    keep = shared >= threshold * np.minimum(left, right) - 1e-9
    columns = (pairs[:, 0], pairs[:, 1], shared / left, shared / right, shared / (left + right - shared))
    return list(zip(*(column[keep].tolist() for column in columns), strict=True))


def _shared(a: np.ndarray, b: np.ndarray) -> int:
    """Size of the intersection of two sorted arrays; `a` is the shorter."""
    positions = np.searchsorted(b, a)
    positions[positions == len(b)] = 0
    return int(np.count_nonzero(b[positions] == a))


def _candidates(
    owner: np.ndarray, gram: np.ndarray, counts: np.ndarray, sizes: np.ndarray, threshold: float
) -> list[tuple[int, int]]:
    """Pairs (shorter, longer) that share at least _HITS of the shorter one's |A| - ⌈t|A|⌉ + _HITS rarest n-grams."""
    order = np.lexsort((gram, counts[gram], owner))
    rank = np.arange(len(owner)) - np.repeat(np.concatenate([[0], np.cumsum(sizes)[:-1]]), sizes)
    needed = np.ceil(threshold * sizes - 1e-9).astype(np.int64)
    hits = np.minimum(_HITS, needed)
    prefix = rank < np.repeat(sizes - needed + hits, sizes)
    probe = order[prefix]
    left = pl.DataFrame({"a": owner[probe].astype(np.int32), "gram": gram[probe].astype(np.int32)})
    right = pl.DataFrame({"b": owner.astype(np.int32), "gram": gram.astype(np.int32)})
    size = pl.DataFrame({"id": np.arange(len(sizes), dtype=np.int32), "size": sizes, "hits": hits})
    found = (
        left.lazy()
        .join(right.lazy(), on="gram")
        .filter(pl.col("a") != pl.col("b"))
        .group_by("a", "b")
        .len()
        .join(size.lazy(), left_on="a", right_on="id")
        .join(size.lazy(), left_on="b", right_on="id", suffix="_b")
        .filter((pl.col("len") >= pl.col("hits")) & (pl.col("size") <= pl.col("size_b")))
        .select("a", "b")
    )
    return found.collect().rows()
