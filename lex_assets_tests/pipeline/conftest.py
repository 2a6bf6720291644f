"""One materialization of the whole graph on the bundled sample, shared by the tests that look at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest
import yaml
from safetensors.torch import load_file, save_file

from lex_assets.io_managers.parquet import read_tables
from lex_assets.models.presets import BUILTIN_DIR
from lex_assets.pipeline import MemoryMeter, StageCost, run_pipeline

REPOSITORY = Path(__file__).parents[2]


class World:
    """A store in which every asset was materialized, and the instance that knows about it."""

    def __init__(self, store: Path, instance: dg.DagsterInstance) -> None:
        self.store, self.instance = store, instance
        self.run_config: dict[str, Any] = small_config()

    def run(self) -> list[StageCost]:
        """The whole graph."""
        return run_pipeline(self.instance, self.run_config, MemoryMeter())

    def table(self, asset: str, name: str, domain: str = "") -> pl.DataFrame:
        """A published table."""
        return read_tables(self.store / "tables" / asset / domain)[name].collect()

    def metadata(self, asset: str, domain: str = "") -> dict[str, Any]:
        """Metadata of an asset's last materialization."""
        key = dg.AssetKey(asset)
        records = self.instance.fetch_materializations(
            dg.AssetRecordsFilter(asset_key=key, asset_partitions=[domain] if domain else None), limit=1
        ).records
        assert records, f"{asset}[{domain}] was not materialized"
        return {name: value.value for name, value in records[0].asset_materialization.metadata.items()}


def small_config() -> dict[str, Any]:
    """The demo's configuration with a handful of training steps."""
    config = yaml.safe_load((REPOSITORY / "configs" / "demo.yaml").read_text("utf-8"))
    config["ops"]["synthetic_qa"]["config"]["max_passages"] = 40
    config["ops"]["retriever_adapter"]["config"] |= {"max_steps": 6, "batch_size": 12, "evaluations": 1}
    config["ops"]["reranker_adapter"]["config"] |= {"max_steps": 4, "evaluations": 1}
    config["ops"]["eval_report"]["config"] |= {"rerank_depth": 5, "valid_queries": 20, "memory_mib": 1}
    return config


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    store = tmp_path_factory.mktemp("store")
    environment = {"LEX_STORE": str(store), "LEX_RAW": str(REPOSITORY / "data" / "sample"), "LEX_GPU_PROFILE": "cpu"}
    before = {name: os.environ.get(name) for name in environment}
    os.environ.update(environment)
    with dg.DagsterInstance.ephemeral() as instance:
        made = World(store, instance)
        made.run()
        yield made
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture
def swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Other weights for the reranker under the same path, and under the size and time of the old ones."""
    folder = tmp_path / "reranker"
    shutil.copytree(BUILTIN_DIR / "reranker", folder)
    monkeypatch.setenv("LEX_RERANKER", str(folder))

    def scaled() -> None:
        for path in folder.glob("*.safetensors"):
            before, tensors = path.stat(), load_file(path)
            save_file({name: tensor * 1.5 for name, tensor in tensors.items()}, path, {"format": "pt"})
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    return scaled
