"""The models that ship in the package: small, offline, quick to load, and honest about what they have seen."""

from __future__ import annotations

import json
import time

import numpy as np
import pytest

from lex_assets import BiEncoder, Reranker
from lex_assets.models.presets import BUILTIN_DIR
from lex_assets.queries.split import SplitConfig, family_is_held_out

MIB = 2**20
KINDS = ("retriever", "reranker", "retriever_supervised")


@pytest.fixture(scope="module")
def encoder():
    return BiEncoder()


def test_together_at_most_40_mb_and_no_file_above_12_mib():
    sizes = [path.stat().st_size for path in BUILTIN_DIR.rglob("*") if path.is_file()]
    assert sum(sizes) <= 40e6
    assert max(sizes) <= 12 * MIB


def test_loads_in_two_seconds_once_the_libraries_are_imported(encoder):
    started = time.process_time()
    BiEncoder()
    assert time.process_time() - started < 2


def test_tokens_keep_circled_numerals_and_the_middle_dot(encoder):
    tokens = encoder.model.tokenizer.tokenize("① 사용ㆍ수익 제53조의2 ⑩")
    assert {"①", "ㆍ", "⑩"} <= set(tokens)
    assert "[UNK]" not in tokens


def test_the_related_article_is_nearest(encoder):
    questions = ["이혼할 때 재산을 나누어 달라고 청구할 수 있는 기간", "불법행위로 인한 손해배상책임이 인정되는지 여부"]
    passages = [
        "재산분할청구권\n재산분할청구권은 이혼한 날부터 2년을 경과한 때에는 소멸한다.",
        "불법행위의 내용\n고의 또는 과실로 인한 위법행위로 타인에게 손해를 가한 자는 그 손해를 배상할 책임이 있다.",
        "세율\n이 법에 따른 개별소비세의 세율은 다음 각 호와 같다.",
        "등기\n지배인의 선임과 그 대리권의 소멸에 관하여는 그 지배인을 둔 본점 또는 지점소재지에서 등기하여야 한다.",
    ]
    scores = encoder.encode_queries(questions) @ encoder.encode_passages(passages).T
    assert scores.argmax(axis=1).tolist() == [0, 1]
    pairs = [(question, passage) for question in questions for passage in passages]
    assert np.isfinite(Reranker().score(pairs)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_seen_documents_belong_to_training_in_the_pipelines_default_split(kind):
    facts = json.loads((BUILTIN_DIR / kind / "training_config.json").read_text("utf-8"))
    split = SplitConfig(**facts["split"])
    assert split == SplitConfig(), "the default split changed: train the built-in models again"
    assert facts["excluded_families"]
    assert all(family_is_held_out(f, split.seed, split.held_out) for f in facts["excluded_families"])
    seen = (BUILTIN_DIR / kind / "trained_documents.txt").read_text("utf-8").split()
    assert len(seen) == len(set(seen)) > 1000
    assert any(document.startswith("PREC_") for document in seen)


@pytest.mark.parametrize("kind", KINDS)
def test_card_names_command_seed_data_and_what_was_left_out(kind):
    card = (BUILTIN_DIR / kind / "README.md").read_text("utf-8")
    facts = json.loads((BUILTIN_DIR / kind / "training_config.json").read_text("utf-8"))
    command = "benchmarks/train_supervised.py" if "supervised" in kind else "benchmarks/train_builtin.py"
    for needed in (command, f"seed {facts['settings']['seed']}", facts["data_hash"], "Apache-2.0"):
        assert needed in card
    assert all(family in card for family in facts["excluded_families"])


def test_without_a_name_the_model_that_has_learnt_from_labels_is_loaded(encoder):
    question = ["임대차보증금 반환채권의 소멸시효"]
    assert encoder.preset.name == "builtin-supervised"
    assert BiEncoder().weights_hash == encoder.weights_hash != BiEncoder("builtin").weights_hash
    assert np.array_equal(BiEncoder("builtin-supervised").encode_queries(question), encoder.encode_queries(question))


def test_questions_are_told_from_passages_by_sentence_transformers_too(encoder):
    from sentence_transformers import SentenceTransformer

    texts, plain = ["임대차보증금 반환채권의 소멸시효"], SentenceTransformer(encoder.preset.hub_id, device="cpu")
    asked, found = plain.encode_query(texts, normalize_embeddings=True), encoder.encode_queries(texts)
    assert np.allclose(asked, found, atol=1e-3)
    assert np.allclose(
        plain.encode_document(texts, normalize_embeddings=True), encoder.encode_passages(texts), atol=1e-3
    )
    assert not np.allclose(found, encoder.encode_passages(texts), atol=1e-2)


def test_at_most_8_million_parameters(encoder):
    for model in (encoder, BiEncoder("builtin")):
        assert sum(weights.numel() for weights in model.model.parameters()) <= 8_000_000


def test_the_supervised_model_trained_on_no_decision_of_another_set():
    seen = (BUILTIN_DIR / "retriever_supervised" / "trained_questions.txt").read_text("utf-8").split()
    documents = (BUILTIN_DIR / "retriever_supervised" / "trained_documents.txt").read_text("utf-8").split()
    assert len(seen) == len(set(seen)) > 5000
    assert {f"PREC_{question.rsplit('-', 1)[0]}" for question in seen} <= set(documents)
