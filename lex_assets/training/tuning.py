"""What trains: an adapter beside frozen weights, or all weights; and the proof that gradients reach it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch import nn

from lex_assets.schemas import LexError
from lex_assets.training.backbone import Backbone
from lex_assets.training.config import TrainingConfig
from lex_assets.training.lora import attach_lora

LORA = "lora_"
SECOND_FACTORS = ("lora_A", "lora_embedding_B")
"""Of LoRA's two factors one starts at zero; while it is zero, the other, named here, has no gradient."""


def tuned(backbone: Backbone, config: TrainingConfig, head: bool) -> nn.Module:
    """The module whose trainable parameters are those that `config.tuning` names. Raises LexError when that cannot be."""
    if config.tuning == "lora":
        adapted: nn.Module = attach_lora(
            backbone.transformer, config, backbone.lora_targets, backbone.label, head=head, revision=backbone.revision
        )
        return adapted
    for name, parameter in backbone.model.named_parameters():
        if not parameter.is_floating_point():
            raise LexError(f"training: {name} is quantised and cannot train in full; set tuning to lora")
        parameter.requires_grad_(head or ".pooler." not in name)  # an embedding of token states never reads the pooler
    whole: nn.Module = backbone.model
    return whole


def save_tuned(model: Any, backbone: Backbone, config: TrainingConfig, folder: Path) -> None:
    """Write what trained: a PEFT folder, or one that sentence-transformers loads. Neither asks the hub."""
    if config.tuning == "lora":
        model.save_pretrained(str(folder), save_embedding_layers=False)
    else:
        backbone.model.save_pretrained(str(folder), create_model_card=False)


def modules_in_training(model: nn.Module) -> list[nn.Module]:
    """Modules that train in train mode. Beside an adapter the frozen base keeps to eval mode: its dropout would only add
    noise."""
    if not any(LORA in name for name, _ in model.named_parameters()):
        return [model]
    return [m for name, m in model.named_modules() if "lora_dropout" in name or "modules_to_save" in name]


class GradientCheck:
    """Asserts that gradients reach what trains: everything in the second step, and in the first everything but LoRA's second
    factors, whose gradients are zero then.

    Steps with a loss of zero (a hinge that is satisfied) say nothing and do not count, nor do biases: attention is blind to
    those of its keys, and a loss over differences of logits to that of the head.
    """

    def __init__(self, model: nn.Module) -> None:
        self._parameters = [
            (name, p) for name, p in model.named_parameters() if p.requires_grad and not name.endswith("bias")
        ]
        self._steps = 0

    def skip(self, steps: int) -> None:
        """Count steps that an earlier process has checked."""
        self._steps = steps

    def after_backward(self, loss: float) -> None:
        """Check the gradients of this step. Raises LexError naming the first parameter that gets none, or one too early."""
        if self._steps >= 2 or loss == 0:
            return
        self._steps += 1
        for name, parameter in self._parameters:
            reached = parameter.grad is not None and bool(parameter.grad.any())
            expected = self._steps == 2 or not any(factor in name for factor in SECOND_FACTORS)
            if expected and not reached:
                raise LexError(
                    f"training: {name} gets no gradient in step {self._steps}; leave it out of the LoRA targets"
                )
            if reached and not expected:
                raise LexError(
                    f"training: {name} has a gradient in step 1: the adapter did not start at zero; start anew"
                )
