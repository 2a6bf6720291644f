from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lex_assets.models.presets import TemplateMode, reranker_preset, retriever_preset
from lex_assets.schemas import LexError


@pytest.mark.parametrize("name", ["BAAI/bge-m3", "bge-m3"])
def test_known_model_by_hub_id_and_short_name(name):
    preset = retriever_preset(name)
    assert (preset.hub_id, preset.pooling, preset.query_prefix) == ("BAAI/bge-m3", "cls", "")
    assert preset.revision and preset.licence


def test_e5_gets_its_prefixes():
    preset = retriever_preset("intfloat/multilingual-e5-small")
    assert (preset.query_prefix, preset.passage_prefix) == TemplateMode.E5.prefixes == ("query: ", "passage: ")


def test_unknown_hub_id_is_taken_as_it_is():
    assert retriever_preset("someone/their-model").hub_id == "someone/their-model"
    assert reranker_preset("someone/their-model").head_name == "classifier"


@pytest.mark.parametrize("path", ["/no/such/folder", "./missing", "a/b/c", "typo"])
def test_missing_folder_is_named_with_the_remedy(path):
    for preset in (retriever_preset, reranker_preset):
        with pytest.raises(LexError, match=f"no model folder at {path}.*bge-m3"):
            preset(path)


def test_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(LexError, match=r"config\.json is missing"):
        retriever_preset(str(tmp_path))


def test_folder_brings_its_saved_prompts(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    prompts = {"prompts": {"query": "질의: ", "document": "문서: "}}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    preset = retriever_preset(str(tmp_path))
    assert (preset.query_prefix, preset.passage_prefix) == ("질의: ", "문서: ")


def test_importing_the_package_and_presets_loads_no_torch():
    code = (
        "import sys, lex_assets, lex_assets.models.presets, lex_assets.models.weights, lex_assets.retrieval.search\n"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'peft', 'bm25s', 'elasticsearch'}\n"
        "sys.exit(','.join(heavy & set(sys.modules)) or None)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0
