"""What the device profile and the store give to training."""

from __future__ import annotations

import json
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest

from lex_assets.assets import adapters
from lex_assets.resources.gpu import PROFILES, Device
from lex_assets.schemas import LexError
from lex_assets.training.artefact import TrainingResult
from lex_assets.training.config import RetrieverTrainingConfig


class Training:
    """A trainer that only notes what it is called with."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.settings: Any = None
        self.checkpoint_dir: Any = None
        monkeypatch.setattr("lex_assets.training.run.trainer", lambda kind: self)

    def __call__(self, base, triplets, queries, qrels, corpus, settings, out_dir, device, on_step, *, checkpoint_dir):
        self.settings, self.checkpoint_dir = settings, checkpoint_dir
        return TrainingResult(out_dir, [], 1, 1, 1.0, 1.0, 1.0, "m", 0.0, 1.0, "converged", "hash", 1.0)


def trained(tmp_path, profile: str, settings: RetrieverTrainingConfig):
    @contextmanager
    def held():
        yield Device("cuda:0", "a device", PROFILES[profile])

    store = SimpleNamespace(path=tmp_path, stages=tmp_path / "stages", checkpoints=tmp_path / "checkpoints")
    models = SimpleNamespace(retriever="builtin", identities=lambda: {"retriever": "x"})
    data = SimpleNamespace(triplets=None, queries=None, qrels=None, corpus=None, hashes=dict)
    context = SimpleNamespace(log=None)
    return adapters._trained("retriever", models, data, settings, store, SimpleNamespace(held=held), context)


def test_precision_and_micro_batch_come_from_the_profile_unless_given(tmp_path, monkeypatch) -> None:
    training = Training(monkeypatch)
    trained(tmp_path, "h200", RetrieverTrainingConfig())
    assert (training.settings.precision, training.settings.micro_batch) == ("bf16", 128)
    trained(tmp_path, "h200", RetrieverTrainingConfig(precision="fp32", micro_batch=8))
    assert (training.settings.precision, training.settings.micro_batch) == ("fp32", 8)
    trained(tmp_path, "cpu", RetrieverTrainingConfig())
    assert (training.settings.precision, training.settings.micro_batch) == ("fp32", 32)


def test_checkpoints_lie_where_the_next_run_with_the_same_inputs_finds_them(tmp_path, monkeypatch) -> None:
    training = Training(monkeypatch)
    stage = trained(tmp_path, "cpu", RetrieverTrainingConfig(checkpoint_steps=7))
    assert training.checkpoint_dir == tmp_path / "checkpoints" / f"retriever-{stage.key}"
    assert json.loads((stage.path / "result.json").read_text())["steps"] == 1
    assert trained(tmp_path, "cpu", RetrieverTrainingConfig(checkpoint_steps=9)).reused


def test_whole_models_are_not_for_the_pipeline(tmp_path) -> None:
    with pytest.raises(LexError, match=r"the pipeline registers adapters; set tuning to lora"):
        trained(tmp_path, "cpu", RetrieverTrainingConfig(tuning="full"))
