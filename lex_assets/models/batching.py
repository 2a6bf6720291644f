"""Texts to token batches of similar length, and results back in their order. Shared by both kinds of encoder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lex_assets.models.architectures import architecture_of
from lex_assets.schemas import LexError

TOKENIZE_AT_ONCE = 8192
RETOKENIZED = 4  # tokens kept free in a window: a text that is cut inside a word has other tokens at its ends


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


def windows(tokenizer: Any, texts: Sequence[str], prefix: str, max_length: int, overlap: int) -> list[list[str]]:
    """Each text as the pieces that fit `max_length` tokens behind `prefix`: itself when it fits, else windows that share
    `overlap` tokens with their neighbours and together cover all of it."""
    room = max_length - len(tokenizer(prefix)["input_ids"])
    size = max(room - RETOKENIZED, 1)
    pieces: list[list[str]] = []
    for at in range(0, len(texts), TOKENIZE_AT_ONCE):
        part = list(texts[at : at + TOKENIZE_AT_ONCE])
        encoded = tokenizer(part, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        for text, offsets in zip(part, encoded["offset_mapping"], strict=True):
            starts = [0] if len(offsets) <= room else _window_starts(len(offsets), size, overlap)
            ends = (min(start + size, len(offsets)) - 1 for start in starts)
            whole = len(starts) == 1
            spans = ((offsets[a][0], offsets[b][1]) for a, b in zip(starts, ends, strict=True))
            pieces.append([text] if whole else [text[a:b] for a, b in spans])
    return pieces


def _window_starts(n_tokens: int, size: int, overlap: int) -> list[int]:
    """Where windows of `size` tokens begin; the last one ends with the text."""
    step = max(size - overlap, 1)
    starts = list(range(0, max(n_tokens - size, 0) + step, step))
    return [min(start, max(n_tokens - size, 0)) for start in starts]


def usable_length(asked: int | None, preset: int, config: Any, tokenizer: Any) -> int:
    """The token limit to use: the one asked for, else the preset's, else the model's own.

    Raises LexError when more is asked for than the model has positions.
    """
    own = tokenizer.model_max_length if tokenizer.model_max_length < 10**6 else 512
    most = _positions(config) or own
    if asked and asked > most:
        raise LexError(
            f"{asked} tokens were asked for, but the model has {most} positions; set a length of at most {most}"
        )
    return asked or min(preset or own, most)


def _positions(config: Any) -> int | None:
    """Tokens that the model has positions for. RoBERTa's begin behind the padding id, so that 514 rows hold 512 tokens."""
    rows = getattr(config, "max_position_embeddings", None)
    offset = architecture_of(config.model_type).positions_after_padding
    return rows - config.pad_token_id - 1 if rows and offset else rows
