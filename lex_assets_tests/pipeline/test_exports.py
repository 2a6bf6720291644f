"""The real store exported from Dagster: every format, and no test material in what others train on."""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from lex_assets.definitions import defs
from lex_assets.exports.export import EVALUATION, FORMATS, export_to
from lex_assets.queries.split import SplitConfig, held_out_families
from lex_assets.schemas import DOMAINS
from lex_assets_tests.pipeline.conftest import World

pytestmark = pytest.mark.xdist_group("pipeline")


@pytest.mark.parametrize("domain", ["finance", "law"])
def test_the_job_exports_every_format_and_no_test_material(world: World, domain: str) -> None:
    job = defs().resolve_job_def("export")
    assert job.execute_in_process(instance=world.instance, partition_key=domain).success
    folders = dict(world.table("exports", "folders", domain).iter_rows())
    assert set(folders) == set(FORMATS)
    shown = world.metadata("exports", domain)
    assert "pairs_train_valid.jsonl" in str(shown["파일 · files"]) and "Copyright" in str(shown["사용 허락 · licences"])
    assert "pos_scores" in str(shown["미리보기 · preview"])
    split = world.table("split", "queries").filter(pl.col("set").is_in(["promotion", "test"]))
    held = set(split["text"]) | set(world.table("synthetic_qa", "queries", domain).filter(set="test")["text"])
    corpus, settings = world.table("corpus", "passages"), world.table("split", "settings").row(0, named=True)
    families = held_out_families(corpus, SplitConfig(**settings))
    held_passages = set(corpus.filter(pl.col("family").is_in(list(families)))["passage_id"])
    questions = 0
    for name in set(FORMATS) - set(EVALUATION):
        for path in (world.store / folders[name]).rglob("*.jsonl"):
            rows = [json.loads(line) for line in path.read_text("utf-8").split("\n") if line]
            asked = {row.get("query") or row.get("query_text") or row.get("anchor") for row in rows}
            assert not asked & held, path
            questions += len(asked)
            named = {one for row in rows for key in ("positive_passages", "hard_negatives") for one in row.get(key, ())}
            assert "train" not in path.stem or path.stem.endswith("valid") or not named & held_passages
    assert questions > 100


def test_all_domains_together_are_the_reference_projects_corpus(world: World, tmp_path: Path) -> None:
    out = export_to(tmp_path / "out", "lexdpr", world.store, "all")
    rows = {name: one["rows"] for name, one in out.manifest["files"].items()}
    corpus = world.table("corpus", "passages")
    assert rows["merged_corpus.jsonl"] == corpus.height
    assert rows["prec_fallback_passages.jsonl"] == corpus.filter(source_type="precedent").height > 0
    assert rows["law_passages.jsonl"] == corpus.filter(source_type="law").height > 0
    mined = [world.table("hard_negative_triplets", "triplets", domain).height for domain in DOMAINS]
    assert rows["pairs_train.jsonl"] == sum(mined)
    assert export_to(tmp_path / "flag", "flagembedding", world.store, "all").manifest["domain"] == "all"
