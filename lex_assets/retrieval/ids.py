"""Ids of passages in order, as bytes that may lie in a file: as strings they take more memory than the rest of an index."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from lex_assets.retrieval.mapped import SMALL_MIB, allocate, release
from lex_assets.retrieval.strings import MadeStrings
from lex_assets.schemas import LexError

Ids = Sequence[str] | pl.Series
"""Ids as a caller has them: a column of a table, or a list."""

AT_ONCE = 8192
_LETTERS, _ENDS = "ids.npy", "id_ends.npy"


class OrderedIds(MadeStrings):
    """Unique ids in their order; a string is made when it is asked for.

    letters: UTF-8 of all ids, (bytes,) uint8 · ends: where each one begins, and the end, (n + 1,) int64.
    """

    def __init__(self, letters: np.ndarray, ends: np.ndarray) -> None:
        self._letters, self._ends = letters, ends
        self._view = letters.data

    @classmethod
    def of(cls, ids: Ids, folder: Path | None = None) -> tuple[OrderedIds, np.ndarray]:
        """`ids` in order, and the number among `ids` of each, (n,) integers. folder: keeps them there, in nameless files.

        Raises LexError when an id occurs twice.
        """
        if isinstance(ids, OrderedIds):
            return ids, np.arange(len(ids))
        column = pl.Series("id", ids, dtype=pl.String)
        order = column.arg_sort()
        ends = allocate((len(column) + 1,), folder, SMALL_MIB, np.int64)
        np.cumsum(column.str.len_bytes().gather(order).to_numpy(), out=ends[1:])
        ends[0] = 0
        letters = allocate((int(ends[-1]),), folder, SMALL_MIB, np.uint8)
        for at in range(0, len(column), AT_ONCE):
            some = column.gather(order[at : at + AT_ONCE + 1])  # and the next one, to compare it with
            if (same := some.filter(some == some.shift())).len():
                raise LexError(f"id {same[0]} occurs twice among {len(column)}; give every passage an id of its own")
            part = ends[at : at + AT_ONCE + 1]
            letters[part[0] : part[-1]] = np.frombuffer("".join(some.head(AT_ONCE).to_list()).encode(), np.uint8)
        release(letters)
        return cls(letters, ends), order.to_numpy()

    def __len__(self) -> int:
        return len(self._ends) - 1

    def __reduce__(self) -> tuple[type[OrderedIds], tuple[np.ndarray, np.ndarray]]:
        return OrderedIds, (np.asarray(self._letters), np.asarray(self._ends))

    def made(self, place: int) -> str:
        """The id at `place`."""
        return str(self._view[self._ends[place] : self._ends[place + 1]], "utf-8")

    def take(self, places: np.ndarray) -> np.ndarray:
        """The ids at `places`, (n,) object; one that is there twice is one string."""
        distinct, which = np.unique(places, return_inverse=True)
        bounds = zip(self._ends[distinct].tolist(), self._ends[distinct + 1].tolist(), strict=True)
        return np.array([str(self._view[start:end], "utf-8") for start, end in bounds], object)[which]

    def place(self, one: str) -> int | None:
        """Where an id is, None when it is not there."""
        place = bisect_left(self, one)
        return place if place < len(self) and self[place] == one else None

    def places(self, ids: pl.Series) -> np.ndarray:
        """(n,) int64 of each of `ids`, which may repeat; -1 where one is not there."""
        distinct = ids.unique()
        places = (self.place(one) for one in distinct)
        numbers = [-1 if place is None else place for place in places]
        return ids.replace_strict(distinct, numbers, return_dtype=pl.Int64).to_numpy().astype(np.int64, copy=False)

    def save(self, folder: Path) -> None:
        """Write them to files in `folder`."""
        np.save(folder / _LETTERS, self._letters)
        np.save(folder / _ENDS, self._ends)

    @classmethod
    def load(cls, folder: Path) -> OrderedIds:
        """What `save` wrote, mapped. Raises OSError or ValueError when it cannot be read."""
        return cls(*(np.load(folder / name, mmap_mode="r") for name in (_LETTERS, _ENDS)))
