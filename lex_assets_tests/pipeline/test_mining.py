"""The mining asset, materialized for real: a language model as its judge, kill -9 in the middle, weights that are swapped."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from lex_assets import pipeline
from lex_assets.assets.adapters import retriever_adapter
from lex_assets.assets.assemble import corpus, split
from lex_assets.assets.mining import hard_negative_triplets
from lex_assets.assets.questions import training_queries
from lex_assets.definitions import resources
from lex_assets.retrieval.elasticsearch import failures
from lex_assets_tests.llm.server import KEY, Answer, Behaviour, LlmServer, error
from lex_assets_tests.pipeline.minable import ASSET, DOMAIN, give_minable, mine, mined
from lex_assets_tests.pipeline.swapped import nothing, struck
from lex_assets_tests.retrieval.elasticsearch.conftest import MAJOR
from lex_assets_tests.retrieval.elasticsearch.double import Double
from lex_assets_tests.retrieval.elasticsearch.front import Front, opened

pytestmark = pytest.mark.xdist_group("pipeline")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store in which everything before mining was made."""
    place = tmp_path / "store"
    monkeypatch.setenv("LEX_STORE", str(place))
    monkeypatch.setenv("LEX_GPU_PROFILE", "cpu")
    for name in ("JUDGE_BASE_URL", "JUDGE_MODEL", "JUDGE_API_KEY"):
        monkeypatch.delenv(f"LEX_LLM_{name}", raising=False)
    give_minable(place)
    return place


def done(result: dg.ExecuteInProcessResult) -> dict[str, Any]:
    """Metadata of the asset that was made."""
    assert result.success, pipeline._cause(result)
    (event,) = result.asset_materializations_for_node(ASSET)
    return {name: value.value for name, value in event.metadata.items()}


def failed(result: dg.ExecuteInProcessResult) -> str:
    assert not result.success
    return pipeline._cause(result)


def negatives(triplets: pl.DataFrame) -> dict[str, set[str]]:
    return {row["query_id"]: {n["passage_id"] for n in row["negatives"]} for row in triplets.to_dicts()}


def test_a_judge_moves_answers_to_the_positives_drops_half_answers_and_is_paid_once(
    store: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    done(mine())
    unjudged = negatives(mined(store)["triplets"])
    counts = pl.Series([one for found in unjudged.values() for one in found]).value_counts(sort=True, name="n")
    answer, half = counts.sort("n", "", descending=[True, False])[""].head(2)
    texts = dict(pl.read_parquet(store / "tables" / "corpus" / "*" / "*.parquet").select("passage_id", "text").rows())
    said = {texts[answer]: "full", texts[half]: "partial"}

    def judge(body: dict[str, Any]) -> Behaviour:
        shown = str(body["messages"])
        return Answer(json.dumps({"verdict": next((v for text, v in said.items() if text in shown), "none")}))

    with LlmServer(judge) as server:
        for name, value in {"BASE_URL": server.base_url, "MODEL": "solar-pro2", "API_KEY": KEY}.items():
            monkeypatch.setenv(f"LEX_LLM_{name}", value)
        first = mine({"judge": "llm"}, {"concurrency": 8})
        shown, tables, asked = done(first), mined(store), len(server.seen)
        shutil.rmtree(store / "stages" / ASSET)
        again = mine({"judge": "llm"}, {"concurrency": 8})
        assert done(again)["상태 · status"] == "computed" and len(server.seen) == asked > 0
        assert mined(store)["triplets"].equals(tables["triplets"])
    judged = negatives(tables["triplets"])
    assert not any({answer, half} & found for found in judged.values())
    hurt = {query for query, found in unjudged.items() if answer in found}
    positives = {row["query_id"]: row["positives"] for row in tables["triplets"].to_dicts()}
    assert hurt and all(answer in positives[query] for query in hurt)
    assert hurt <= set(tables["qrels"].filter(pl.col("passage_id") == answer)["query_id"])
    assert not any(half in found for found in positives.values())
    assert f"{asked}" in shown["판정 비용 · judging"]
    captured = capfd.readouterr()
    everything = [captured.out, captured.err, repr(shown), *map(repr, [*first.all_events, *again.all_events])]
    assert not [text for text in everything if KEY in text]
    assert not [path for path in store.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]

    with LlmServer(lambda body: error(401, f"bad key {KEY}")) as server:
        monkeypatch.setenv("LEX_LLM_BASE_URL", server.base_url)
        line = failed(mine({"judge": "llm", "seed": 7}))
        assert "HTTP 401; check LEX_LLM_API_KEY" in line and KEY not in line
    assert mined(store)["triplets"].equals(tables["triplets"])


KILLED = """
import os, signal
from lex_assets.retrieval.score_cache import CachedScorer
score = CachedScorer.score

def once(self, *arguments, **options):
    score(self, *arguments, **options)
    os.kill(os.getpid(), signal.SIGKILL)

CachedScorer.score = once
from lex_assets_tests.pipeline.minable import mine
mine()
"""


def test_killed_in_the_middle_the_rerun_gives_the_same_bytes_and_training_reads_nothing_half(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The process dies by kill -9 between two rounds of reranking."""
    code = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, env=os.environ).returncode
    assert code == -signal.SIGKILL
    assert list((store / "cache").rglob("*.sqlite")), "it was killed before it had scored anything"
    read = [one.to_source_asset() for one in (training_queries, corpus, split, hard_negative_triplets)]
    trained = dg.materialize(
        [*read, retriever_adapter],
        selection=[retriever_adapter],
        partition_key=DOMAIN,
        resources=resources(),
        raise_on_error=False,
    )
    assert f"{ASSET}[{DOMAIN}] has not been materialized" in failed(trained)
    done(mine())
    undisturbed = tmp_path / "undisturbed"
    give_minable(undisturbed)
    monkeypatch.setenv("LEX_STORE", str(undisturbed))
    done(mine())
    made = {path.relative_to(undisturbed): path.read_bytes() for path in undisturbed.rglob(f"{ASSET}/**/*.parquet")}
    assert len(made) > 5 and all((store / path).read_bytes() == content for path, content in made.items())
    assert mined(store)["triplets"]["negatives"].list.len().min() > 0


def logits(store: Path) -> list[float]:
    return mined(store)["candidates"].sort("query_id", "passage_id")["score_rerank"].drop_nulls().to_list()


def test_weights_swapped_after_loading_or_between_runs_read_and_leave_no_score_of_the_others(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]
) -> None:
    with monkeypatch.context() as patched:
        struck(patched, nothing, swap)
        done(mine())
    loaded = logits(store)
    assert done(mine())["상태 · status"] == "computed", "the swapped weights are another model"
    swapped = logits(store)
    monkeypatch.setenv("LEX_STORE", str(tmp_path / "fresh"))
    give_minable(tmp_path / "fresh")
    done(mine())
    assert logits(tmp_path / "fresh") == swapped != loaded


def test_weights_swapped_between_their_hash_and_their_loading_end_the_run(
    store: Path, monkeypatch: pytest.MonkeyPatch, swap: Callable[[], None]
) -> None:
    with monkeypatch.context() as patched:
        struck(patched, swap, nothing)
        assert "reranker: its weights were replaced while this run began; run it again" in failed(mine())
    assert not (store / "tables" / ASSET).exists() and not list((store / "stages" / ASSET).glob("[!.]*"))
    done(mine())


def test_a_search_server_lost_in_the_middle_ends_the_run_and_what_was_mined_before_stays(
    store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(mine())
    before = mined(store)["triplets"]
    monkeypatch.setattr(failures, "BACKOFF_S", (0.01,))
    front = Front(Double(MAJOR), MAJOR)
    with opened(front) as url:
        for name, value in {
            "LEXICAL_ENGINE": "elasticsearch",
            "LEXICAL_SERVER_ANALYZER": "given",
            "ES_URL": url,
        }.items():
            monkeypatch.setenv(f"LEX_{name}", value)
        front.drop["/_msearch"] = 99
        assert "no answer" in (line := failed(mine())) and "start the server" in line
        assert mined(store)["triplets"].equals(before)
        front.drop.clear()
        done(mine())
    assert negatives(mined(store)["triplets"]) == negatives(before)
