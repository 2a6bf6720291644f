"""A retriever that is a bag of pieces, and the BERT that gives the same vectors.

A text is the mean of its piece vectors, whose lengths are their importance. To every question one more vector is added, the same
for all: it leans them toward articles that courts cite often. Passages go without, so a question is told by a token before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from train_builtin import bert_config
from transformers import BertModel, PreTrainedTokenizerFast

Ids = list[int]
QUERY = "[QUERY]"
"""The token before a question."""
AROUND = 3
"""Tokens around a question's own, without a vector: `QUERY`, [CLS] and [SEP]."""
PART = 2048
TOLD_BY = 40.0
"""How much more a question's token is attended to than the others, as a logit: they together get less than 1e-14."""


@dataclass(frozen=True)
class Bag:
    """table: piece vectors (vocabulary, d) · lean: (d,) added to the mean of every question."""

    table: Tensor
    lean: Tensor

    def queries(self, rows: Sequence[Ids]) -> Tensor:
        """Unit vectors (n, d) of questions."""
        return functional.normalize(self._sums(rows) / _lengths(rows, AROUND) + self.lean, dim=-1)

    def passages(self, rows: Sequence[Ids]) -> Tensor:
        """Unit vectors (n, d) of passages."""
        return functional.normalize(self._sums(rows), dim=-1)

    def _sums(self, rows: Sequence[Ids]) -> Tensor:
        flat = torch.from_numpy(np.fromiter(chain.from_iterable(rows), np.int64))
        starts = torch.from_numpy(np.cumsum([0, *(len(ids) for ids in rows[:-1])]))
        return functional.embedding_bag(flat, self.table, starts, mode="sum")


def _lengths(rows: Sequence[Ids], more: int) -> Tensor:
    return torch.tensor([[len(ids) + more] for ids in rows])


@torch.no_grad()
def in_parts(encode: Callable[[Sequence[Ids]], Tensor], rows: Sequence[Ids]) -> Tensor:
    """`encode` (`Bag.queries` or `Bag.passages`) of many texts, without gradients."""
    return torch.cat([encode(rows[start : start + PART]) for start in range(0, len(rows), PART)])


def as_bert(bag: Bag, tokenizer: PreTrainedTokenizerFast, s: Any) -> BertModel:
    """A BERT whose mean-pooled states are the bag's vectors, followed by `spare` zeros. s: settings with hidden, spare, layers,
    heads, intermediate, seed. The tokenizer's last token is `QUERY`, for which `bag.table` has no row.

    Layer normalisation makes all piece vectors equally long, but their lengths are their importance. So each gets `spare`
    more numbers that bring its mean to 0 and its length to that of the others, and the last normalisation's gain drops them.
    """
    torch.manual_seed(s.seed)
    model = BertModel(bert_config(s, tokenizer))
    turn = _flat_direction_first(bag.table)
    scale = (0.97 * s.hidden) ** 0.5 / torch.quantile(bag.table.norm(dim=1), 0.999)
    with torch.no_grad():
        words = model.embeddings.word_embeddings.weight
        words[: len(bag.table)] = equally_long(bag.table @ turn * scale, s.spare)
        words[[tokenizer.cls_token_id, tokenizer.sep_token_id]] = _no_content(s)
        words[tokenizer.convert_tokens_to_ids(QUERY)] = _sign_of_a_question(s)
        model.embeddings.position_embeddings.weight.zero_()
        model.embeddings.token_type_embeddings.weight.zero_()
        for layer in model.encoder.layer:
            layer.attention.output.dense.weight.zero_()
            layer.output.dense.weight.zero_()
        _lean_questions(model.encoder.layer[0].attention, bag.lean @ turn * scale, s)
        model.encoder.layer[-1].output.LayerNorm.weight[-s.spare :] = 0
    return model


def equally_long(content: Tensor, spare: int) -> Tensor:
    """(n, d + spare) rows of mean 0 and variance 1 that begin with the rows of `content`, cut where they are too long."""
    width = content.shape[1] + spare
    content = content * ((0.97 * width) ** 0.5 / content.norm(dim=1).clamp(min=1e-6)).clamp(max=1)[:, None]
    level = -content.sum(1) / spare
    rest = (width - (content**2).sum(1) - spare * level**2).clamp(min=0)
    signs = torch.tensor([1.0, -1.0]).repeat(spare // 2)
    return torch.cat([content, level[:, None] + (rest / spare).sqrt()[:, None] * signs], 1)


def _flat_direction_first(table: Tensor) -> Tensor:
    """A reflection (d, d) after which the rows' sums are small: the direction that varies least becomes that of the sum."""
    least = torch.linalg.svd(table, full_matrices=False)[2][-1]
    difference = least - torch.ones_like(least) / len(least) ** 0.5
    unit = difference / difference.norm()
    return torch.eye(len(least)) - 2 * torch.outer(unit, unit)


def _no_content(s: Any) -> Tensor:
    return _in_spare(torch.tensor([1.0, -1.0]), s)


def _sign_of_a_question(s: Any) -> Tensor:
    """At right angles to all other tokens: theirs alternate from one spare number to the next."""
    return _in_spare(torch.tensor([1.0, 1.0, -1.0, -1.0]), s)


def _in_spare(signs: Tensor, s: Any) -> Tensor:
    return torch.cat(
        [torch.zeros(s.hidden - s.spare), signs.repeat(s.spare // len(signs)) * (s.hidden / s.spare) ** 0.5]
    )


def _lean_questions(attention: Any, lean: Tensor, s: Any) -> None:
    """Make the first head add `lean` to every token of a text that has the token `QUERY`, and nothing to those of others."""
    sign, inside = _sign_of_a_question(s), attention.self
    unit = (TOLD_BY * (s.hidden // s.heads) ** 0.5) ** 0.5
    for part in (inside.query, inside.key, inside.value):
        part.weight[: s.hidden // s.heads] = 0
    inside.query.bias[0] = unit
    inside.key.weight[0] = sign * unit / s.hidden
    inside.value.weight[0] = sign / s.hidden
    attention.output.dense.weight[:, 0] = torch.cat([lean, (-lean.sum() / s.spare).expand(s.spare)])
