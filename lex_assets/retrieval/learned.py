"""One ranking from any number of systems, with weights learnt on validation questions and bent by the question itself.

Two rankings and one weight are `fusion`'s matter. Here a passage has a few numbers per system, a question a few numbers
that say which systems to believe (how near it is to known questions, whether it names a law), and the weights are linear in
both: what helps on familiar questions does not have to hurt on a law that no question was ever asked about.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lex_assets.retrieval.types import Hit, Hits, ranked
from lex_assets.schemas import LexError


@dataclass(frozen=True)
class Signal:
    """One system's hits, a list per question. missing: score of what it did not find, None takes its lowest · proposes:
    whether its hits become candidates, or only judge those of others."""

    hits: Hits
    missing: float | None = None
    proposes: bool = True


Signals = Mapping[str, Signal]
"""By name; every one over the same questions."""


@dataclass(frozen=True)
class Candidates:
    """What the systems found for one question. ids: sorted passage ids · features: (n, f) float64."""

    ids: list[str]
    features: np.ndarray


def candidates(signals: Signals, context: np.ndarray, depth: int = 100) -> list[Candidates]:
    """Per question the union of the proposing systems' first `depth` hits with their features.

    context: (n_queries, c) numbers about each question. A system gives a passage two features: its score and how far that
    lies below the system's best for the question. All are repeated times each number of the context. Raises LexError when a
    system ranks another number of questions.
    """
    for name, signal in signals.items():
        if len(signal.hits) != len(context):
            raise LexError(f"system {name} ranks {len(signal.hits)} questions, not {len(context)}; rank the same ones")
    systems = [signals[name] for name in sorted(signals)]
    return [_of_question(systems, n, row, depth) for n, row in enumerate(context)]


def _of_question(systems: Sequence[Signal], n: int, context: np.ndarray, depth: int) -> Candidates:
    ids = sorted({passage_id for s in systems if s.proposes for passage_id, _ in s.hits[n][:depth]})
    columns = [column for s in systems for column in _score_and_gap(ids, s.hits[n], s.missing)]
    features = np.array(columns).T.reshape(len(ids), len(columns))
    return Candidates(ids, np.concatenate([features, *(features * number for number in context)], axis=1))


def _score_and_gap(ids: Sequence[str], hits: Sequence[Hit], missing: float | None) -> tuple[np.ndarray, np.ndarray]:
    known = dict(hits)
    lowest = min(known.values(), default=0.0) if missing is None else missing
    scores = np.array([known.get(passage_id, lowest) for passage_id in ids])
    return scores, scores - max(known.values(), default=lowest)


@dataclass(frozen=True)
class LearntRanking:
    """Linear weights over standardised features. systems: names, sorted · mean, scale, weights: one number a feature."""

    systems: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]

    def rank(self, found: Sequence[Candidates], k: int = 100) -> Hits:
        """The best `k` of each question's candidates. Raises LexError when their features are of other systems."""
        return [self._rank(question, k) for question in found]

    def _rank(self, question: Candidates, k: int) -> list[Hit]:
        if question.features.shape[1] != len(self.weights):
            raise LexError(
                f"the ranking was learnt over {len(self.weights)} features ({', '.join(self.systems)}), the candidates have "
                f"{question.features.shape[1]}; rank with the same systems and context"
            )
        scores = (question.features - np.array(self.mean)) / np.array(self.scale) @ np.array(self.weights)
        return ranked(zip(question.ids, scores.tolist(), strict=True), k)

    def save(self, path: Path) -> None:
        """As JSON."""
        path.write_text(json.dumps(asdict(self)) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> LearntRanking:
        """Inverse of `save`. Raises LexError when the file is not one."""
        try:
            return cls(**{name: tuple(values) for name, values in json.loads(path.read_text("utf-8")).items()})
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise LexError(
                f"{path} holds no learnt ranking ({error}); write it again with LearntRanking.save"
            ) from None


def learn_ranking(
    systems: Sequence[str],
    found: Sequence[Candidates],
    gold: Sequence[AbstractSet[str]],
    importance: Sequence[float] | None = None,
    l2: float = 1e-2,
) -> LearntRanking:
    """Weights that make the gold passages most likely among each question's candidates (listwise softmax with L2; ListNet:
    Cao et al., ICML 2007). Convex, so the same input gives the same weights.

    importance: weight of each question, 1 by default: raise it for a regime that validation has few questions of. Raises
    LexError when no candidate is gold.
    """
    weight = np.ones(len(found)) if importance is None else np.asarray(importance, dtype=np.float64)
    labels = [
        np.array([passage_id in wanted for passage_id in q.ids], float) for q, wanted in zip(found, gold, strict=True)
    ]
    useful = [n for n, label in enumerate(labels) if label.any()]
    if not useful:
        raise LexError("no candidate is a right answer, so no weights can be learnt; check the qrels, or search deeper")
    features = np.concatenate([found[n].features for n in useful])
    mean, scale = features.mean(0), features.std(0) + 1e-9
    target = np.concatenate([labels[n] / labels[n].sum() for n in useful])
    sizes = np.array([len(labels[n]) for n in useful])
    weights = _softmax_regression((features - mean) / scale, target, sizes, weight[useful], l2)
    return LearntRanking(tuple(sorted(systems)), *(tuple(x.tolist()) for x in (mean, scale, weights)))


def _softmax_regression(
    features: np.ndarray, target: np.ndarray, sizes: np.ndarray, weight: np.ndarray, l2: float
) -> np.ndarray:
    from scipy.optimize import minimize

    starts, each = np.cumsum([0, *sizes[:-1]]), np.repeat(weight / weight.sum(), sizes)

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        scores = features @ w
        scores -= np.repeat(np.maximum.reduceat(scores, starts), sizes)
        likelihood = scores - np.repeat(np.log(np.add.reduceat(np.exp(scores), starts)), sizes)
        loss = -(each * target * likelihood).sum() + l2 * w @ w
        return float(loss), features.T @ (each * (np.exp(likelihood) - target)) + 2 * l2 * w

    return minimize(objective, np.zeros(features.shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
