"""Losses, on fp32 logits. Each returns a scalar; `chance` is its value for a model that knows nothing."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor


def masked_info_nce(queries: Tensor, passages: Tensor, target: Tensor, masked: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each query's positive among the passages of the batch.

    queries (n, d) and passages (m, d) of unit length · target (n,) column of the positive · masked (n, m) true where a
    passage must not count as a negative (another positive, an equivalent, the query's own decision).
    """
    logits = queries.float() @ passages.float().T / temperature
    return F.cross_entropy(logits.masked_fill(masked, -torch.inf), target)


def info_nce_chance(masked: Tensor) -> float:
    """Mean ln(unmasked candidates): the loss of a model that cannot tell passages apart."""
    return float((~masked).sum(dim=1).double().log().mean())


def margin_loss(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Hinge over all positives (p,) x negatives (n,): mean max(0, margin - (positive - negative)), logits."""
    return F.relu(margin - (positive[:, None] - negative[None, :])).mean()


def ranknet_loss(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Logistic loss over all positives x negatives; `margin` is not used."""
    return F.softplus(negative[None, :] - positive[:, None]).mean()


def listwise_loss(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Each positive against all negatives in one softmax (other positives left out); `margin` is not used."""
    rows = torch.cat([positive[:, None], negative[None, :].expand(len(positive), -1)], dim=1)
    return (torch.logsumexp(rows, dim=1) - positive).mean()


def bce_loss(positive: Tensor, negative: Tensor, margin: float) -> Tensor:
    """Binary cross-entropy, positives and negatives weighted equally; `margin` is not used."""
    return (F.softplus(-positive).mean() + F.softplus(negative).mean()) / 2


GroupLoss = Callable[[Tensor, Tensor, float], Tensor]
GROUP_LOSSES: dict[str, GroupLoss] = {
    "margin": margin_loss,
    "ranknet": ranknet_loss,
    "listwise": listwise_loss,
    "bce": bce_loss,
}


def group_chance(loss: str, negatives: int, margin: float) -> float:
    """The group loss when every logit is zero."""
    return {"margin": margin, "listwise": math.log(negatives + 1)}.get(loss, math.log(2))
