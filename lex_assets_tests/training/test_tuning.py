from __future__ import annotations

import numpy as np
import pytest
import torch

from lex_assets.models.bi_encoder import BiEncoder
from lex_assets.models.reranker import Reranker
from lex_assets.models.weights import read_training_config
from lex_assets.schemas import LexError
from lex_assets.training.backbone import open_retriever
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig
from lex_assets.training.lora import lora_target_names
from lex_assets.training.reranker import train_reranker
from lex_assets.training.retriever import train_retriever
from lex_assets.training.tuning import GradientCheck, tuned

RETRIEVER = {"batch_size": 12, "temperature": 0.1, "valid_pool": 36, "patience": 0, "max_steps": 40, "epochs": 12}


def train_toy(toy, base, out_dir, **options):
    config = RetrieverTrainingConfig(**(RETRIEVER | options))
    return train_retriever(str(base), **toy.tables, config=config, out_dir=out_dir, lexical=toy.search())


@pytest.fixture(scope="module")
def full(bi_encoder_folder, tmp_path_factory):
    from lex_assets_tests.training.conftest import Toy

    folder = tmp_path_factory.mktemp("full") / "model"
    return train_toy(Toy(), bi_encoder_folder, folder, tuning="full", learning_rate=2e-3)


def test_full_tuning_learns_and_writes_what_sentence_transformers_loads(full, bi_encoder_folder, toy) -> None:
    from sentence_transformers import SentenceTransformer

    assert full.best_metric > full.base_metric + 0.2
    assert (full.adapter_dir / "model.safetensors").is_file()
    texts = toy.queries["text"].to_list()
    plain = SentenceTransformer(str(full.adapter_dir), device="cpu").encode(texts, normalize_embeddings=True)
    served = BiEncoder(str(full.adapter_dir))
    assert np.allclose(plain, served.encode_queries(texts), atol=1e-5)
    assert not np.allclose(plain, BiEncoder(str(bi_encoder_folder)).encode_queries(texts), atol=0.05)
    facts = read_training_config(full.adapter_dir)
    assert facts["config"]["tuning"] == "full"
    assert served.get_max_seq_length("query") == facts["query_max_length"]
    assert "SentenceTransformer(this_folder)" in (full.adapter_dir / "README.md").read_text()


def test_full_tuning_of_a_reranker_is_served_as_it_was_validated(marked_toy, cross_encoder_folder, tmp_path) -> None:
    config = RerankerTrainingConfig(
        tuning="full", epochs=3, max_steps=14, learning_rate=2e-3, hard_ratio=1.0, patience=0, evaluations=3
    )
    result = train_reranker(
        str(cross_encoder_folder),
        **marked_toy.tables,
        config=config,
        out_dir=tmp_path / "a",
        lexical=marked_toy.search(),
    )
    assert result.best_metric > result.base_metric + 0.3
    question = marked_toy.queries["text"][0]
    relevant, other = (marked_toy.corpus.filter(passage_id=p)["text"][0] for p in ("P0_0", "N3"))
    scores = Reranker(str(tmp_path / "a")).score([(question, relevant), (question, other)])
    assert scores[0] > scores[1]


def retriever_of(folder, **options):
    config = RetrieverTrainingConfig(**options).on_device()
    backbone = open_retriever(str(folder), config, "cpu")
    return backbone, tuned(backbone, config, head=False)


def step(backbone, model, check: GradientCheck, optimizer) -> None:
    model.zero_grad()
    vectors = backbone.forward(backbone.rows("query", ["q1 w1", "q2 w2 w3"]))
    loss = (vectors[0] @ vectors[1]).square()
    loss.backward()
    check.after_backward(loss.item())
    optimizer.step()


@pytest.mark.parametrize("options", [{"lora_targets": ("all", "word_embeddings")}, {}, {"tuning": "full"}])
def test_exactly_what_is_named_trains_and_gradients_reach_all_of_it(bi_encoder_folder, options) -> None:
    backbone, model = retriever_of(bi_encoder_folder, lora_dropout=0.0, **options)
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    lora = options.get("tuning") != "full"
    assert all(("lora_" in name) == lora and "pooler" not in name for name in trained)
    assert any("word_embeddings" in name for name in trained) == (options != {})
    check, optimizer = GradientCheck(model), torch.optim.SGD(model.parameters(), lr=0.5)
    step(backbone, model, check, optimizer)
    second = {name for name, p in trained.items() if not p.grad.any()} - {n for n in trained if n.endswith("bias")}
    assert second == {n for n in trained if "lora_A" in n or "lora_embedding_B" in n}
    step(backbone, model, check, optimizer)
    assert all(p.grad.any() for name, p in trained.items() if not name.endswith("bias"))


def test_lora_on_word_embeddings_trains_saves_and_is_served(toy, bi_encoder_folder, tmp_path) -> None:
    from peft import PeftModel
    from safetensors.torch import load_file
    from sentence_transformers import SentenceTransformer

    targets = {"lora_targets": ("all", "word_embeddings"), "lora_alpha": 64, "learning_rate": 5e-3}
    result = train_toy(toy, bi_encoder_folder, tmp_path / "a", **targets)
    saved = load_file(tmp_path / "a" / "adapter_model.safetensors")
    words = {name: value for name, value in saved.items() if "word_embeddings" in name}
    assert {name.rsplit(".", 1)[-1] for name in words} == {"lora_embedding_A", "lora_embedding_B"}
    assert all(value.any() for value in words.values())
    assert result.best_metric > result.base_metric + 0.2
    texts = toy.queries["text"].to_list()
    served = BiEncoder(str(bi_encoder_folder), peft_adapter_path=str(tmp_path / "a")).encode_queries(texts)
    model = SentenceTransformer(str(bi_encoder_folder), device="cpu")
    PeftModel.from_pretrained(model[0].model, str(tmp_path / "a"))
    assert np.allclose(served, model.encode(texts, normalize_embeddings=True), atol=1e-5)


def test_embeddings_are_adapted_only_when_named(bi_encoder_folder) -> None:
    backbone, _ = retriever_of(bi_encoder_folder, tuning="full")
    assert not any("embeddings" in name for name in lora_target_names(backbone.transformer, ("all",)))
    assert lora_target_names(backbone.transformer, ("word_embeddings",)) == ["embeddings.word_embeddings"]


def test_quantised_weights_cannot_train_in_full(bi_encoder_folder) -> None:
    config = RetrieverTrainingConfig(tuning="full").on_device()
    backbone = open_retriever(str(bi_encoder_folder), config, "cpu")
    packed = torch.nn.Parameter(torch.zeros(4, dtype=torch.uint8), requires_grad=False)
    backbone.transformer.encoder.layer[0].output.dense.weight = packed
    with pytest.raises(LexError, match=r"dense.weight is quantised .*set tuning to lora"):
        tuned(backbone, config, head=False)


def test_parameter_without_gradient_is_named() -> None:
    layer = torch.nn.Module()
    layer.lora_A, layer.lora_B = (torch.nn.Parameter(torch.ones(1)) for _ in range(2))
    check = GradientCheck(layer)
    layer.lora_A.grad, layer.lora_B.grad = torch.zeros(1), torch.ones(1)
    check.after_backward(loss=1.0)
    with pytest.raises(LexError, match="lora_A gets no gradient in step 2"):
        check.after_backward(loss=1.0)
    layer.lora_B.grad = None
    with pytest.raises(LexError, match="lora_B gets no gradient in step 1"):
        GradientCheck(layer).after_backward(loss=1.0)
    layer.lora_A.grad = layer.lora_B.grad = torch.ones(1)
    with pytest.raises(LexError, match="lora_A has a gradient in step 1: the adapter did not start at zero"):
        GradientCheck(layer).after_backward(loss=1.0)
