"""Results of expensive stages, addressed by what they were made from.

A data version tells Dagster that something is stale; it does not stop a rerun from computing. This does: the same
inputs, code version and configuration find the finished folder and answer `reused`. A folder appears by one rename, so
it is complete or absent, whatever kills the process.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lex_assets.schemas import LexError, content_hash

FULL = os.strerror(errno.ENOSPC)
STAGING = ".lex-staging"
STALE_STAGING_S = 24 * 3600  # staging folders older than this were left by a killed process


@dataclass(frozen=True)
class StageResult:
    """A stage's finished folder, its key, and whether it was found rather than computed."""

    path: Path
    key: str
    reused: bool


def stage_key(code_version: str, config: Mapping[str, Any], inputs: Mapping[str, str]) -> str:
    """16 hex digits over the code version, the configuration and the hashes of the inputs."""
    return content_hash(
        code_version,
        json.dumps(config, sort_keys=True, ensure_ascii=False, default=str),
        json.dumps(dict(inputs), sort_keys=True),
    )[:16]


def run_stage(root: Path, stage: str, key: str, compute: Callable[[Path], None]) -> StageResult:
    """The folder `<root>/<stage>/<key>`, computed by `compute(staging_folder)` unless it exists.

    Raises LexError when `root` is not writable; what `compute` raises passes through and leaves nothing behind.
    """
    target = root / stage / key
    if target.exists():
        return StageResult(target, key, reused=True)
    with appearing(target) as staging:
        compute(staging)
    return StageResult(target, key, reused=False)


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """A folder to fill that becomes `target` by one rename when the body ends; nothing is left when the body raises.

    Raises LexError when the disk is full.
    """
    staging = _staging(target.parent, target.name)
    try:
        yield staging
        rename_unless_there(staging, target)
    except BaseException as error:
        shutil.rmtree(staging, ignore_errors=True)
        if FULL in str(error) and not isinstance(error, LexError):  # polars has an error of its own for it
            raise LexError(f"{target.parent}: cannot write ({FULL}); free space or set LEX_STORE") from error
        raise


def rename_unless_there(staging: Path, target: Path) -> None:
    """Publish `staging` as `target` by one rename; when the same content is there already, drop `staging`."""
    try:
        staging.rename(target)
    except OSError:
        if not target.exists():
            raise
        shutil.rmtree(staging)  # another process finished the same stage first: its result is equal


def _staging(folder: Path, key: str) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(f".*{STAGING}"):  # nothing else that is hidden: a user may have named this folder
            if time.time() - left.stat().st_mtime > STALE_STAGING_S:
                shutil.rmtree(left, ignore_errors=True)
        staging = folder / f".{key}.{uuid.uuid4().hex[:8]}{STAGING}"
        staging.mkdir()
    except OSError as error:
        raise LexError(
            f"{folder}: cannot write ({error.strerror}); make the store writable or set LEX_STORE"
        ) from error
    return staging
