from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from lex_assets.retrieval.mapped import allocate, kept, kept_together, release
from lex_assets.schemas import LexError


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_arrays_that_are_kept_together_take_one_descriptor_and_come_back_as_they_were(tmp_path):
    arrays = [np.arange(5, dtype=np.int32), np.empty(0, np.int64), np.linspace(0, 1, 3), np.arange(7, dtype=np.uint8)]
    before = descriptors()
    copies = kept_together(arrays, tmp_path)
    assert descriptors() == before + 1
    for copy, array in zip(copies, arrays, strict=True):
        release(copy)
        assert copy.dtype == array.dtype
        np.testing.assert_array_equal(copy, array)
    assert list(tmp_path.iterdir()) == []


def test_small_arrays_are_not_worth_a_file(tmp_path):
    small, large = np.arange(10), np.arange(200_000)
    before = descriptors()
    assert kept(small, tmp_path / "new") is small
    assert not (tmp_path / "new").exists()
    np.testing.assert_array_equal(kept(large, tmp_path / "new"), large)
    assert descriptors() == before


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, "no room for 800 bytes of an index .*; free some space"),
        (errno.EACCES, "cannot make a file of 800 bytes for an index .*; name a folder to write in"),
    ],
)
def test_a_file_that_cannot_be_made_says_why(tmp_path, monkeypatch, code, said):
    def fails(*where):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", fails)
    with pytest.raises(LexError, match=said):
        allocate((100,), tmp_path, 0, np.int64)
