"""Transformer families: which layers an adapter goes on, and what the scoring head is called. By config's `model_type`."""

from __future__ import annotations

from dataclasses import dataclass

ALL = "all"
"""As a LoRA target: every linear layer of the transformer blocks."""

ENCODER_LINEARS = ("query", "key", "value", "intermediate.dense", "output.dense")
"""Every linear layer of a BERT-type encoder block (BERT, RoBERTa, XLM-R, ELECTRA) and nothing of the pooler, which gets
no gradient under mean pooling and which a plain `dense` would match."""


@dataclass(frozen=True)
class Architecture:
    """lora_targets: endings of layer names, looked for in the blocks only · head: modules of a sequence classifier outside
    the encoder; they train whole beside LoRA (`modules_to_save`) and stay in full precision in a 4-bit model ·
    positions_after_padding: the first of the position embeddings belong to padding and hold no token."""

    lora_targets: tuple[str, ...]
    head: tuple[str, ...] = ("classifier",)
    positions_after_padding: bool = False


_BERT, _ROBERTA = Architecture(ENCODER_LINEARS), Architecture(ENCODER_LINEARS, positions_after_padding=True)
ARCHITECTURES = {
    "bert": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "electra": _BERT,
    "modernbert": Architecture(("Wqkv", "Wo", "Wi"), ("head", "classifier")),
}


def architecture_of(model_type: str) -> Architecture:
    """The family of `model_type`; one that is not listed is adapted in every linear layer of its blocks."""
    return ARCHITECTURES.get(model_type, Architecture((ALL,)))
