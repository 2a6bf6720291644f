"""Lengths without weights are those that the encoder itself would see."""

from __future__ import annotations

import pytest

from lex_assets import BiEncoder
from lex_assets.models.batching import tokenize
from lex_assets.models.token_lengths import TokenLengths
from lex_assets_tests.models.conftest import write_checkpoint

TEXTS = ["손해배상 청구", "가" * 40, "법률 " * 60, ""]


@pytest.mark.parametrize("model", ["builtin", "roberta", "sentence-transformers", "multilingual-e5-small"])
def test_limits_and_lengths_are_the_encoders(model, tmp_path, monkeypatch):
    if model == "multilingual-e5-small":
        from dataclasses import replace

        from lex_assets.models import presets

        narrow = replace(presets.RETRIEVERS["intfloat/multilingual-e5-small"], dimension=0, query_max_length=20)
        monkeypatch.setitem(presets.RETRIEVERS, narrow.name, narrow)
    pooling = "mean" if model == "sentence-transformers" else None
    architecture = "roberta" if model == "roberta" else "bert"
    name = model if model == "builtin" else str(write_checkpoint(tmp_path, architecture, "retriever", pooling))
    name = f"{model}={name}" if model == "multilingual-e5-small" else name
    encoder, lengths = BiEncoder(name), TokenLengths.of(name)
    for kind in ("query", "passage"):
        limit = encoder.get_max_seq_length(kind)
        assert lengths.limits[kind] == limit
        texts = [encoder.get_prefix(kind) + text for text in TEXTS]
        cut = tokenize(encoder.model.tokenizer, texts, None, limit)
        counts = lengths.count(kind, TEXTS)
        assert [min(n, limit) for n in counts] == [len(row["input_ids"]) for row in cut.rows]
        assert (counts > limit).sum() == cut.n_truncated
