"""The postings of a keyword index, and the best passages of queries by them: terms' weights added up, the highest sums kept.

Where numba is installed (`pip install 'lex_assets[fast]'`) and much is asked, `compiled` does it; otherwise numpy does, adding in
the same order, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from importlib.util import find_spec
from itertools import chain, pairwise
from typing import Any, NamedTuple

import numpy as np

from lex_assets.retrieval.terms import Tokens

COMMON = 0.25
"""Terms that a larger share of the passages holds are added as whole rows, which is faster than one passage at a time."""

ROWS_MIB = 64
"""Memory of those rows at most; in a large corpus the most frequent of these terms have one."""

COMPILED_FROM = 200_000_000
"""Additions that take numpy longer than loading numba takes."""

LEAST = np.nextafter(np.float32(0), np.float32(1))
"""The smallest score above none."""

Found = tuple[np.ndarray, np.ndarray]
"""Numbers of a query's best passages, best first and equal ones by number, and their scores, (n,) float32."""


class Weights(NamedTuple):
    """Per term, in `starts[t]:starts[t + 1]`, the passages that hold it, (n,) uint32, and its weight in each, (n,) float32.

    size: number of passages · whole: (terms,) the term's number in `rows`, -1 where it has none · rows: (common terms,
    passages) float32.
    """

    starts: np.ndarray
    passages: np.ndarray
    weights: np.ndarray
    size: int
    whole: np.ndarray
    rows: np.ndarray


class Asked(NamedTuple):
    """Of query n the distinct terms `terms[starts[n]:starts[n + 1]]` and how often it has each, (n,) float32.

    banned: numbers of passages that may not be answered, of query n in `banned_starts[n]:banned_starts[n + 1]`.
    """

    terms: np.ndarray
    times: np.ndarray
    starts: np.ndarray
    banned: np.ndarray
    banned_starts: np.ndarray

    @classmethod
    def of(cls, queries: Tokens, banned: Sequence[Sequence[int]]) -> Asked:
        """A term that a query repeats counts as often."""
        span = int(queries.ids.max(initial=0)) + 1
        pairs, first, times = np.unique(queries.texts() * span + queries.ids, return_index=True, return_counts=True)
        starts = np.searchsorted(pairs, np.arange(len(queries) + 1) * span)
        out = np.fromiter(chain.from_iterable(banned), np.int64)
        return cls(queries.ids[first], times.astype(np.float32), starts, out, np.cumsum([0, *map(len, banned)]))


Find = Callable[[Weights, Asked, int], Iterable[Found]]
"""(weights, queries, k) → per query at most `k` passages that share a term with it."""


class Postings:
    """The matrix of `bm25s`, mapped or not."""

    def __init__(self, scores: Mapping[str, Any]) -> None:
        self._starts = np.asarray(scores["indptr"])
        self._passages = np.asarray(scores["indices"]).view(
            np.uint32
        )  # spares the compiled loop a look for negative ones
        self._weights = np.asarray(scores["data"])
        self._size = int(scores["num_docs"])

    def finder(self, queries: Tokens) -> Find:
        """What finds fastest for `queries`."""
        additions = int((self._starts[queries.ids + 1] - self._starts[queries.ids]).sum())
        if additions > COMPILED_FROM and find_spec("numba"):
            from lex_assets.retrieval.compiled import find

            return find
        return find_by_numpy

    @cached_property
    def weights(self) -> Weights:
        """As finding takes them."""
        frequency, most = np.diff(self._starts), int(ROWS_MIB * 2**20 / (4 * self._size))
        common = np.argsort(-frequency, kind="stable")[: min(most, np.count_nonzero(frequency > COMMON * self._size))]
        whole = np.full(len(self._starts) - 1, -1)
        whole[common] = np.arange(len(common))
        rows = np.zeros((len(common), self._size), np.float32)
        for row, term in zip(rows, common, strict=True):
            at = slice(self._starts[term], self._starts[term + 1])
            row[self._passages[at]] = self._weights[at]
        return Weights(self._starts, self._passages, self._weights, self._size, whole, rows)


def find_by_numpy(weights: Weights, asked: Asked, k: int) -> Iterator[Found]:
    """A `Find`."""
    scores = np.empty(weights.size, np.float32)  # one, so that it stays in the processor's cache
    for (start, end), (first, last) in zip(pairwise(asked.starts), pairwise(asked.banned_starts), strict=True):
        scores.fill(0)
        _add(scores, weights, asked.terms[start:end], asked.times[start:end])
        scores[asked.banned[first:last]] = 0
        rows = (scores >= max(_floor(scores, k), LEAST)).nonzero()[0]
        best = rows[np.argsort(-scores[rows], kind="stable")][:k]
        yield best, scores[best]


def _add(scores: np.ndarray, weights: Weights, terms: np.ndarray, times: np.ndarray) -> None:
    for term, count in zip(terms, times, strict=True):
        if weights.whole[term] >= 0:
            scores += count * weights.rows[weights.whole[term]]
        else:
            at = slice(weights.starts[term], weights.starts[term + 1])
            scores[weights.passages[at]] += count * weights.weights[at]


def _floor(scores: np.ndarray, k: int) -> float:
    """What the `k` best of `scores` reach at least: so many parts of the array have a maximum of it or more."""
    parts = max(k, min(4 * k, len(scores)))
    if parts > len(scores):
        return 0.0
    size = len(scores) // parts
    maxima = scores[: size * parts].reshape(size, parts).max(axis=0)
    return float(np.partition(maxima, -k)[-k])
