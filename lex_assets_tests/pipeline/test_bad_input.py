"""What goes wrong at a user's: one line with cause and remedy, non-zero exit, the good kept, the store readable."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import typer
import yaml
from typer.testing import CliRunner

from lex_assets import pipeline
from lex_assets.assets.assemble import corpus, labelled_queries, split
from lex_assets.assets.ingest import passages, raw_documents
from lex_assets.definitions import resources
from lex_assets.io_managers.parquet import read_tables
from lex_assets.pipeline import MemoryMeter, run_pipeline
from lex_assets.schemas import LexError

MRC = {
    "data": [
        {
            "doc_id": "d",
            "doc_title": "예금",
            "paragraphs": [{"context_id": "c1", "context": "예금은 요구하면 돌려준다."}],
        }
    ]
}


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    folder = tmp_path / "raw"
    write(folder / "mrc" / "good.json", MRC)
    return folder


@pytest.fixture
def place(tmp_path: Path, raw: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store, an instance and the raw folder, named by the environment as for a real run."""
    for name, value in {"LEX_STORE": tmp_path / "store", "LEX_RAW": raw, "DAGSTER_HOME": tmp_path / "home"}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("LEX_WORKERS", "1")
    monkeypatch.setenv("LEX_GPU_PROFILE", "cpu")
    return tmp_path


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content, ensure_ascii=False).encode())


def materialized(assets: Sequence[Any], domain: str | None = None, **config: Any) -> dg.ExecuteInProcessResult:
    run_config = {"ops": {name: {"config": values} for name, values in config.items()}}
    return dg.materialize(
        assets, partition_key=domain, resources=resources(), run_config=run_config, raise_on_error=False
    )


def cause(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    line = pipeline._cause(result)
    assert "\n" not in line and "Traceback" not in line
    return line


def run(place: Path, *options: str, **paths: Path) -> str:
    """The last line of a failing pipeline command."""
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(pipeline.main)
    places = {"raw": place / "raw", "store": place / "store"} | paths
    arguments = [part for name, path in places.items() for part in (f"--{name}", str(path))]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert result.exit_code == 1, result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), repr(result.exception)
    return result.output.strip().splitlines()[-1]


def configured(place: Path, text: str) -> str:
    path = place / "config.yaml"
    path.write_text(text, "utf-8")
    return run(place, "--config", str(path))


def test_bad_files_are_listed_in_the_metadata_and_good_ones_kept(place: Path, raw: Path) -> None:
    write(raw / "not.json", b'{"data": ')
    write(raw / "schema.json", {"a": 1})
    write(raw / "empty.json", b"")
    write(raw / "encoding.json", "예금".encode("cp949"))
    other = {"context_id": "c1", "context": "같은 번호의 다른 글이다."}
    write(raw / "mrc" / "twice.json", {"data": [{"paragraphs": [other]}]})
    result = materialized([raw_documents, passages], "finance")
    assert result.success
    (made,) = result.asset_materializations_for_node("raw_documents")
    assert made.metadata["격리 건수 · quarantined"].value == 5
    listed = str(made.metadata["격리 목록 · quarantine"].value)
    for name, reason in {
        "not.json": "not JSON", "schema.json": "unknown JSON format", "empty.json": "empty",
        "encoding.json": "not UTF-8", "mrc/twice.json": "another text",
    }.items():  # fmt: skip
        assert any(name in line and reason in line for line in listed.splitlines()), (name, listed)
    store = place / "store" / "tables"
    assert read_tables(store / "raw_documents" / "finance")["quarantine"].collect().height == 5
    assert read_tables(store / "passages" / "finance")["passages"].collect()["doc_id"].to_list() == ["MRC_c1"]


def test_a_folder_without_documents_of_the_domain_names_what_was_found(place: Path, raw: Path) -> None:
    write(raw / "broken.json", b"{")
    line = cause(materialized([raw_documents], "law"))
    assert "holds no document of domain law" in line
    assert "broken.json" in line and "domain rules" in line
    assert not (place / "store" / "tables").exists()


@pytest.mark.parametrize("content", [None, b"", b"%PDF"])
def test_a_folder_without_documents_fails(place: Path, raw: Path, content: bytes | None) -> None:
    shutil.rmtree(raw)
    raw.mkdir()
    if content is not None:
        write(raw / "x.json", content)
    line = cause(materialized([raw_documents], "finance"))
    assert str(raw) in line
    assert "holds no files" in line if content is None else "x.json" in line


def test_corpus_names_the_domain_to_ingest_and_the_command(place: Path) -> None:
    assert materialized([raw_documents, passages], "finance").success
    line = cause(materialized([passages.to_source_asset(), corpus]))
    assert "passages[law] has not been materialized" in line
    assert "dagster asset materialize -m lex_assets.definitions --select passages --partition law" in line
    assert materialized([passages.to_source_asset(), corpus], corpus={"domains": ["finance"]}).success
    assert "'tax' is not known" in cause(
        materialized([passages.to_source_asset(), corpus], corpus={"domains": ["tax"]})
    )


def test_an_unpartitioned_input_that_is_missing_names_the_command(place: Path) -> None:
    line = cause(materialized([corpus.to_source_asset(), labelled_queries.to_source_asset(), split]))
    assert "has not been materialized" in line and "--select" in line


def test_an_unknown_partition_fails(place: Path) -> None:
    with pytest.raises(dg.DagsterUnknownPartitionError, match="tax"):
        materialized([raw_documents], "tax")


def test_a_value_out_of_range_names_the_field(place: Path) -> None:
    line = cause(materialized([raw_documents, passages], "finance", passages={"max_characters": -1}))
    assert "max_characters" in line and "correct the run config" in line


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ops: {nope: {config: {}}}", "ops.nope is not an asset; choose from"),
        ("ops: {split: {config: {trian: 0.5}}}", "trian is not a setting; did you mean train?"),
        ("ops: {split: {config: {seed: soon}}}", "seed"),
        ("ops: {corpus: {config: {domains: [tax]}}}", "'tax' is not known"),
        ("ops: {corpus: {config: {domains: law}}}", "domains"),
        ("ops: {corpus: [law]}", "corpus"),
        ("- ops", "not a mapping of settings"),
        ("opps: {}", "expected `ops:`"),
        ("ops: {a: [", "not YAML"),
    ],
)
def test_bad_run_config_is_refused_before_anything_runs(place: Path, text: str, expected: str) -> None:
    line = configured(place, text)
    assert "run config" in line and expected in line
    assert not (place / "store" / "tables").exists()


def test_missing_paths_are_named(place: Path) -> None:
    assert "no such folder" in run(place, raw=place / "nowhere")
    assert "nowhere.yaml" in run(place, config=place / "nowhere.yaml")


def test_a_store_that_cannot_be_written_is_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(place / "file", b"")
    assert "choose another folder with --store" in run(place, store=place / "file" / "store")
    monkeypatch.setenv("LEX_STORE", str(place / "file" / "store"))
    line = cause(materialized([raw_documents], "finance"))
    assert "cannot write (Not a directory)" in line and "LEX_STORE" in line
    monkeypatch.setenv("DAGSTER_HOME", str(place / "file" / "home"))
    assert "choose another folder with DAGSTER_HOME" in run(place)


def test_a_full_disk_leaves_the_published_tables(place: Path, raw: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert materialized([raw_documents], "finance").success
    folder = place / "store" / "tables" / "raw_documents" / "finance"
    before = sorted(folder.iterdir())
    write(raw / "more.jsonl", {"id": 1, "text": "글"})
    with monkeypatch.context() as patched:
        patched.setattr("polars.DataFrame.write_parquet", _full_disk)
        line = cause(materialized([raw_documents], "finance"))
    assert "No space left" in line and "LEX_STORE" in line
    assert sorted(folder.iterdir()) == before
    assert read_tables(folder)["documents"].collect().height == 1
    assert materialized([raw_documents], "finance").success
    assert read_tables(folder)["documents"].collect().height == 2


def _full_disk(*_: Any, **__: Any) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize("variable", ["LEX_RETRIEVER", "LEX_RERANKER"])
def test_a_missing_model_folder_is_named_at_once(place: Path, variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "./nowhere")
    assert "no model folder at ./nowhere; give an existing folder" in run(place)
    assert not (place / "store" / "tables").exists()


def test_a_device_must_be_named(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEX_GPU_PROFILE", "")
    assert "set LEX_GPU_PROFILE to one of" in run(place)


def test_the_pipeline_prints_the_cause_of_a_failed_run(place: Path) -> None:
    config = {"ops": {"corpus": {"config": {"domains": ["law"]}}}}
    with dg.DagsterInstance.ephemeral() as instance, pytest.raises(LexError, match="no document of domain law"):
        run_pipeline(instance, config, MemoryMeter())


CHILD = """
import os, signal, sys
import typer
from lex_assets import pipeline
from lex_assets.schemas import LexError
import {module} as module

def struck(*arguments, **options):
    if {signal!r} == "none":
        raise LexError("as far as this test goes")
    os.kill(os.getpid(), getattr(signal, {signal!r}))

module.{name} = struck
typer.run(pipeline.main)
"""
READING = ("lex_assets.sources.read", "_added")
ASSEMBLING = ("lex_assets.assets.assemble", "build_corpus")
MINING = ("lex_assets.resources.models", "BaseModelsResource.load")


def struck(place: Path, config: Path, where: tuple[str, str], by: str) -> subprocess.CompletedProcess[str]:
    """`python -m lex_assets.pipeline` on the sample's laws, struck by a signal at a certain call."""
    code = CHILD.format(module=where[0], name=where[1], signal=by)
    options = {"--raw": place / "raw", "--store": place / "store", "--config": config}
    command = [sys.executable, "-c", code, *(str(part) for pair in options.items() for part in pair)]
    environment = os.environ | {"DAGSTER_DISABLE_TELEMETRY": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)


def test_killed_at_any_stage_the_same_command_goes_on(place: Path, raw: Path, sample_dir: Path) -> None:
    for name in ("900101.json", "900102.json", "900201.json"):
        shutil.copy(sample_dir / "laws" / name, raw)
    config = place / "config.yaml"
    settings = {"corpus": {"domains": ["law"]}, "synthetic_qa": {"max_passages": 40}}
    config.write_text(yaml.safe_dump({"ops": {name: {"config": values} for name, values in settings.items()}}))
    tables = place / "store" / "tables"

    assert struck(place, config, READING, "SIGKILL").returncode == -signal.SIGKILL
    assert not tables.exists()
    interrupted = struck(place, config, ASSEMBLING, "SIGINT")
    assert interrupted.returncode == 130, interrupted.stderr[-2000:]
    assert "중단됨" in interrupted.stdout
    assert read_tables(tables / "passages" / "law")["passages"].collect().height > 100
    assert not (tables / "corpus").exists()
    # killed while it holds the slot of the GPU pool, which a rerun would otherwise wait for for ever
    assert struck(place, config, MINING, "SIGKILL").returncode == -signal.SIGKILL
    last = struck(place, config, MINING, "none")
    assert last.returncode == 1, last.stderr[-2000:]
    assert "hard_negative_triplets: as far as this test goes" in last.stdout
    assert list(tables.rglob(".*")) == []
    with dg.DagsterInstance.get() as instance:
        statuses = {run.status for run in instance.get_runs()}
        assert statuses == {dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE}
