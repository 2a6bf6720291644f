"""One Dagster webserver and daemon for all tests that use the UI."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lex_assets_tests.ui.server import DagsterServer, running_server

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server's store."""
    return tmp_path_factory.mktemp("store")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, store: Path) -> Iterator[DagsterServer]:
    home = tmp_path_factory.mktemp("dagster")
    shutil.copyfile(REPOSITORY / "lex_assets" / "dagster.yaml", home / "dagster.yaml")
    environment = {
        "LEX_RAW": str(REPOSITORY / "data" / "sample"),
        "LEX_STORE": str(store),
        "LEX_GPU_PROFILE": "cpu",
    }
    with running_server(home, environment) as running:
        yield running
