"""Attach an adapter to frozen weights, and prove that nothing else trains.

Nothing is left to defaults: PEFT's own targets differ by architecture, `dense` also matches a pooler that mean pooling
never reads, and a cross-encoder's head is neither trained nor saved unless it is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from lex_assets.models.architectures import ALL
from lex_assets.schemas import LexError
from lex_assets.training.config import TrainingConfig


def head_names(model: nn.Module) -> list[str]:
    """Top-level modules with weights outside the encoder: what a cross-encoder must train and save in full.

    Raises LexError when there is none: the model was loaded without its head.
    """
    children, encoder = dict(model.named_children()), getattr(model, "base_model_prefix", "")
    heads = [name for name, child in children.items() if name != encoder and list(child.parameters())]
    if encoder not in children or not heads:
        raise LexError(f"{type(model).__name__} has no classification head; load it as a sequence classifier")
    return heads


def lora_target_names(model: nn.Module, wanted: Sequence[str]) -> list[str]:
    """Full names of the layers to adapt: linear ones inside the transformer blocks and embeddings that end in one of
    `wanted`, and every such linear layer for `all`. A pooler lies outside the blocks.

    Raises LexError naming the layers that exist when nothing matches.
    """
    modules = dict(model.named_modules())
    linear = [name for name, module in modules.items() if isinstance(module, nn.Linear)]
    blocks = [name for name in linear if any(part.isdigit() for part in name.split("."))]
    tables = [name for name, module in modules.items() if isinstance(module, nn.Embedding)]
    endings = tuple(f".{suffix}" for suffix in wanted)
    chosen = [name for name in (*tables, *blocks) if f".{name}".endswith(endings) or (ALL in wanted and name in blocks)]
    if not chosen:
        leaves = ", ".join(sorted({name.split(".")[-1] for name in (*blocks, *tables)})) or "none"
        raise LexError(
            f"LoRA targets {', '.join(wanted) or 'none'} match no layer of {type(model).__name__}; set lora_targets to "
            f"some of: {leaves}, or to {ALL}"
        )
    return chosen


def attach_lora(
    model: nn.Module,
    config: TrainingConfig,
    targets: Sequence[str],
    base_name: str,
    head: bool,
    revision: str | None = None,
) -> Any:
    """The PEFT model around `model`, whose layers are adapted in place.

    targets: used where the config names none · base_name, revision: written into adapter_config.json, never a path. With
    `head`, the modules outside the encoder train in full.
    """
    from peft import LoraConfig, TaskType, get_peft_model

    heads = head_names(model) if head else None
    lora = LoraConfig(
        task_type=TaskType.SEQ_CLS if head else TaskType.FEATURE_EXTRACTION,
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=lora_target_names(model, config.lora_targets or targets),
        modules_to_save=list(heads) if heads else None,  # PEFT appends its own guesses to the list
    )
    with torch.random.fork_rng():
        torch.manual_seed(config.seed)  # lora_A starts at random
        peft_model = get_peft_model(model, lora)
    written = peft_model.peft_config["default"]
    written.base_model_name_or_path, written.revision = base_name, revision
    assert_trainable(peft_model, heads or [])
    return peft_model


def assert_trainable(model: nn.Module, heads: Sequence[str]) -> None:
    """Raise LexError unless exactly the adapter and the heads train."""
    for name, parameter in model.named_parameters():
        expected = "lora_" in name or "modules_to_save" in name
        if parameter.requires_grad != expected:
            state = "frozen" if expected else "trainable"
            raise LexError(f"LoRA: {name} is {state}; only the adapter and {list(heads) or 'no head'} may train")
    missing = [head for head in heads if not any(f"{head}.modules_to_save" in n for n, _ in model.named_parameters())]
    if missing:
        raise LexError(f"LoRA: head {missing[0]} is not saved with the adapter; name it in modules_to_save")
