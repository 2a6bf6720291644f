"""Training on several devices as a user asks for it: by config, under `accelerate launch`; here two CPU processes."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import dagster as dg
import psutil
import pytest
import torch
from safetensors.torch import load_file

from lex_assets.definitions import defs
from lex_assets.resources.training_process import train_in_process
from lex_assets.training.config import RetrieverTrainingConfig
from lex_assets.training.files import TrainingTables
from lex_assets.training.job import TrainingJob
from lex_assets_tests.pipeline.mined import DOMAIN, give_mined
from lex_assets_tests.training.conftest import Toy

ASSET = "retriever_adapter"
LEARNING_RATE = 2e-3
ENDS_WITHIN_S = 10
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


@pytest.mark.slow
def test_two_processes_that_are_interrupted_leave_one_checkpoint_and_nobody(tmp_path) -> None:
    folders = {name: tmp_path / name for name in ("tables", "out", "checkpoints", "tracking")}
    TrainingTables(**Toy().tables).write(folders["tables"])
    long = RetrieverTrainingConfig(max_steps=3000, epochs=3000, batch_size=4, micro_batch=1, valid_pool=36)
    job = TrainingJob(
        name="n", kind="retriever", base="builtin", trust_remote_code=False, settings=long, profile="cpu", count=2,
        **folders,
    )  # fmt: skip
    others = psutil.Process().children(recursive=True)  # an earlier test's process may be waiting for more work
    processes: list[psutil.Process] = []
    times: list[float] = []

    def interrupt(report: dict) -> None:
        if report["loss"] is not None:
            processes.extend(child for child in psutil.Process().children(recursive=True) if child not in others)
            times.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)

    @dg.op
    def training(context) -> None:
        train_in_process(context, job, interrupt)

    @dg.job(executor_def=dg.in_process_executor)
    def run() -> None:
        training()

    with pytest.raises(dg.DagsterExecutionInterruptedError):
        run.execute_in_process()
    assert time.monotonic() - times[0] < ENDS_WITHIN_S
    assert len(processes) >= 3 and not psutil.wait_procs(processes, 1)[1]  # the launcher and its two processes
    assert len(list(folders["checkpoints"].glob("checkpoint-*"))) == 1
