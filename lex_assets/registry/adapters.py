"""Adapters kept for good, addressed by their content.

Here: adding a trained adapter folder and getting it back unharmed. Not here: which adapter is used (`champion`), and
results that may be thrown away and computed again (`stages`).

Layout: `<root>/<adapter_id>/adapter/` is what PEFT loads, `<root>/<adapter_id>/record.json` says what it is.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from lex_assets.registry.stages import rename_unless_there
from lex_assets.schemas import LexError

Kind = Literal["retriever", "reranker"]
_REQUIRED = "adapter_config.json"
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class AdapterRecord:
    """One stored adapter. `content_hash` covers names and bytes of all its files; `adapter_id` is its first 16 digits.
    `size_bytes` is their sum."""

    adapter_id: str
    content_hash: str
    kind: Kind
    domain: str
    base: str
    size_bytes: int
    meta: dict[str, Any] = field(default_factory=dict)


class AdapterStore:
    """A folder of adapters. Adding the same content twice keeps one copy; what is stored is never changed."""

    def __init__(self, root: Path) -> None:
        self.root = Path(root)

    def add(
        self, folder: Path, kind: Kind, domain: str, base: str, meta: Mapping[str, Any] | None = None
    ) -> AdapterRecord:
        """Copies the adapter in `folder` and returns its record; content that is stored already keeps its first record.

        Raises LexError when the folder is not an adapter, or the store cannot be written."""
        hashed = folder_hash(_checked(folder))
        target = self.root / hashed[:16]
        if not (target / "record.json").exists():
            size = sum(path.stat().st_size for path in _files(folder))
            record = AdapterRecord(hashed[:16], hashed, kind, domain, base, size, dict(meta or {}))
            self._publish(folder, target, record)
        return self.get(hashed[:16])

    def get(self, adapter_id: str) -> AdapterRecord:
        """The record of an adapter. Raises LexError when it is not stored."""
        path = self.root / adapter_id / "record.json"
        try:
            return AdapterRecord(**json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError as error:
            raise LexError(
                f"{path}: adapter {adapter_id} is not stored; train it, or copy it into the store"
            ) from error
        except (ValueError, TypeError) as error:
            raise LexError(f"{path}: damaged ({error}); remove {path.parent} and add the adapter again") from error

    def path(self, adapter_id: str) -> Path:
        """The folder that PEFT loads, after checking that its bytes are the ones that were added. Raises LexError."""
        record = self.get(adapter_id)
        folder = self.root / adapter_id / "adapter"
        found = folder_hash(_checked(folder))
        if found != record.content_hash:
            raise LexError(
                f"{folder}: changed since it was stored (now {found[:16]}); remove it and add the adapter again"
            )
        return folder

    def list(self) -> list[AdapterRecord]:
        """All records, by id."""
        return [self.get(path.parent.name) for path in sorted(self.root.glob("[0-9a-f]*/record.json"))]

    def _publish(self, folder: Path, target: Path, record: AdapterRecord) -> None:
        staging = self.root / f".{target.name}.{uuid.uuid4().hex[:8]}"
        try:
            shutil.copytree(folder, staging / "adapter")
            text = json.dumps(asdict(record), ensure_ascii=False, indent=1, sort_keys=True)
            (staging / "record.json").write_text(text + "\n", encoding="utf-8")
            rename_unless_there(staging, target)
        except OSError as error:
            raise LexError(
                f"{self.root}: cannot store the adapter ({error.strerror or error}); make it writable"
            ) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def folder_hash(folder: Path) -> str:
    """sha256 over the relative names and the bytes of all files below `folder`. 64 hex digits."""
    digest = hashlib.sha256()
    for path in _files(folder):
        name = path.relative_to(folder).as_posix().encode()
        digest.update(len(name).to_bytes(8, "big") + name + path.stat().st_size.to_bytes(8, "big"))
        with path.open("rb") as source:
            while chunk := source.read(_CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()


def _files(folder: Path) -> list[Path]:
    return sorted(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.relative_to(folder).as_posix()
    )


def _checked(folder: Path) -> Path:
    """`folder`, if it holds an adapter and nothing that points elsewhere."""
    if not (folder / _REQUIRED).is_file():
        raise LexError(f"{folder}: not an adapter ({_REQUIRED} is missing); pass the folder that training wrote")
    if not any(folder.glob("*.safetensors")):
        raise LexError(f"{folder}: holds no weights (*.safetensors); train again")
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    if links:
        raise LexError(f"{links[0]}: a link, whose content may change; copy the file itself into the adapter")
    return folder
