"""Losses, on fp32 logits. Each returns a scalar; its `chance` is the value for a model that knows nothing.

A retriever contrasts the queries of a batch with all its passages; a reranker ranks the passages of one query.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

NDCG2_SHARE = 10.0
"""Weight of NDCG-Loss2 beside LambdaRank in NDCG-Loss2++ (mu in Wang et al. 2018)."""


def masked_info_nce(queries: Tensor, passages: Tensor, target: Tensor, masked: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of each query's positive among the passages of the batch.

    queries (n, d) and passages (m, d) of unit length · target (n,) column of the positive · masked (n, m) true where a
    passage must not count as a negative (another positive, an equivalent, the query's own decision).
    """
    return F.cross_entropy(_cosines(queries, passages, temperature).masked_fill(masked, -torch.inf), target)


def info_nce_chance(masked: Tensor) -> float:
    """Mean ln(unmasked candidates): the loss of a model that cannot tell passages apart."""
    return float((~masked).sum(dim=1).double().log().mean())


def distillation_kl(queries: Tensor, passages: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL divergence of the retriever's softmax from the teacher's over each query's candidates, mean over the queries.

    queries, passages as for `masked_info_nce` · teacher (n, m) logits, -inf where the passage is no candidate.
    """
    return _kl_from(teacher, _cosines(queries, passages, temperature))


def distillation_chance(teacher: Tensor) -> float:
    """The divergence of a model that cannot tell passages apart."""
    return float(_kl_from(teacher.double(), torch.zeros_like(teacher).double()))


def _cosines(queries: Tensor, passages: Tensor, temperature: float) -> Tensor:
    return queries.float() @ passages.float().T / temperature


def _kl_from(teacher: Tensor, student: Tensor) -> Tensor:
    absent = torch.isinf(teacher)
    wanted, found = teacher.log_softmax(dim=1), student.masked_fill(absent, -torch.inf).log_softmax(dim=1)
    log_ratio_terms = found.masked_fill(absent, 0), wanted.masked_fill(absent, 0)
    return F.kl_div(*log_ratio_terms, reduction="batchmean", log_target=True)


@dataclass(frozen=True)
class Contrast:
    """The loss of one batch of a retriever, over its vectors: n queries, then m passages.

    target (n,), masked (n, m) and teacher (n, m) as for the functions above · dims, weights: leading dimensions at which
    the loss is taken (Kusupati et al. 2022), summed by weight; none = the whole vectors.
    """

    target: Tensor
    masked: Tensor
    temperature: float
    teacher: Tensor | None = None
    teacher_weight: float = 0.0
    dims: Sequence[int] = ()
    weights: Sequence[float] = ()

    def __call__(self, vectors: Tensor) -> Tensor:
        """The loss. vectors (n + m, d) of unit length."""
        if not self.dims:
            return self._at_width(vectors)
        parts = zip(self.dims, self._weights, strict=True)
        return sum((w * self._at_width(F.normalize(vectors[:, :d], dim=-1)) for d, w in parts), vectors.new_zeros(()))

    @property
    def chance(self) -> float:
        """The loss of a model that cannot tell passages apart."""
        one = info_nce_chance(self.masked)
        if self.teacher is not None:
            one += self.teacher_weight * distillation_chance(self.teacher)
        return one * (sum(self._weights) if self.dims else 1)

    @property
    def _weights(self) -> Sequence[float]:
        return self.weights or [1.0] * len(self.dims)

    def _at_width(self, vectors: Tensor) -> Tensor:
        n, device = len(self.target), vectors.device
        queries, passages = vectors[:n], vectors[n:]
        loss = masked_info_nce(queries, passages, self.target.to(device), self.masked.to(device), self.temperature)
        if self.teacher is None:
            return loss
        return loss + self.teacher_weight * distillation_kl(
            queries, passages, self.teacher.to(device), self.temperature
        )


GroupLoss = Callable[[Tensor, Tensor], Tensor]
"""(logits (n,), grades (n,)) of one query's passages to a scalar. Grades: 0 = negative, above = positive; both occur."""


def margin_loss(logits: Tensor, grades: Tensor, margin: float) -> Tensor:
    """Hinge over all positives x negatives: mean max(0, margin - (positive - negative)), in logits."""
    return F.relu(margin - _positives_over_negatives(logits, grades)).mean()


def ranknet_loss(logits: Tensor, grades: Tensor) -> Tensor:
    """Logistic loss over all positives x negatives (Burges et al. 2005)."""
    return F.softplus(-_positives_over_negatives(logits, grades)).mean()


def _positives_over_negatives(logits: Tensor, grades: Tensor) -> Tensor:
    return logits[grades > 0][:, None] - logits[grades == 0][None, :]


def listwise_loss(logits: Tensor, grades: Tensor) -> Tensor:
    """Each positive against all negatives in one softmax, the other positives left out."""
    positive, negative = logits[grades > 0], logits[grades == 0]
    rows = torch.cat([positive[:, None], negative[None, :].expand(len(positive), -1)], dim=1)
    return (torch.logsumexp(rows, dim=1) - positive).mean()


def bce_loss(logits: Tensor, grades: Tensor) -> Tensor:
    """Binary cross-entropy, positives and negatives weighted equally."""
    return (F.softplus(-logits[grades > 0]).mean() + F.softplus(logits[grades == 0]).mean()) / 2


def lambda_loss(logits: Tensor, grades: Tensor) -> Tensor:
    """NDCG-Loss2++ (Wang et al. 2018): logistic loss over pairs of different grade, weighted by what their order is
    worth in NDCG at the ranks they have now. Mean over the pairs."""
    order = logits.argsort(descending=True)
    ranked, gains = logits[order], _gains(grades)[order]
    worth = _rank_weights(len(logits), logits.device) * (gains[:, None] - gains[None, :]).abs()
    losses = worth * F.softplus(-(ranked[:, None] - ranked[None, :]))
    return losses[gains[:, None] > gains[None, :]].mean()


def _lambda_chance(grades: Tensor) -> float:
    """Equal logits have no order: the mean over all orders of the pair weights."""
    n, gains = len(grades), _gains(grades)
    apart = gains[:, None] - gains[None, :]
    mean_weight = _rank_weights(n, grades.device).sum() / (n * (n - 1))
    return float(mean_weight * apart[apart > 0].mean() * math.log(2))


def _gains(grades: Tensor) -> Tensor:
    """(2^grade - 1) / ideal DCG."""
    gains = torch.pow(2.0, grades.float()) - 1
    return gains / (gains.sort(descending=True).values * _discounts(len(grades), grades.device)).sum()


def _discounts(n: int, device: torch.device) -> Tensor:
    return 1 / torch.log2(torch.arange(2, n + 2, device=device).float())


def _rank_weights(n: int, device: torch.device) -> Tensor:
    """(n, n): |D(i) - D(j)| of LambdaRank and, for ranks d apart, D(d) - D(d + 1) of NDCG-Loss2; D = 1 / log2(1 + rank)."""
    discounts, ranks = _discounts(n + 1, device), torch.arange(n, device=device)
    apart = (ranks[:, None] - ranks[None, :]).abs()
    second = torch.where(apart > 0, discounts[apart - 1] - discounts[apart], 0.0)
    lambda_rank = (discounts[:n, None] - discounts[None, :n]).abs()
    return NDCG2_SHARE * second + lambda_rank


GROUP_LOSSES: dict[str, Callable[..., Tensor]] = {
    "margin": margin_loss,
    "ranknet": ranknet_loss,
    "lambda": lambda_loss,
    "listwise": listwise_loss,
    "bce": bce_loss,
}


def group_loss(name: str, margin: float) -> GroupLoss:
    """The loss of that name; `margin` (logits) is for the margin loss."""
    return partial(margin_loss, margin=margin) if name == "margin" else GROUP_LOSSES[name]


def group_chance(name: str, grades: Tensor, margin: float) -> float:
    """The loss of one query when all logits are equal."""
    if name == "lambda":
        return _lambda_chance(grades)
    return float(group_loss(name, margin)(torch.zeros(len(grades)), grades))
