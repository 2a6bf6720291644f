"""Raw folders that hold archives: unpacked once into a cache, safely, before anything is read."""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

from lex_assets.schemas import LexError

MANIFEST = "unpacked.json"


def unpacked(raw: Path, cache: Path, exclude: tuple[str, ...] = (), progress: Callable[[str], None] = print) -> Path:
    """A folder with the files of `raw` and the contents of its tar archives: `raw` itself when it holds no archive.

    `exclude` are glob patterns of names directly in `raw`. The cache is reused while names, sizes and times are the
    same. Raises LexError when `raw` is missing or an archive is damaged or would write outside the cache.
    """
    if not raw.is_dir():
        raise LexError(f"{raw}: no such folder; name the folder that holds the raw documents")
    entries = [e for e in sorted(raw.iterdir()) if not any(e.match(pattern) for pattern in exclude)]
    if not any(_is_archive(entry) for entry in entries):
        return raw
    manifest = json.dumps([[e.name, e.stat().st_size, int(e.stat().st_mtime)] for e in entries])
    done = cache / MANIFEST
    if done.exists() and done.read_text() == manifest:
        return cache
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    for entry in entries:
        progress(f"원문 준비 · preparing {entry.name}")
        _bring(entry, cache)
    done.write_text(manifest)
    return cache


def _is_archive(path: Path) -> bool:
    return path.is_file() and ".tar" in path.suffixes


def _bring(entry: Path, cache: Path) -> None:
    if entry.is_dir():
        shutil.copytree(entry, cache / entry.name, copy_function=shutil.copyfile)
    elif _is_archive(entry):
        try:
            with tarfile.open(entry) as archive:
                archive.extractall(cache, filter="data")
        except (tarfile.TarError, EOFError, OSError) as error:
            raise LexError(f"{entry}: cannot unpack ({error}); download the archive again") from error
    else:
        shutil.copyfile(entry, cache / entry.name)
