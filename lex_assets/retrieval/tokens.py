"""Terms of many texts as arrays, kept by the content of each text and the analyzer's version.

A cache is a folder per analyzer, of parts that are renamed into place when they are whole: a killed run goes on behind
its last part. It may be deleted at any time.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lex_assets.retrieval.analyzers import Analyzer, analyzers
from lex_assets.retrieval.terms import Tokens, joined, side_by_side
from lex_assets.retrieval.types import Progress
from lex_assets.schemas import LexError, content_hash

PART_TEXTS = 8192
"""Texts that are cut, and kept, together."""


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


def _cached(texts: Sequence[str], analyzer: Analyzer, cache_dir: Path | None, progress: Progress | None) -> Tokens:
    if cache_dir is None:
        return joined([analyzer.cut(texts[at : at + PART_TEXTS]) for at in range(0, len(texts), PART_TEXTS)])
    keys, first, place = np.unique(_keys(texts), return_index=True, return_inverse=True)
    folder = Path(cache_dir) / f"{analyzer.name}-{analyzer.version}"
    parts = [_read(path) for path in sorted(folder.glob("*.npz"))]
    missing = [texts[n] for n in first[~np.isin(keys, [key for part in parts for key in part[0]])]]
    parts += _made(missing, analyzer, folder, progress)
    whole, held = joined([tokens for _, tokens in parts]), np.concatenate([_NO_KEYS, *(part for part, _ in parts)])
    order = np.argsort(held, kind="stable")
    return whole.rows(order[np.searchsorted(held, keys, sorter=order)][place])


_NO_KEYS = np.empty(0, "S32")


def _keys(texts: Sequence[str]) -> np.ndarray:
    return np.array([content_hash(text)[:32] for text in texts], "S32")


def _made(
    texts: list[str], analyzer: Analyzer, folder: Path, progress: Progress | None
) -> Iterator[tuple[np.ndarray, Tokens]]:
    for at in range(0, len(texts), PART_TEXTS):
        part = texts[at : at + PART_TEXTS]
        keys, tokens = _keys(part), analyzer.cut(part)
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
