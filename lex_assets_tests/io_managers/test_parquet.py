from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import polars as pl
import pytest

from lex_assets.io_managers.parquet import POINTER, read_tables, write_tables


def frame(value: int) -> pl.DataFrame:
    return pl.DataFrame({"id": ["a", "b"], "value": [value, value]})


def test_a_reader_gets_what_was_written_last(tmp_path: Path) -> None:
    write_tables(tmp_path, {"t": frame(1)})
    write_tables(tmp_path, {"t": frame(2), "u": frame(3)})
    tables = read_tables(tmp_path)
    assert isinstance(tables["t"], pl.LazyFrame)
    assert tables["t"].collect()["value"].to_list() == [2, 2]
    assert set(tables) == {"t", "u"}


def test_equal_tables_are_stored_once_and_old_versions_go(tmp_path: Path) -> None:
    for value in (1, 1, 2, 3, 4):
        write_tables(tmp_path, {"t": frame(value)})
    assert len([path for path in tmp_path.iterdir() if path.is_dir()]) == 2


def test_going_back_to_an_earlier_version_publishes_it(tmp_path: Path) -> None:
    for value in (1, 2, 1):
        write_tables(tmp_path, {"t": frame(value)})
    assert read_tables(tmp_path)["t"].collect()["value"].to_list() == [1, 1]


@pytest.mark.parametrize("moment", ["rename", "replace"])
def test_a_kill_while_writing_leaves_the_published_version(tmp_path: Path, moment: str) -> None:
    write_tables(tmp_path, {"t": frame(1)})
    child = textwrap.dedent(f"""
        import os, pathlib, signal
        import polars as pl
        from lex_assets.io_managers.parquet import write_tables
        def die(*arguments, **options): os.kill(os.getpid(), signal.SIGKILL)
        setattr(pathlib.Path, {moment!r}, die)
        write_tables(pathlib.Path({str(tmp_path)!r}), {{"t": pl.DataFrame({{"id": ["a", "b"], "value": [2, 2]}})}})
    """)
    killed = subprocess.run([sys.executable, "-c", child], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert read_tables(tmp_path)["t"].collect()["value"].to_list() == [1, 1]
    write_tables(tmp_path, {"t": frame(2)})
    assert read_tables(tmp_path)["t"].collect()["value"].to_list() == [2, 2]
    assert (tmp_path / POINTER).read_text()
