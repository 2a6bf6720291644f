"""A training that is cancelled in the UI: over within seconds, its slot free, and the next run goes on where it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from lex_assets.training.config import RetrieverTrainingConfig
from lex_assets.training.retriever import train_retriever
from lex_assets_tests.pipeline.mined import DOMAIN, give_mined
from lex_assets_tests.training.conftest import Toy
from lex_assets_tests.ui.server import DagsterServer

ENDS_WITHIN_S = 10
WAIT_S = 300  # a busy machine takes long to start a run
ASSET = "retriever_adapter"
SETTINGS = {
    "max_steps": 60, "epochs": 60, "batch_size": 24, "evaluations": 3, "patience": 0, "valid_pool": 36,
    "learning_rate": 2e-3, "require_gain": False,
}  # fmt: skip
LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) { ... on LaunchRunSuccess { run { runId } } ... on Error { message } }
}"""
RUN = """
query Run($id: ID!) { runOrError(runId: $id) { ... on Run { status } } }"""
EVENTS = """
query Events($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {
  __typename ... on MessageEvent { message timestamp } ... on ObservationEvent { metadataEntries { label } }
} } } }"""
SLOTS = '{ instance { concurrencyLimit(concurrencyKey: "gpu") { activeSlotCount pendingStepCount } } }'

pytestmark = pytest.mark.xdist_group("ui")


class Run:
    """A run that was launched as the UI launches it."""

    def __init__(self, server: DagsterServer) -> None:
        self.server = server
        params = {
            "selector": {
                "repositoryName": "__repository__", "repositoryLocationName": "lex_assets.definitions",
                "jobName": "__ASSET_JOB", "assetSelection": [{"path": [ASSET]}], "assetCheckSelection": [],
            },
            "runConfigData": {"ops": {ASSET: {"config": SETTINGS}}},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": DOMAIN}]},
        }  # fmt: skip
        launched = server.graphql(LAUNCH, params=params)["launchRun"]
        assert "run" in launched, launched
        self.id = launched["run"]["runId"]

    @property
    def status(self) -> str:
        return self.server.graphql(RUN, id=self.id)["runOrError"]["status"]

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.server.graphql(EVENTS, id=self.id)["logsForRun"]["events"]

    def says(self, *words: str) -> bool:
        """Whether a line of its log holds all of `words`; fails when the run has failed."""
        events = self.events
        failures = [event["message"] for event in events if event["__typename"] == "RunFailureEvent"]
        assert not failures, [event.get("message") for event in events]
        return any(all(word in event.get("message", "") for word in words) for event in events)

    def time_s(self, kind: str) -> float:
        """When an event of this type happened, by the run's own record."""
        return next(float(event["timestamp"]) / 1000 for event in self.events if event["__typename"] == kind)


def training_processes(server: DagsterServer) -> list[psutil.Process]:
    """What trains below the server."""
    below = psutil.Process(server.pid).children(recursive=True)
    return [process for process in below if "lex_assets.resources.training_child" in command_of(process)]


def command_of(process: psutil.Process) -> list[str]:
    """Empty for one that has just ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []


def test_a_cancelled_training_ends_soon_and_the_next_run_goes_on(server: DagsterServer, store: Path, tmp_path) -> None:
    give_mined(store)
    cancelled = Run(server)
    server.until(lambda: cancelled.says("loss", "lr", "examples/s", "ETA"), WAIT_S)
    (process,) = training_processes(server)
    process.suspend()  # so that it cannot be done before the run is told
    server.graphql("mutation Cancel($id: String!) { terminateRun(runId: $id) { __typename } }", id=cancelled.id)
    server.until(lambda: any(event["__typename"] == "RunCancelingEvent" for event in cancelled.events), WAIT_S)
    process.resume()
    server.until(lambda: cancelled.status == "CANCELED", WAIT_S)
    assert cancelled.time_s("RunCanceledEvent") - cancelled.time_s("RunCancelingEvent") < ENDS_WITHIN_S
    assert cancelled.says("stopped after step", "run it again to go on from")
    assert not training_processes(server)
    assert server.graphql(SLOTS)["instance"]["concurrencyLimit"]["activeSlotCount"] == 0
    assert len(list((store / "checkpoints").glob("retriever-*/checkpoint-*"))) == 1
    assert not list((store / "stages" / ASSET).iterdir())

    again = Run(server)
    server.until(lambda: again.status == "SUCCESS" or again.says("no such line"), WAIT_S)
    assert again.says("going on from step") and not again.says("step 0/")
    labels = {entry["label"] for event in again.events for entry in event.get("metadataEntries", [])}
    assert {"손실 · loss", "학습률 · learning rate", "남은 시간(초) · ETA (s)", "손실 곡선 · loss curve"} <= labels
    assert not (store / "checkpoints").exists() or not list((store / "checkpoints").iterdir())

    (stage,) = (store / "stages" / ASSET).iterdir()
    assert sorted(path.name for path in stage.iterdir()) == ["adapter", "result.json"]
    config = RetrieverTrainingConfig(**SETTINGS, micro_batch=32)
    whole = train_retriever("builtin", **Toy().tables, config=config, out_dir=tmp_path / "whole").adapter_dir
    weights = "adapter_model.safetensors"
    assert (stage / "adapter" / weights).read_bytes() == (whole / weights).read_bytes()
