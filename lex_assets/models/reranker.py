"""The cross-encoder: (question, passage) pairs to relevance logits.

Scores are raw logits in float32: a sigmoid flattens the differences that ranking and mining need.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from tqdm.auto import tqdm

from lex_assets.models.architectures import architecture_of
from lex_assets.models.batching import length_sorted, tokenize, usable_length
from lex_assets.models.loading import (
    keep_cpu_layout,
    known_architecture,
    load_adapter,
    loading_errors,
    quiet_loading,
    require_device,
    same_new_weights,
    torch_dtype,
    weight_options,
)
from lex_assets.models.presets import BUILTIN, RerankerPreset, reranker_preset
from lex_assets.models.weights import Adapter, Base, combined_hash, folder_stamp, read_training_config
from lex_assets.schemas import LexError, content_hash


class Reranker:
    """A cross-encoder: base weights, optionally with a LoRA adapter.

    model: a preset's name, a Hugging Face id or a local folder · merge_adapter: into the base, so that it costs nothing
    (never into a quantised one) · max_seq_length: tokens of the whole pair; longer pairs
    are cut (the longer side first) and counted in `truncated` · quantization: None, or "nf4" (4-bit with double
    quantisation, the head in full precision) · dtype: float32, bfloat16 or float16; the head computes in float32 in any case.

    Raises LexError for a missing model or adapter, an adapter of another base, or an unknown quantisation.
    """

    def __init__(
        self,
        model: str = BUILTIN,
        *,
        peft_adapter_path: str | None = None,
        merge_adapter: bool = True,
        max_seq_length: int | None = None,
        quantization: str | None = None,
        device: str = "cpu",
        dtype: str | torch.dtype = "float32",
        trust_remote_code: bool = False,
    ) -> None:
        self.preset = reranker_preset(str(model))
        self.quantization = quantization
        require_device(device)
        self.dtype = torch_dtype(dtype)
        stamp = folder_stamp(self.preset.folder) if self.preset.is_local else ""
        self.model = _load(self.preset, device, self.dtype, quantization, trust_remote_code)
        self.model.eval()
        self.base = Base(self.preset.name, self.preset.hub_id, getattr(self.model.config, "_commit_hash", None), stamp)
        self.adapter = Adapter.open(peft_adapter_path) if peft_adapter_path else None
        if self.adapter:
            self.adapter.check_base(self.base)
            self.model[0].model = load_adapter(
                self.model[0].model, self.adapter.path, merge=merge_adapter and not quantization
            )
        trained = self.get_training_config().get("max_length") or self.preset.max_length
        transformer: Any = self.model[0]
        if self.dtype is not torch.float32:
            _head_in_float32(transformer.model, architecture_of(transformer.config.model_type).head)
        self.max_seq_length = usable_length(max_seq_length, trained, transformer.config, self.model.tokenizer)
        self.truncated = 0

    @torch.inference_mode()
    def score(self, pairs: Sequence[tuple[str, str]], batch_size: int = 64, show_progress: bool = False) -> np.ndarray:
        """(n,) float32 logits of (question, passage) pairs, higher is more relevant. Raises LexError on NaN."""
        queries, passages = [query for query, _ in pairs], [passage for _, passage in pairs]
        tokens = tokenize(self.model.tokenizer, queries, passages, self.max_seq_length)
        self.truncated += tokens.n_truncated
        scores = np.empty(len(pairs), dtype=np.float32)
        batches = list(length_sorted(tokens.rows, batch_size))
        for rows in tqdm(batches, desc="rerank", unit="batch", disable=not show_progress):
            scores[rows] = self._forward([tokens.rows[n] for n in rows]).cpu().numpy()
        if not np.isfinite(scores).all():
            raise LexError(f"{self.base.name} gave NaN scores in {self.dtype}; load it with dtype float32 or bfloat16")
        return scores

    def rerank(self, query: str, passages: Sequence[str], batch_size: int = 64) -> list[tuple[int, float]]:
        """(position in `passages`, logit), best first; ties keep their order."""
        scores = self.score([(query, passage) for passage in passages], batch_size)
        return [(int(n), float(scores[n])) for n in np.argsort(-scores, kind="stable")]

    def get_max_seq_length(self) -> int:
        """Token limit of a pair, special tokens included."""
        return self.max_seq_length

    def get_training_config(self) -> dict[str, Any]:
        """How the adapter, or else the base, was trained; {} where the folder does not say."""
        if self.adapter:
            return dict(self.adapter.settings)
        return read_training_config(self.preset.folder) if self.preset.is_local else {}

    @cached_property
    def weights_hash(self) -> str:
        """sha256 of base and adapter by content."""
        return combined_hash(self.base, self.adapter)

    @property
    def cache_key(self) -> str:
        """Equal exactly when the same pair gets the same score: weights, length, dtype, quantisation."""
        precision = str(self.dtype) if self.dtype is torch.float32 else f"{self.dtype}, head float32"
        return content_hash(self.weights_hash, str(self.max_seq_length), precision, str(self.quantization))

    def _forward(self, rows: list[dict[str, list[int]]]) -> torch.Tensor:
        features = self.model.tokenizer.pad(rows, return_tensors="pt").to(self.model.device)
        return self.model(dict(features))["scores"].float().squeeze(-1)


def _head_in_float32(model: torch.nn.Module, names: Sequence[str]) -> None:
    """Let the modules called `names` compute in float32: in bfloat16 the logits of one query's candidates are full of ties."""
    for name, module in model.named_modules():
        if name.rpartition(".")[2] in names:
            module.float().register_forward_pre_hook(_given_float32)


def _given_float32(module: torch.nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one.float() if torch.is_tensor(one) and one.is_floating_point() else one for one in inputs)


def _load(
    preset: RerankerPreset, device: str, dtype: torch.dtype, quantization: str | None, trust_remote_code: bool
) -> CrossEncoder:
    with loading_errors(preset, "reranker"), quiet_loading(), same_new_weights():
        head = known_architecture(preset, trust_remote_code).head if quantization else ()
        model = CrossEncoder(
            preset.hub_id,
            revision=preset.revision,
            num_labels=1,
            device=None if quantization else device,
            activation_fn=torch.nn.Identity(),
            local_files_only=preset.is_local,
            trust_remote_code=trust_remote_code,
            model_kwargs=weight_options(dtype, quantization, device, unquantised=head),
        )
    keep_cpu_layout(model)
    return model
