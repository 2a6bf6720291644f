"""The real webserver and daemon, driven as a user drives them: a backfill by GraphQL, then pages in a real browser."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from lex_assets.schemas import DOMAINS
from lex_assets_tests.ui.server import DagsterServer

REPOSITORY = Path(__file__).parents[2]
CHROMIUM_FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message }
  }
}"""
STATUS = """
query Status($id: String!) { partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } } }"""
MATERIALIZED = """
query Asset($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode {
    partitionStats { numMaterialized } latestMaterializationByPartition { partition metadataEntries { label } }
  } }
}"""

pytestmark = pytest.mark.xdist_group("ui")


def backfill(server: DagsterServer, assets: list[str]) -> str:
    params = {"assetSelection": [{"path": [a]} for a in assets], "partitionNames": list(DOMAINS)}
    launched = server.graphql(LAUNCH, params=params)["launchPartitionBackfill"]
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    identity = launched["backfillId"]
    ended = ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED")

    def status() -> str | None:
        found = server.graphql(STATUS, id=identity)["partitionBackfillOrError"]["status"]
        return found if found in ended else None

    return server.until(status, 400)


def test_backfill_of_three_partitions_from_the_ui(server: DagsterServer) -> None:
    assert backfill(server, ["raw_documents", "passages"]) == "COMPLETED_SUCCESS"
    node = server.graphql(MATERIALIZED, key={"path": ["passages"]})["assetNodeOrError"]
    assert node["partitionStats"]["numMaterialized"] == len(DOMAINS)
    labels = {entry["label"] for m in node["latestMaterializationByPartition"] for entry in m["metadataEntries"]}
    assert {"dagster/partition_row_count", "dagster/column_schema"} <= labels


def test_asset_graph_opens_in_a_browser_without_an_error(server: DagsterServer, tmp_path: Path) -> None:
    api = pytest.importorskip("playwright.sync_api")
    executable = shutil.which("chromium")
    if executable is None:
        pytest.skip("chromium is not installed: run lex_assets_tests/ui/install_browser.sh")
    problems: list[str] = []
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport={"width": 1600, "height": 1000})
        page.on("pageerror", lambda error: problems.append(str(error)))
        groups = ",".join(f"global%40global%3A{group}" for group in ("ingest", "assemble", "train"))
        page.goto(f"{server.url}/asset-groups?expanded={groups}")
        page.get_by_text("eval_report").first.wait_for(timeout=60_000)
        page.screenshot(path=os.environ.get("LEX_SCREENSHOT", str(tmp_path / "graph.png")))
        browser.close()
    assert not problems
