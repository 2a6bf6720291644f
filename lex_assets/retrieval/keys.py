"""Which texts the parts of a cache hold: a text is known by a hash of its content, wherever and however often it comes.

With a folder, what takes memory per text lies in nameless files there.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lex_assets.retrieval.mapped import SMALL_MIB, allocate, kept, release
from lex_assets.schemas import content_hash

AT_ONCE = 8192
_KEY = "S32"


def keys_of(texts: Sequence[str]) -> np.ndarray:
    """(n,) S32, equal exactly where the texts are."""
    return np.fromiter((content_hash(text)[:32] for text in texts), _KEY, len(texts))


@dataclass(frozen=True)
class Contents:
    """The distinct contents of n texts.

    keys: (m,) S32, in order · first: (m,) the first text with each · place: (n,) where in `keys` each text's is.
    """

    keys: np.ndarray
    first: np.ndarray
    place: np.ndarray
    folder: Path | None

    @classmethod
    def of(cls, texts: Sequence[str], folder: Path | None = None) -> Contents:
        """Those of `texts`."""
        keys = allocate((len(texts),), folder, SMALL_MIB, _KEY)
        for at in range(0, len(texts), AT_ONCE):
            keys[at : at + AT_ONCE] = keys_of(texts[at : at + AT_ONCE])
        order = np.argsort(keys, kind="stable")
        new = np.ones(len(texts), bool)
        for at in range(0, len(texts), AT_ONCE):
            some = keys[order[at : at + AT_ONCE + 1]]
            new[at + 1 : at + len(some)] = some[1:] != some[:-1]
        first = kept(order[new], folder)
        distinct = allocate(first.shape, folder, SMALL_MIB, _KEY)
        place = allocate(order.shape, folder, SMALL_MIB, np.int32)
        for at in range(0, len(first), AT_ONCE):
            distinct[at : at + AT_ONCE] = keys[first[at : at + AT_ONCE]]
        place[order] = np.cumsum(new, dtype=np.int32) - 1
        release(place)
        return cls(distinct, first, place, folder)

    def held(self) -> Held:
        """A place for each content, and none known yet."""
        part, row = (allocate(self.keys.shape, self.folder, SMALL_MIB, np.int32) for _ in range(2))
        part[:] = -1
        return Held(self.keys, part, row)


@dataclass
class Held:
    """Where the parts of a cache hold contents.

    keys: (m,) S32, in order · part: (m,) number of a part that holds each, -1 where none does · row: (m,) where in that part.
    """

    keys: np.ndarray
    part: np.ndarray
    row: np.ndarray
    parts: int = 0

    def look(self, parts: Iterable[np.ndarray]) -> None:
        """Look into further parts; each gives its keys, in any order."""
        for keys in parts:
            if len(self.keys):
                near = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
                there = np.flatnonzero(self.keys[near] == keys)
                self.part[near[there]], self.row[near[there]] = self.parts, there
            self.parts += 1
