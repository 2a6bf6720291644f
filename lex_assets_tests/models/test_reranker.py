from __future__ import annotations

import numpy as np
import pytest
import torch

from lex_assets import Reranker
from lex_assets.schemas import LexError
from lex_assets_tests.models.conftest import save_adapter

PAIRS = [("손해배상", "법률 조항"), ("가나", "다라마바사 손해배상 청구 법률"), ("손해", "가"), ("법률", "법률")]


@pytest.fixture(scope="module")
def reranker(tiny_reranker):
    return Reranker(str(tiny_reranker))


def test_scores_are_the_models_raw_logits_in_the_order_of_the_pairs(reranker, tiny_reranker):
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    model, tokenizer = AutoModelForSequenceClassification.from_pretrained(tiny_reranker).eval(), None
    tokenizer = AutoTokenizer.from_pretrained(tiny_reranker)
    with torch.no_grad():
        expected = [model(**tokenizer(q, p, return_tensors="pt")).logits.item() for q, p in PAIRS]
    scores = reranker.score(PAIRS, batch_size=3)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_rerank_is_best_first(reranker):
    passages = [passage for _, passage in PAIRS]
    ranked = reranker.rerank("손해배상", passages)
    scores = reranker.score([("손해배상", passage) for passage in passages])
    assert [n for n, _ in ranked] == np.argsort(-scores, kind="stable").tolist()


def test_no_pairs_no_scores(reranker):
    assert reranker.score([]).shape == (0,)


def test_adapter_brings_its_head(reranker, tiny_reranker, tmp_path):
    from transformers import AutoModelForSequenceClassification

    base = {"name": "tiny-reranker", "weights_hash": reranker.weights_hash}
    model = AutoModelForSequenceClassification.from_pretrained(tiny_reranker)
    adapted = save_adapter(
        model, tmp_path / "a", {"base": base, "max_length": 20}, task_type="SEQ_CLS", modules_to_save=["classifier"]
    ).eval()
    loaded = Reranker(str(tiny_reranker), peft_adapter_path=str(tmp_path / "a"))
    features = loaded.model.tokenizer(*zip(*PAIRS[:1], strict=True), return_tensors="pt")
    expected = adapted(**features).logits.item()
    assert loaded.get_max_seq_length() == 20
    assert loaded.score(PAIRS[:1])[0] == pytest.approx(expected, abs=1e-4)
    assert abs(loaded.score(PAIRS[:1])[0] - reranker.score(PAIRS[:1])[0]) > 0.01


@pytest.mark.parametrize("merge", [True, False])
def test_half_precision_weights_still_give_float32_logits(reranker, tiny_reranker, tmp_path, merge):
    """A head in bfloat16 would give a few dozen values: ties where float32 has an order."""
    from transformers import AutoModelForSequenceClassification

    base = {"name": "tiny-reranker", "weights_hash": reranker.weights_hash}
    model = AutoModelForSequenceClassification.from_pretrained(tiny_reranker)
    folder = tmp_path / "a"
    save_adapter(model, folder, {"base": base}, task_type="SEQ_CLS", modules_to_save=["classifier"])
    letters = "가나다라마바사손해배상법률"
    pairs = [("손해배상", f"{letters[n % 13]}{letters[n // 13]} 법률 청구") for n in range(100)]
    whole, half = (
        Reranker(str(tiny_reranker), peft_adapter_path=str(folder), merge_adapter=merge, dtype=dtype)
        for dtype in ("float32", "bfloat16")
    )
    expected, scores = whole.score(pairs), half.score(pairs)
    rounded = torch.tensor(scores).bfloat16().float().numpy()
    assert len(np.unique(scores)) >= 0.9 * len(np.unique(expected)) and not np.array_equal(scores, rounded)
    np.testing.assert_allclose(scores, expected, atol=0.05)
    assert half.cache_key != whole.cache_key


def test_unknown_quantisation_is_refused(tiny_reranker):
    with pytest.raises(LexError, match="use nf4"):
        Reranker(str(tiny_reranker), quantization="int3")


def test_nf4_leaves_the_head_in_full_precision_and_the_cpu_layout_alone(tiny_reranker, monkeypatch):
    import bitsandbytes.nn.modules
    import torch

    monkeypatch.setattr(bitsandbytes.nn.modules, "has_avx512bf16", lambda: True)
    quantised = Reranker(str(tiny_reranker), quantization="nf4")
    kinds = {name: type(m).__name__ for name, m in quantised.model[0].model.named_modules()}
    assert isinstance(quantised.model[0].model.classifier, torch.nn.Linear)
    assert kinds["classifier"] == "Linear"
    assert kinds["bert.encoder.layer.0.attention.self.query"] == "Linear4bit"
    assert np.isfinite(quantised.score(PAIRS)).all()
    four_bit = [m for m in quantised.model.modules() if type(m).__name__ == "Linear4bit"]
    assert four_bit and not any(module.support_avx512bf16_for_cpu for module in four_bit)
