"""One ranking from any number of systems, learnt on validation questions.

Two rankings and one weight are `fusion`'s matter. Here a passage has a few numbers per system, a question a few numbers
that say which systems to believe (how near it is to known questions, whether it names a law), and a small network learns
what they mean together: what helps on familiar questions does not have to hurt on a law that no question was ever asked about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lex_assets.retrieval.types import Hit, Hits, ranked
from lex_assets.schemas import LexError

if TYPE_CHECKING:
    from torch import Tensor, nn


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
    """What the systems found for one question. ids: sorted passage ids · features: (n, f) float32."""

    ids: list[str]
    features: np.ndarray


def candidates(signals: Signals, context: np.ndarray, depth: int = 100) -> list[Candidates]:
    """Per question the union of the proposing systems' first `depth` hits with their features.

    context: (n_queries, c) numbers about each question, repeated for each of its passages. A system gives a passage three
    features: its score, how far that lies below the system's best for the question, and the logarithm of its rank. Raises
    LexError when a system ranks another number of questions.
    """
    for name, signal in signals.items():
        if len(signal.hits) != len(context):
            raise LexError(f"system {name} ranks {len(signal.hits)} questions, not {len(context)}; rank the same ones")
    systems = [signals[name] for name in sorted(signals)]
    return [_of_question(systems, n, row, depth) for n, row in enumerate(context)]


def _of_question(systems: Sequence[Signal], n: int, context: np.ndarray, depth: int) -> Candidates:
    ids = sorted({passage_id for s in systems if s.proposes for passage_id, _ in s.hits[n][:depth]})
    columns = [column for s in systems for column in _features(ids, s.hits[n], s.missing)]
    columns += [np.full(len(ids), number) for number in context]
    return Candidates(ids, np.array(columns, np.float32).T.reshape(len(ids), len(columns)))


def _features(ids: Sequence[str], hits: Sequence[Hit], missing: float | None) -> tuple[np.ndarray, ...]:
    known, place = dict(hits), {passage_id: n for n, (passage_id, _) in enumerate(hits)}
    lowest = min(known.values(), default=0.0) if missing is None else missing
    scores = np.array([known.get(passage_id, lowest) for passage_id in ids])
    ranks = np.log1p([place.get(passage_id, len(hits)) for passage_id in ids])
    return scores, scores - max(known.values(), default=lowest), ranks


def group_scores(
    hits: Hits,
    proposed: Sequence[Iterable[str]],
    group_of: Mapping[str, str],
    join: Callable[[float, float], float] = add,
) -> Hits:
    """Per question the proposed passages with what was found in their group (their law): the sum of its passages' scores, or
    another `join` of them (max). A signal for judging: the right law is often clearer than the right article."""
    ranking = []
    for found, passages in zip(hits, proposed, strict=True):
        scores: dict[str, float] = {}
        for passage_id, score in found:
            group = group_of[passage_id]
            scores[group] = join(scores[group], score) if group in scores else score
        ranking.append(ranked([(p, scores[group_of[p]]) for p in sorted(set(passages)) if group_of[p] in scores]))
    return ranking


@dataclass(frozen=True, eq=False)
class LearntRanking:
    """A small network over standardised features. systems: names, sorted · mean, scale: (f,) float32 · layers: weight and
    bias of each layer in turn, float32; between layers negative numbers become 0."""

    systems: tuple[str, ...]
    mean: np.ndarray
    scale: np.ndarray
    layers: tuple[np.ndarray, ...]

    def rank(self, found: Sequence[Candidates], k: int = 100) -> Hits:
        """The best `k` of each question's candidates. Raises LexError when their features are of other systems."""
        return [self._rank(question, k) for question in found]

    def _rank(self, question: Candidates, k: int) -> list[Hit]:
        if question.features.shape[1] != len(self.mean):
            raise LexError(
                f"the ranking was learnt over {len(self.mean)} features ({', '.join(self.systems)}), the candidates have "
                f"{question.features.shape[1]}; rank with the same systems and context"
            )
        numbers = (question.features - self.mean) / self.scale
        for n in range(0, len(self.layers), 2):
            numbers = (np.maximum(numbers, 0) if n else numbers) @ self.layers[n].T + self.layers[n + 1]
        return ranked(zip(question.ids, numbers[:, 0].tolist(), strict=True), k)

    def save(self, path: Path) -> None:
        """As safetensors."""
        from safetensors.numpy import save_file

        layers = {f"layer.{n}": array for n, array in enumerate(self.layers)}
        partial = path.with_name(f"{path.name}.partial")
        save_file({"mean": self.mean, "scale": self.scale, **layers}, partial, {"systems": "\n".join(self.systems)})
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> LearntRanking:
        """Inverse of `save`. Raises LexError when the file is not one."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, "numpy") as file:
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
                systems = tuple(file.metadata()["systems"].split("\n"))
            layers = tuple(arrays[f"layer.{n}"] for n in range(len(arrays) - 2))
            return cls(systems, arrays["mean"], arrays["scale"], layers)
        except (OSError, SafetensorError, LookupError, TypeError) as error:
            raise LexError(
                f"{path} holds no learnt ranking ({error}); write it again with LearntRanking.save"
            ) from None


# ------------------------------------------------------------------------------------------------------------- learning


@dataclass(frozen=True)
class Learning:
    """How the network is learnt. hidden: width of its two hidden layers · dropout: share of their numbers left out ·
    epochs: passes over the questions · batch: questions a step · negatives: wrong candidates seen of a question in one
    pass."""

    hidden: int = 128
    dropout: float = 0.2
    epochs: int = 15
    batch: int = 64
    negatives: int = 100
    learning_rate: float = 3e-3
    weight_decay: float = 1e-2
    seed: int = 0


def learn_ranking(
    systems: Sequence[str],
    found: Sequence[Candidates],
    gold: Sequence[AbstractSet[str]],
    importance: Sequence[float] | None = None,
    learning: Learning | None = None,
) -> LearntRanking:
    """A network that makes the gold passages most likely among each question's candidates (listwise softmax; ListNet: Cao
    et al., ICML 2007). The same input and seed give the same network.

    importance: weight of each question, 1 by default: raise it for a regime that validation has few questions of. Raises
    LexError when no candidate is gold.
    """
    weight = np.ones(len(found)) if importance is None else np.asarray(importance, dtype=np.float64)
    labels = [np.array([i in wanted for i in q.ids], bool) for q, wanted in zip(found, gold, strict=True)]
    useful = [n for n, label in enumerate(labels) if label.any()]
    if not useful:
        raise LexError("no candidate is a right answer, so no ranking can be learnt; check the qrels, or search deeper")
    every = np.concatenate([found[n].features for n in useful])
    mean, scale = every.mean(0), every.std(0) + np.float32(1e-6)
    lists = _Lists([(found[n].features - mean) / scale for n in useful], [labels[n] for n in useful], weight[useful])
    return LearntRanking(tuple(sorted(systems)), mean, scale, _layers(lists, learning or Learning()))


@dataclass(frozen=True)
class _Lists:
    """Candidates of the questions to learn from. features: (n, f) each · labels: (n,) whether right · weight: (questions,)."""

    features: list[np.ndarray]
    labels: list[np.ndarray]
    weight: np.ndarray

    def batches(self, s: Learning, random: np.random.Generator) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
        """One pass: features (b, m, f), target (b, m) that sums to 1 a question, padding (b, m), weight (b,)."""
        order = random.permutation(len(self.labels))
        for start in range(0, len(order), s.batch):
            yield self._batch(order[start : start + s.batch], s.negatives, random)

    def _batch(
        self, chosen: np.ndarray, negatives: int, random: np.random.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        import torch

        rows = [_seen(self.labels[n], negatives, random) for n in chosen]
        most = max(map(len, rows))
        features = np.zeros((len(rows), most, self.features[0].shape[1]), np.float32)
        target, padding = np.zeros((len(rows), most), np.float32), np.ones((len(rows), most), bool)
        for place, (n, seen) in enumerate(zip(chosen, rows, strict=True)):
            features[place, : len(seen)] = self.features[n][seen]
            target[place, : len(seen)] = self.labels[n][seen] / self.labels[n].sum()
            padding[place, : len(seen)] = False
        weight = self.weight[chosen].astype(np.float32)
        return torch.tensor(features), torch.tensor(target), torch.tensor(padding), torch.tensor(weight)


def _seen(label: np.ndarray, negatives: int, random: np.random.Generator) -> np.ndarray:
    wrong = np.flatnonzero(~label)
    return np.concatenate([np.flatnonzero(label), random.permutation(wrong)[:negatives]])


def _layers(lists: _Lists, s: Learning) -> tuple[np.ndarray, ...]:
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(s.seed)
        network, random = _network(lists.features[0].shape[1], s), np.random.default_rng(s.seed)
        steps = s.epochs * -(-len(lists.labels) // s.batch)
        optimiser = torch.optim.AdamW(network.parameters(), s.learning_rate, weight_decay=s.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, s.learning_rate, total_steps=steps)
        for _ in range(s.epochs):
            for features, target, padding, weight in lists.batches(s, random):
                scores = network(features)[..., 0].masked_fill(padding, -1e9)
                loss = -(target * scores.log_softmax(1)).sum(1) @ weight / weight.sum()
                optimiser.zero_grad()
                loss.backward()
                optimiser.step()
                schedule.step()
    return tuple(array.detach().numpy() for array in network.parameters())


def _network(width: int, s: Learning) -> nn.Sequential:
    from torch import nn

    return nn.Sequential(
        nn.Linear(width, s.hidden),
        nn.ReLU(),
        nn.Dropout(s.dropout),
        nn.Linear(s.hidden, s.hidden),
        nn.ReLU(),
        nn.Dropout(s.dropout),
        nn.Linear(s.hidden, 1),
    )
