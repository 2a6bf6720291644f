"""The validation metric that chooses checkpoints. Reported figures come from the evaluation room."""

from __future__ import annotations

import numpy as np

CUT = 10
DISCOUNT = 1 / np.log2(np.arange(2, CUT + 2))


def rank_metrics(scores: np.ndarray, gains: np.ndarray, ideal: np.ndarray | None = None) -> dict[str, float]:
    """Mean NDCG@10 and MRR@10.

    scores (n_queries, n_candidates), -inf where a candidate does not count · gains the same shape, 0 = not relevant ·
    ideal (n_queries, n_relevant) gains of all relevant passages, found or not; `gains` when None. Ties go to the
    earlier column.
    """
    order = np.argsort(-scores, axis=1, kind="stable")[:, :CUT]
    found = np.take_along_axis(gains, order, axis=1) * np.isfinite(np.take_along_axis(scores, order, axis=1))
    best = -np.sort(-(gains if ideal is None else ideal), axis=1)[:, :CUT]
    dcg = found @ DISCOUNT[: found.shape[1]]
    idcg = best @ DISCOUNT[: best.shape[1]]
    hit = found > 0
    reciprocal = np.where(hit.any(axis=1), 1 / (hit.argmax(axis=1) + 1), 0.0)
    return {"ndcg@10": float(np.mean(dcg / np.maximum(idcg, 1e-12))), "mrr@10": float(reciprocal.mean())}
