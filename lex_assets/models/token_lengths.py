"""How long texts are to a retriever: its tokenizer and its limits, without its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lex_assets.models.batching import TOKENIZE_AT_ONCE, usable_length
from lex_assets.models.loading import loading_errors
from lex_assets.models.presets import retriever_preset


@dataclass(frozen=True)
class TokenLengths:
    """A retriever's tokenizer. prefixes, limits: by kind, "query" or "passage"; limits in tokens, special ones included."""

    tokenizer: Any
    prefixes: dict[str, str]
    limits: dict[str, int]

    @classmethod
    def of(cls, model: str, trust_remote_code: bool = False) -> TokenLengths:
        """Of a preset's name, a hub id or a folder. Raises LexError when it cannot be loaded."""
        from transformers import AutoConfig, AutoTokenizer

        preset = retriever_preset(model)
        options: dict[str, Any] = {
            "revision": preset.revision,
            "local_files_only": preset.is_local,
            "trust_remote_code": trust_remote_code,
        }
        with loading_errors(preset, "tokenizer of"):
            tokenizer = AutoTokenizer.from_pretrained(preset.hub_id, **options)
            config = AutoConfig.from_pretrained(preset.hub_id, **options)
        wanted = {"query": preset.query_max_length, "passage": preset.passage_max_length}
        limits = {kind: usable_length(None, length, config, tokenizer) for kind, length in wanted.items()}
        return cls(tokenizer, {"query": preset.query_prefix, "passage": preset.passage_prefix}, limits)

    def count(self, kind: str, texts: Sequence[str]) -> np.ndarray:
        """(n,) int32 tokens of each text as a `kind`, its prefix and the special tokens included, nothing cut."""
        counts: list[int] = []
        for at in range(0, len(texts), TOKENIZE_AT_ONCE):
            part = [self.prefixes[kind] + text for text in texts[at : at + TOKENIZE_AT_ONCE]]
            counts += map(len, self.tokenizer(part, verbose=False)["input_ids"])
        return np.array(counts, np.int32)
