"""`lex-assets prepare`, `train`, `merge`, `models` on small files, and the recipes in configs/ at their full size."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from benchmarks import recipes
from lex_assets.models.presets import RERANKERS, RETRIEVERS
from lex_assets.training.recipe import RECIPES, load_recipe
from lex_assets_tests.conftest import REPOSITORY
from lex_assets_tests.test_cli import done, jsonl, refused
from lex_assets_tests.training.conftest import Toy, bi_encoder_folder, tokenizer_files  # noqa: F401

BGE, PEFT = REPOSITORY / "configs" / "bge-m3-v3.yaml", REPOSITORY / "configs" / "reranker-peft.yaml"
SHORT = (
    *("training.max_steps=4", "training.evaluations=1", "training.batch_size=12", "training.valid_pool=36"),
    *("training.require_gain=false", "training.learning_rate=5e-3"),
)


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> list[str]:
    """Overrides that name the toy's training and validation rows."""
    toy, folder = Toy(), tmp_path_factory.mktemp("rows")
    texts = dict(toy.corpus.select("passage_id", "text").iter_rows())

    def row(query_id: str, text: str) -> dict:
        topic = int(query_id[1:].split("_")[0])
        wrong = [f"P{(topic + n) % 12}_{n % 3}" for n in range(1, 8)]
        return {
            "query": f"{query_id} {text}",
            "pos": [texts[f"P{topic}_0"]],
            "neg": [texts[passage] for passage in wrong],
        }

    files = {name: toy.queries.filter(set=name).select("query_id", "text") for name in ("train", "valid")}
    return [
        f"data.{name}={jsonl(folder / f'{name}.jsonl', [row(*pair) for pair in table.iter_rows()])}"
        for name, table in files.items()
    ]


@pytest.mark.parametrize("command", [["train"], ["train", "retriever"], ["prepare"], ["merge"], ["models"]])
def test_help_speaks_korean_and_english(command) -> None:
    text = done(*command, "--help")
    assert "·" in text and any("가" <= letter <= "힣" for letter in text)


def test_a_retriever_is_trained_from_files_and_merged(rows, bi_encoder_folder, tmp_path) -> None:  # noqa: F811
    base, out = f"base={bi_encoder_folder}", tmp_path / "adapter"
    printed = done("train", "retriever", base, *rows, *SHORT, f"out={out}")
    assert "rows 48" in printed and "pairs 384" in printed and "steps 4" in printed and f"→ {out}" in printed
    names = {path.name for path in out.iterdir()}
    assert {"adapter_config.json", "adapter_model.safetensors", "training_config.json", "history.json"} < names
    assert {"README.md", "loss.svg", "validation.svg"} < names
    facts = json.loads((out / "training_config.json").read_text("utf-8"))
    assert facts["config"]["learning_rate"] == 5e-3 and facts["result"]["steps"] == 4
    printed = done("merge", "--adapter", out, "--out", tmp_path / "merged", "--base", bi_encoder_folder)
    assert "largest difference" in printed and (tmp_path / "merged" / "modules.json").is_file()


def test_dry_run_prints_the_resolved_recipe_and_trains_nothing(rows, bi_encoder_folder, tmp_path) -> None:  # noqa: F811
    printed = done("train", "retriever", *rows, *SHORT, f"out={tmp_path / 'a'}", "--dry-run")
    settings = yaml.safe_load(printed.rsplit("행 ·", 1)[0])
    assert settings["training"]["batch_size"] == 12 and settings["training"]["temperature"] == 0.02
    assert not list(tmp_path.iterdir())


def test_an_interrupted_or_failed_run_leaves_no_model(rows, bi_encoder_folder, tmp_path) -> None:  # noqa: F811
    base, out = f"base={bi_encoder_folder}", f"out={tmp_path / 'adapter'}"
    line = refused("train", "retriever", base, *rows, *SHORT, out, "training.query_max_length=4096")
    assert "4096 tokens were asked for, but the model has 64 positions; set a length of at most 64" in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["training.learnin_rate=1"], "did you mean training.learning_rate?"),
        (["training.epochs=0"], "training.epochs: Input should be greater than or equal to 1"),
        (["training.epochs"], "write name=value"),
        (["training.lora_targets=[query"], "write it like [query, value]"),
        (["--config", "none.yaml"], "none.yaml: No such file"),
        (["--config", PEFT], "a recipe of a reranker, not of a retriever; run: lex-assets train reranker"),
        ([], "set data.train and data.valid, or data.store and data.domain"),
        (["data.store=nowhere", "data.domain=law"], "nowhere: hard_negative_triplets/law is not made yet"),
        (["data.train=none.jsonl", "data.valid=none.jsonl"], "none.jsonl: no such file"),
    ],
)
def test_bad_input_is_one_line_with_the_remedy(arguments, message) -> None:
    assert message in refused("train", "retriever", *arguments)


def test_a_section_that_is_none_is_named(tmp_path) -> None:
    (tmp_path / "r.yaml").write_text("training: fast\n")
    assert "training: Input should be" in refused("train", "retriever", "--config", tmp_path / "r.yaml")
    line = refused("train", "retriever", "--config", tmp_path / "r.yaml", "training.epochs=1")
    assert "training is 'fast', not a mapping of settings" in line


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("base=bge-m33", "did you mean BAAI/bge-m3"),
        ("base=/no/such/folder", "no model folder at /no/such/folder"),
        ("out=", "no folder to write to is named; set out"),
        ("training.tracker=wandb", "install lex_assets[wandb]"),
    ],
)
def test_what_is_missing_is_named_before_training(rows, override, message, tmp_path, monkeypatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.chdir(tmp_path)
    assert message in refused("train", "retriever", *rows, *SHORT, f"out={tmp_path / 'a'}", override)
    assert not (tmp_path / "a").exists()


def test_the_bge_recipe_says_what_it_is_known_for() -> None:
    recipe = load_recipe("retriever", BGE)
    training, mining = recipe.training, recipe.mining
    assert (recipe.base, recipe.questions.per_passage, recipe.passages.max_characters) == ("BAAI/bge-m3", 3, 1000)
    assert (mining.pool_lexical, mining.pool_dense, mining.wanted) == (50, 50, 7)
    assert (training.epochs, training.learning_rate, training.temperature) == (5, 1e-5, 0.02)
    assert training.batch_size * training.accumulation == 32 and training.negatives_per_query == 7


def test_the_peft_recipe_says_what_it_is_known_for() -> None:
    recipe = load_recipe("reranker", PEFT)
    training = recipe.training
    assert (recipe.base, training.quantization, training.tuning) == ("BAAI/bge-reranker-v2-m3", "nf4", "lora")
    assert (training.batch_size, training.precision) == (32, "bf16")


def test_the_full_bge_recipe_counts_before_it_trains(tmp_path) -> None:
    """4,272 documents, three questions each, seven negatives: counted from the files, no model loaded."""
    recipes.write(tmp_path, recipes.DOCUMENTS)
    documents, questions = (
        [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text("utf-8").splitlines()]
        for name in ("documents", "questions")
    )
    place = {row["id"]: number for number, row in enumerate(documents)}
    texts = [row["text"] for row in documents] * 2
    rows = [
        {"query": row["text"], "pos": [texts[place[row["id"]]]], "neg": texts[place[row["id"]] + 1 :][:7]}
        for row in questions
    ]
    files = [f"data.train={jsonl(tmp_path / 'train.jsonl', rows)}", f"data.valid={tmp_path / 'valid.jsonl'}"]
    printed = done("train", "retriever", "--config", BGE, *files, "--dry-run")
    assert "rows 12,816 · 쌍 · pairs 102,528" in printed and "steps 2,005" in printed


def test_the_data_stage_makes_three_rows_of_seven_negatives_a_document(tmp_path) -> None:
    assert recipes.data_stage(tmp_path, 40) == (120, 120 * 8)
    row = json.loads((tmp_path / "rows.jsonl").read_text("utf-8").splitlines()[0])
    assert row["pos"][0] not in row["neg"] and len(set(row["neg"])) == 7


@pytest.mark.slow
def test_the_whole_data_stage(tmp_path) -> None:
    assert recipes.data_stage(tmp_path, recipes.DOCUMENTS) == (12_816, 102_528)


def test_questions_by_rule_when_none_are_given(sample_dir, tmp_path) -> None:
    (tmp_path / "raw").mkdir()
    shutil.copy(sample_dir / "laws" / "900204.json", tmp_path / "raw")
    done("ingest", tmp_path / "raw", "--store", tmp_path / "store")
    out = tmp_path / "rows.jsonl"
    printed = done("prepare", "--corpus", tmp_path / "store", "--out", out, "questions.per_passage=1", "mining.hard=1")
    rows = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert f"rows {len(rows):,}" in printed and len(rows) > 10
    assert all(row["query"] and row["pos"] for row in rows) and sum(bool(row["neg"]) for row in rows) > len(rows) / 2


def test_models_lists_every_preset_with_its_licence() -> None:
    printed = done("models")
    for preset in (*RETRIEVERS.values(), *RERANKERS.values()):
        assert preset.name in printed and preset.note in printed
    unstated = [preset for preset in (*RETRIEVERS.values(), *RERANKERS.values()) if not preset.licence]
    assert printed.count("licence not stated") == len(unstated) > 0


@pytest.mark.parametrize("path", sorted((REPOSITORY / "configs").glob("*.yaml")), ids=lambda path: path.name)
def test_every_config_is_a_valid_run_config_of_the_pipeline(path: Path, monkeypatch) -> None:
    from lex_assets.definitions import defs
    from lex_assets.pipeline import _require_valid_config, read_run_config

    for name in ("LEX_RETRIEVER", "LEX_RERANKER"):
        monkeypatch.setenv(name, "builtin")
    config = read_run_config(path)
    _require_valid_config(defs(), config)
    kind = yaml.safe_load(path.read_text("utf-8")).get("kind")
    if kind:
        given = config["ops"][f"{kind}_adapter"]["config"]
        assert RECIPES[kind](training=given).training == load_recipe(kind, path).training
