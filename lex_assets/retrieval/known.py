"""Questions that were answered before, as a system of its own: what answers a new one that is worded like them.

Kernel ridge regression from wording to answers (Saunders et al., ICML 1998): near-copies among the known questions share
one vote instead of shouting each other down, which is what a plain vote of the nearest suffers from. On familiar questions
this is the strongest single system; on a law that no question was asked about it is silent, which the nearness of the best
neighbour tells (see `learned`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from lex_assets.retrieval.types import Hits, ranked
from lex_assets.schemas import LexError

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

RIDGE = 0.2
"""How much a known question is doubted; its likeness to itself is 1."""

MOST = 30_000
"""Known questions that can be learnt from at once: their likenesses take 4 n² bytes, the solution n³ steps."""

WORDING = (((2, 3), 1), ((2, 2), 2))
"""Lengths of the character n-grams whose cosine is one view of likeness, and its power: a power lets only close ones speak."""

MEANING_POWER = 4
"""The same for the cosine of a retriever's vectors."""

CHUNK = 512
"""New questions that are compared at once."""

Likeness = np.ndarray
"""(n, known) float32 in [0, 1]."""


class Likenesses:
    """How like new questions are to known ones: the mean of several views, each 1 for a question and itself."""

    def __init__(self, texts: Sequence[str], vectors: np.ndarray | None = None) -> None:
        """vectors: (n, dim) unit length, of a retriever; None goes by the wording alone."""
        self.wordings = [_Wording.of(texts, lengths, power) for lengths, power in WORDING]
        self.vectors = vectors

    def to(self, texts: Sequence[str], vectors: np.ndarray | None = None) -> Likeness:
        """Raises LexError when vectors are missing, or given where the known questions have none."""
        if (vectors is None) != (self.vectors is None):
            raise LexError("vectors of the known and of the new questions belong together; give both or neither")
        views = [wording.to(texts) for wording in self.wordings]
        if vectors is not None and self.vectors is not None:
            views.append(np.maximum(vectors @ self.vectors.T, 0) ** MEANING_POWER)
        return np.stack(views).mean(axis=0, dtype=np.float32)

    def nearest(self, ids: Sequence[str], texts: Sequence[str], k: int) -> Hits:
        """Per new text the `k` likest known ones by wording, named by `ids`: a system of its own beside BM25, whose scores
        do not end at 1."""
        hits: Hits = []
        for start in range(0, len(texts), CHUNK):
            hits += _ranked(self.to(texts[start : start + CHUNK]), ids, k)
        return hits


@dataclass(frozen=True)
class _Wording:
    """One view of likeness: the cosine of TF-IDF vectors of character n-grams."""

    vectorize: Callable[[Sequence[str]], csr_matrix]
    known: csr_matrix
    power: int

    @classmethod
    def of(cls, texts: Sequence[str], lengths: tuple[int, int], power: int) -> _Wording:
        from sklearn.feature_extraction.text import TfidfVectorizer

        vectorizer = TfidfVectorizer(analyzer="char", ngram_range=lengths, sublinear_tf=True, dtype=np.float32)
        try:
            known = vectorizer.fit_transform(texts)
        except ValueError:
            raise LexError("no known question has two characters; give questions with text") from None
        return cls(vectorizer.transform, known, power)

    def to(self, texts: Sequence[str]) -> Likeness:
        return (self.vectorize(texts) @ self.known.T).toarray() ** self.power


class KnownQuestions:
    """Known questions and what answered them, asked about new questions (`answer`) or about each other (`answer_known`)."""

    def __init__(
        self,
        texts: Sequence[str],
        answers: Sequence[AbstractSet[str]],
        groups: Sequence[str] | None = None,
        vectors: np.ndarray | None = None,
        ridge: float = RIDGE,
    ) -> None:
        """answers: passages of each question; one with many shares its vote among them by the root of their number ·
        groups: questions that must not answer each other (a decision's issues), each its own by default · vectors: see
        `Likenesses`. Raises LexError for no question, or for more than `MOST`.
        """
        if not 0 < len(texts) <= MOST:
            raise LexError(f"{len(texts)} known questions; give 1 to {MOST:,}, the latest ones where there are more")
        self.texts, self.answers, self.vectors = texts, answers, vectors
        self.groups = np.array(groups if groups is not None else range(len(texts)))
        self.likenesses = Likenesses(texts, vectors)
        self.among = self.likenesses.to(texts, vectors)
        self.ids = sorted(set().union(*answers))
        self.inverse = _inverse(self.among + ridge * np.eye(len(texts), dtype=np.float32))

    @cached_property
    def votes(self) -> csr_matrix:
        """(known, passages) what each question votes for."""
        from scipy.sparse import csr_matrix

        place = {passage_id: n for n, passage_id in enumerate(self.ids)}
        rows = [n for n, right in enumerate(self.answers) for _ in right]
        columns = [place[passage_id] for right in self.answers for passage_id in sorted(right)]
        weights = [len(right) ** -0.5 for right in self.answers for _ in right]
        return csr_matrix((np.array(weights, np.float32), (rows, columns)), (len(self.answers), len(self.ids)))

    @cached_property
    def weights(self) -> np.ndarray:
        """(known, passages) float32, the solution of the regression."""
        return (self.votes.T @ self.inverse).T

    def answer(self, texts: Sequence[str], vectors: np.ndarray | None = None, k: int = 100) -> tuple[Hits, np.ndarray]:
        """Per new question its `k` best passages, and (n,) the likeness of the nearest known question. A score of 1 is what
        a known question gives its only answer."""
        hits: Hits = []
        nearest = []
        for start in range(0, len(texts), CHUNK):
            rows = slice(start, start + CHUNK)
            likeness = self.likenesses.to(texts[rows], None if vectors is None else vectors[rows])
            hits += _ranked(likeness @ self.weights, self.ids, k)
            nearest.append(likeness.max(axis=1))
        return hits, np.concatenate(nearest) if nearest else np.zeros(0)

    def answer_known(self, k: int = 100) -> tuple[Hits, np.ndarray]:
        """The same for every known question, as if its group had not been known: exact, by the blocks of the inverse
        (leave-group-out), so that weights can be learnt on the known questions themselves."""
        scores = self.weights.copy()
        nearest = np.zeros(len(self.texts), np.float32)
        for rows in _members(self.groups):
            block = np.linalg.inv(self.inverse[np.ix_(rows, rows)])
            scores[rows] = self.votes[rows].toarray() - block @ self.weights[rows]
            nearest[rows] = np.delete(self.among[rows], rows, axis=1).max(axis=1, initial=0.0)
        return _ranked(scores, self.ids, k), nearest


def _ranked(scores: np.ndarray, ids: Sequence[str], k: int) -> Hits:
    best = np.argpartition(-scores, min(k, scores.shape[1] - 1), axis=1)[:, :k]
    return [
        ranked([(ids[n], float(row[n])) for n in found if row[n] > 0])
        for row, found in zip(scores, best.tolist(), strict=True)
    ]


def _inverse(matrix: np.ndarray) -> np.ndarray:
    from scipy.linalg import cho_factor, cho_solve

    factor = cho_factor(matrix, lower=True, overwrite_a=True, check_finite=True)
    return cho_solve(factor, np.eye(len(matrix), dtype=matrix.dtype), overwrite_b=True)


def _members(groups: np.ndarray) -> list[np.ndarray]:
    members: dict[str, list[int]] = defaultdict(list)
    for row, group in enumerate(groups.tolist()):
        members[group].append(row)
    return [np.array(rows) for rows in members.values()]


def popularity(
    proposed: Sequence[Iterable[str]],
    asked_groups: Sequence[str],
    answers: Sequence[AbstractSet[str]],
    groups: Sequence[str],
) -> Hits:
    """log(1 + number of known questions that a passage answers), of the passages proposed for each asked question; known
    questions of the asked one's own group do not count."""
    counts = Counter(passage_id for right in answers for passage_id in right)
    own: dict[str, Counter[str]] = defaultdict(Counter)
    for group, right in zip(groups, answers, strict=True):
        own[group].update(right)
    none: Counter[str] = Counter()
    return [
        ranked([(p, float(np.log1p(counts[p] - own.get(group, none)[p]))) for p in sorted(set(found))])
        for found, group in zip(proposed, asked_groups, strict=True)
    ]
