"""Vectors that were computed once: keyed by everything that decides them, so that no stale one can be read.

A cache is a folder per encoder and kind, of parts that are renamed into place when they are whole: a killed run goes on behind
its last part, and beside the answer no more than one part is in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lex_assets.retrieval.keys import Contents, keys_of
from lex_assets.retrieval.mapped import allocate, kept, release
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
    folder = None if cache_dir is None else Path(cache_dir) / encoder.cache_key(kind)
    contents = Contents.of(texts, cache_dir)
    parts = [] if folder is None else [_kept(path) for path in sorted(folder.glob("*.npz"))]
    held = contents.held()
    held.look(part.keys() for part in parts)
    new = list(_encoded(encoder, kind, texts, contents.first[held.part < 0], folder, progress))
    held.look(part.keys() for part in new)
    parts += new
    holder = held.part[contents.place]
    by_part = kept(np.argsort(holder, kind="stable"), cache_dir)
    ends = np.searchsorted(holder, np.arange(len(parts) + 1), sorter=by_part).tolist()
    answer = np.empty((0, 0), np.float16)
    for part, (start, end) in zip(parts, pairwise(ends), strict=True):
        if start < end:
            vectors, rows = part.vectors(), by_part[start:end]
            if not len(answer):
                answer = allocate((len(texts), vectors.shape[1]), cache_dir, memory_mib)
            answer[rows] = vectors[held.row[contents.place[rows]]]
            release(answer)
    return answer


@dataclass(frozen=True)
class _Part:
    """What gives its keys, and their vectors, (n, dim) float16."""

    keys: Callable[[], np.ndarray]
    vectors: Callable[[], np.ndarray]


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
        keys, vectors = keys_of(part), encode(part).astype(np.float16)
        yield _Part(keys.view, vectors.view) if folder is None else _kept(_write(folder, keys, vectors))
        if progress:
            progress(f"encode {kind}", at + len(part), len(ordered))


def _kept(path: Path) -> _Part:
    return _Part(lambda: _array(path, "keys"), lambda: _array(path, "vectors"))


def _array(path: Path, name: str) -> np.ndarray:
    try:
        with np.load(path) as part:
            return part[name]
    except (OSError, ValueError, EOFError, BadZipFile, KeyError) as error:
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
