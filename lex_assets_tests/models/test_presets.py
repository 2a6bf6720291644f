from __future__ import annotations

import json
import subprocess
import sys

import pytest

from lex_assets.models.architectures import ARCHITECTURES
from lex_assets.models.presets import RERANKERS, RETRIEVERS, TemplateMode, reranker_preset, retriever_preset
from lex_assets.schemas import LexError


@pytest.mark.parametrize("name", ["BAAI/bge-m3", "bge-m3"])
def test_known_model_by_hub_id_and_short_name(name):
    preset = retriever_preset(name)
    assert (preset.hub_id, preset.pooling, preset.query_prefix) == ("BAAI/bge-m3", "cls", "")
    assert preset.revision and preset.licence


SHORT_NAMES = {
    "builtin": "builtin",
    "builtin-unsupervised": "builtin",
    "builtin-supervised": "builtin-supervised",
    "minilm": "sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2",
    "kure-v1": "nlpai-lab/KURE-v1",
    "koe5": "nlpai-lab/KoE5",
    "bge-m3-ko": "dragonkue/BGE-m3-ko",
    "multilingual-e5-small": "intfloat/multilingual-e5-small",
    "ko-sroberta-multitask": "jhgan/ko-sroberta-multitask",
    "KoSimCSE-roberta-multitask": "BM-K/KoSimCSE-roberta-multitask",
    "KLUE-RoBERTa-base-bi": "KLUE-RoBERTa-base-bi",
    "klue/roberta-base": "KLUE-RoBERTa-base-bi",
    "snowflake-arctic-embed-l-v2.0-ko": "dragonkue/snowflake-arctic-embed-l-v2.0-ko",
}
RERANKER_NAMES = {
    "bge-reranker-v2-m3": "BAAI/bge-reranker-v2-m3",
    "kure-reranker-nano": "nlpai-lab/KURE-Reranker-nano",
    "roberta-large": "klue/roberta-large",
    "KR-ELECTRA": "snunlp/KR-ELECTRA-discriminator",
}


@pytest.mark.parametrize(("short", "name"), SHORT_NAMES.items())
def test_retrievers_answer_to_their_short_names(short, name):
    assert retriever_preset(short).name == name


@pytest.mark.parametrize(("short", "name"), RERANKER_NAMES.items())
def test_rerankers_answer_to_their_short_names(short, name):
    assert reranker_preset(short).name == name


@pytest.mark.parametrize("presets", [RETRIEVERS, RERANKERS])
def test_no_two_presets_answer_to_one_name_and_each_is_complete(presets):
    names = [name for preset in presets.values() for name in preset.names]
    assert len(names) == len(set(names))
    for preset in presets.values():
        assert preset.architecture in ARCHITECTURES, preset.name
        assert preset.licence or "licence" in preset.note, preset.name
        assert preset.revision or preset.is_local or "revision" in preset.note or not preset.hub_id, preset.name
        assert not any("pooler" in target for target in preset.lora_targets)


@pytest.mark.parametrize(("typo", "meant"), [("bge-m33", "BAAI/bge-m3"), ("kure-v9", "KURE-v1"), ("mini-lm", "MiniLM")])
def test_unknown_names_list_what_is_near(typo, meant):
    with pytest.raises(LexError, match=f"did you mean .*{meant}"):
        retriever_preset(typo)


def test_a_preset_without_a_published_checkpoint_says_how_to_give_one(tmp_path):
    with pytest.raises(LexError, match=r"no public checkpoint.*KoE5-small=FOLDER"):
        retriever_preset("KoE5-small")
    (tmp_path / "config.json").write_text("{}")
    preset = retriever_preset(f"koe5-small={tmp_path}")
    assert (preset.name, preset.query_prefix, preset.folder) == ("KoE5-small", "query: ", tmp_path)
    with pytest.raises(LexError, match="no model folder at /no/such"):
        retriever_preset("bge-m3=/no/such")


def test_e5_gets_its_prefixes():
    preset = retriever_preset("intfloat/multilingual-e5-small")
    assert (preset.query_prefix, preset.passage_prefix) == TemplateMode.E5.prefixes == ("query: ", "passage: ")


def test_unknown_hub_id_is_taken_as_it_is():
    assert retriever_preset("someone/their-model").hub_id == "someone/their-model"
    assert reranker_preset("someone/their-model").head == ("classifier",)


@pytest.mark.parametrize("path", ["/no/such/folder", "./missing", "a/b/c", "typo"])
def test_missing_folder_is_named_with_the_remedy(path):
    for preset in (retriever_preset, reranker_preset):
        with pytest.raises(LexError, match=f"no model folder at {path}.*one of: builtin, .*BAAI/bge-"):
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
