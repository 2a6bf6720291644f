"""Frozen models seen from training: token rows in, embeddings or logits out, through the modules that serving uses.

Texts are tokenized as in serving, once per run; a training step only pads.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from lex_assets.models.architectures import architecture_of
from lex_assets.models.batching import tokenize
from lex_assets.models.bi_encoder import BiEncoder
from lex_assets.models.reranker import Reranker
from lex_assets.models.weights import Base
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig, TrainingConfig
from lex_assets.training.processes import Processes
from lex_assets.training.step import MicroBatches

C = TypeVar("C", bound=TrainingConfig)
Row = dict[str, list[int]]
"""One tokenized sequence: input_ids and what else the tokenizer gives."""

log = logging.getLogger(__name__)

LARGE_WIDTH = 1024
LARGE_RATE = {"lora": 2e-4, "full": 2e-5}


@dataclass
class Backbone:
    """What the two kinds share. settings: what serving must repeat, for training_config.json."""

    model: Any
    base: Base
    licence: str
    is_local: bool
    lora_targets: Sequence[str]
    settings: dict[str, Any]
    bf16: bool
    micro_batches: MicroBatches

    @property
    def transformer(self) -> Any:
        """The Hugging Face model inside, which the adapter is attached to."""
        return self.model[0].model

    @property
    def label(self) -> str:
        """Hub id, or name and content hash; never a path, which means something else elsewhere."""
        return f"{self.base.name}@sha256:{self.base.hash[:16]}" if self.is_local else self.base.source

    @property
    def revision(self) -> str | None:
        """Commit of the hub that the weights are of; None for local ones, whose `label` says what they are."""
        return None if self.is_local else self.base.commit

    @property
    def device_name(self) -> str:
        """What the model runs on: cpu, or the GPU's name."""
        device = self.model.device
        return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device.type)

    @property
    def width(self) -> int:
        """Hidden units of the transformer."""
        return int(self.transformer.config.hidden_size)

    def with_learning_rate(self, config: C) -> C:
        """`config` with a rate for this width where it names none. Adapters of narrow models need, and bear, more: the
        built-in ones (256) improve fastest between 1e-3 and 3e-3, models of 1,024 around 2e-4; whole models a tenth."""
        if config.learning_rate:
            return config
        rate = LARGE_RATE[config.tuning] * (LARGE_WIDTH / self.width) ** 1.5
        return config.model_copy(update={"learning_rate": round(rate, 6)})

    def forward(self, rows: Sequence[Row]) -> Tensor:
        """Outputs of `rows`, fp32."""
        features = self.model.tokenizer.pad(list(rows), return_tensors="pt").to(self.model.device)
        with torch.autocast(self.model.device.type, dtype=torch.bfloat16, enabled=self.bf16):
            return self._output(self.model(dict(features)))

    def forward_all(self, rows: Sequence[Row]) -> Tensor:
        """`forward` over any number of rows, on the CPU, in micro-batches of similar length."""
        return self.micro_batches.fitting(lambda: self._forward_all(rows))

    def _forward_all(self, rows: Sequence[Row]) -> Tensor:
        processes, parts = Processes.current(), self.micro_batches.parts([len(row["input_ids"]) for row in rows])
        own = processes.own(parts)
        found = processes.together(lambda: {n: self.forward([rows[row] for row in parts[n]]) for n in own})
        outputs = processes.everything(parts, found).cpu()
        return outputs[torch.tensor([n for part in parts for n in part]).argsort()]

    def _output(self, features: dict[str, Tensor]) -> Tensor:
        raise NotImplementedError


@dataclass
class RetrieverBackbone(Backbone):
    """A bi-encoder with the pooling that its own configuration names: rows to unit vectors (n, d)."""

    _rows: dict[tuple[str, str], Row] = field(default_factory=dict)

    def rows(self, kind: str, texts: Iterable[str]) -> list[Row]:
        """Token rows of `kind` (query or passage): prefix included, cut at the length of the kind."""
        texts = list(texts)
        new = [text for text in dict.fromkeys(texts) if (kind, text) not in self._rows]
        if new:
            prefix, limit = self.settings[f"{kind}_prefix"], self.settings[f"{kind}_max_length"]
            tokens = tokenize(self.model.tokenizer, [prefix + text for text in new], None, limit)
            if kind == "query":
                tell_cut(tokens.n_truncated, len(new), limit, "query_max_length")
            self._rows.update({(kind, text): row for text, row in zip(new, tokens.rows, strict=True)})
        return [self._rows[kind, text] for text in texts]

    def _output(self, features: dict[str, Tensor]) -> Tensor:
        return nn.functional.normalize(features["sentence_embedding"].float(), dim=-1)


@dataclass
class RerankerBackbone(Backbone):
    """A cross-encoder: rows of (query, passage) to logits (n,), no activation between them and the loss."""

    def rows(self, pairs: Sequence[tuple[str, str]]) -> list[Row]:
        """Token rows of (query, passage) texts, cut at the length of a pair, the longer side first."""
        queries, passages = [query for query, _ in pairs], [passage for _, passage in pairs]
        return tokenize(self.model.tokenizer, queries, passages, self.settings["max_length"]).rows

    def tell_long(self, queries: Sequence[str]) -> None:
        """Log how many queries leave no room for a passage."""
        limit = self.settings["max_length"]
        tell_cut(tokenize(self.model.tokenizer, queries, None, limit).n_truncated, len(queries), limit, "max_length")

    def _output(self, features: dict[str, Tensor]) -> Tensor:
        return features["scores"].float().squeeze(-1)


def tell_cut(n_cut: int, n_queries: int, limit: int, setting: str) -> None:
    """Log that training queries are longer than the model may read, and what to do."""
    if n_cut:
        log.warning(
            "training: %d of %d queries are cut at %d tokens; raise %s, or ask shorter",
            n_cut,
            n_queries,
            limit,
            setting,
        )


def open_retriever(
    base: str, config: RetrieverTrainingConfig, device: str, trust_remote_code: bool = False
) -> RetrieverBackbone:
    """The bi-encoder `base` (preset, hub id or folder). Raises LexError when it cannot be loaded."""
    encoder = BiEncoder(
        base,
        device=device,
        query_max_seq_length=config.query_max_length or None,
        passage_max_seq_length=config.passage_max_length or None,
        quantization=config.bits,
        dtype=config.weights_dtype,
        trust_remote_code=trust_remote_code,
    )
    settings: dict[str, Any] = {f"{kind}_prefix": encoder.get_prefix(kind) for kind in ("query", "passage")}
    settings |= {f"{kind}_max_length": encoder.get_max_seq_length(kind) for kind in ("query", "passage")}
    longest = max(settings["query_max_length"], settings["passage_max_length"])
    return RetrieverBackbone(**_shared(encoder, config, longest), settings=settings)


def open_reranker(
    base: str, config: RerankerTrainingConfig, device: str, trust_remote_code: bool = False
) -> RerankerBackbone:
    """The cross-encoder `base` (preset, hub id or folder). Raises LexError when it cannot be loaded."""
    reranker = Reranker(
        base,
        device=device,
        max_seq_length=config.max_length or None,
        quantization=config.bits,
        dtype=config.weights_dtype,
        trust_remote_code=trust_remote_code,
    )
    settings = {"max_length": reranker.get_max_seq_length()}
    return RerankerBackbone(**_shared(reranker, config, settings["max_length"]), settings=settings)


def _shared(served: BiEncoder | Reranker, config: TrainingConfig, longest: int) -> dict[str, Any]:
    preset = served.preset
    transformer: Any = served.model[0]
    return {
        "model": served.model,
        "base": served.base,
        "licence": preset.licence,
        "is_local": preset.is_local,
        "lora_targets": architecture_of(transformer.config.model_type).lora_targets,
        "bf16": config.precision == "bf16",
        "micro_batches": MicroBatches(config.micro_batch * longest, config.cached_gradients),
    }
