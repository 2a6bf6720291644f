from __future__ import annotations

import shutil

import numpy as np
import pytest

from lex_assets import BiEncoder, TemplateMode
from lex_assets.schemas import LexError
from lex_assets_tests.models.conftest import CHARACTERS, save_adapter

TEXTS = ["손해배상 청구", "가나다라마바사", "법률", "①항 다ㆍ라 손해배상의 청구 법률 조항"]


@pytest.fixture(scope="module")
def encoder(tiny_retriever):
    return BiEncoder(str(tiny_retriever))


@pytest.fixture(scope="module")
def adapter(tiny_retriever, tmp_path_factory, encoder):
    from transformers import AutoModel

    folder = tmp_path_factory.mktemp("adapter") / "a"
    base = {"name": "tiny-retriever", "weights_hash": encoder.weights_hash}
    config = {"base": base, "query_max_length": 6, "query_prefix": "가 ", "passage_prefix": "나 "}
    save_adapter(AutoModel.from_pretrained(tiny_retriever), folder, config)
    return folder


def test_same_vectors_as_sentence_transformers(encoder):
    expected = encoder.model.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(encoder.encode_passages(TEXTS), expected, atol=1e-6)


def test_order_and_batch_size_do_not_matter(encoder):
    one_by_one = np.vstack([encoder.encode_queries([text]) for text in TEXTS])
    np.testing.assert_allclose(encoder.encode_queries(TEXTS, batch_size=3), one_by_one, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(one_by_one, axis=1), 1, atol=1e-6)


def test_no_texts_give_an_empty_matrix_of_the_right_width(encoder):
    assert encoder.encode_queries([]).shape == (0, encoder.get_embedding_dimension()) == (0, 16)


def test_prefix_goes_before_the_text(encoder, tiny_retriever):
    e5 = BiEncoder(str(tiny_retriever), template=TemplateMode.E5)
    np.testing.assert_allclose(e5.encode_queries(["법률"]), encoder.encode_queries(["query: 법률"]), atol=1e-6)
    assert e5.cache_key("query") != encoder.cache_key("query") != encoder.cache_key("passage")


def test_long_texts_are_cut_and_counted(tiny_retriever):
    encoder = BiEncoder(str(tiny_retriever), passage_max_seq_length=8)
    long, cut = encoder.encode_passages(["가나다라마바사아자차", "가나다라마바"])
    np.testing.assert_allclose(long, cut, atol=1e-6)
    assert encoder.truncated == {"query": 0, "passage": 1}
    assert (encoder.get_max_seq_length("passage"), encoder.get_max_seq_length("query")) == (8, 64)


def test_long_passages_become_windows_that_cover_all_of_them(tiny_retriever):
    encoder = BiEncoder(str(tiny_retriever), passage_max_seq_length=12, window_overlap=2)
    short, long = "가나다라마바사아자차", "".join(dict.fromkeys(CHARACTERS.replace(" ", "")))
    (whole,), pieces = encoder.passage_windows([short, long])
    assert whole == short
    assert pieces == [long[at : at + 6] for at in (*range(0, len(long) - 6, 4), len(long) - 6)]
    encoder.encode_passages(pieces)
    assert encoder.truncated["passage"] == 0
    assert BiEncoder(str(tiny_retriever), window_overlap=None).passage_windows([long]) == [[long]]


def test_a_word_beyond_the_models_limit_is_found_by_its_window(tiny_retriever):
    """Cut at the limit, two passages that differ only behind it cannot be told apart."""
    import polars as pl

    from lex_assets.retrieval.search import Searcher

    start = "가나다라마바사아자차카타파하" * 2
    corpus = pl.DataFrame(
        {"passage_id": ["a", "b"], "context": "", "text": [start + "호호호호", start + "손해배상청구법률"]}
    )
    question = pl.DataFrame({"query_id": ["q"], "text": ["손해배상청구법률"]})
    encoder = BiEncoder(str(tiny_retriever), passage_max_seq_length=16, window_overlap=4)
    run = Searcher(corpus, encoder).search(question, "dense", 2)
    assert run["passage_id"].to_list() == ["b", "a"] and run["score"][0] > run["score"][1]
    cut = BiEncoder(str(tiny_retriever), passage_max_seq_length=16, window_overlap=None)
    same = Searcher(corpus, cut).search(question, "dense", 2)
    assert same["score"][0] == same["score"][1]


def test_a_query_that_is_cut_is_said(tiny_retriever, caplog):
    BiEncoder(str(tiny_retriever), query_max_seq_length=6).encode_queries(["가나다라마바사아"])
    assert "1 of 1 query texts were cut at 6 tokens; raise query_max_length, or ask shorter" in caplog.text


def test_a_length_beyond_the_models_positions_is_refused(tiny_retriever):
    with pytest.raises(LexError, match="4096 tokens were asked for, but the model has 64 positions"):
        BiEncoder(str(tiny_retriever), max_seq_length=4096)


def test_adapter_answers_like_plain_peft_with_its_training_prefix_and_length(tiny_retriever, adapter):
    import torch
    from peft import PeftModel
    from transformers import AutoModel, AutoTokenizer

    adapted = BiEncoder(str(tiny_retriever), peft_adapter_path=str(adapter))
    assert (adapted.query_prefix, adapted.get_max_seq_length("query")) == ("가 ", 6)
    plain = PeftModel.from_pretrained(AutoModel.from_pretrained(tiny_retriever), adapter).eval()
    with torch.no_grad():
        states = plain(**AutoTokenizer.from_pretrained(tiny_retriever)(["나 법률"], return_tensors="pt"))
    expected = states.last_hidden_state.mean(1)
    np.testing.assert_allclose(adapted.encode_passages(["법률"]), expected / expected.norm(), atol=1e-5)


def test_adapter_changes_vectors_and_hash(encoder, tiny_retriever, adapter):
    adapted = BiEncoder(str(tiny_retriever), peft_adapter_path=str(adapter), template="none")
    assert np.abs(adapted.encode_passages(TEXTS) - encoder.encode_passages(TEXTS)).max() > 0.01
    assert adapted.weights_hash != encoder.weights_hash


def test_hash_is_of_the_content_not_of_the_place(encoder, tiny_retriever, tmp_path):
    moved = shutil.copytree(tiny_retriever, tmp_path / "elsewhere")
    assert BiEncoder(str(moved)).weights_hash == encoder.weights_hash


def test_adapter_of_another_base_is_refused_naming_both(tiny_retriever, adapter, tmp_path):
    import torch
    from transformers import AutoModel

    other = shutil.copytree(tiny_retriever, tmp_path / "other-base")
    model = AutoModel.from_pretrained(other)
    torch.nn.init.normal_(model.embeddings.word_embeddings.weight)
    model.save_pretrained(other)
    with pytest.raises(LexError, match=r"trained on tiny-retriever.*not on other-base"):
        BiEncoder(str(other), peft_adapter_path=str(adapter))


def test_missing_adapter_is_named(tiny_retriever, tmp_path):
    with pytest.raises(LexError, match="no adapter at"):
        BiEncoder(str(tiny_retriever), peft_adapter_path=str(tmp_path))


def test_an_adapter_without_safetensors_and_a_device_that_is_not_there_are_named(tiny_retriever, adapter, tmp_path):
    pickled = shutil.copytree(adapter, tmp_path / "pickled")
    (pickled / "adapter_model.safetensors").rename(pickled / "adapter_model.bin")
    with pytest.raises(LexError, match=r"holds no adapter weights \(\*\.safetensors\)"):
        BiEncoder(str(tiny_retriever), peft_adapter_path=str(pickled))
    with pytest.raises(LexError, match=r"device gpu7: .*name one that is there, for example cpu"):
        BiEncoder(str(tiny_retriever), device="gpu7")


def test_nan_weights_do_not_pass(tiny_retriever):
    import torch

    encoder = BiEncoder(str(tiny_retriever))
    torch.nn.init.constant_(encoder.model[0].model.encoder.layer[0].output.dense.bias, float("nan"))
    with pytest.raises(LexError, match="NaN"):
        encoder.encode_queries(["법률"])


@pytest.mark.parametrize("kind", ["base", "adapter"])
def test_weights_that_change_under_a_loaded_model_give_no_cache_key(tiny_retriever, tmp_path, kind):
    from transformers import AutoModel

    folders = {"base": tmp_path / "base", "adapter": tmp_path / "adapter"}
    shutil.copytree(tiny_retriever, folders["base"])
    save_adapter(AutoModel.from_pretrained(tiny_retriever), folders["adapter"], {})
    loaded = BiEncoder(str(folders["base"]), peft_adapter_path=str(folders["adapter"]))
    [weights] = folders[kind].glob("*.safetensors")
    swapped = tmp_path / "other.safetensors"
    swapped.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    swapped.replace(weights)
    with pytest.raises(LexError, match=f"{kind} was changed after its weights were loaded"):
        loaded.cache_key("passage")
    again = BiEncoder(str(folders["base"]), peft_adapter_path=str(folders["adapter"]))
    assert again.cache_key("passage")
