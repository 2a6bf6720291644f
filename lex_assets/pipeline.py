"""The whole graph in one command: ingest → assemble → train for every domain, in this process.

`python -m lex_assets.pipeline --raw FOLDER --store FOLDER` is what `make demo` and `make real` run. It uses the same
jobs, resources and instance as the UI, so everything it made can be looked at with `make ui` afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from lex_assets.schemas import DOMAINS, LexError
from lex_assets.settings import require_known
from lex_assets.sources.archives import unpacked
from lex_assets.training.recipe import environment as recipe_environment
from lex_assets.training.recipe import read_yaml
from lex_assets.training.recipe import run_config as recipe_run_config

if TYPE_CHECKING:
    import dagster as dg

MEMORY_SAMPLE_S = 0.05
MIB = 2**20
LOG_WIDTH = 140  # columns where the output is not a terminal
OWN_TAG = "lex_assets/pipeline"

REGIME_NAMES = {"unseen_query": "처음 보는 질문 · unseen query", "unseen_law": "처음 보는 법 · unseen law"}
VERDICTS = {"better": "나음 · better", "worse": "나쁨 · worse", "insufficient": "증거 부족 · insufficient"}

console = Console(width=None if sys.stdout.isatty() else LOG_WIDTH)


@dataclass
class MemoryMeter:
    """Resident memory of this process and of those that it started, sampled in the background. Linux only; elsewhere the
    samples stay empty."""

    samples: list[tuple[float, float]] = field(default_factory=list)  # (unix seconds, MiB)

    @contextmanager
    def running(self) -> Iterator[MemoryMeter]:
        """Sample until the body ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._sample_until, args=(stop,), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join()

    def peak_mib(self, start: float, end: float) -> float:
        """Largest sample between two times, in MiB; 0 where there is none."""
        return max((mib for at, mib in self.samples if start <= at <= end), default=0.0)

    def _sample_until(self, stop: threading.Event) -> None:
        children = Path(f"/proc/self/task/{os.getpid()}/children")
        while children.exists() and not stop.wait(MEMORY_SAMPLE_S):
            resident = sum(map(_resident_mib, ["self", *children.read_text().split()]))
            self.samples.append((time.time(), resident))


def _resident_mib(process: str) -> float:
    """MiB that a process holds; 0 when it has just ended."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / MIB


@dataclass(frozen=True)
class StageCost:
    """What one step took in one run: an asset, or one of its checks."""

    asset: str
    partition: str
    seconds: float
    peak_mib: float
    is_check: bool


def run_pipeline(instance: dg.DagsterInstance, run_config: dict[str, Any], meter: MemoryMeter) -> list[StageCost]:
    """Run the jobs in order on `instance`. Raises LexError with the first failure's cause."""
    from lex_assets.definitions import defs

    definitions = defs()
    domains = chosen_domains(run_config)
    _require_valid_config(definitions, run_config)
    _require_resources()
    costs: list[StageCost] = []
    plan = [("ingest", d) for d in domains] + [("assemble", "")] + [("train", d) for d in domains]
    for job_name, partition in plan:
        console.print(f"[bold]▶ {job_name}[/bold] {partition}")
        job = definitions.resolve_job_def(job_name)
        result = _executed(job, instance, partition, _config_for(job, run_config))
        costs += _costs(instance, result, partition, meter)
        if not result.success:
            raise _failure(result)
    return costs


def _executed(
    job: dg.JobDefinition, instance: dg.DagsterInstance, partition: str, run_config: dict[str, Any]
) -> dg.ExecuteInProcessResult:
    import dagster as dg

    try:
        return job.execute_in_process(
            instance=instance,
            partition_key=partition or None,
            run_config=run_config,
            raise_on_error=False,
            tags={OWN_TAG: "true"},
        )
    except dg.DagsterExecutionInterruptedError:
        raise KeyboardInterrupt from None


def chosen_domains(run_config: dict[str, Any]) -> list[str]:
    """The domains that the corpus is declared to hold, all of them by default: the ones to ingest and to train."""
    return list(_given(_given(_given(run_config, "ops"), "corpus"), "config").get("domains") or DOMAINS)


def _given(config: Any, name: str) -> dict[str, Any]:
    value = config.get(name)
    return value if isinstance(value, dict) else {}


def _require_valid_config(definitions: dg.Definitions, run_config: dict[str, Any]) -> None:
    """Raise LexError for the first field that some job would refuse, before anything runs."""
    import dagster as dg

    _require_known_assets(definitions, run_config)
    for name in ("ingest", "assemble", "train"):
        job = definitions.resolve_job_def(name)
        _require_known_settings(job, run_config)
        try:
            dg.validate_run_config(job, _config_for(job, run_config))
        except dg.DagsterInvalidConfigError as error:
            problem = " ".join(error.errors[0].message.split())
            raise LexError(f"run config of {name}: {problem}") from error
    unknown = sorted(set(chosen_domains(run_config)) - set(DOMAINS))
    if unknown:
        raise LexError(f"run config: domain {unknown[0]!r} is not known; choose from {', '.join(DOMAINS)}")


def _require_resources() -> None:
    """Raise LexError for a model folder, a device or a server that is not there, before hours are spent on the way to it."""
    from lex_assets.definitions import resources
    from lex_assets.models.presets import reranker_preset, retriever_preset

    given: dict[str, Any] = resources()
    models, gpu = given["models"], given["gpu"]
    retriever_preset(models.retriever)
    reranker_preset(models.reranker)
    gpu.verified()
    given["lexical"].verified()


def _require_known_assets(definitions: dg.Definitions, run_config: dict[str, Any]) -> None:
    known = {node.key.to_user_string() for node in definitions.resolve_asset_graph().asset_nodes}
    unknown = sorted(set(run_config.get("ops", {})) - known)
    if unknown:
        raise LexError(f"run config: ops.{unknown[0]} is not an asset; choose from {', '.join(sorted(known))}")


def _require_known_settings(job: dg.JobDefinition, run_config: dict[str, Any]) -> None:
    """Raise LexError for a setting that its asset does not have, naming the nearest that it has."""
    for node in job.nodes:
        given = _given(_given(_given(run_config, "ops"), node.name), "config")
        schema: Any = node.definition.config_schema
        fields = getattr(schema.config_type, "fields", {})
        for setting in given:
            require_known(setting, list(fields), f"run config: ops.{node.name}.config")


def _config_for(job: dg.JobDefinition, run_config: dict[str, Any]) -> dict[str, Any]:
    names = {node.name for node in job.nodes}
    return {
        "ops": {name: config for name, config in run_config.get("ops", {}).items() if name in names},
        "loggers": {
            "console": {"config": {"log_level": "INFO"}}
        },  # every event is in the UI; here, what a person reads
    }


def _costs(
    instance: dg.DagsterInstance, result: dg.ExecuteInProcessResult, partition: str, meter: MemoryMeter
) -> list[StageCost]:
    spans = [(s.step_key, s.start_time or 0.0, s.end_time or 0.0) for s in instance.get_run_step_stats(result.run_id)]
    made = {e.step_key for e in result.all_events if e.event_type_value == "ASSET_MATERIALIZATION"}
    return [
        StageCost(step, partition, end - start, meter.peak_mib(start, end), is_check=step not in made)
        for start, end, step in sorted((start, end, step) for step, start, end in spans if end)
    ]


def _failure(result: dg.ExecuteInProcessResult) -> BaseException:
    """What ended the run; Dagster reports Ctrl-C as a failure of the step that it hit."""
    failures = [event.step_failure_data.error for event in result.all_events if event.is_step_failure]
    if any(error and error.cls_name == "DagsterExecutionInterruptedError" for error in failures):
        return KeyboardInterrupt()
    return LexError(_cause(result))


def _cause(result: dg.ExecuteInProcessResult) -> str:
    """The first failure in one line; a defect is named by its own error, not by Dagster's wrapper."""
    for event in result.all_events:
        if event.event_type_value == "STEP_FAILURE":
            failure = event.step_failure_data
            if failure.user_failure_data and failure.user_failure_data.description:
                return f"{event.step_key}: {failure.user_failure_data.description}"
            error = failure.error and (failure.error.cause or failure.error)
            line = " ".join((error.message if error else event.message or "").split())
            return f"{event.step_key}: {line.removeprefix(f'{LexError.__module__}.{LexError.__name__}: ')}"
    return "the run failed; open it in the Dagster UI (make ui)"


def print_costs(costs: list[StageCost]) -> None:
    """Wall time and peak memory of every asset; checks only count in the total."""
    table = Table("자산 · asset", "도메인 · domain", "초 · s", "최대 MiB · peak MiB", title="소요 · cost")
    for cost in costs:
        if not cost.is_check:
            table.add_row(cost.asset, cost.partition or "-", f"{cost.seconds:.1f}", f"{cost.peak_mib:.0f}")
    table.add_row("합계 · total", "", f"{sum(c.seconds for c in costs):.1f}", f"{max(c.peak_mib for c in costs):.0f}")
    console.print(table)


def print_comparison(domain: str, store: Path) -> None:
    """Base against adapter of one domain on its test set, the gate's verdict and the report's path."""
    headline = _published(store, "eval_report", domain, "headline")
    for (regime,), rows in headline.group_by(["regime"], maintain_order=True):
        console.print(_comparison_table(f"{domain} · {REGIME_NAMES[str(regime)]}", rows))
    report = store / _published(store, "eval_report", domain, "report").item(0, "path") / "report.html"
    console.print(_published(store, "champion", domain, "champion").item(0, "summary"), soft_wrap=True, markup=False)
    console.print(f"보고서 · report: {report}\n", soft_wrap=True, highlight=False)


def _published(store: Path, asset: str, domain: str, table: str) -> pl.DataFrame:
    from lex_assets.io_managers.parquet import read_tables

    return read_tables(store / "tables" / asset / domain)[table].collect()


def _comparison_table(title: str, rows: pl.DataFrame) -> Table:
    metrics = ("ndcg@10", "mrr@10", "r@10")
    table = Table(title=title, title_justify="left")
    for name in ("system", *(m.upper() for m in metrics), "ΔNDCG@10 [95 %]", "n", "최소 검출 · MDE", "판정 · verdict"):
        table.add_column(name, justify="left" if name in ("system", "판정 · verdict") else "right")
    for row in rows.iter_rows(named=True):
        scores = json.loads(row["scores"])
        table.add_row(row["system"], *(_figure(scores.get(m)) for m in metrics), _interval(row), str(row["n"]),
                      _figure(row["smallest_detectable"]), VERDICTS.get(row["verdict"], "-"))  # fmt: skip
    return table


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _interval(row: dict[str, Any]) -> str:
    if row["difference"] is None:
        return "-"
    if row["low"] is None or row["high"] is None:  # too few independent groups for an interval
        return f"{row['difference']:+.3f} [-∞, +∞]"
    return f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"


def _prepare_instance() -> Path:
    home = Path(os.environ.setdefault("DAGSTER_HOME", str(Path("data/dagster").resolve())))
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(Path(__file__).with_name("dagster.yaml"), home / "dagster.yaml")
    except OSError as error:
        raise LexError(f"{home}: cannot write ({error.strerror}); choose another folder with DAGSTER_HOME") from error
    return home


@contextmanager
def _only_pipeline(home: Path) -> Iterator[dg.DagsterInstance]:
    """The instance in `home`, for one pipeline at a time: whatever an earlier one left unfinished is then known dead."""
    import dagster as dg
    from filelock import FileLock, Timeout

    try:
        with FileLock(home / "pipeline.lock", timeout=0), dg.DagsterInstance.get() as instance:
            close_left_runs(instance)
            yield instance
    except Timeout:
        raise LexError(f"{home}: another pipeline is running; wait for it or set another DAGSTER_HOME") from None


def close_left_runs(instance: dg.DagsterInstance) -> None:
    """Mark runs of a killed pipeline as failed and free their pool slots, which the next run would wait for for ever."""
    import dagster as dg
    from dagster._core.storage.dagster_run import IN_PROGRESS_RUN_STATUSES

    left = dg.RunsFilter(statuses=list(IN_PROGRESS_RUN_STATUSES), tags={OWN_TAG: "true"})
    for run in instance.get_runs(left):
        instance.report_run_failed(run, "the pipeline's process was killed")
        instance.event_log_storage.free_concurrency_slots_for_run(run.run_id)


def read_run_config(path: Path | None) -> dict[str, Any]:
    """The run config in a YAML file, `{}` without one; of a recipe, the settings that it names. Raises LexError when it is
    missing or neither."""
    if path is None:
        return {}
    try:
        config = read_yaml(path)
    except LexError as error:
        raise LexError(f"run config {error}") from None
    if "kind" in config:
        os.environ |= recipe_environment(config)
        return recipe_run_config(config, path)
    if set(config) - {"ops"} or not isinstance(config.get("ops", {}), dict):
        raise LexError(f"run config {path}: expected `ops:` with a mapping below, or a recipe; see configs/")
    return config


def main(
    raw: Annotated[Path, typer.Option(help="원문 폴더 · folder of raw documents")] = Path("data/sample"),
    store: Annotated[Path, typer.Option(help="저장소 폴더 · store folder")] = Path("data/store"),
    config: Annotated[Path | None, typer.Option(help="실행 설정 YAML · Dagster run config")] = None,
    workers: Annotated[int, typer.Option(min=1, help="읽기 프로세스 수 · parsing processes")] = 1,
    exclude: Annotated[list[str] | None, typer.Option(help="원문 폴더에서 뺄 이름 · names to leave out")] = None,
) -> None:
    """원문에서 평가된 어댑터까지 한 번에. From raw documents to evaluated adapters, every domain, in one process."""
    try:
        _run(raw, store, config, workers, tuple(exclude or ()))
    except LexError as error:
        console.print(f"[red]실패 · failed[/red] {escape(str(error))}", soft_wrap=True, highlight=False)
        raise typer.Exit(1) from None
    except KeyboardInterrupt:
        console.print(
            "[yellow]중단됨 · interrupted[/yellow] 같은 명령을 다시 실행하면 이어집니다 · run the same command again"
        )
        raise typer.Exit(130) from None


def _run(raw: Path, store: Path, config: Path | None, workers: int, exclude: tuple[str, ...]) -> None:
    run_config = read_run_config(config)
    home = _prepare_instance()
    _require_writable(store)
    prepared = unpacked(raw.resolve(), store.resolve() / "raw", exclude, progress=console.print)
    os.environ |= {"LEX_RAW": str(prepared), "LEX_STORE": str(store.resolve()), "LEX_WORKERS": str(workers)}
    with _only_pipeline(home) as instance, MemoryMeter().running() as meter:
        costs = run_pipeline(instance, run_config, meter)
    print_costs(costs)
    for domain in chosen_domains(run_config):
        print_comparison(domain, store.resolve())


def _require_writable(store: Path) -> None:
    try:
        store.mkdir(parents=True, exist_ok=True)
        probe = store / f".writable.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise LexError(f"{store}: cannot write ({error.strerror}); choose another folder with --store") from error


if __name__ == "__main__":
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(main)
    app()
