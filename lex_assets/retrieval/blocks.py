"""Passages' vectors as a device searches them: rounded for a fast scan whose error is bounded, and as they are for the exact
score of a pair. Which pairs are worth an exact score is `exact_search`'s business; ids and files are `dense`'s."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch

_CHUNK = 2048


@cache
def scan_precision(device: str) -> torch.dtype:
    """bfloat16 on a GPU and on a CPU that multiplies it at least twice as fast as float32 (AMX), else float32."""
    if not device.startswith("cpu"):
        return torch.bfloat16
    return torch.bfloat16 if 2 * _multiplying_s(torch.bfloat16) < _multiplying_s(torch.float32) else torch.float32


def _multiplying_s(dtype: torch.dtype) -> float:
    """Seconds of one product on the CPU, the best of four."""
    matrix, seconds = torch.ones((768, 768), dtype=dtype), []
    for _ in range(4):
        start = time.perf_counter()
        matrix @ matrix
        seconds.append(time.perf_counter() - start)
    return min(seconds)


@contextmanager
def float32_sums() -> Iterator[None]:
    """Products are summed in float32, as the bounds assume, whatever the program allowed to be rounded for speed."""
    cuda, precision = torch.backends.cuda.matmul, torch.get_float32_matmul_precision()
    reduced = cuda.allow_bf16_reduced_precision_reduction
    torch.set_float32_matmul_precision("highest")
    cuda.allow_bf16_reduced_precision_reduction = False
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(precision)
        cuda.allow_bf16_reduced_precision_reduction = reduced


@dataclass(frozen=True)
class Rounded:
    """Vectors (n, dim) in the scan's precision, norms of the exact ones, and norms of what rounding took away (n,)."""

    vectors: torch.Tensor
    norms: torch.Tensor
    errors: torch.Tensor

    @classmethod
    def of(cls, stored: torch.Tensor, precision: torch.dtype, centre: torch.Tensor | float = 0.0) -> Rounded:
        """stored: (n, dim) float16 · centre: (dim,) float32, taken off every vector."""
        rounded = torch.empty_like(stored, dtype=precision)
        norms, errors = (torch.zeros(len(stored), dtype=torch.float64, device=stored.device) for _ in range(2))
        for at in range(0, len(stored), _CHUNK):
            part = slice(at, at + _CHUNK)
            exact = stored[part].float() - centre
            rounded[part] = exact
            norms[part] = torch.linalg.vector_norm(exact, dim=1).double()
            errors[part] = torch.linalg.vector_norm(exact - rounded[part], dim=1).double()
        return cls(rounded, norms, errors)


@dataclass(frozen=True)
class Block:
    """Consecutive passages on one device, in the scan's order: those with more windows first, so that the first, second, …
    windows of all that have one are runs of rows.

    first: number of the first passage · levels: (first row, how many) of each run · order: number behind `first` of each
    passage, None where the order is theirs · stored: (rows, dim) float16 · centre: (dim,) their mean. Vectors of text lie in
    a narrow cone, and what is scanned is what tells them apart · rounded: (rows, dim) stored - centre in the scan's
    precision · norm, error: the largest of them.
    """

    first: int
    levels: list[tuple[int, int]]
    order: torch.Tensor | None
    stored: torch.Tensor
    centre: torch.Tensor
    rounded: torch.Tensor
    norm: float
    error: float

    @classmethod
    def of(cls, vectors: np.ndarray, windows: np.ndarray, first: int, device: str, precision: torch.dtype) -> Block:
        """vectors: (rows, dim) float16, consecutive ones for each passage · windows: how many each has."""
        levels, order = [(0, len(windows))], None
        if len(vectors) != len(windows):
            levels, passages, rows = _by_level(windows)
            order, vectors = torch.from_numpy(passages).to(device), vectors[rows]
        stored = torch.from_numpy(vectors).to(device)
        centre = stored.mean(dim=0, dtype=torch.float32)
        rounded = Rounded.of(stored, precision, centre)
        norm, error = float(rounded.norms.max()), float(rounded.errors.max())
        return cls(first, levels, order, stored, centre, rounded.vectors, norm, error)

    @property
    def n_passages(self) -> int:
        """Passages in it."""
        return self.levels[0][1]

    def scan(self, queries: torch.Tensor, scores: torch.Tensor) -> None:
        """Fill the first rows of `scores`, (at least rows, n_queries), with every passage's best window behind the
        centre, in the scan's precision; what follows them is left undefined. queries: (n_queries, dim) rounded."""
        torch.mm(self.rounded, queries.T, out=scores[: len(self.rounded)])
        for start, n in self.levels[1:]:
            torch.maximum(scores[:n], scores[start : start + n], out=scores[:n])

    def exact(self, queries: torch.Tensor, query: torch.Tensor, passage: torch.Tensor) -> torch.Tensor:
        """(n_pairs,) float32: the score of `passage[n]`, by the scan's order, for `queries[query[n]]`; pairs in order of
        query, then passage. queries: (n_queries, dim) float64."""
        best = self._products(queries, query, passage)
        for start, n in self.levels[1:]:
            more = passage < n
            best[more] = torch.maximum(best[more], self._products(queries, query[more], start + passage[more]))
        return best.float()

    def _products(self, queries: torch.Tensor, query: torch.Tensor, row: torch.Tensor) -> torch.Tensor:
        """(n_pairs,) float64 dot products of the pairs alone."""
        used = torch.zeros(len(self.stored), dtype=torch.bool, device=self.stored.device)
        used[row] = True
        column = (used.cumsum(0) - 1)[row]
        vectors = self.stored[used].double()
        ends = torch.bincount(query, minlength=len(queries)).cumsum(0)
        starts, zeros = torch.cat([ends.new_zeros(1), ends]), torch.zeros(len(row), dtype=torch.float64).to(row.device)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
            shape = (len(queries), len(vectors))
            pairs = torch.sparse_csr_tensor(starts, column, zeros, shape, check_invariants=True)
            return torch.sparse.sampled_addmm(pairs, queries, vectors.T, beta=0.0).values()

    def places(self, numbers: torch.Tensor) -> torch.Tensor:
        """Where in the scan's order the passages with these numbers are."""
        return numbers - self.first if self.order is None else self.order.argsort()[numbers - self.first]

    def numbers(self, places: torch.Tensor) -> torch.Tensor:
        """Inverse of `places`."""
        return self.first + (places if self.order is None else self.order[places])


def _by_level(windows: np.ndarray) -> tuple[list[tuple[int, int]], np.ndarray, np.ndarray]:
    """(levels, order of the passages, order of the rows) of a `Block`."""
    order = np.argsort(-windows, kind="stable")
    starts = (np.cumsum(windows) - windows)[order]
    sizes = [int((windows > level).sum()) for level in range(windows.max())]
    rows = np.concatenate([starts[:n] + level for level, n in enumerate(sizes)])
    return list(zip(np.cumsum([0, *sizes[:-1]]).tolist(), sizes, strict=True)), order, rows
