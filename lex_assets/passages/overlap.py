"""Near-duplicate texts by character n-gram overlap, exact and without comparing all pairs.

Two questions: which texts are nearly the same (`near_duplicates`, symmetric), and which texts are nearly all inside
another (`contained`, one way). Candidates share enough of a text's rarest n-grams (prefix filtering: Bayardo, Ma and
Srikant, Scaling Up All Pairs Similarity Search, WWW 2007); what passes that filter is counted exactly.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
import polars as pl

NGRAM = 3
"""Characters in an n-gram; spaces and punctuation are dropped first."""
_HITS = 3  # rarest n-grams that a candidate must share: more means fewer candidates, but longer lists to join
_TEXTS_AT_ONCE = 1 << 12
_MEETINGS_AT_ONCE = 1 << 21
_COUNTERS = 1 << 20
_LOW = np.uint64(_COUNTERS - 1)
_COMMONEST = (1 << 20) - 1
_TOLERANCE = 1e-9
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
    grams = (mixed ^ (mixed >> np.uint64(20))).astype(np.uint32)
    grams.sort()
    return grams[np.concatenate(([True], grams[1:] != grams[:-1]))]


def shared_ngrams(left: str, right: str) -> int:
    """How many n-grams two texts share."""
    return _shared(shingles(left), shingles(right))


def near_duplicates(texts: Sequence[str], threshold: float = 0.8) -> pl.DataFrame:
    """All pairs whose n-grams have a Jaccard similarity ≥ `threshold`: left < right (positions in `texts`), jaccard."""
    unique = _Unique.of(texts)
    rows = [(i, j, 1.0) for same in unique.places for n, i in enumerate(same) for j in same[n + 1 :]]
    for a, b, jaccard in _similar(unique.shingles(), threshold):
        rows += [(min(i, j), max(i, j), jaccard) for i in unique.places[a] for j in unique.places[b]]
    schema = {"left": pl.Int64, "right": pl.Int64, "jaccard": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("left", "right")


def contained(texts: Sequence[str], within: Sequence[str], threshold: float = 0.8) -> pl.DataFrame:
    """All pairs where a text of `within` holds ≥ `threshold` of the n-grams of one of `texts`.

    Columns: text, within (positions), share (0 to 1).
    """
    needles, hay = _Unique.of(texts), _Unique.of(within)
    rows = [
        (i, j, share)
        for a, b, share in _held(needles.shingles(), hay.shingles(), threshold)
        for i in needles.places[a]
        for j in hay.places[b]
    ]
    schema = {"text": pl.Int64, "within": pl.Int64, "share": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row").sort("text", "within")


@dataclass(frozen=True)
class _Unique:
    """Distinct texts, and the positions of each."""

    texts: list[str]
    places: list[list[int]]

    @classmethod
    def of(cls, texts: Sequence[str]) -> _Unique:
        places: dict[str, list[int]] = {}
        for position, text in enumerate(texts):
            places.setdefault(text, []).append(position)
        return cls(list(places), list(places.values()))

    def shingles(self) -> list[np.ndarray]:
        return [shingles(text) for text in self.texts]


@dataclass(frozen=True)
class _Listing:
    """Which text has which key, in text order. text: (n,) int64 · key: (n,) uint64."""

    text: np.ndarray
    key: np.ndarray


_Sets = Sequence[np.ndarray]
_Found = Iterator[tuple[int, int, float]]


def _similar(sets: _Sets, threshold: float) -> _Found:
    """(a, b, jaccard) of distinct texts.

    Such a pair shares ≥ ⌈t·|x|⌉ n-grams of each text x, so the |x| - ⌈t·|x|⌉ + h rarest of both hold h shared ones. One
    is at most 1/t times as long as the other, so only texts of the same or the next level of length are joined.
    """
    sizes = _sizes(sets)
    needed = _needed(sizes, threshold)
    hits = np.minimum(_HITS, needed)
    rare = _rarest(sets, sizes - needed + hits, _counters(sets))
    level = np.floor(np.log(np.maximum(sizes, 1)) / -np.log(min(threshold, 0.99)) + _TOLERANCE).astype(np.uint64)
    same = _Listing(rare.text, level[rare.text] << np.uint64(32) | rare.key)
    longer = _Listing(rare.text, same.key + np.uint64(1 << 32))
    for index, within_level in ((same, True), (longer, False)):
        for a, b, shared in _meetings(same, index):
            likely = (shared >= np.minimum(hits[a], hits[b])) & ((a < b) if within_level else True)
            a, b = a[likely], b[likely]
            common = _intersections(sets, sets, a, b)
            jaccard = common / (sizes[a] + sizes[b] - common)
            keep = jaccard >= threshold - _TOLERANCE
            yield from zip(a[keep].tolist(), b[keep].tolist(), jaccard[keep].tolist(), strict=True)


def _held(needles: _Sets, hay: _Sets, threshold: float) -> _Found:
    """(needle, hay, share of the needle's n-grams); every such pair shares h of the needle's rarest, as in `_similar`."""
    sizes = _sizes(needles)
    needed = _needed(sizes, threshold)
    hits = np.minimum(_HITS, needed)
    rare = _rarest(needles, sizes - needed + hits, _counters(hay))
    for a, b, shared in _meetings(rare, _listing(hay)):
        likely = shared >= hits[a]
        a, b = a[likely], b[likely]
        share = _intersections(needles, hay, a, b) / sizes[a]
        keep = share >= threshold - _TOLERANCE
        yield from zip(a[keep].tolist(), b[keep].tolist(), share[keep].tolist(), strict=True)


def _sizes(sets: _Sets) -> np.ndarray:
    return np.array([len(grams) for grams in sets], dtype=np.int64)


def _needed(sizes: np.ndarray, threshold: float) -> np.ndarray:
    return np.ceil(threshold * sizes - _TOLERANCE).astype(np.int64)


def _counters(sets: _Sets) -> np.ndarray:
    """How often n-grams occur, by their low bits: those with equal low bits share a counter. It only orders them."""
    counts = np.zeros(_COUNTERS, dtype=np.int64)
    for start in range(0, len(sets), _TEXTS_AT_ONCE):
        grams = np.concatenate(sets[start : start + _TEXTS_AT_ONCE])
        counts += np.bincount(grams & np.uint32(_COUNTERS - 1), minlength=_COUNTERS)
    return counts


def _listing(sets: _Sets) -> _Listing:
    text = np.repeat(np.arange(len(sets)), _sizes(sets))
    return _Listing(text, np.concatenate([*sets, np.zeros(0, dtype=np.uint32)]).astype(np.uint64))


def _rarest(sets: _Sets, lengths: np.ndarray, counters: np.ndarray) -> _Listing:
    """The `lengths` rarest n-grams of each text by `counters`, ties by value."""
    parts = [_Listing(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.uint64))]
    for start in range(0, len(sets), _TEXTS_AT_ONCE):
        part = _listing(sets[start : start + _TEXTS_AT_ONCE])
        # One number per n-gram, text · commonness · n-gram: sorting it sorts by all three.
        commonness = np.minimum(counters[part.key & _LOW], _COMMONEST).astype(np.uint64)
        packed = part.text.astype(np.uint64) << np.uint64(52) | commonness << np.uint64(32) | part.key
        packed.sort()
        sizes = np.bincount(part.text)
        rank = np.arange(len(packed)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        kept = rank < lengths[start + part.text]
        parts.append(_Listing(start + part.text[kept], packed[kept] & np.uint64(0xFFFFFFFF)))
    return _Listing(np.concatenate([p.text for p in parts]), np.concatenate([p.key for p in parts]))


def _meetings(probes: _Listing, index: _Listing) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(text of `probes`, text of `index`, number of keys that both have) for all that share a key, in bounded batches."""
    order = np.argsort(index.key, kind="stable")
    keys, texts = index.key[order], index.text[order]
    low = np.searchsorted(keys, probes.key, side="left")
    counts = np.searchsorted(keys, probes.key, side="right") - low
    for start, end in pairwise(_cuts(probes.text, counts)):
        many = counts[start:end]
        within = np.arange(many.sum()) - np.repeat(np.cumsum(many) - many, many)
        pair = np.repeat(probes.text[start:end], many) << 32 | texts[np.repeat(low[start:end], many) + within]
        found, shared = np.unique(pair, return_counts=True)
        yield found >> 32, found & 0xFFFFFFFF, shared


def _cuts(texts: np.ndarray, counts: np.ndarray) -> list[int]:
    """Positions that cut the probes between two texts, about every _MEETINGS_AT_ONCE meetings."""
    batch = np.cumsum(counts) // _MEETINGS_AT_ONCE
    borders = np.flatnonzero(np.diff(texts)) + 1
    return [0, *borders[np.flatnonzero(np.diff(batch[borders]))].tolist(), len(texts)]


def _intersections(left: _Sets, right: _Sets, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many n-grams left[a] and right[b] share, per pair."""
    return np.array([_shared(left[i], right[j]) for i, j in zip(a.tolist(), b.tolist(), strict=True)], dtype=np.int64)


def _shared(a: np.ndarray, b: np.ndarray) -> int:
    """Size of the intersection of two sorted arrays."""
    short, long = (a, b) if len(a) <= len(b) else (b, a)
    positions = np.searchsorted(long, short)
    positions[positions == len(long)] = 0
    return int(np.count_nonzero(long[positions] == short))
