"""Where metrics of a run are also written: nowhere, an MLflow database, TensorBoard or W&B files, all local.

The tracker's library is imported when it is chosen; each is an extra of the package. Nothing is sent over the network.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from lex_assets.schemas import LexError

FIGURES = ("loss", "chance", "learning_rate", "gradient_norm")
"""What the report of a step says; the report of a validation says its metric."""


class Tracker(Protocol):
    """One run."""

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        """Write `metrics` of optimizer step `step`."""

    def close(self) -> None:
        """End the run."""


class _Nowhere:
    def log(self, metrics: Mapping[str, float], step: int) -> None:
        pass

    def close(self) -> None:
        pass


class _MLflow:
    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]) -> None:
        os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient(tracking_uri=f"sqlite:///{folder.resolve() / 'mlflow.db'}")
        known = self._client.get_experiment_by_name("lex_assets")
        where = (folder.resolve() / "artifacts").as_uri()
        experiment = known.experiment_id if known else self._client.create_experiment("lex_assets", where)
        self._run = self._client.create_run(experiment, run_name=name).info.run_id
        for key, value in settings.items():
            self._client.log_param(self._run, key, value)

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._client.log_metric(self._run, name.replace("@", "_at_"), value, step=step)  # MLflow refuses "@"

    def close(self) -> None:
        self._client.set_terminated(self._run)


class _TensorBoard:
    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / name))
        self._writer.add_text("settings", "\n".join(f"    {key}: {value}" for key, value in settings.items()))

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _WandB:
    def __init__(self, folder: Path, name: str, settings: Mapping[str, Any]) -> None:
        import wandb

        quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True)
        self._run = wandb.init(
            project="lex_assets", name=name, dir=str(folder), config=dict(settings), mode="offline", settings=quiet
        )

    def log(self, metrics: Mapping[str, float], step: int) -> None:
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        self._run.finish()


TRACKERS: dict[str, Callable[[Path, str, Mapping[str, Any]], Tracker]] = {
    "none": lambda folder, name, settings: _Nowhere(),
    "mlflow": _MLflow,
    "tensorboard": _TensorBoard,
    "wandb": _WandB,
}


@contextmanager
def tracking(kind: str, folder: Path, name: str, settings: Mapping[str, Any]) -> Iterator[Tracker]:
    """A run of the tracker `kind` (a key of TRACKERS), its files below `folder`, closed however the body ends.

    Raises LexError naming the extra to install when the tracker's library is missing.
    """
    try:
        if kind != "none":
            folder.mkdir(parents=True, exist_ok=True)
        tracker = TRACKERS[kind](folder, name, settings)
    except ImportError as error:
        raise LexError(
            f"tracker {kind}: {error.name or error} is not installed; install lex_assets[{kind}], or set tracker to none"
        ) from error
    except OSError as error:
        raise LexError(f"tracker {kind}: cannot write {folder} ({error.strerror or error}); set tracker_dir") from error
    try:
        yield tracker
    finally:
        tracker.close()


def tracked(tracker: Tracker, then: Callable[[Any], bool | None]) -> Callable[[Any], bool | None]:
    """A callback for training reports: their figures go to `tracker`, the reports to `then`, whose answer it gives."""

    def on_step(report: Any) -> bool | None:
        step = {name: getattr(report, name) for name in FIGURES if report.loss is not None}
        validated = {} if report.metric is None else {report.metric_name: report.metric}
        tracker.log(step | validated, report.step)
        return then(report)

    return on_step
