"""Vectors that were computed once: keyed by everything that decides them, so that no stale one can be read.

A cache is a folder per encoder and kind, of parts that are renamed into place when they are whole: a killed run goes on behind
its last part, and beside the answer no more than one part is in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lex_assets.retrieval.mapped import allocate, release
from lex_assets.retrieval.types import Encoder, Progress
from lex_assets.schemas import LexError, content_hash

PART_ROWS = 4096
"""Texts that are encoded, and kept, together."""


def cached_encode(
    encoder: Encoder,
    kind: str,
    texts: Sequence[str],
    cache_dir: Path | None,
    memory_mib: int | None = None,
    progress: Progress | None = None,
) -> np.ndarray:
    """(n, dim) float16 vectors of `texts`. Equal texts are encoded once.

    kind: "query" or "passage" · cache_dir: None computes without keeping · memory_mib: an answer beyond so many MiB is a
    mapped file in `cache_dir`, None keeps it in memory · progress: told how many of the missing texts are encoded.
    """
    if kind not in ("query", "passage"):
        raise LexError(f"cannot encode {kind}; use query or passage")
    keys, first, place = np.unique(_keys(texts), return_index=True, return_inverse=True)
    folder = None if cache_dir is None else Path(cache_dir) / encoder.cache_key(kind)
    parts = [] if folder is None else [_kept(path) for path in sorted(folder.glob("*.npz"))]
    missing = first[_holders(keys, parts) < 0]
    parts += _encoded(encoder, kind, texts, missing, folder, progress)
    holders = _holders(keys, parts)
    answer = np.empty((0, 0), np.float16)
    for number in np.unique(holders):
        vectors = parts[number].read()
        if not len(answer):
            answer = allocate((len(texts), vectors.shape[1]), cache_dir, memory_mib)
        rows = np.flatnonzero(holders[place] == number)
        answer[rows] = vectors[_rows(parts[number].keys, keys[place[rows]])]
        release(answer)
    return answer


@dataclass(frozen=True)
class _Part:
    """Keys, and what gives their vectors, (n, dim) float16."""

    keys: np.ndarray
    read: Callable[[], np.ndarray]


def _keys(texts: Sequence[str]) -> np.ndarray:
    return np.fromiter((content_hash(text)[:32] for text in texts), "S32", len(texts))


def _rows(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where in `keys`, in any order, the wanted ones are."""
    order = np.argsort(keys, kind="stable")
    return order[np.searchsorted(keys, wanted, sorter=order)]


def _holders(keys: np.ndarray, parts: Sequence[_Part]) -> np.ndarray:
    """Per key, which are sorted, the number of a part that holds it; -1 where none does."""
    holders = np.full(len(keys), -1)
    for number, part in enumerate(parts if len(keys) else ()):
        near = np.minimum(np.searchsorted(keys, part.keys), len(keys) - 1)
        holders[near[keys[near] == part.keys]] = number
    return holders


def _encoded(
    encoder: Encoder,
    kind: str,
    texts: Sequence[str],
    missing: np.ndarray,
    folder: Path | None,
    progress: Progress | None,
) -> Iterator[_Part]:
    """Parts of the missing texts, by number, of similar length, longest first: a batch that does not fit in memory fails at once."""
    encode = encoder.encode_queries if kind == "query" else encoder.encode_passages
    lengths = np.fromiter((len(texts[n]) for n in missing), np.int64, len(missing))
    ordered = missing[np.argsort(-lengths, kind="stable")]
    for at in range(0, len(ordered), PART_ROWS):
        part = [texts[n] for n in ordered[at : at + PART_ROWS].tolist()]
        keys, vectors = _keys(part), encode(part).astype(np.float16)
        yield _Part(keys, vectors.view) if folder is None else _kept(_write(folder, keys, vectors))
        if progress:
            progress(f"encode {kind}", at + len(part), len(ordered))


def _kept(path: Path) -> _Part:
    return _Part(_array(path, "keys"), lambda: _array(path, "vectors"))


def _array(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path) as part:
            return part[name]
    except (OSError, ValueError, BadZipFile, KeyError) as error:
        raise LexError(f"embedding cache {path} cannot be read ({error}); delete it") from error


def _write(folder: Path, keys: np.ndarray, vectors: np.ndarray) -> Path:
    """The part's path, named by what it holds: writers beside each other do no harm."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{content_hash(*sorted(keys.astype(str)))[:32]}.npz"
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    with beside.open("wb") as file:
        np.savez(file, keys=keys, vectors=vectors)
    beside.replace(path)
    return path
