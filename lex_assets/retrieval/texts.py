"""What is indexed and encoded of passages, made when it is asked for: as strings a corpus takes several times its table."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from lex_assets.retrieval.mapped import kept
from lex_assets.retrieval.strings import MadeStrings
from lex_assets.retrieval.types import Encoder
from lex_assets.schemas import search_text

AT_ONCE = 4096
"""Texts that are strings at the same time while all are gone through."""


class PassageTexts(MadeStrings):
    """The text of each row of a corpus: context and text."""

    def __init__(self, corpus: pl.DataFrame) -> None:
        self._parts = corpus["context"], corpus["text"]

    def __len__(self) -> int:
        return len(self._parts[1])

    def made(self, place: int) -> str:
        """The text of a row."""
        return search_text(*(part[place] for part in self._parts))

    def some(self, places: slice) -> list[str]:
        """The texts of several rows, which takes less than one by one."""
        return [search_text(*pair) for pair in zip(*(part[places].to_list() for part in self._parts), strict=True)]

    def __iter__(self) -> Iterator[str]:
        for at in range(0, len(self), AT_ONCE):
            yield from self[at : at + AT_ONCE]


class Pieces(MadeStrings):
    """The pieces of texts that a retriever encodes: their places in the texts, 12 bytes each.

    texts: whole · text, start, length: (n,) int32, of each piece · windows: (len(texts),) pieces of each text.
    """

    def __init__(
        self, texts: Sequence[str], text: np.ndarray, start: np.ndarray, length: np.ndarray, windows: np.ndarray
    ) -> None:
        self._texts, self._text, self._start, self._length, self.windows = texts, text, start, length, windows

    @classmethod
    def of(cls, encoder: Encoder, texts: Sequence[str], order: np.ndarray, folder: Path | None = None) -> Pieces:
        """The pieces of `texts[n]` for each n in `order`; `windows` are in that order too. folder: keeps the places there, in
        nameless files."""
        spans, counts = [np.empty((0, 3), np.int32)], [np.empty(0, np.int32)]
        for at in range(0, len(order), AT_ONCE):
            numbers = order[at : at + AT_ONCE].tolist()
            some = [texts[n] for n in numbers]
            pieces = encoder.passage_windows(some)
            found = [(n, *span) for n, one, cut in zip(numbers, some, pieces, strict=True) for span in _spans(one, cut)]
            spans.append(np.array(found, np.int32).reshape(-1, 3))
            counts.append(np.array([len(cut) for cut in pieces], np.int32))
        text, start, length = (kept(np.concatenate([part[:, n] for part in spans]), folder) for n in range(3))
        return cls(texts, text, start, length, kept(np.concatenate(counts), folder))

    def __len__(self) -> int:
        return len(self._text)

    def made(self, place: int) -> str:
        """The piece at `place`."""
        start = self._start[place]
        return self._texts[int(self._text[place])][start : start + self._length[place]]


def _spans(text: str, pieces: Iterable[str]) -> Iterator[tuple[int, int]]:
    """(start, length) of each piece of `text`, which follow each other and may overlap."""
    start = 0
    for piece in pieces:
        start = text.index(piece, start)
        yield start, len(piece)


def rows_of(corpus: pl.DataFrame, passage_ids: pl.Series) -> pl.DataFrame:
    """The rows of these passages alone: joining with the whole corpus takes memory for each of its passages."""
    return corpus.filter(pl.col("passage_id").is_in(passage_ids.unique().implode()))


def texts_of(corpus: pl.DataFrame, passage_ids: Iterable[str]) -> dict[str, str]:
    """passage_id → text, of these passages alone."""
    found = rows_of(corpus, pl.Series(list(set(passage_ids)), dtype=pl.String))
    return dict(zip(found["passage_id"].to_list(), PassageTexts(found), strict=True))
