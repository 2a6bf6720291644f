"""`lex-assets champion` on a store as a pipeline leaves it."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from lex_assets.evaluation.costs import COSTS
from lex_assets.evaluation.guards import GUARD_SCORES
from lex_assets.io_managers.parquet import read_tables, write_tables
from lex_assets.models.presets import retriever_preset
from lex_assets.schemas import ADAPTERS
from lex_assets_tests.commands import done, invoke, refused
from lex_assets_tests.evaluation import made_up
from lex_assets_tests.registry.test_candidate import SERVED, adapter

OPTIONS = ("--domain", "law", "--store")


def publish(
    store: Path, base: float = 0.3, new: float = 0.8, weights: bytes = b"a", measured: dict | None = None
) -> Path:
    """A store that holds what `champion` reads; the adapters' weights are `weights`."""
    asked, qrels = made_up.queries(700)
    run = made_up.runs(asked, qrels, dict(zip(SERVED, (base, new), strict=True)))
    folder = made_up.report(n=60).write(store / "stages" / "eval_report" / "key" / "report")
    about = {
        "path": [str(folder.relative_to(store))],
        "champion_version": [0],
        "measured": [json.dumps(measured or {})],
    }
    cost = {
        "system": "adapter",
        "parameters": 1,
        "retrieve_ms": 1.0,
        "rerank_ms": 2.0,
        "latency_ms": 3.0,
        "peak_mib": 1.0,
    }
    synthetic = pl.col("origin") == "synthetic"
    tables = {
        "eval_report/law": {
            "run": run, "guards": GUARD_SCORES.frame([]), "costs": COSTS.frame([cost]), "report": pl.DataFrame(about),
        },
        "split": {"queries": asked.filter(~synthetic), "qrels": qrels.join(asked.filter(~synthetic), on="query_id", how="semi")},
        "synthetic_qa/law": {"queries": asked.filter(synthetic), "qrels": qrels.join(asked.filter(synthetic), on="query_id", how="semi")},
        "corpus": {"passages": made_up.corpus()},
    }  # fmt: skip
    for kind in ("retriever", "reranker"):
        path = adapter(store / "stages" / f"{kind}_adapter" / weights.decode() / "adapter", weights + kind.encode())
        row = {
            "kind": kind,
            "domain": "law",
            "seed": 42,
            "base": "builtin",
            "path": str(path.relative_to(store)),
            "weights_hash": "0",
        }
        row |= {"steps": 1, "metric_name": "ndcg@10", "base_metric": 0.1, "best_metric": 0.2}
        tables[f"{kind}_adapter/law"] = {"adapter": ADAPTERS.frame([row])}
    for name, found in tables.items():
        write_tables(store / "tables" / name, found)
    return store


@pytest.mark.smoke
def test_show_promote_and_roll_back(tmp_path: Path) -> None:
    store = publish(tmp_path / "store")
    assert "the base model" in done("champion", "show", *OPTIONS, store)
    assert "| better | 예 · yes |" in done("champion", "promote", *OPTIONS, store)
    assert "law v1" in done("champion", "show", *OPTIONS, store)
    (entry,) = json.loads(done("champion", "show", *OPTIONS, store, "--history", "--json"))
    manifest = entry["manifest"]
    assert set(manifest["hashes"]) == {"corpus", "queries", "run", "report", "code", "retriever", "reranker"}
    assert manifest["licences"] == {
        "retriever builtin": retriever_preset("builtin").licence,
        "reranker builtin": "Apache-2.0",
    }
    assert "기반 모델" in done("champion", "rollback", *OPTIONS, store, "--note", "운영에서 나쁨")
    assert "운영에서 나쁨" in done("champion", "show", *OPTIONS, store)
    assert "nothing to roll back" in refused("champion", "rollback", *OPTIONS, store)


def test_what_is_not_better_is_refused_with_its_conditions(tmp_path: Path) -> None:
    store = publish(tmp_path / "store", 0.5, 0.5)
    result = invoke("champion", "promote", *OPTIONS, store)
    assert result.exit_code == 1 and "| better | **아니요 · no** |" in result.stdout and "not promoted" in result.stderr
    assert "the base model" in done("champion", "show", *OPTIONS, store)


def test_a_store_without_a_report_names_the_asset_to_make(tmp_path: Path) -> None:
    assert "--select eval_report --partition law" in refused("champion", "promote", *OPTIONS, tmp_path)
    assert "no such folder" in refused("champion", "show", *OPTIONS, tmp_path / "nowhere")
    assert "finance, law, precedent" in refused("champion", "show", "--domain", "tax", "--store", tmp_path)


def test_a_report_with_another_promotion_sample_does_not_reopen_the_gate(tmp_path: Path) -> None:
    full, small = {"queries_per_set": 0, "rerank_depth": 30}, {"queries_per_set": 20, "rerank_depth": 30}
    assert "insufficient" in refused(
        "champion", "promote", *OPTIONS, publish(tmp_path / "store", 0.5, 0.5, measured=full)
    )
    store = publish(tmp_path / "store", 0.3, 0.8, b"b", small)
    told = refused("champion", "promote", *OPTIONS, store)
    assert "queries_per_set 20 (0)" in told and "lex-assets champion rule --change" in told
    assert "the base model" in done("champion", "show", *OPTIONS, store)
    assert "queries_per_set = 0" in done("champion", "rule", *OPTIONS, store)
    assert "no longer in force" in done("champion", "rule", *OPTIONS, store, "--change", "표본을 줄임")
    assert "candidates tried: 1" in done("champion", "promote", *OPTIONS, store), "the sample is another promotion set"
    assert json.loads(done("champion", "rule", *OPTIONS, store, "--json"))["measured"] == small


def test_a_report_that_does_not_say_how_it_was_measured_is_refused(tmp_path: Path) -> None:
    store = publish(tmp_path / "store")
    about = store / "tables" / "eval_report" / "law"
    tables = {name: frame.collect() for name, frame in read_tables(about).items()}
    write_tables(about, tables | {"report": tables["report"].drop("measured")})
    assert "materialize eval_report again" in refused("champion", "promote", *OPTIONS, store)
