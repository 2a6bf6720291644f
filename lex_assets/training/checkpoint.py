"""What a killed run goes on from: `checkpoint-{step}/` folders, each complete or absent.

A checkpoint holds the trained weights, the best ones so far, the optimizer, the random state, and where the run stands.
Rates, order and sampling are functions of the step and need no state.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from lex_assets.schemas import LexError

_DAMAGE = (OSError, ValueError, KeyError, RuntimeError, EOFError, UnpicklingError, SafetensorError)
Weights = Mapping[str, Tensor]
_PREFIX = "checkpoint-"
_WEIGHTS, _BEST, _OPTIMIZER, _STATE = "weights.safetensors", "best.safetensors", "optimizer.pt", "state.json"


@dataclass(frozen=True)
class Checkpoint:
    """A saved moment. weights, best: trained parameters by name, the latter empty before the first validation ·
    optimizer: its state dict · random: torch's generator states · progress: plain values."""

    weights: Weights
    best: Weights
    optimizer: dict[str, Any]
    random: list[Tensor]
    progress: dict[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one run. every: steps between them, 0 = none · keep: newest ones that stay · identity: of all
    that decides the run, so that no run goes on from another's."""

    folder: Path
    every: int
    keep: int
    identity: str

    def due(self, step: int) -> bool:
        """Whether `step` ends with a checkpoint."""
        return bool(self.every) and step % self.every == 0

    def save(self, step: int, checkpoint: Checkpoint) -> None:
        """Write `checkpoint-{step}` beside its place and rename it; older ones beyond `keep` go. Raises LexError when the
        folder cannot be written."""
        staging = self.folder / f".{_PREFIX}{step}.{uuid.uuid4().hex[:8]}"
        try:
            self._remove_staging()
            staging.mkdir(parents=True)
            self._write(staging, checkpoint)
            shutil.rmtree(self._path(step), ignore_errors=True)
            staging.rename(self._path(step))
        except (OSError, SafetensorError) as error:
            cause = getattr(error, "strerror", None) or error
            raise LexError(
                f"{self.folder}: cannot write a checkpoint ({cause}); free space, or set checkpoint_steps to 0"
            ) from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
        for old in self._steps()[: -self.keep]:
            shutil.rmtree(self._path(old))

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint, None when there is none. Raises LexError when it belongs to another run or is damaged."""
        path = self.latest_path()
        if path is None:
            return None
        try:
            state = json.loads((path / _STATE).read_text("utf-8"))
            if state["identity"] != self.identity:
                raise LexError(
                    f"{path} is of a run with other data, base or settings; remove {self.folder} to train anew, or go "
                    "back to what that run used"
                )
            saved = torch.load(path / _OPTIMIZER, weights_only=True, map_location="cpu")
            weights, best = load_file(path / _WEIGHTS), load_file(path / _BEST)
        except _DAMAGE as error:
            raise LexError(f"{path}: damaged checkpoint ({error}); remove it and train again") from error
        return Checkpoint(weights, best, saved["optimizer"], saved["random"], state["progress"])

    def latest_path(self) -> Path | None:
        """Folder of the newest checkpoint."""
        steps = self._steps()
        return self._path(steps[-1]) if steps else None

    def remove(self) -> None:
        """Delete all checkpoints: the run is complete."""
        for step in self._steps():
            shutil.rmtree(self._path(step))
        self._remove_staging()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _write(self, folder: Path, checkpoint: Checkpoint) -> None:
        save_file(dict(checkpoint.weights), folder / _WEIGHTS)
        save_file(dict(checkpoint.best), folder / _BEST)
        with (folder / _OPTIMIZER).open("wb") as file:  # given a path, torch hides why it cannot write
            torch.save({"optimizer": checkpoint.optimizer, "random": checkpoint.random}, file)
        state = {"identity": self.identity, "progress": checkpoint.progress}
        (folder / _STATE).write_text(json.dumps(state), encoding="utf-8")

    def _steps(self) -> list[int]:
        found = (path.name.removeprefix(_PREFIX) for path in self.folder.glob(f"{_PREFIX}*"))
        return sorted(int(step) for step in found if step.isdigit())

    def _path(self, step: int) -> Path:
        return self.folder / f"{_PREFIX}{step}"

    def _remove_staging(self) -> None:
        for left in self.folder.glob(f".{_PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)
