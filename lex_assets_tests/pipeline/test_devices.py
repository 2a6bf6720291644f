"""Training on several devices as a user asks for it: by config, under `accelerate launch`; here two CPU processes."""

from __future__ import annotations

import json
from pathlib import Path

import dagster as dg
import pytest
import torch
from safetensors.torch import load_file

from lex_assets.definitions import defs
from lex_assets_tests.pipeline.mined import DOMAIN, give_mined

ASSET = "retriever_adapter"
LEARNING_RATE = 2e-3
SETTINGS = {
    "max_steps": 6, "batch_size": 12, "micro_batch": 1, "evaluations": 2, "patience": 0, "valid_pool": 36,
    "learning_rate": LEARNING_RATE, "require_gain": False,
}  # fmt: skip


def adapter_of(store: Path, processes: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The adapter that so many processes train."""
    environment = {"LEX_STORE": store, "LEX_GPU_PROFILE": "cpu", "LEX_GPU_COUNT": processes}
    for name, value in environment.items():
        monkeypatch.setenv(name, str(value))
    give_mined(store)
    job = defs().resolve_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        done = job.execute_in_process(
            instance=instance,
            asset_selection=[dg.AssetKey(ASSET)],
            partition_key=DOMAIN,
            run_config={"ops": {ASSET: {"config": SETTINGS}}},
        )
    assert done.success
    (stage,) = (store / "stages" / ASSET).iterdir()
    return stage / "adapter"


@pytest.mark.slow
def test_two_processes_under_accelerate_learn_what_one_learns(tmp_path, monkeypatch) -> None:
    two, one = (adapter_of(tmp_path / f"{count}", count, monkeypatch) for count in (2, 1))
    histories = [json.loads((folder / "history.json").read_text("utf-8")) for folder in (two, one)]
    losses, alone = ([row["loss"] for row in history if row["loss"] is not None] for history in histories)
    assert losses == pytest.approx(alone, rel=1e-4)
    weights = load_file(one / "adapter_model.safetensors")
    for name, weight in load_file(two / "adapter_model.safetensors").items():
        torch.testing.assert_close(weight, weights[name], rtol=1e-3, atol=LEARNING_RATE / 100)
