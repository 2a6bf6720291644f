from __future__ import annotations

import os
from pathlib import Path

import polars as pl
import pytest

from lex_assets.registry.stages import appearing, run_stage, stage_key
from lex_assets.schemas import LexError


def write(text: str):
    return lambda folder: (folder / "result.txt").write_text(text)


def test_the_same_inputs_are_computed_once(tmp_path: Path) -> None:
    key = stage_key("1", {"steps": 3}, {"corpus": "abc"})
    first = run_stage(tmp_path, "train", key, write("one"))
    second = run_stage(tmp_path, "train", key, write("two"))
    assert (first.reused, second.reused) == (False, True)
    assert (second.path / "result.txt").read_text() == "one"


@pytest.mark.parametrize(
    "other",
    [
        ("2", {"steps": 3}, {"corpus": "abc"}),
        ("1", {"steps": 4}, {"corpus": "abc"}),
        ("1", {"steps": 3}, {"corpus": "abd"}),
    ],
)
def test_code_config_and_inputs_all_count(other: tuple) -> None:
    assert stage_key(*other) != stage_key("1", {"steps": 3}, {"corpus": "abc"})


def test_a_failed_stage_leaves_nothing_and_can_be_repeated(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "half.txt").write_text("half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_stage(tmp_path, "train", "key", fail)
    assert list((tmp_path / "train").iterdir()) == []
    assert not run_stage(tmp_path, "train", "key", write("done")).reused


def test_a_full_disk_is_named_whoever_writes(tmp_path: Path) -> None:
    table = pl.DataFrame({"numbers": range(100_000)})
    with (
        pytest.raises(LexError, match=r"stage: cannot write \(No space left on device\); free space or set LEX_STORE"),
        appearing(tmp_path / "stage" / "key"),
    ):
        table.write_parquet("/dev/full")
    assert not list((tmp_path / "stage").iterdir())


def test_what_a_killed_run_left_is_removed_and_nothing_else_that_is_hidden(tmp_path: Path) -> None:
    """A user may write a result into a folder that holds more, such as the home folder."""
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id").write_text("mine")
    with appearing(tmp_path / "killed") as staging:
        (staging.with_name(f".old{staging.suffix}") / "half").mkdir(parents=True)
    for hidden in tmp_path.glob(".*"):
        os.utime(hidden, (0, 0))
    with appearing(tmp_path / "result"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {".ssh", "killed", "result"}
    assert (tmp_path / ".ssh" / "id").read_text() == "mine"
