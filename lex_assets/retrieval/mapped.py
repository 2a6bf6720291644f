"""Arrays that may exceed memory: kept in a nameless file that the system pages in and out, and that ends with the process."""

from __future__ import annotations

import mmap
import os
import tempfile
from pathlib import Path

import numpy as np

from lex_assets.schemas import LexError


def allocate(shape: tuple[int, int], folder: Path | None, memory_mib: int | None) -> np.ndarray:
    """A float16 array of `shape`, in memory, or when given a folder and beyond `memory_mib` MiB in a file there.

    Raises LexError when the disk has no room for it.
    """
    size = 2 * shape[0] * shape[1]
    if folder is None or memory_mib is None or size <= memory_mib * 2**20:
        return np.empty(shape, np.float16)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk fails here, not by a signal in the middle
            return np.memmap(file, np.float16, "w+", shape=shape)
    except OSError as error:
        raise LexError(
            f"{folder}: no room for {size:,} bytes of vectors ({error.strerror}); free some space"
        ) from error


def release(array: np.ndarray) -> None:
    """Give the pages of a mapped array back, which would count as this process's memory; others are left alone."""
    if isinstance(array.base, mmap.mmap):
        array.base.madvise(mmap.MADV_DONTNEED)
