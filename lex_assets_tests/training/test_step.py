from __future__ import annotations

import logging

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from lex_assets.schemas import LexError
from lex_assets.training.backbone import Backbone
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig
from lex_assets.training.reranker import train_reranker
from lex_assets.training.retriever import train_retriever
from lex_assets.training.step import MicroBatches


@given(st.lists(st.integers(1, 64), max_size=60), st.integers(64, 512))
def test_micro_batches_hold_every_row_once_within_the_token_budget(lengths: list[int], tokens: int) -> None:
    parts = MicroBatches(tokens, cached=False).parts(lengths)
    assert sorted(row for part in parts for row in part) == list(range(len(lengths)))
    assert all(len(part) * max(lengths[row] for row in part) <= tokens for part in parts)
    in_order = [lengths[row] for part in parts for row in part]
    assert in_order == sorted(lengths, reverse=True)
    assert parts == MicroBatches(tokens, cached=True).parts(lengths)


def test_similar_lengths_share_a_micro_batch_and_little_is_padded() -> None:
    lengths = [64, 4, 60, 5, 63, 4, 6, 62] * 8
    parts = MicroBatches(512, cached=False).parts(lengths)
    padded = sum(len(part) * max(lengths[row] for row in part) for part in parts)
    in_given_order = sum(8 * max(lengths[at : at + 8]) for at in range(0, 64, 8))
    assert padded < 1.15 * sum(lengths) < in_given_order / 1.5
    assert len(parts) < 8


def test_longer_rows_than_the_budget_go_alone() -> None:
    assert MicroBatches(4, cached=False).parts([9, 9]) == [[0], [1]]


class Device:
    """A device on which a forward pass with gradients fits only up to some padded tokens."""

    def __init__(self, monkeypatch, tokens: int) -> None:
        self.refused, self.largest = 0, 0
        forward = Backbone.forward

        def limited(backbone, rows):
            padded = len(rows) * max(len(row["input_ids"]) for row in rows)
            if padded > tokens:
                self.refused += 1
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")
            self.largest = max(self.largest, padded)
            return forward(backbone, rows)

        monkeypatch.setattr(Backbone, "forward", limited)


def retriever(toy, folder, out_dir, **options):
    config = RetrieverTrainingConfig(
        max_steps=3, batch_size=12, learning_rate=5e-3, lora_dropout=0.0, valid_pool=36, evaluations=1, **options
    )
    search = toy.search()
    return train_retriever(str(folder), **toy.tables, config=config, out_dir=out_dir, lexical=search)


def reranker(toy, folder, out_dir, **options):
    config = RerankerTrainingConfig(
        max_steps=3, batch_size=6, learning_rate=5e-3, lora_dropout=0.0, evaluations=1, **options
    )
    search = toy.search()
    return train_reranker(str(folder), **toy.tables, config=config, out_dir=out_dir, lexical=search)


@pytest.mark.parametrize("run", [retriever, reranker])
def test_out_of_memory_halves_the_micro_batch_and_changes_nothing_else(
    run, marked_toy, bi_encoder_folder, cross_encoder_folder, tmp_path, monkeypatch, caplog
) -> None:
    """The same candidates and batch: the losses and metrics are those of a device with room for all."""
    base = bi_encoder_folder if run is retriever else cross_encoder_folder
    roomy = run(marked_toy, base, tmp_path / "roomy", micro_batch=64)
    device = Device(monkeypatch, tokens=70)
    with caplog.at_level(logging.WARNING, logger="lex_assets.training.step"):
        tight = run(marked_toy, base, tmp_path / "tight", micro_batch=64)
    assert device.refused >= 3 and device.largest <= 70
    assert caplog.text.count("out of memory: micro-batch halved") == device.refused
    for a, b in zip(roomy.history, tight.history, strict=True):
        assert a["loss"] == pytest.approx(b["loss"], abs=1e-4)
        assert a["chance"] == b["chance"]
        assert a["metric"] == pytest.approx(b["metric"], abs=1e-6)


def test_one_sequence_that_does_not_fit_is_an_error(toy, bi_encoder_folder, tmp_path, monkeypatch) -> None:
    Device(monkeypatch, tokens=4)
    with pytest.raises(
        LexError, match=r"one sequence of [0-9]+ tokens does not fit .*out of memory.*lower the maximum lengths"
    ):
        retriever(toy, bi_encoder_folder, tmp_path / "a")
    assert not list(tmp_path.iterdir())


def test_optimizer_state_that_does_not_fit_is_an_error(toy, bi_encoder_folder, tmp_path, monkeypatch) -> None:
    def full(self, *rest):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.optim.AdamW, "step", full)
    with pytest.raises(LexError, match=r"optimizer's state does not fit .*set tuning to lora"):
        retriever(toy, bi_encoder_folder, tmp_path / "a")


def test_bf16_rounds_the_encoder_and_leaves_outputs_and_weights_in_fp32(
    toy, bi_encoder_folder, tmp_path, monkeypatch
) -> None:
    dtypes, forward = set(), Backbone.forward

    def noting(backbone, rows):
        outputs = forward(backbone, rows)
        dtypes.add(outputs.dtype)
        return outputs

    monkeypatch.setattr(Backbone, "forward", noting)
    losses = {}
    for precision in ("fp32", "bf16"):
        result = retriever(toy, bi_encoder_folder, tmp_path / precision, precision=precision)
        losses[precision] = result.initial_loss
        weights = load_file(result.adapter_dir / "adapter_model.safetensors")
        dtypes |= {value.dtype for value in weights.values()}
    assert dtypes == {torch.float32}
    assert 0 < abs(losses["fp32"] - losses["bf16"]) < 0.1 * losses["fp32"]
