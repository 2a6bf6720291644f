"""Vectors that were computed once: keyed by everything that decides them, so that no stale one can be read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from lex_assets.retrieval.types import Encoder
from lex_assets.schemas import LexError, content_hash


def cached_encode(encoder: Encoder, kind: str, texts: Sequence[str], cache_dir: Path | None) -> np.ndarray:
    """(n, dim) float32 vectors of `texts`, rounded to float16 as they are stored: first and later answers agree.

    kind: "query" or "passage" · cache_dir: None computes without keeping. Equal texts are encoded once.
    """
    if kind not in ("query", "passage"):
        raise LexError(f"cannot encode {kind}; use query or passage")
    keys = [content_hash(text) for text in texts]
    folder = None if cache_dir is None else Path(cache_dir) / encoder.cache_key(kind)
    known = {} if folder is None else _read(folder)
    missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
    if missing:
        encode = encoder.encode_queries if kind == "query" else encoder.encode_passages
        vectors = encode(list(missing.values())).astype(np.float16)
        known |= dict(zip(missing, vectors, strict=True))
        if folder is not None:
            _write(folder, list(missing), vectors)
    return np.array([known[key] for key in keys], dtype=np.float32).reshape(len(keys), -1)


def _read(folder: Path) -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for path in sorted(folder.glob("*.npz")):
        try:
            with np.load(path) as part:
                found |= dict(zip(part["keys"].tolist(), part["vectors"], strict=True))
        except (OSError, ValueError, BadZipFile, KeyError) as error:
            raise LexError(f"embedding cache {path} cannot be read ({error}); delete it") from error
    return found


def _write(folder: Path, keys: list[str], vectors: np.ndarray) -> None:
    """One part per call, named by what it holds and renamed into place: writers beside each other do no harm."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{content_hash(*sorted(keys))[:32]}.npz"
    beside = path.with_suffix(f".{os.getpid()}.tmp")
    with beside.open("wb") as file:
        np.savez(file, keys=np.array(keys), vectors=vectors)
    beside.replace(path)
