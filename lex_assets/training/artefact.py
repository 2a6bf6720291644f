"""The adapter folder: what plain PEFT loads, what it was made from, and how the run went.

The folder is written beside its target and renamed, so that it is complete or absent. Nothing in it depends on the
clock: the same inputs and seed give the same bytes.
"""

from __future__ import annotations

import json
import platform
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from safetensors import SafetensorError

from lex_assets.models.weights import TRAINING_CONFIG
from lex_assets.schemas import LexError
from lex_assets.training.card import model_card
from lex_assets.training.curves import loss_curve, metric_curve

HISTORY = "history.json"
ADAPTER_CONFIG = "adapter_config.json"
PICTURES = "\n![loss](loss.svg) ![validation](validation.svg)\n"
PACKAGES = ("lex_assets", "torch", "transformers", "sentence-transformers", "peft", "bitsandbytes")


@dataclass(frozen=True)
class TrainingResult:
    """A finished adapter and how its training went. Losses and chance are in nats (logits for a margin)."""

    adapter_dir: Path
    history: list[dict[str, Any]]
    steps: int
    best_step: int
    chance: float
    initial_loss: float
    final_loss: float
    metric_name: str
    base_metric: float
    best_metric: float
    pattern: str
    data_hash: str
    seconds: float


def require_own_folder(target: Path) -> None:
    """Raise LexError when `target` holds something that training did not write."""
    taken = target.is_file() or (target.is_dir() and any(target.iterdir()))
    if taken and not (target / TRAINING_CONFIG).is_file():
        raise LexError(f"{target}: holds files that are not an adapter; choose another folder")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder beside `target` that takes its place when the body succeeds, and is gone when it fails.

    Raises LexError when `target` holds something that is not an adapter, or cannot be written.
    """
    require_own_folder(target)
    staging = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        staging.mkdir(parents=True)
        yield staging
        if target.exists():
            shutil.rmtree(target)
        staging.rename(target)
    except (OSError, SafetensorError) as error:
        cause = getattr(error, "strerror", None) or error
        raise LexError(f"{target}: cannot write the model ({cause}); free space or choose another folder") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def write_model(
    target: Path, save: Callable[[Path], None], facts: Mapping[str, Any], history: Sequence[Mapping[str, Any]]
) -> None:
    """Write the folder: what `save` puts there (PEFT files, or a whole model), training_config.json, history.json, its
    curves and a card."""
    with new_folder(target) as folder:
        save(folder)
        config_path = folder / ADAPTER_CONFIG
        if config_path.is_file():
            config = json.loads(config_path.read_text(encoding="utf-8"))
            _write_json(config_path, {name: sorted(v) if isinstance(v, list) else v for name, v in config.items()})
        _write_json(folder / TRAINING_CONFIG, facts)
        _write_json(folder / HISTORY, list(history))
        result = facts["result"]
        pictures = {
            "loss.svg": loss_curve(history, result["chance"]),
            "validation.svg": metric_curve(history, result["metric_name"], result["base_metric"]),
        }
        card = model_card(facts, whole=facts["config"]["tuning"] == "full") + PICTURES
        for name, text in (pictures | {"README.md": card}).items():
            (folder / name).write_text(text, encoding="utf-8")


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def training_facts(
    kind: str,
    base: Mapping[str, Any],
    settings: Mapping[str, Any],
    data: Mapping[str, Any],
    result: Mapping[str, Any],
    device: str,
) -> dict[str, Any]:
    """training_config.json. base: name, hub_id, revision, weights_hash and licence · settings: what serving must repeat
    (lengths, prefixes), seed and config · data, result: what went in and what came out · device: what it ran on."""
    versions = {package: version(package) for package in PACKAGES} | {"python": platform.python_version()}
    own = {"kind": kind, "format": 1, "data": data, "result": result, "versions": versions, "device": device}
    return {"base": base, **settings, **own}
