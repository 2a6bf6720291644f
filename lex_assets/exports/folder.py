"""An exported folder: complete or absent, with a manifest that says what is in it and where it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl

from lex_assets.schemas import LexError

MANIFEST = "manifest.json"

File = Callable[[Path], int]
"""Writes one file and returns the number of its rows."""


@dataclass(frozen=True)
class Export:
    """What a folder will hold, to be written once. files: relative name → its writer · hashes: sha256 of each table it is made from · licences:
    of questions and passages · left_out: reason → rows of the tables that the format cannot carry."""

    format: str
    domain: str
    files: Mapping[str, File]
    hashes: Mapping[str, str]
    licences: Sequence[str]
    left_out: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Exported:
    """A finished folder. manifest: as in its file · reused: whether the same export was there already."""

    folder: Path
    manifest: dict[str, Any]
    reused: bool

    @property
    def files(self) -> pl.DataFrame:
        """format, file, rows, bytes and sha256 of every file."""
        rows = [
            {"format": self.manifest["format"], "file": name, **one} for name, one in self.manifest["files"].items()
        ]
        return pl.DataFrame(rows, schema=FILES, orient="row")


FILES: dict[str, Any] = {
    "format": pl.String, "file": pl.String, "rows": pl.Int64, "bytes": pl.Int64, "sha256": pl.String,
}  # fmt: skip


def json_lines(rows: Iterable[Mapping[str, Any]]) -> File:
    """A file of one JSON object per line."""

    def write(path: Path) -> int:
        with path.open("w", encoding="utf-8") as file:
            return sum(bool(file.write(json.dumps(row, ensure_ascii=False) + "\n")) for row in rows)

    return write


def text(content: str) -> File:
    """A file with this text; its lines are not counted as rows."""

    def write(path: Path) -> int:
        path.write_text(content, encoding="utf-8")
        return 0

    return write


def write_export(export: Export, target: Path) -> Exported:
    """The folder `target` with the files of `export` and a manifest; equal tables give equal bytes.

    Raises LexError when `target` holds something else."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as beside:
        staging = Path(beside, "export")
        manifest = _fill(staging, export)
        if not target.exists():
            staging.rename(target)
            return Exported(target, manifest, reused=False)
    if _is_complete(target, manifest):
        return Exported(target, manifest, reused=True)
    raise LexError(f"{target}: holds something else than this export; remove it, or name another folder")


def _fill(staging: Path, export: Export) -> dict[str, Any]:
    staging.mkdir()
    described = {name: _describe(staging / name, write) for name, write in export.files.items()}
    manifest = {
        "format": export.format,
        "domain": export.domain,
        "files": described,
        "left_out": {reason: count for reason, count in export.left_out.items() if count},
        "licences": list(export.licences),
        "tables": dict(export.hashes),
    }
    (staging / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return manifest


def _describe(path: Path, write: File) -> dict[str, Any]:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = write(path)
    return {"rows": rows, "bytes": path.stat().st_size, "sha256": _sha256(path)}


def _is_complete(folder: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether `folder` holds exactly what `manifest` says, byte for byte."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return found == {MANIFEST, *manifest["files"]} and all(
        _sha256(folder / name) == one["sha256"] for name, one in manifest["files"].items()
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
