"""What `postings` does, compiled by numba: as numpy adds and chooses, to the last bit, without holding up other threads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numba import njit

from lex_assets.retrieval.postings import LEAST, Asked, Found, Weights


def find(weights: Weights, asked: Asked, k: int) -> Iterator[Found]:
    """A `postings.Find`."""
    rows, scores, counts = _find(weights, asked, min(k, weights.size))
    for n, count in enumerate(counts.tolist()):
        yield rows[n, :count], scores[n, :count]


@njit(nogil=True, cache=True)
def _find(weights, asked, k):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    queries = len(asked.starts) - 1
    rows, found = np.empty((queries, k), np.int64), np.empty((queries, k), np.float32)
    counts = np.empty(queries, np.int64)
    scores = np.empty(weights.size, np.float32)  # one, so that it stays in the processor's cache
    for n in range(queries):
        scores[:] = 0
        for at in range(asked.starts[n], asked.starts[n + 1]):
            _add(scores, weights, asked.terms[at], asked.times[at])
        for row in asked.banned[asked.banned_starts[n] : asked.banned_starts[n + 1]]:
            scores[row] = 0
        reached = (scores >= max(_floor(scores, k), LEAST)).nonzero()[0]
        best = reached[np.argsort(-scores[reached], kind="mergesort")[:k]]
        counts[n] = len(best)
        rows[n, : len(best)] = best
        found[n, : len(best)] = scores[best]
    return rows, found, counts


@njit
def _add(scores, weights, term, times):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    if weights.whole[term] >= 0:
        row = weights.rows[weights.whole[term]]
        for passage in range(len(scores)):
            scores[passage] += times * row[passage]
    else:
        at = slice(weights.starts[term], weights.starts[term + 1])
        for passage, weight in zip(weights.passages[at], weights.weights[at]):  # noqa: B905
            scores[passage] += times * weight


@njit
def _floor(scores, k):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    parts = min(4 * k, len(scores))
    maxima = scores[:parts].copy()
    for start in range(parts, len(scores) - parts + 1, parts):
        for n in range(parts):
            if scores[start + n] > maxima[n]:
                maxima[n] = scores[start + n]
    return np.partition(maxima, parts - k)[parts - k]
