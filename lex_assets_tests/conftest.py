"""Fixtures for all rooms: where the measuring data and the bundled sample are."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
# Started in the background by a shell, tests and all that they start would ignore the interrupts that some of them send.
signal.signal(signal.SIGINT, signal.default_int_handler)

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder of real data beside the repository; tests that need it are skipped elsewhere."""
    path = REPOSITORY.parent / "shared"
    if not (path / "raw").is_dir():
        pytest.skip("../shared is missing: real source files are needed for this test")
    return path


@pytest.fixture(scope="session")
def sample_dir() -> Path:
    """The bundled sample of invented documents."""
    path = REPOSITORY / "data" / "sample"
    if not path.is_dir():
        pytest.skip("data/sample is missing")
    return path
