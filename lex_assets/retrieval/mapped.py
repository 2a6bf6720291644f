"""Arrays that may exceed memory: kept in a nameless file that the system pages in and out, and that ends with the process."""

from __future__ import annotations

import math
import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lex_assets.schemas import LexError


def allocate(
    shape: tuple[int, ...], folder: Path | None, memory_mib: int | None, dtype: npt.DTypeLike = np.float16
) -> np.ndarray:
    """An array of `shape`, in memory, or when given a folder and beyond `memory_mib` MiB in a file there.

    Raises LexError when the disk has no room for it.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if folder is None or memory_mib is None or size <= memory_mib * 2**20:
        return np.empty(shape, dtype)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk fails here, not by a signal in the middle
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        raise LexError(
            f"{folder}: no room for {size:,} bytes of an index ({error.strerror}); free some space"
        ) from error


def kept(array: np.ndarray, folder: Path | None) -> np.ndarray:
    """`array`, out of memory in a file in `folder`; itself without one."""
    if folder is None:
        return array
    copy = allocate(array.shape, folder, 0, array.dtype)
    copy[:] = array
    release(copy)
    return copy


def release(array: np.ndarray) -> None:
    """Give the pages of a mapped array back, which would count as this process's memory; others are left alone."""
    if isinstance(array.base, mmap.mmap):
        array.base.madvise(mmap.MADV_DONTNEED)
