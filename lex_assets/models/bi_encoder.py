"""The retriever: texts to vectors, with the prefixes and lengths that its weights were trained with.

Wraps a sentence-transformers model; an adapter is merged into it. Not here: search over the vectors (`retrieval`).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from sentence_transformers.util import is_sentence_transformer_model
from tqdm.auto import tqdm

from lex_assets.models.batching import length_sorted, tokenize, usable_length, windows
from lex_assets.models.loading import (
    keep_cpu_layout,
    load_adapter,
    loading_errors,
    quiet_loading,
    require_device,
    same_new_weights,
    torch_dtype,
    weight_options,
)
from lex_assets.models.presets import BUILTIN_SUPERVISED, RetrieverPreset, TemplateMode, retriever_preset
from lex_assets.models.weights import Adapter, Base, combined_hash, folder_stamp, read_training_config
from lex_assets.schemas import LexError, content_hash

log = logging.getLogger(__name__)


class BiEncoder:
    """A retriever: base weights, optionally with a LoRA adapter.

    model: a preset's name, a Hugging Face id or a local folder; without one, the built-in model that has learnt court issue → article ·
    peft_adapter_path: adapter folder; its training lengths and prefixes are applied unless given here · merge_adapter:
    into the base, so that it costs nothing (never into a quantised one) ·
    template: prefixes; None takes those of the adapter, else the preset's ·
    max_seq_length, query_max_seq_length, passage_max_seq_length: tokens; longer texts are cut and counted in `truncated` ·
    window_overlap: tokens that neighbouring windows of a passage beyond its limit share; None leaves such passages cut
    (see `passage_windows`) · normalize: unit vectors, so that the dot product is the cosine · dtype: float32, bfloat16 or
    float16 · quantization: None, or "nf4" (4-bit weights with double quantisation; the adapter stays unmerged).

    Raises LexError for a missing model or adapter, an adapter of another base, a length that the model has no positions
    for, or an unknown quantisation.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        peft_adapter_path: str | None = None,
        merge_adapter: bool = True,
        template: TemplateMode | str | None = None,
        normalize: bool = True,
        max_seq_length: int | None = None,
        query_max_seq_length: int | None = None,
        passage_max_seq_length: int | None = None,
        window_overlap: int | None = 32,
        device: str = "cpu",
        dtype: str | torch.dtype = "float32",
        quantization: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self.preset = retriever_preset(str(model or BUILTIN_SUPERVISED))
        self.normalize = normalize
        require_device(device)
        self.dtype = torch_dtype(dtype)
        self.quantization = quantization
        self.window_overlap = window_overlap
        stamp = folder_stamp(self.preset.folder) if self.preset.is_local else ""
        self.model = _load(self.preset, device, self.dtype, quantization, trust_remote_code)
        self.model.eval()
        self.base = Base(self.preset.name, self.preset.hub_id, _commit(self.model), stamp)
        self.adapter = Adapter.open(peft_adapter_path) if peft_adapter_path else None
        if self.adapter:
            self.adapter.check_base(self.base)
            self.model[0].model = load_adapter(
                self.model[0].model, self.adapter.path, merge=merge_adapter and not quantization
            )
        self.query_prefix, self.passage_prefix = self._prefixes(template)
        self.query_max_seq_length = self._length("query", query_max_seq_length or max_seq_length)
        self.passage_max_seq_length = self._length("passage", passage_max_seq_length or max_seq_length)
        self.truncated = {"query": 0, "passage": 0}

    def encode_queries(self, texts: Sequence[str], batch_size: int = 64, show_progress: bool = False) -> np.ndarray:
        """(n, dim) float32 vectors of questions."""
        return self._encode("query", texts, batch_size, show_progress)

    def encode_passages(self, texts: Sequence[str], batch_size: int = 64, show_progress: bool = False) -> np.ndarray:
        """(n, dim) float32 vectors of passages."""
        return self._encode("passage", texts, batch_size, show_progress)

    def passage_windows(self, texts: Sequence[str]) -> list[list[str]]:
        """Each passage as the pieces to encode: itself, or overlapping windows where it is longer than the model reads.
        A search scores a passage by its best window."""
        if self.window_overlap is None:
            return [[text] for text in texts]
        limit = self.passage_max_seq_length
        overlap = min(self.window_overlap, limit // 2)
        return windows(self.model.tokenizer, texts, self.passage_prefix, limit, overlap)

    def get_max_seq_length(self, kind: str = "passage") -> int:
        """Token limit of `kind` ("query" or "passage"), special tokens included."""
        return self.query_max_seq_length if kind == "query" else self.passage_max_seq_length

    def get_prefix(self, kind: str) -> str:
        """What is put before a text of `kind` ("query" or "passage")."""
        return self.query_prefix if kind == "query" else self.passage_prefix

    def get_embedding_dimension(self) -> int:
        """Width of the vectors."""
        return int(self.model.get_embedding_dimension() or 0)

    def get_training_config(self) -> dict[str, Any]:
        """How the adapter, or else the base, was trained; {} where the folder does not say."""
        if self.adapter:
            return dict(self.adapter.settings)
        return read_training_config(self.preset.folder) if self.preset.is_local else {}

    @cached_property
    def weights_hash(self) -> str:
        """sha256 of base and adapter by content."""
        return combined_hash(self.base, self.adapter)

    def cache_key(self, kind: str) -> str:
        """Equal exactly when the same text gets the same vector: weights, prefix, length, dtype, normalisation."""
        settings = (self.get_max_seq_length(kind), self.dtype, self.normalize, *filter(None, [self.quantization]))
        return content_hash(self.weights_hash, kind, self.get_prefix(kind), *map(str, settings))

    @torch.inference_mode()
    def _encode(self, kind: str, texts: Sequence[str], batch_size: int, show_progress: bool) -> np.ndarray:
        prefix = self.get_prefix(kind)
        tokens = tokenize(self.model.tokenizer, [prefix + t for t in texts], None, self.get_max_seq_length(kind))
        self._count_truncated(kind, tokens.n_truncated, len(texts))
        vectors = np.empty((len(texts), self.get_embedding_dimension()), dtype=np.float32)
        batches = list(length_sorted(tokens.rows, batch_size))
        for rows in tqdm(batches, desc=f"encode {kind}", unit="batch", disable=not show_progress):
            vectors[rows] = self._forward([tokens.rows[n] for n in rows]).cpu().numpy()
        if not np.isfinite(vectors).all():
            raise LexError(f"{self.base.name} gave NaN vectors in {self.dtype}; load it with dtype float32 or bfloat16")
        return vectors

    def _forward(self, rows: list[dict[str, list[int]]]) -> torch.Tensor:
        features = self.model.tokenizer.pad(rows, return_tensors="pt").to(self.model.device)
        embedding = self.model(dict(features))["sentence_embedding"].float()
        return torch.nn.functional.normalize(embedding, dim=-1) if self.normalize else embedding

    def _count_truncated(self, kind: str, n_truncated: int, n_texts: int) -> None:
        told = self.truncated[kind]  # once per kind: a server encodes one query at a time
        self.truncated[kind] += n_truncated
        if n_truncated and not told:
            remedy = f"raise {kind}_max_length, or ask shorter" if kind == "query" else f"raise {kind}_max_length"
            limit = self.get_max_seq_length(kind)
            log.warning("%d of %d %s texts were cut at %d tokens; %s", n_truncated, n_texts, kind, limit, remedy)

    def _prefixes(self, template: TemplateMode | str | None) -> tuple[str, str]:
        if template is not None:
            return TemplateMode(template).prefixes
        trained = self.get_training_config()
        query, passage = self.preset.query_prefix, self.preset.passage_prefix
        return trained.get("query_prefix", query), trained.get("passage_prefix", passage)

    def _length(self, kind: str, asked: int | None) -> int:
        preset = getattr(self.preset, f"{kind}_max_length")
        trained = self.get_training_config().get(f"{kind}_max_length") or preset
        transformer: Any = self.model[0]
        return usable_length(asked, trained, transformer.config, self.model.tokenizer)


def _load(
    preset: RetrieverPreset, device: str, dtype: torch.dtype, quantization: str | None, trust_remote_code: bool
) -> SentenceTransformer:
    hub: dict[str, Any] = {
        "local_files_only": preset.is_local,
        "trust_remote_code": trust_remote_code,
        "revision": preset.revision,
    }
    with loading_errors(preset, "retriever"), quiet_loading(), same_new_weights():
        weights = weight_options(dtype, quantization, device, unquantised=("pooler",))
        where: dict[str, Any] = {"device": None if quantization else device}
        if is_sentence_transformer_model(preset.hub_id, revision=preset.revision, local_files_only=preset.is_local):
            model = SentenceTransformer(preset.hub_id, model_kwargs=weights, **hub, **where)
        else:
            model = SentenceTransformer(modules=_plain_modules(preset, hub, weights), **where)
    if preset.dimension and model.get_embedding_dimension() != preset.dimension:
        raise LexError(
            f"{preset.hub_id} gives vectors of {model.get_embedding_dimension()}, but {preset.name} has {preset.dimension}; "
            "give the folder of that model, or its path without the preset's name"
        )
    keep_cpu_layout(model)
    return model


def _plain_modules(preset: RetrieverPreset, hub: dict[str, Any], weights: dict[str, Any]) -> list[torch.nn.Module]:
    """A checkpoint without sentence-transformers files gets the preset's pooling."""
    transformer = Transformer(preset.hub_id, model_kwargs=hub | weights, processor_kwargs=hub, config_kwargs=hub)
    return [transformer, Pooling(transformer.get_embedding_dimension(), preset.pooling)]


def _commit(model: SentenceTransformer) -> str | None:
    return getattr(model.config, "_commit_hash", None)
