"""Terms of many texts as arrays, kept by the content of each text and the analyzer's version.

A cache is a folder per analyzer, of parts that are renamed into place when they are whole: a killed run goes on behind
its last part. It may be deleted at any time.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lex_assets.retrieval.analyzers import Analyzer, analyzers
from lex_assets.retrieval.types import Progress
from lex_assets.schemas import LexError, content_hash

PART_TEXTS = 32_768
"""Texts that are cut, and kept, together."""


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


def tokens_of(
    texts: Sequence[str], analyzer: str, cache_dir: Path | None = None, progress: Progress | None = None
) -> Tokens:
    """The terms of `texts`; those that are kept in `cache_dir` are not cut again.

    analyzer: a name, or several joined by +, whose terms then stand side by side · progress: told how many of the missing
    texts are cut. Raises LexError for an analyzer that is unknown or not installed.
    """
    parts = [_cached(texts, one, cache_dir, progress) for one in analyzers(analyzer)]
    return parts[0] if len(parts) == 1 else side_by_side(parts)


def terms_of(texts: Sequence[str], analyzer: str) -> list[list[str]]:
    """The same as lists of strings."""
    tokens = tokens_of(texts, analyzer)
    terms = [tokens.vocabulary[n] for n in tokens.ids.tolist()]
    return [
        terms[start:end] for start, end in zip(tokens.starts[:-1].tolist(), tokens.starts[1:].tolist(), strict=True)
    ]


def side_by_side(parts: Sequence[Tokens]) -> Tokens:
    """Each text with its terms in every part; equal terms of two parts stay apart."""
    vocabulary = [f"{n}:{term}" for n, part in enumerate(parts) for term in part.vocabulary]
    offsets = np.cumsum([0] + [len(part.vocabulary) for part in parts[:-1]])
    order = np.argsort(np.concatenate([part.texts() for part in parts]), kind="stable")
    ids = np.concatenate([part.ids + offset for part, offset in zip(parts, offsets, strict=True)])
    return Tokens(vocabulary, ids[order].astype(np.int32), sum(part.starts for part in parts))  # type: ignore[arg-type]


def _cached(texts: Sequence[str], analyzer: Analyzer, cache_dir: Path | None, progress: Progress | None) -> Tokens:
    if cache_dir is None:
        return _joined([_cut(texts, analyzer)]).rows(np.arange(len(texts)))
    keys, first, place = np.unique(_keys(texts), return_index=True, return_inverse=True)
    folder = Path(cache_dir) / f"{analyzer.name}-{analyzer.version}"
    parts = [_read(path) for path in sorted(folder.glob("*.npz"))]
    missing = [texts[n] for n in first[~np.isin(keys, [key for part in parts for key in part[0]])]]
    parts += _made(missing, analyzer, folder, progress)
    whole, held = _joined([tokens for _, tokens in parts]), np.concatenate([_NO_KEYS, *(part for part, _ in parts)])
    order = np.argsort(held, kind="stable")
    return whole.rows(order[np.searchsorted(held, keys, sorter=order)][place])


_NO_KEYS = np.empty(0, "S32")


def _keys(texts: Sequence[str]) -> np.ndarray:
    return np.array([content_hash(text)[:32] for text in texts], "S32")


def _cut(texts: Sequence[str], analyzer: Analyzer) -> Tokens:
    """Each distinct word is cut into terms once."""
    words = Tokens.number(analyzer.words(texts))
    terms = Tokens.number(map(analyzer.terms, words.vocabulary))
    chosen = terms.rows(words.ids)
    return Tokens(terms.vocabulary, chosen.ids, chosen.starts[words.starts])


def _joined(parts: Sequence[Tokens]) -> Tokens:
    """The texts of all parts over one vocabulary."""
    numbers: dict[str, int] = {}
    renumbered = [
        np.array([numbers.setdefault(term, len(numbers)) for term in part.vocabulary], np.int32)[part.ids]
        for part in parts
    ]
    lengths = [np.diff(part.starts) for part in parts]
    return Tokens(list(numbers), np.concatenate(renumbered), np.concatenate([[0], np.cumsum(np.concatenate(lengths))]))


def _made(
    texts: list[str], analyzer: Analyzer, folder: Path, progress: Progress | None
) -> Iterator[tuple[np.ndarray, Tokens]]:
    for at in range(0, len(texts), PART_TEXTS):
        part = texts[at : at + PART_TEXTS]
        keys, tokens = _keys(part), _cut(part, analyzer)
        _write(folder, keys, tokens)
        yield keys, tokens
        if progress:
            progress(f"analyse {analyzer.name}", at + len(part), len(texts))


def _read(path: Path) -> tuple[np.ndarray, Tokens]:
    try:
        with np.load(path) as part:
            vocabulary = part["vocabulary"].tobytes().decode().split("\n")
            return part["keys"], Tokens(vocabulary, part["ids"], part["starts"])
    except (OSError, ValueError, BadZipFile, KeyError) as error:
        raise LexError(f"token cache {path} cannot be read ({error}); delete it") from error


def _write(folder: Path, keys: np.ndarray, tokens: Tokens) -> None:
    """Named by what it holds: writers beside each other do no harm."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{content_hash(*sorted(keys.astype(str)))[:32]}.npz"
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    vocabulary = np.frombuffer("\n".join(tokens.vocabulary).encode(), np.uint8)
    with beside.open("wb") as file:
        np.savez(file, keys=keys, ids=tokens.ids, starts=tokens.starts, vocabulary=vocabulary)
    beside.replace(path)
