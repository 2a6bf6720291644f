"""A run that dies in the middle and goes on ends with the very bytes of one that did not die."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
import torch

from lex_assets.schemas import LexError
from lex_assets.training.checkpoint import Checkpoint, Checkpoints
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig
from lex_assets.training.loop import StepReport
from lex_assets.training.reranker import train_reranker
from lex_assets.training.retriever import train_retriever
from lex_assets.training.verdict import TrainingError
from lex_assets_tests.training.conftest import MarkedToy, Toy

pytestmark = pytest.mark.xdist_group("forkserver")

SHARED = {"max_steps": 8, "checkpoint_steps": 2, "keep_checkpoints": 2, "evaluations": 4, "lora_dropout": 0.3}
DIES_IN = 7


def train(kind: str, base: Path, out_dir: Path, on_step=None, **options):
    values = SHARED | {"learning_rate": 5e-3, "patience": 0} | options
    if kind == "retriever":
        toy = Toy()
        config = RetrieverTrainingConfig(epochs=3, batch_size=12, valid_pool=36, **values)
        run = train_retriever
    else:
        toy = MarkedToy()
        config = RerankerTrainingConfig(epochs=3, batch_size=6, hard_ratio=0.6, accumulation=2, **values)
        run = train_reranker
    return run(str(base), **toy.tables, config=config, out_dir=out_dir, on_step=on_step, lexical=toy.search())


def train_and_die(kind: str, base: Path, out_dir: Path, tuning: str) -> None:
    """Runs in a child process, which the operating system kills in the middle of a step."""

    def kill(report: StepReport) -> None:
        if report.step == DIES_IN:
            os.kill(os.getpid(), signal.SIGKILL)

    torch.set_num_threads(1)
    train(kind, base, out_dir, kill, tuning=tuning)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


@pytest.mark.parametrize(("kind", "tuning"), [("retriever", "lora"), ("reranker", "lora"), ("retriever", "full")])
def test_a_killed_run_goes_on_bit_for_bit(
    kind, tuning, processes, bi_encoder_folder, cross_encoder_folder, tmp_path
) -> None:
    base = bi_encoder_folder if kind == "retriever" else cross_encoder_folder
    child = processes.Process(target=train_and_die, args=(kind, base, tmp_path / "a", tuning))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert not (tmp_path / "a").exists()
    left = sorted(path.name for path in (tmp_path / "a.checkpoints").iterdir())
    assert left == ["checkpoint-4", "checkpoint-6"]

    steps: list[int] = []
    train(kind, base, tmp_path / "a", lambda report: steps.append(report.step), tuning=tuning)
    assert steps[0] == DIES_IN
    assert not (tmp_path / "a.checkpoints").exists()
    train(kind, base, tmp_path / "b", checkpoint_steps=0, tuning=tuning)
    resumed, uninterrupted = contents(tmp_path / "a"), contents(tmp_path / "b")
    weights = "model.safetensors" if tuning == "full" else "adapter_model.safetensors"
    assert resumed.pop("training_config.json") != uninterrupted.pop("training_config.json")  # it names checkpoint_steps
    assert weights in resumed
    assert resumed == uninterrupted


def interrupted(kind: str, base: Path, out_dir: Path, at: int, **options) -> None:
    def stop(report: StepReport) -> None:
        if report.step == at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(kind, base, out_dir, stop, **options)


def test_another_run_s_checkpoint_is_refused(bi_encoder_folder, tmp_path) -> None:
    interrupted("retriever", bi_encoder_folder, tmp_path / "a", at=3)
    with pytest.raises(LexError, match=r"checkpoint-2 is of a run with other .* remove"):
        train("retriever", bi_encoder_folder, tmp_path / "a", seed=7)
    assert not (tmp_path / "a").exists()


def test_a_damaged_checkpoint_is_named(bi_encoder_folder, tmp_path) -> None:
    interrupted("retriever", bi_encoder_folder, tmp_path / "a", at=3)
    path = tmp_path / "a.checkpoints" / "checkpoint-2" / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(LexError, match="checkpoint-2: damaged checkpoint"):
        train("retriever", bi_encoder_folder, tmp_path / "a")


def test_a_failed_run_keeps_and_names_its_last_good_checkpoint(bi_encoder_folder, tmp_path, monkeypatch) -> None:
    from lex_assets.training.losses import Contrast

    good = Contrast.__call__
    steps = iter(range(1, 100))
    monkeypatch.setattr(Contrast, "__call__", lambda self, v: good(self, v) * (torch.nan if next(steps) == 5 else 1))
    with pytest.raises(TrainingError, match=r"NaN in step 5 .*last good checkpoint: .*a.checkpoints/checkpoint-4"):
        train("retriever", bi_encoder_folder, tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert (tmp_path / "a.checkpoints" / "checkpoint-4").is_dir()


def moment(step: int) -> Checkpoint:
    weights = {"w": torch.full((2,), float(step))}
    return Checkpoint(
        weights, {}, {"state": {}}, [torch.get_rng_state()], {"steps": step, "best_metric": float("-inf")}
    )


def test_newest_checkpoints_stay_and_half_written_ones_do_not_count(tmp_path) -> None:
    checkpoints = Checkpoints(tmp_path / "c", every=5, keep=2, identity="x")
    assert checkpoints.latest() is None
    for step in (5, 10, 15):
        checkpoints.save(step, moment(step))
    (tmp_path / "c" / ".checkpoint-20.abc").mkdir()
    assert checkpoints.latest_path() == tmp_path / "c" / "checkpoint-15"
    found = checkpoints.latest()
    assert found and found.weights["w"].tolist() == [15, 15] and found.progress["best_metric"] == float("-inf")
    checkpoints.save(15, moment(16))
    assert sorted(p.name for p in (tmp_path / "c").iterdir()) == ["checkpoint-10", "checkpoint-15"]
    checkpoints.remove()
    assert not (tmp_path / "c").exists()


def test_a_checkpoint_that_cannot_be_written_says_so(tmp_path) -> None:
    (tmp_path / "c").write_text("a file where the folder should be")
    with pytest.raises(LexError, match=r"cannot write a checkpoint .*checkpoint_steps to 0"):
        Checkpoints(tmp_path / "c", every=1, keep=1, identity="x").save(1, moment(1))
