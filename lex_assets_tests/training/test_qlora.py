"""QLoRA on a CPU: a 4-bit base trains, and its folder scores after reloading as it did before."""

from __future__ import annotations

import numpy as np
import pytest

from lex_assets import BiEncoder, Reranker
from lex_assets.training import finish
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig
from lex_assets.training.reranker import train_reranker
from lex_assets.training.retriever import train_retriever

TWO_STEPS = {"max_steps": 2, "evaluations": 1, "learning_rate": 5e-3, "quantization": "nf4", "require_gain": False}


@pytest.fixture
def trained_scores(monkeypatch):
    """What the model in memory says about given rows when it is saved."""
    seen: dict[str, np.ndarray] = {}
    save = finish.save_tuned

    def saving(model, backbone, config, folder) -> None:
        import torch

        with torch.no_grad():
            seen["scores"] = backbone.forward_all(seen["rows"](backbone)).numpy()
        seen["layers"] = {type(module).__name__ for module in backbone.transformer.modules()}
        save(model, backbone, config, folder)

    monkeypatch.setattr(finish, "save_tuned", saving)
    return seen


def test_retriever(toy, bi_encoder_folder, tmp_path, trained_scores) -> None:
    texts = toy.queries["text"].to_list()
    trained_scores["rows"] = lambda backbone: backbone.rows("query", texts)
    config = RetrieverTrainingConfig(batch_size=12, valid_pool=36, **TWO_STEPS)
    result = train_retriever(str(bi_encoder_folder), **toy.tables, config=config, out_dir=tmp_path / "a")
    assert result.steps == 2 and "Linear4bit" in trained_scores["layers"]
    options = {"peft_adapter_path": str(result.adapter_dir), "quantization": "nf4"}
    served = BiEncoder(str(bi_encoder_folder), **options)
    np.testing.assert_allclose(served.encode_queries(texts), trained_scores["scores"], atol=1e-3)
    base = BiEncoder(str(bi_encoder_folder), quantization="nf4").encode_queries(texts)
    assert np.abs(base - trained_scores["scores"]).max() > 0.01
    assert served.cache_key("query") != BiEncoder(str(bi_encoder_folder)).cache_key("query")


def test_reranker_with_its_head_in_full_precision(marked_toy, cross_encoder_folder, tmp_path, trained_scores) -> None:
    passages, queries = marked_toy.corpus["text"].to_list(), marked_toy.queries["text"].to_list()
    pairs = [(query, passage) for query in queries[:3] for passage in passages[:5]]
    trained_scores["rows"] = lambda backbone: backbone.rows(pairs)
    config = RerankerTrainingConfig(**TWO_STEPS)
    tables, search = marked_toy.tables, marked_toy.search()
    result = train_reranker(str(cross_encoder_folder), **tables, config=config, out_dir=tmp_path / "a", lexical=search)
    options = {"peft_adapter_path": str(result.adapter_dir), "quantization": "nf4"}
    served = Reranker(str(cross_encoder_folder), **options)
    np.testing.assert_allclose(served.score(pairs), trained_scores["scores"], atol=1e-3)
    kinds = {name: type(module).__name__ for name, module in served.model[0].model.named_modules()}
    assert "Linear4bit" in kinds.values()
    assert not [name for name, kind in kinds.items() if "classifier" in name and kind == "Linear4bit"]


def test_a_quantised_model_does_not_train_in_full() -> None:
    with pytest.raises(ValueError, match="quantization nf4 freezes the base"):
        RetrieverTrainingConfig(tuning="full", quantization="nf4")
