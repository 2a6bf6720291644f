"""Trackers: the real libraries where they are installed (extras), and what is said where they are not."""

from __future__ import annotations

import importlib.util
import sqlite3
import subprocess
import sys
from typing import get_args, get_type_hints

import pytest

from lex_assets.schemas import LexError
from lex_assets.training.config import TrainingConfig
from lex_assets.training.files import TrainingTables
from lex_assets.training.recipe import RetrieverRecipe
from lex_assets.training.run import train_recipe
from lex_assets.training.tracking import TRACKERS, tracking


def needs(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed: pip install 'lex_assets[{package}]'")


def log_two_steps(kind: str, folder) -> None:
    with tracking(kind, folder, "retriever-law", {"learning_rate": 1e-5}) as tracker:
        tracker.log({"loss": 2.5}, 1)
        tracker.log({"loss": 1.5, "valid ndcg@10": 0.25}, 2)


def test_none_writes_nothing(tmp_path) -> None:
    log_two_steps("none", tmp_path / "runs")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("kind", "package"), [("mlflow", "mlflow"), ("wandb", "wandb"), ("tensorboard", "tensorboard")]
)
def test_a_missing_library_names_the_extra(kind, package, tmp_path, monkeypatch) -> None:
    names = [name for name in sys.modules if name == package or name.startswith((f"{package}.", "torch.utils.tensorb"))]
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(LexError, match=rf"install lex_assets\[{kind}\]"):
        log_two_steps(kind, tmp_path)


def test_no_tracker_is_imported_before_it_is_chosen() -> None:
    code = (
        "import sys, lex_assets.training.tracking\n"
        "sys.exit(','.join({'mlflow', 'wandb', 'tensorboard', 'torch'} & set(sys.modules)) or None)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_mlflow_keeps_every_step_in_a_local_database(tmp_path) -> None:
    needs("mlflow")
    log_two_steps("mlflow", tmp_path)
    log_two_steps("mlflow", tmp_path)
    with sqlite3.connect(tmp_path / "mlflow.db") as database:
        rows = database.execute("select key, step, value from metrics order by key, step, value").fetchall()
        runs = database.execute("select name, status from runs").fetchall()
    assert rows == [("loss", 1, 2.5)] * 2 + [("loss", 2, 1.5)] * 2 + [("valid ndcg_at_10", 2, 0.25)] * 2
    assert runs == [("retriever-law", "FINISHED")] * 2


@pytest.mark.slow
def test_tensorboard_reads_what_was_written(tmp_path) -> None:
    needs("tensorboard")
    log_two_steps("tensorboard", tmp_path)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "retriever-law")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(1, 2.5), (2, 1.5)]


@pytest.mark.slow
def test_wandb_stays_offline(tmp_path) -> None:
    needs("wandb")
    log_two_steps("wandb", tmp_path)
    (run,) = (tmp_path / "wandb").glob("offline-run-*")
    assert list(run.glob("*.wandb"))


def test_every_kind_is_a_choice_of_the_settings() -> None:
    assert get_args(get_type_hints(TrainingConfig)["tracker"]) == tuple(TRACKERS)


def test_a_run_is_tracked_step_by_step_and_closed_when_it_fails(toy, bi_encoder_folder, tmp_path, monkeypatch) -> None:
    class Recorder:
        def __init__(self, folder, name, settings) -> None:
            seen.update(folder=folder, name=name, batch_size=settings["batch_size"], steps=[], closed=False)

        def log(self, metrics, step) -> None:
            seen["steps"].append((step, sorted(metrics)))
            if step == 2:
                raise KeyboardInterrupt

        def close(self) -> None:
            seen["closed"] = True

    seen: dict = {}
    monkeypatch.setitem(TRACKERS, "mlflow", Recorder)
    settings = {
        "evaluations": 1,
        "batch_size": 12,
        "max_steps": 3,
        "valid_pool": 36,
        "tracker": "mlflow",
        "tracker_dir": str(tmp_path),
    }
    recipe = RetrieverRecipe(base=str(bi_encoder_folder), out=str(tmp_path / "a"), training=settings)
    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe, TrainingTables(**toy.tables), lambda report: None)
    figures = ["chance", "gradient_norm", "learning_rate", "loss"]
    assert seen["steps"] == [(0, ["valid ndcg@10"]), (1, figures), (2, figures)]
    assert (seen["name"], seen["folder"], seen["batch_size"], seen["closed"]) == ("retriever-a", tmp_path, 12, True)
    assert not (tmp_path / "a").exists()
