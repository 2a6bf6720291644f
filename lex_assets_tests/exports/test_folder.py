"""A folder appears whole or not at all, says what is in it, and nothing held back gets into a training file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import polars as pl
import pytest

from lex_assets.exports.export import export_to
from lex_assets.exports.folder import Export, json_lines, write_export
from lex_assets.exports.source import TrainingSource, require_nothing_held_back
from lex_assets.exports.training_files import flag_embedding, lexdpr
from lex_assets.io_managers.parquet import write_tables
from lex_assets.queries.split import SplitConfig, held_out_families
from lex_assets.schemas import POSITIVES, LexError
from lex_assets.training.files import TrainingTables, store_tables
from lex_assets_tests.commands import done, refused
from lex_assets_tests.exports.made_up import lines
from lex_assets_tests.pipeline.mined import give_mined

NOTHING_HELD = SplitConfig(held_out=0.0)


@pytest.fixture
def store(toy, tmp_path) -> Path:
    """A store with the toy's tables of the law domain, as the pipeline publishes them."""
    give_mined(tmp_path)
    settings = pl.DataFrame([NOTHING_HELD.model_dump()])
    test = toy.queries.head(1).with_columns(query_id=pl.lit("T"), text=pl.lit("시험 질문"), set=pl.lit("test"))
    split = {"queries": pl.concat([toy.queries, test]), "qrels": toy.qrels, "settings": settings}
    write_tables(tmp_path / "tables" / "split", split)
    return tmp_path


def test_the_manifest_says_what_every_file_holds(store, tmp_path) -> None:
    out = tmp_path / "out"
    printed = done("export", "lexdpr", "--store", store, "--domain", "law", "--out", out)
    manifest = json.loads((out / "manifest.json").read_text("utf-8"))
    assert set(manifest["files"]) == {
        *("law_passages.jsonl", "admin_passages.jsonl", "prec_fallback_passages.jsonl", "merged_corpus.jsonl"),
        *("pairs_train.jsonl", "pairs_train_valid.jsonl"),
    }
    for name, one in manifest["files"].items():
        data = (out / name).read_bytes()
        assert (one["sha256"], one["bytes"]) == (hashlib.sha256(data).hexdigest(), len(data))
        assert one["rows"] == len(lines(out / name)) and name in printed
    assert set(manifest["tables"]) == {"triplets", "queries", "qrels", "corpus"}
    assert any("Copyright Act" in licence for licence in manifest["licences"]) and "사용 허락" in printed


def test_an_equal_export_is_reused_and_another_refused(store, tmp_path) -> None:
    command = ("export", "reranker", "--store", store, "--domain", "law", "--out", tmp_path / "out")
    done(*command)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert "이미 같음" in done(*command)
    (tmp_path / "out" / "train.jsonl").write_text("{}\n")
    assert "holds something else than this export; remove it" in refused(*command)
    (tmp_path / "out" / "train.jsonl").write_bytes(before["train.jsonl"])
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_writer_that_fails_leaves_nothing(tmp_path) -> None:
    def rows():
        yield {"query": "질문"}
        raise RuntimeError("lost")

    with pytest.raises(RuntimeError):
        write_export(Export("x", "law", {"train.jsonl": json_lines(rows())}, {}, []), tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_what_is_not_there_is_named(store, tmp_path) -> None:
    where = ("--store", store, "--domain", "law", "--out", tmp_path / "out")
    assert "'colbert' is not known; choose from flagembedding," in refused("export", "colbert", *where)
    assert "holds no scores of positives; mine again, or use --scores none" in refused(
        "export", "flagembedding", *where
    )
    assert "scores 'best' are not known" in refused("export", "flagembedding", *where, "--scores", "best")
    assert "set final is not known" in refused("export", "beir", *where, "--sets", "final")
    assert "law: no human promotion question" in refused("export", "trec", *where, "--sets", "promotion")
    assert "domain 'all' has no questions of its own" in refused("export", "beir", *where[:3], "all", *where[4:])
    assert "hard_negative_triplets/finance is not made" in refused("export", "lexdpr", *where[:3], "all", *where[4:])
    assert "hard_negative_triplets/finance is not made" in refused(
        "export", "lexdpr", *where[:3], "finance", *where[4:]
    )
    assert not (tmp_path / "out").exists()


def test_a_missing_score_ends_the_export(toy, tmp_path) -> None:
    tables = TrainingTables(**toy.tables)
    rows = [(q, p) for q, found in toy.triplets.select("query_id", "positives").rows() for p in found]
    scores = POSITIVES.frame(
        {"query_id": q, "passage_id": p, "score_dense": 0.1, "score_rerank": None} for q, p in rows
    )
    with pytest.raises(LexError, match="a passage of Q0_0 has no rerank score; mine with that model"):
        write_export(flag_embedding(TrainingSource("law", tables, scores)), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    dense = write_export(flag_embedding(TrainingSource("law", tables), "none"), tmp_path / "plain").folder
    assert set(lines(dense / "train.jsonl")[0]) == {"query", "pos", "neg"}


@pytest.mark.parametrize("set_name", ["promotion", "test"])
def test_held_back_material_never_gets_into_a_training_file(toy, store, tmp_path, set_name) -> None:
    """By id, by text with other spacing, or by its set in the training tables."""
    tables, first = TrainingTables(**toy.tables), toy.queries.row(0, named=True)
    by_id = toy.queries.with_columns(set=pl.when(pl.col("query_id") == "Q0_0").then(pl.lit(set_name)).otherwise("set"))
    spaced = by_id.filter(set=set_name).with_columns(query_id=pl.lit("other"), text=pl.lit(f" {first['text']}  "))
    for split in (by_id, pl.concat([toy.queries, spaced])):
        with pytest.raises(LexError, match=r"question Q0_0 is held back for promotion or test \(1 in all\)"):
            require_nothing_held_back(tables, split, NOTHING_HELD)
        settings = pl.DataFrame([NOTHING_HELD.model_dump()])
        write_tables(store / "tables" / "split", {"queries": split, "qrels": toy.qrels, "settings": settings})
        for format in ("flagembedding", "sentence-transformers", "lexdpr", "reranker"):
            with pytest.raises(LexError, match="held back"):
                export_to(tmp_path / "out", format, store, "law", "none")
    mixed = TrainingTables(toy.triplets, by_id, toy.qrels, toy.corpus)
    with pytest.raises(LexError, match="held back"):
        require_nothing_held_back(mixed, toy.queries, NOTHING_HELD)
    validated = toy.queries.with_columns(
        set=pl.when(pl.col("query_id") == "Q0_0").then(pl.lit("valid")).otherwise("set")
    )
    with pytest.raises(LexError, match="Q0_0 is trained on but not of the set train"):
        require_nothing_held_back(
            TrainingTables(toy.triplets, validated, toy.qrels, toy.corpus), toy.queries, NOTHING_HELD
        )


def test_a_held_out_law_is_no_negative_and_no_positive(toy) -> None:
    config = SplitConfig(held_out=0.5)
    held = held_out_families(toy.corpus, config)
    assert 0 < len(held) < toy.corpus["family"].n_unique()
    with pytest.raises(LexError, match="has a held-out law in it"):
        require_nothing_held_back(TrainingTables(**toy.tables), toy.queries, config)


def test_the_command_writes_the_same_bytes_wherever_it_runs(store, tmp_path) -> None:
    tables = store_tables(store, "law")
    first = write_export(lexdpr(TrainingSource("law", tables)), tmp_path / "a").manifest
    shuffled = TrainingTables(*(table.sample(fraction=1, shuffle=True, seed=3) for table in vars(tables).values()))
    second = write_export(lexdpr(TrainingSource("law", shuffled)), tmp_path / "b").manifest
    assert first["files"] == second["files"]
