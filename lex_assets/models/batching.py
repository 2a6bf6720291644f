"""Texts to token batches of similar length, and results back in their order. Shared by both kinds of encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

TOKENIZE_AT_ONCE = 8192


@dataclass(frozen=True)
class Tokens:
    """Token ids of `texts`, cut at the limit. `n_truncated` counts those that were cut."""

    rows: list[dict[str, list[int]]]
    n_truncated: int


def tokenize(tokenizer: Any, texts: Sequence[str], pairs: Sequence[str] | None, max_length: int) -> Tokens:
    """Tokenize texts (or text-pair rows) without padding. `max_length`: tokens, special ones included."""
    rows: list[dict[str, list[int]]] = []
    truncated = 0
    for at in range(0, len(texts), TOKENIZE_AT_ONCE):
        part = slice(at, at + TOKENIZE_AT_ONCE)
        second = None if pairs is None else list(pairs[part])
        batch = tokenizer(list(texts[part]), second, truncation=True, max_length=max_length, padding=False)
        truncated += sum(bool(encoding.overflowing) for encoding in batch.encodings or [])
        rows += [{name: batch[name][n] for name in batch} for n in range(len(batch["input_ids"]))]
    return Tokens(rows, truncated)


def length_sorted(rows: Sequence[dict[str, list[int]]], batch_size: int) -> Iterator[np.ndarray]:
    """Batches of row numbers, longest first (a batch that does not fit fails at once); ties keep their order."""
    lengths = np.array([len(row["input_ids"]) for row in rows], dtype=np.int64)
    order = np.argsort(-lengths, kind="stable")
    for at in range(0, len(order), batch_size):
        yield order[at : at + batch_size]


def usable_length(asked: int | None, preset: int, model_limit: int | None, tokenizer: Any) -> int:
    """The token limit to use: the one asked for, else the preset's, never beyond what the model has positions for."""
    limits = [limit for limit in (model_limit, tokenizer.model_max_length) if limit and limit < 10**6]
    most = min(limits, default=512)
    return min(asked or preset or most, most)
