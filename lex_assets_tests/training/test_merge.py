"""Merged models are plain folders that score as the adapter does."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lex_assets import BiEncoder, Reranker
from lex_assets.schemas import LexError
from lex_assets.training import merge
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig
from lex_assets.training.merge import merge_adapter
from lex_assets.training.reranker import train_reranker
from lex_assets.training.retriever import train_retriever
from lex_assets_tests.training.conftest import MarkedToy, Toy

SHORT = {"max_steps": 3, "evaluations": 1, "learning_rate": 2e-2, "require_gain": False}


@pytest.fixture(scope="module")
def retriever(bi_encoder_folder, tmp_path_factory):
    out, config = tmp_path_factory.mktemp("a") / "a", RetrieverTrainingConfig(batch_size=12, valid_pool=36, **SHORT)
    train_retriever(str(bi_encoder_folder), **Toy().tables, config=config, out_dir=out)
    return out


@pytest.fixture(scope="module")
def reranker(cross_encoder_folder, tmp_path_factory):
    out, toy = tmp_path_factory.mktemp("b") / "b", MarkedToy()
    train_reranker(
        str(cross_encoder_folder),
        **toy.tables,
        config=RerankerTrainingConfig(**SHORT),
        out_dir=out,
        lexical=toy.search(),
    )
    return out


@pytest.fixture
def checks(toy, tmp_path):
    passages = dict(toy.corpus.select("passage_id", "text").iter_rows())
    rows = [
        {"query": text, "pos": [passages[f"P{i[1:].split('_')[0]}_0"]]}
        for i, text in toy.queries.select("query_id", "text").head(8).iter_rows()
    ]
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_retriever_becomes_a_sentence_transformers_folder(retriever, bi_encoder_folder, toy, checks, tmp_path) -> None:
    from sentence_transformers import SentenceTransformer

    agreed = merge_adapter(retriever, tmp_path / "merged", str(bi_encoder_folder), checks)
    assert agreed.largest_difference <= 1e-4 and round(agreed.ndcg_adapter, 4) == round(agreed.ndcg_merged, 4)
    texts = toy.queries["text"].to_list()
    expected = BiEncoder(str(bi_encoder_folder), peft_adapter_path=str(retriever)).encode_queries(texts)
    plain = SentenceTransformer(str(tmp_path / "merged"), device="cpu").encode(texts, normalize_embeddings=True)
    served = BiEncoder(str(tmp_path / "merged"))
    np.testing.assert_allclose(plain, expected, atol=1e-4)
    np.testing.assert_allclose(served.encode_queries(texts), expected, atol=1e-4)
    assert np.abs(expected - BiEncoder(str(bi_encoder_folder)).encode_queries(texts)).max() > 0.01
    assert not list((tmp_path / "merged").glob("adapter*")) and list((tmp_path / "merged").glob("*.safetensors"))
    assert "SentenceTransformer(this_folder)" in (tmp_path / "merged" / "README.md").read_text("utf-8")
    assert served.get_max_seq_length("query") == 32


def test_reranker_becomes_a_cross_encoder_folder(reranker, cross_encoder_folder, tmp_path) -> None:
    from sentence_transformers import CrossEncoder

    merge_adapter(reranker, tmp_path / "merged", str(cross_encoder_folder))
    pairs = [("q1 w1", "mark p1 w2"), ("q1 w3", "p2 w4"), ("q2 w1 w1", "mark p2")]
    expected = Reranker(str(cross_encoder_folder), peft_adapter_path=str(reranker)).score(pairs)
    plain = CrossEncoder(str(tmp_path / "merged"), device="cpu").predict(pairs)
    np.testing.assert_allclose(plain, expected, atol=1e-4)
    np.testing.assert_allclose(Reranker(str(tmp_path / "merged")).score(pairs), expected, atol=1e-4)


def test_a_merge_that_disagrees_writes_nothing(retriever, bi_encoder_folder, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(merge, "TOLERANCE", -1.0)
    with pytest.raises(LexError, match="the merged model differs from the adapter"):
        merge_adapter(retriever, tmp_path / "merged", str(bi_encoder_folder))
    assert not list(tmp_path.iterdir())


def test_what_the_adapter_is_and_its_base_must_be_known(retriever, reranker, bi_encoder_folder, tmp_path) -> None:
    with pytest.raises(
        LexError, match=f"trained on the local model {bi_encoder_folder.name}; name its folder with --base"
    ):
        merge_adapter(retriever, tmp_path / "merged")
    with pytest.raises(LexError, match="was trained on"):
        merge_adapter(retriever, tmp_path / "merged", "builtin")
    (retriever / "training_config.json").rename(tmp_path / "kept.json")
    try:
        with pytest.raises(LexError, match="does not say whether it is a retriever or a reranker"):
            merge_adapter(retriever, tmp_path / "merged", str(bi_encoder_folder))
    finally:
        (tmp_path / "kept.json").rename(retriever / "training_config.json")
    assert not (tmp_path / "merged").exists()
