"""Every architecture that a preset names, as tiny random checkpoints in the formats that lie on the hub."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lex_assets import BiEncoder, Reranker
from lex_assets.models import presets
from lex_assets.models.architectures import ARCHITECTURES
from lex_assets.schemas import LexError
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig
from lex_assets.training.lora import attach_lora, head_names
from lex_assets_tests.models.conftest import write_checkpoint

TEXTS = ["손해배상 청구", "가나다라마바사", "법률", "①항 다ㆍ라 손해배상의 청구 법률 조항"]
PAIRS = [(TEXTS[2], text) for text in TEXTS]
each_architecture = pytest.mark.parametrize("model_type", ARCHITECTURES)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Checkpoints by (architecture, kind, pooling), each written once."""
    made = {}

    def get(*key):
        if key not in made:
            made[key] = write_checkpoint(tmp_path_factory.mktemp("checkpoint"), *key)
        return made[key]

    return get


def with_random_adapter(model, targets, out, head):
    """The adapter of our own training with weights that are not zero, saved by plain PEFT."""
    import torch

    kind = RerankerTrainingConfig if head else RetrieverTrainingConfig
    settings = kind(lora_rank=2, lora_alpha=4)  # an update much larger than the weights would measure rounding alone
    adapted = attach_lora(model, settings, targets, "base", head=head)
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in adapted.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.3)
    adapted.save_pretrained(out, save_embedding_layers=False)
    return adapted.eval()


@each_architecture
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_vectors_are_those_of_sentence_transformers(checkpoint, model_type, pooling):
    from sentence_transformers import SentenceTransformer

    folder = checkpoint(model_type, "retriever", pooling)
    expected = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=True)
    encoder = BiEncoder(str(folder))
    np.testing.assert_allclose(encoder.encode_passages(TEXTS), expected, atol=1e-5)
    assert encoder.get_max_seq_length() == 32
    assert encoder.preset.architecture == model_type


@each_architecture
def test_a_plain_folder_is_pooled_as_its_preset_says(checkpoint, model_type, monkeypatch):
    import torch
    from transformers import AutoModel, AutoTokenizer

    folder = checkpoint(model_type, "retriever")
    kosimcse = replace(presets.RETRIEVERS["BM-K/KoSimCSE-roberta-multitask"], dimension=0)
    monkeypatch.setitem(presets.RETRIEVERS, kosimcse.name, kosimcse)
    vector = BiEncoder(f"kosimcse={folder}", normalize=False).encode_queries(["법률"])
    with torch.no_grad():
        tokens = AutoTokenizer.from_pretrained(folder)(["법률"], return_tensors="pt")
        states = AutoModel.from_pretrained(folder).eval()(**tokens).last_hidden_state
    np.testing.assert_allclose(vector, states[:, 0], atol=1e-5)
    mean = BiEncoder(str(folder), normalize=False).encode_queries(["법률"])
    np.testing.assert_allclose(mean, states.mean(1), atol=1e-5)


def test_a_folder_of_another_width_than_the_preset_is_refused(checkpoint):
    with pytest.raises(LexError, match="gives vectors of 16, but BAAI/bge-m3 has 1024"):
        BiEncoder(f"bge-m3={checkpoint('bert', 'retriever')}")


@each_architecture
def test_retriever_adapter_reloads_exactly_by_plain_peft_and_by_us(checkpoint, model_type, tmp_path):
    from peft import PeftModel
    from sentence_transformers import SentenceTransformer

    folder = checkpoint(model_type, "retriever", "mean")
    encoder = BiEncoder(str(folder))
    base = encoder.encode_passages(TEXTS)
    targets = encoder.preset.lora_targets
    adapted = with_random_adapter(encoder.model[0].model, targets, tmp_path, head=False)
    names = adapted.peft_config["default"].target_modules
    linears = {n for n, m in SentenceTransformer(str(folder))[0].model.named_modules() if type(m).__name__ == "Linear"}
    assert set(names) == {name for name in linears if "pooler" not in name and "embeddings_project" not in name}
    plain = SentenceTransformer(str(folder), device="cpu")
    plain[0].model = PeftModel.from_pretrained(plain[0].model, str(tmp_path))
    expected = plain.encode(TEXTS, normalize_embeddings=True)
    ours = BiEncoder(str(folder), peft_adapter_path=str(tmp_path)).encode_passages(TEXTS)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    np.testing.assert_allclose(encoder.encode_passages(TEXTS), expected, atol=1e-5)
    assert np.abs(ours - base).max() > 0.01


@each_architecture
def test_reranker_adapter_brings_its_head(checkpoint, model_type, tmp_path):
    from peft import PeftModel
    from sentence_transformers import CrossEncoder

    folder = checkpoint(model_type, "reranker")
    reranker = Reranker(str(folder))
    transformer = reranker.model[0].model
    assert tuple(head_names(transformer)) == reranker.preset.head
    base = reranker.score(PAIRS)
    with_random_adapter(transformer, reranker.preset.lora_targets, tmp_path, head=True)
    trained = reranker.score(PAIRS)
    plain = CrossEncoder(str(folder), num_labels=1, device="cpu")
    plain[0].model = PeftModel.from_pretrained(plain[0].model, str(tmp_path))
    import torch

    expected = plain.predict(PAIRS, activation_fn=torch.nn.Identity())
    ours = Reranker(str(folder), peft_adapter_path=str(tmp_path)).score(PAIRS)
    np.testing.assert_allclose(trained, expected, atol=1e-5)
    np.testing.assert_allclose(ours, expected, atol=1e-4)
    assert np.abs(ours - base).max() > 0.01


@each_architecture
def test_the_longest_text_has_positions(checkpoint, model_type):
    """RoBERTa's first positions belong to padding: taking all of them for tokens fails inside the embedding."""
    limit = 63 if ARCHITECTURES[model_type].positions_after_padding else 64
    encoder = BiEncoder(str(checkpoint(model_type, "retriever")), max_seq_length=limit)
    assert np.isfinite(encoder.encode_queries(["가" * 200])).all()
    with pytest.raises(LexError, match=f"the model has {limit} positions"):
        BiEncoder(str(checkpoint(model_type, "retriever")), max_seq_length=limit + 1)
    assert Reranker(str(checkpoint(model_type, "reranker"))).get_max_seq_length() == limit


def test_a_language_model_gets_the_same_untrained_head_every_time(tmp_path):
    folder = write_checkpoint(tmp_path, "electra", "retriever")
    first, second = Reranker(str(folder)).score(PAIRS), Reranker(str(folder)).score(PAIRS)
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("kind", ["retriever", "reranker"])
def test_pickled_weights_are_refused_with_the_remedy(tmp_path, kind):
    import torch
    from safetensors.torch import load_file

    folder = write_checkpoint(tmp_path, "bert", kind)
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    load = BiEncoder if kind == "retriever" else Reranker
    with pytest.raises(LexError, match=r"holds no safetensors; pickled weights.*convert them once.*save_pretrained"):
        load(str(folder))
    (folder / "pytorch_model.bin").unlink()
    with pytest.raises(LexError, match="holds no weights"):
        load(str(folder))
