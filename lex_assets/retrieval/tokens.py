"""Terms of many texts as arrays, kept by the content of each text and the analyzer's version.

A cache is a folder per analyzer, of parts that are renamed into place when they are whole: a killed run goes on behind
its last part. It may be deleted at any time.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lex_assets.retrieval.analyzers import Analyzer, analyzers
from lex_assets.retrieval.keys import Contents, keys_of
from lex_assets.retrieval.terms import Tokens, joined, side_by_side
from lex_assets.retrieval.types import Progress
from lex_assets.schemas import LexError, content_hash

PART_TEXTS = 8192
"""Texts that are cut, and kept, together."""

READ_PARTS = 4
"""Parts that are in memory at once; texts that come in the same order again lie in one or two."""


def tokens_of(
    texts: Sequence[str], analyzer: str, cache_dir: Path | None = None, progress: Progress | None = None
) -> Tokens:
    """The terms of `texts`; those that are kept in `cache_dir` are not cut again.

    analyzer: a name, or several joined by +, whose terms then stand side by side · progress: told how many of the missing
    texts are cut. Raises LexError for an analyzer that is unknown or not installed.
    """
    return joined(list(token_parts(texts, analyzer, cache_dir, progress)))


def token_parts(
    texts: Sequence[str],
    analyzer: str,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
    order: np.ndarray | None = None,
) -> Iterator[Tokens]:
    """As `tokens_of`, in parts that have vocabularies of their own. order: numbers of the texts, in which they come."""
    places = np.arange(len(texts)) if order is None else order
    sources = [_source(texts, places, one, cache_dir, progress) for one in analyzers(analyzer)]
    for at in range(0, len(places), PART_TEXTS):
        parts = [tokens(places[at : at + PART_TEXTS]) for tokens in sources]
        yield parts[0] if len(parts) == 1 else side_by_side(parts)


def terms_of(texts: Sequence[str], analyzer: str) -> list[list[str]]:
    """The same as lists of strings."""
    tokens = tokens_of(texts, analyzer)
    terms = [tokens.vocabulary[n] for n in tokens.ids.tolist()]
    return [
        terms[start:end] for start, end in zip(tokens.starts[:-1].tolist(), tokens.starts[1:].tolist(), strict=True)
    ]


Source = Callable[[np.ndarray], Tokens]
"""Numbers of texts → their terms."""


def _source(
    texts: Sequence[str], order: np.ndarray, analyzer: Analyzer, cache_dir: Path | None, progress: Progress | None
) -> Source:
    if cache_dir is None:
        return lambda numbers: analyzer.cut([texts[n] for n in numbers.tolist()])
    return _Kept(texts, order, analyzer, Path(cache_dir) / f"{analyzer.name}-{analyzer.version}", progress).tokens


class _Kept:
    """Where in the parts of a folder the terms of each text are; missing ones are cut first, in the order in which they come."""

    def __init__(
        self, texts: Sequence[str], order: np.ndarray, analyzer: Analyzer, folder: Path, progress: Progress | None
    ) -> None:
        contents = Contents.of(texts, folder)
        self._paths = sorted(folder.glob("*.npz"))
        held = contents.held()
        held.look(map(_keys, self._paths))
        missing = order[np.sort(_in_turn(contents, order)[held.part < 0])]
        for at in range(0, len(missing), PART_TEXTS):
            some = [texts[n] for n in missing[at : at + PART_TEXTS].tolist()]
            self._paths.append(_write(folder, some, analyzer.cut(some)))
            held.look([_keys(self._paths[-1])])
            if progress:
                progress(f"analyse {analyzer.name}", at + len(some), len(missing))
        self._place, self._part, self._row = contents.place, held.part, held.row
        self._read = lru_cache(READ_PARTS)(_read)

    def tokens(self, numbers: np.ndarray) -> Tokens:
        """The terms of some texts."""
        places = self._place[numbers]
        parts, row = self._part[places], self._row[places]
        used = np.unique(parts).tolist()
        rows = [np.flatnonzero(parts == part) for part in used]
        found = [self._read(self._paths[p]).rows(row[some]) for p, some in zip(used, rows, strict=True)]
        return joined(found).rows(np.argsort(np.concatenate([np.empty(0, np.int64), *rows])))


def _in_turn(contents: Contents, order: np.ndarray) -> np.ndarray:
    """(m,) where in `order` each content comes first."""
    turn = np.empty(len(contents.keys), np.int64)
    turn[contents.place[order][::-1]] = np.arange(len(order))[::-1]  # of several the last assignment stays
    return turn


def _read(path: Path) -> Tokens:
    vocabulary, ids, starts = _arrays(path, "vocabulary", "ids", "starts")
    return Tokens(vocabulary.tobytes().decode().split("\n"), ids, starts)


def _keys(path: Path) -> np.ndarray:
    return _arrays(path, "keys")[0]


def _arrays(path: Path, *names: str) -> list[np.ndarray]:
    """Some of a part's arrays, read at one time: another process may put the same part in its place."""
    try:
        with np.load(path) as part:
            return [part[name] for name in names]
    except (OSError, ValueError, EOFError, BadZipFile, KeyError) as error:
        raise LexError(f"token cache {path} cannot be read ({error}); delete it") from error


def _write(folder: Path, texts: Sequence[str], tokens: Tokens) -> Path:
    """The part's path. Its rows are in order of their keys and its name says which: writers beside each other do no harm."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = keys_of(texts)
    order = np.argsort(keys)
    keys, tokens = keys[order], tokens.rows(order)
    path = folder / f"{content_hash(*sorted(keys.astype(str)))[:32]}.npz"
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    vocabulary = np.frombuffer("\n".join(tokens.vocabulary).encode(), np.uint8)
    with beside.open("wb") as file:
        np.savez(file, keys=keys, ids=tokens.ids, starts=tokens.starts, vocabulary=vocabulary)
    beside.replace(path)
    return path
