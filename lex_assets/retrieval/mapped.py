"""Arrays that may exceed memory: kept in a nameless file that the system pages in and out, and that ends with the process."""

from __future__ import annotations

import errno
import math
import mmap
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lex_assets.schemas import LexError

SMALL_MIB = 1
"""What is smaller stays in memory wherever there are few of its kind: a file costs more than it spares."""

_FULL = (errno.ENOSPC, errno.EDQUOT)


def allocate(
    shape: tuple[int, ...], folder: Path | None, memory_mib: int | None, dtype: npt.DTypeLike = np.float16
) -> np.ndarray:
    """An array of `shape`, in memory, or when given a folder and beyond `memory_mib` MiB in a file there.

    Raises LexError when the disk has no room for it, or no file can be made there.
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if folder is None or memory_mib is None or size <= memory_mib * 2**20:
        return np.empty(shape, dtype)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            os.posix_fallocate(file.fileno(), 0, size)  # a full disk fails here, not by a signal in the middle
            return np.memmap(file, dtype, "w+", shape=shape)
    except OSError as error:
        if error.errno in _FULL:
            reason = f"no room for {size:,} bytes of an index ({error.strerror}); free some space"
        else:
            reason = f"cannot make a file of {size:,} bytes for an index ({error.strerror}); name a folder to write in"
        raise LexError(f"{folder}: {reason}") from error


def kept(array: np.ndarray, folder: Path | None) -> np.ndarray:
    """`array`, unless it is small out of memory in a file in `folder`; itself without one."""
    if folder is None or array.nbytes <= SMALL_MIB * 2**20:
        return array
    copy = allocate(array.shape, folder, 0, array.dtype)
    copy[:] = array
    release(copy)
    return copy


def kept_together(arrays: Sequence[np.ndarray], folder: Path | None) -> list[np.ndarray]:
    """`arrays`, (n,) each, out of memory in one file in `folder`, as every file takes a descriptor; themselves without one."""
    if folder is None:
        return list(arrays)
    ends = np.cumsum([-(-array.nbytes // 8) * 8 for array in arrays])
    file = allocate((int(ends[-1]),), folder, 0, np.uint8)
    copies = []
    for array, end in zip(arrays, ends.tolist(), strict=True):
        start = end - -(-array.nbytes // 8) * 8
        copy = file[start : start + array.nbytes].view(array.dtype)
        copy[:] = array
        copies.append(copy)
    release(file)
    return copies


def release(array: np.ndarray) -> None:
    """Give the pages of a mapped array back, which would count as this process's memory; others are left alone."""
    base = array.base
    while isinstance(base, np.ndarray):
        base = base.base
    if isinstance(base, mmap.mmap):
        base.madvise(mmap.MADV_DONTNEED)
