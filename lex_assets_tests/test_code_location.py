"""Loading the code location is cheap and complete: users pay for it at every step of every run."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from lex_assets.definitions import defs
from lex_assets.registry.candidate import Registry
from lex_assets.registry.rounds import RoundsConfig
from lex_assets.resources.store import StoreResource
from lex_assets.schedules import weekly_remine
from lex_assets.schemas import DOMAINS
from lex_assets.sensors import corpus_change, failure_message
from lex_assets_tests.registry.test_rounds import round_of

HEAVY = {"torch", "transformers", "sentence_transformers", "peft", "bitsandbytes", "elasticsearch", "bm25s"}
pytestmark = pytest.mark.smoke


def test_no_model_library_is_imported() -> None:
    code = "import sys; from lex_assets.definitions import defs; defs().get_repository_def(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not HEAVY & set(loaded)


def test_every_asset_says_who_what_and_how_it_is_stored() -> None:
    graph = defs().resolve_asset_graph()
    made = [node for node in graph.asset_nodes if node.is_materializable]
    assert len(made) == 18
    for node in made:
        assert node.description and node.owners and node.group_name, node.key
        assert node.code_version and node.kinds, node.key


def test_unpartitioned_assets_are_the_assembled_ones() -> None:
    graph = defs().resolve_asset_graph()
    single = {node.key.to_user_string() for node in graph.asset_nodes if not node.is_partitioned}
    assert single == {"corpus", "citation_graph", "labelled_queries", "split", "leaderboard"}


def test_weekly_schedule_asks_for_one_run_per_domain_in_seoul_time(tmp_path: Path) -> None:
    store = StoreResource(root=str(tmp_path))
    at = datetime.datetime(2026, 1, 5, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=9)))
    with dg.build_schedule_context(scheduled_execution_time=at) as context:
        requests = list(weekly_remine(context, store=store))
    assert [request.partition_key for request in requests] == list(DOMAINS)
    assert len({request.run_key for request in requests}) == len(DOMAINS)
    for key in ("m1", "m2"):
        Registry(store.registry).rounds.record("law", round_of(mined=key), RoundsConfig())
    with dg.build_schedule_context(scheduled_execution_time=at) as context:
        still = list(weekly_remine(context, store=store))
    assert "law" not in [request.partition_key for request in still] and len(still) == len(DOMAINS) - 1
    assert weekly_remine.execution_timezone == "Asia/Seoul"


def test_changed_documents_are_mined_and_trained_once_per_domain() -> None:
    """The corpus and the split of `assemble` name the run: the same ones ask for nothing new."""
    with dg.DagsterInstance.ephemeral() as instance:

        def asked(corpus: str) -> set[str | None]:
            for asset, version in (("corpus", corpus), ("split", "s")):
                made = dg.AssetMaterialization(asset, tags={"dagster/data_version": version})
                instance.report_runless_asset_event(made)
            context = dg.build_sensor_context(instance, definitions=defs())
            return {request.run_key for request in corpus_change.evaluate_tick(context).run_requests or ()}

        first = asked("c1")
        assert len(first) == len(DOMAINS) and asked("c1") == first and not asked("c2") & first


def test_automation_is_off_until_switched_on_and_then_has_nothing_to_do_in_an_empty_store() -> None:
    sensor = defs().resolve_sensor_def("automation")
    assert sensor.default_status is dg.DefaultSensorStatus.STOPPED
    result = dg.evaluate_automation_conditions(defs(), dg.DagsterInstance.ephemeral())
    assert result.total_requested == 0


def test_failure_message_is_one_line() -> None:
    run = dg.DagsterRun(job_name="train", run_id="0123456789", tags={"dagster/partition": "law"})
    assert failure_message(run, "first\nsecond") == "lex_assets: train[law] failed (run 01234567): first second"


def cli(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dagster", "asset", "materialize", "-m", "lex_assets.definitions", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=120)


def test_unknown_partition_fails(tmp_path: object) -> None:
    result = cli("--select", "raw_documents", "--partition", "tax", LEX_STORE=str(tmp_path))
    assert result.returncode != 0
    assert "tax" in result.stdout + result.stderr


def test_corpus_without_passages_names_the_command(tmp_path: object) -> None:
    result = cli("--select", "corpus", LEX_STORE=str(tmp_path))
    assert result.returncode != 0
    assert "--select passages --partition finance" in result.stdout + result.stderr
