"""What a set of weights is, said by content: hashes of base and adapter, and what an adapter says about its training.

Names and paths say nothing here: another model under the same path is another model. No torch.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from lex_assets.schemas import LexError, content_hash

TRAINING_CONFIG = "training_config.json"
"""File in an adapter's (or a trained model's) folder that says how it was trained. Read here: `query_max_length`,
`passage_max_length`, `max_length` (tokens), `query_prefix`, `passage_prefix` and `base` (name, weights_hash)."""

_WEIGHTS = ".safetensors"
_MEANING_FILES = (
    "config.json",
    "modules.json",
    "tokenizer.json",
    "tokenizer.model",
    "vocab.txt",
    "adapter_config.json",
)


def folder_hash(folder: Path) -> str:
    """sha256 over all that decides a model's output: weights, tokenizer, configuration, pooling. Names are relative, so
    that a copied folder hashes alike. Raises LexError when it holds no weights."""
    files = _meaning_files(folder)
    if not any(path.suffix == _WEIGHTS for path in files):
        raise LexError(f"{folder} holds no weights (*.safetensors); give a complete model or adapter folder")
    return content_hash(*(part for p in files for part in (str(p.relative_to(folder)), _file_hash(p))))


def folder_stamp(folder: Path) -> str:
    """Changes whenever one of the files that `folder_hash` reads is replaced or written to; costs no reading."""
    stats = ((path, path.stat()) for path in _meaning_files(folder))
    return content_hash(*(f"{path} {stat.st_ino} {stat.st_size} {stat.st_mtime_ns}" for path, stat in stats))


def _meaning_files(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*") if p.suffix == _WEIGHTS or p.name in _MEANING_FILES)


def _require_unchanged(folder: Path, stamp: str) -> None:
    """A hash is taken when it is first asked for; what has been loaded until then must still be what lies there."""
    if stamp and folder_stamp(folder) != stamp:
        raise LexError(f"{folder} was changed after its weights were loaded; load it again")


def _file_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass(frozen=True)
class Base:
    """Frozen weights: the name they were asked for by, and where they lie or which commit of the hub they are.

    stamp: the folder's when its weights were loaded; "" when they were not.
    """

    name: str
    source: str
    commit: str | None = None
    stamp: str = ""

    @cached_property
    def hash(self) -> str:
        """Equal exactly when the weights are: of the files for a folder, of id and commit for the hub.

        Raises LexError when the folder was changed after loading: what is cached under its hash would be another model's."""
        if Path(self.source).is_dir():
            _require_unchanged(Path(self.source), self.stamp)
            return folder_hash(Path(self.source))
        return content_hash("hub", self.source, self.commit or "unknown")


@dataclass(frozen=True)
class Adapter:
    """A PEFT adapter folder and the settings it was trained with. stamp: the folder's when it was opened."""

    path: Path
    settings: dict[str, Any]
    stamp: str = ""

    @classmethod
    def open(cls, path: str | Path) -> Adapter:
        """Raises LexError when the folder is missing or holds no adapter."""
        folder = Path(path)
        if not (folder / "adapter_config.json").is_file():
            raise LexError(
                f"no adapter at {folder} (adapter_config.json is missing); give the folder that training wrote"
            )
        if not any(folder.glob("*.safetensors")):
            raise LexError(f"{folder} holds no adapter weights (*.safetensors); copy adapter_model.safetensors too")
        return cls(folder, read_training_config(folder), folder_stamp(folder))

    @cached_property
    def hash(self) -> str:
        """sha256 of the adapter's weights and configuration, without the base path inside it. Raises as `Base.hash`."""
        _require_unchanged(self.path, self.stamp)
        weights = sorted(self.path.glob("*.safetensors"))
        config = json.loads((self.path / "adapter_config.json").read_text("utf-8"))
        kept = {k: v for k, v in config.items() if k not in ("base_model_name_or_path", "revision")}
        return content_hash(json.dumps(kept, sort_keys=True), *map(_file_hash, weights))

    def check_base(self, base: Base) -> None:
        """Raises LexError, naming both, when the adapter was trained on other weights than `base`."""
        trained_on = self.settings.get("base") or {}
        if trained_on and trained_on["weights_hash"] != base.hash:
            raise LexError(
                f"adapter {self.path} was trained on {trained_on['name']} ({trained_on['weights_hash'][:12]}), "
                f"not on {base.name} ({base.hash[:12]}); load it with the base it was trained on"
            )


def read_training_config(folder: Path) -> dict[str, Any]:
    """The folder's training settings; {} where it has none."""
    path = folder / TRAINING_CONFIG
    return json.loads(path.read_text("utf-8")) if path.is_file() else {}


def combined_hash(base: Base, adapter: Adapter | None) -> str:
    """One hash for the weights that answer: of the base alone, or of base and adapter."""
    return base.hash if adapter is None else content_hash(base.hash, adapter.hash)


def trained_documents(source: str) -> frozenset[str] | None:
    """Ids of the documents that the base in folder `source` was trained on, from its `trained_documents.txt`; None where the
    model does not say."""
    path = Path(source) / "trained_documents.txt"
    return frozenset(path.read_text("utf-8").split()) if path.is_file() else None
