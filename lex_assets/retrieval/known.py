"""Questions that were answered before, as a system of its own: what answered those that are most like a new one.

On familiar questions this is the strongest single system; on a law that no question was asked about it is silent, which the
nearness of the best neighbour tells (see `learned`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np

from lex_assets.retrieval.types import Hits, ranked

SHARPNESS = 8.0
"""Power of a neighbour's cosine in its vote: high, because only close questions share their answers."""


def votes(
    neighbours: Hits, answers: Mapping[str, AbstractSet[str]], sharpness: float = SHARPNESS, k: int = 100
) -> Hits:
    """Passages by the votes of known questions.

    neighbours: per new question (known question's id, similarity in [0, 1]), best first · answers: known question's id →
    passages. A question with many answers shares its vote among them by the root of their number. Scores are log(1 + votes).
    """
    return [_votes(found, answers, sharpness, k) for found in neighbours]


def _votes(
    found: Sequence[tuple[str, float]], answers: Mapping[str, AbstractSet[str]], sharpness: float, k: int
) -> list[tuple[str, float]]:
    sums: dict[str, float] = {}
    for question, similarity in found:
        right = answers[question]
        for passage_id in right:
            sums[passage_id] = sums.get(passage_id, 0.0) + max(similarity, 0.0) ** sharpness / len(right) ** 0.5
    return ranked([(passage_id, float(np.log1p(50 * total))) for passage_id, total in sums.items()], k)


def nearness(neighbours: Hits) -> np.ndarray:
    """(n_queries,) similarity of the nearest known question, 0 without one."""
    return np.array([found[0][1] if found else 0.0 for found in neighbours])


def popularity(answers: Mapping[str, AbstractSet[str]]) -> dict[str, float]:
    """Passage → log(1 + number of known questions that it answers)."""
    counts: dict[str, int] = {}
    for right in answers.values():
        for passage_id in right:
            counts[passage_id] = counts.get(passage_id, 0) + 1
    return {passage_id: float(np.log1p(count)) for passage_id, count in sorted(counts.items())}
