"""Terms of many texts as arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Tokens:
    """The terms of the n-th text are `vocabulary[i]` for each i in `ids[starts[n]:starts[n + 1]]`.

    ids: (terms,) int32 · starts: (texts + 1,) int64.
    """

    vocabulary: list[str]
    ids: np.ndarray
    starts: np.ndarray

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def number(cls, texts: Iterable[Iterable[str]]) -> Tokens:
        """Of terms as they come."""
        numbers: defaultdict[str, int] = defaultdict()
        numbers.default_factory = numbers.__len__
        ids: list[int] = []
        ends = [0]
        for terms in texts:
            ids.extend(map(numbers.__getitem__, terms))
            ends.append(len(ids))
        return cls(list(numbers), np.array(ids, np.int32), np.array(ends, np.int64))

    def rows(self, chosen: np.ndarray) -> Tokens:
        """The chosen texts, in that order."""
        lengths = np.diff(self.starts)[chosen]
        starts = np.concatenate([[0], np.cumsum(lengths)])
        places = np.arange(starts[-1]) + np.repeat(self.starts[:-1][chosen] - starts[:-1], lengths)
        return Tokens(self.vocabulary, self.ids[places], starts)

    def texts(self) -> np.ndarray:
        """(terms,) the text that each term is in."""
        return np.repeat(np.arange(len(self)), np.diff(self.starts))


def side_by_side(parts: Sequence[Tokens]) -> Tokens:
    """Each text with its terms in every part; equal terms of two parts stay apart."""
    vocabulary = [f"{n}:{term}" for n, part in enumerate(parts) for term in part.vocabulary]
    offsets = np.cumsum([0] + [len(part.vocabulary) for part in parts[:-1]])
    order = np.argsort(np.concatenate([part.texts() for part in parts]), kind="stable")
    ids = np.concatenate([part.ids + offset for part, offset in zip(parts, offsets, strict=True)])
    return Tokens(vocabulary, ids[order].astype(np.int32), sum(part.starts for part in parts))  # type: ignore[arg-type]


_NONE = np.empty(0, np.int32)


def joined(parts: Sequence[Tokens]) -> Tokens:
    """The texts of all parts over one vocabulary."""
    if len(parts) == 1:
        return parts[0]
    numbers: dict[str, int] = {}
    renumbered = [
        np.array([numbers.setdefault(term, len(numbers)) for term in part.vocabulary], np.int32)[part.ids]
        for part in parts
    ]
    lengths = [np.diff(part.starts) for part in parts]
    return Tokens(list(numbers), np.concatenate([_NONE, *renumbered]), np.cumsum(np.concatenate([[0], *lengths])))
