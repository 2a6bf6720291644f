"""Adding up the weights of queries' terms: the one loop of keyword search that is worth compiling.

numba compiles it where it is installed (`pip install 'lex_assets[fast]'`) and much is asked; otherwise numpy adds in the same
order, with the same result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

from lex_assets.retrieval.terms import Tokens

COMMON = 0.25
"""Terms that a larger share of the passages holds are added as whole rows, which is faster than one passage at a time."""

COMPILED_FROM = 200_000_000
"""Additions that take numpy longer than loading numba takes."""

Adder = Callable[..., None]


@dataclass(frozen=True)
class Postings:
    """Per term, in `starts[t]:starts[t + 1]`, the passages that hold it, (n,) int32, and its weight in each, float32."""

    starts: np.ndarray
    passages: np.ndarray
    weights: np.ndarray
    size: int
    """Number of passages."""

    @classmethod
    def of(cls, scores: Mapping[str, Any]) -> Postings:
        """Of bm25s' matrix, mapped or not."""
        return cls(
            np.asarray(scores["indptr"]),
            np.asarray(scores["indices"]).view(np.uint32),  # spares the compiled loop a look for negative ones
            np.asarray(scores["data"]),
            scores["num_docs"],
        )

    def adder(self, queries: Tokens) -> Adder:
        """What to `score` parts of `queries` with."""
        additions = int((self.starts[queries.ids + 1] - self.starts[queries.ids]).sum())
        return _compiled() if additions > COMPILED_FROM and find_spec("numba") else _add

    def score(self, queries: Tokens, add: Adder) -> Iterator[np.ndarray]:
        """Of each query (passages,) float32, the same array again and again. A term that a query repeats counts as often."""
        terms, first, times = np.unique(
            queries.texts() * len(self._whole) + queries.ids, return_index=True, return_counts=True
        )
        distinct, weights = queries.ids[first], times.astype(np.float32)
        ends = np.searchsorted(terms, np.arange(len(queries) + 1) * len(self._whole)).tolist()
        scores = np.empty(self.size, np.float32)  # one, so that it stays in the processor's cache
        for start, end in pairwise(ends):
            scores.fill(0)
            add(
                scores, distinct[start:end], weights[start:end],
                self._whole, self._rows, self.starts, self.passages, self.weights,
            )  # fmt: skip
            yield scores

    @cached_property
    def _common(self) -> np.ndarray:
        return np.flatnonzero(np.diff(self.starts) > COMMON * self.size)

    @cached_property
    def _whole(self) -> np.ndarray:
        """(terms,) the term's number in `_rows`, -1 where it has none."""
        whole = np.full(len(self.starts) - 1, -1)
        whole[self._common] = np.arange(len(self._common))
        return whole

    @cached_property
    def _rows(self) -> np.ndarray:
        """(common terms, passages) float32 weights."""
        rows = np.zeros((len(self._common), self.size), np.float32)
        for row, term in zip(rows, self._common, strict=True):
            at = slice(self.starts[term], self.starts[term + 1])
            row[self.passages[at]] = self.weights[at]
        return rows


def _add(
    scores: np.ndarray, terms: np.ndarray, times: np.ndarray,
    whole: np.ndarray, rows: np.ndarray, starts: np.ndarray, passages: np.ndarray, weights: np.ndarray,
) -> None:  # fmt: skip
    for term, count in zip(terms, times, strict=True):
        if whole[term] >= 0:
            scores += count * rows[whole[term]]
        else:
            at = slice(starts[term], starts[term + 1])
            scores[passages[at]] += count * weights[at]


@lru_cache
def _compiled() -> Adder:
    from numba import njit

    @njit(nogil=True, cache=True)
    def add(scores, terms, times, whole, rows, starts, passages, weights):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        for n in range(len(terms)):
            term, count = terms[n], times[n]
            if whole[term] >= 0:
                row = rows[whole[term]]
                for passage in range(len(scores)):
                    scores[passage] += count * row[passage]
            else:
                at = slice(starts[term], starts[term + 1])
                for passage, weight in zip(passages[at], weights[at]):  # noqa: B905
                    scores[passage] += count * weight

    return add
