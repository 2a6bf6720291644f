"""Questions for documents without labels: generated, filtered, counted, and given the set of their source.

Here: the order of the steps, and the tables. Search and the judge are passed in as callables.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from lex_assets.queries.filters import FILTERS, Search, SyntheticConfig, ambiguous, ranks, rejection, repeats
from lex_assets.queries.inherit import SourceSets
from lex_assets.queries.questions import QuestionGenerator, Rejected, Row, SyntheticQuestion
from lex_assets.queries.split import SplitConfig
from lex_assets.queries.statute import STATUTE_KINDS
from lex_assets.schemas import QRELS, QUERIES, REJECTED, LexError, content_hash

Pair = tuple[SyntheticQuestion, Sequence[Row]]
"""A question and its source passages."""


class Judgement(NamedTuple):
    """A judge's word on each question, "" to keep it; agreement: Cohen's κ on `sample` questions judged twice, or None."""

    complaints: list[str]
    agreement: float | None
    sample: int


Judge = Callable[[Sequence[Pair]], Judgement]


@dataclass(frozen=True)
class Yield:
    """What became of the passages that were asked about. rejected: REJECTED rows; every passage has a kept question or one.

    judged: the judge's agreement with itself, where there was one.
    """

    passages: int
    kept: int
    rejected: pl.DataFrame
    judged: Judgement | None = None

    @property
    def counts(self) -> dict[str, int]:
        """How many each filter rejected, and how many were kept."""
        return dict(sorted(Counter(self.rejected["filter"]).items())) | {"kept": self.kept}

    @property
    def made(self) -> int:
        """Questions that were written."""
        return self.kept + self.rejected.filter(pl.col("text") != "").height

    @property
    def steps(self) -> list[tuple[str, int, int]]:
        """(filter, questions that it rejected, questions left after it), in the order in which they act; those that rejected
        nothing are left out."""
        dropped = Counter(self.rejected.filter(pl.col("text") != "")["filter"])
        before = [name for name in sorted(dropped) if name not in FILTERS]
        left, found = self.made, []
        for name in (*before, *(name for name in FILTERS if dropped[name])):
            left -= dropped[name]
            found.append((name, dropped[name], left))
        return found


class Synthetic(NamedTuple):
    """Kept questions with their sets (QUERIES), their passages (QRELS), and what became of the rest."""

    queries: pl.DataFrame
    qrels: pl.DataFrame
    report: Yield


@dataclass
class _Sieve:
    """Questions that are still in, and what was rejected on the way."""

    rows: dict[str, Row]
    config: SyntheticConfig
    questions: list[SyntheticQuestion] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)

    def sources(self, question: SyntheticQuestion) -> list[Row]:
        return [self.rows[passage_id] for passage_id in question.passage_ids]

    def applies(self, name: str) -> bool:
        return name not in self.config.skip

    def drop(self, name: str, found: dict[int, str]) -> None:
        """Reject the questions at these positions, each with what was found."""
        self.rejected += [_rejected(self.questions[n], name, detail) for n, detail in sorted(found.items())]
        self.questions = [question for n, question in enumerate(self.questions) if n not in found]


def synthetic_queries(
    passages: pl.DataFrame,
    generator: QuestionGenerator,
    config: SyntheticConfig | None = None,
    search: Search | None = None,
    *,
    split: SplitConfig | None = None,
    labelled: pl.DataFrame | None = None,
    labelled_qrels: pl.DataFrame | None = None,
    sets: SourceSets | None = None,
    judge: Judge | None = None,
) -> Synthetic:
    """Kept questions about `passages` (PASSAGES), with their sets and an account of the rest.

    search: for the round trip · split, labelled, labelled_qrels: see `SourceSets`, or give `sets` itself · judge: a last
    look.
    """
    config, sets = config or SyntheticConfig(), sets or SourceSets(split, labelled, labelled_qrels)
    asked = asked_passages(passages, config, sets)
    made = generator.generate(asked)
    rows = _rows_of(passages, asked, made)
    sieve = _Sieve(rows, config, rejected=[one for one in made if isinstance(one, Rejected)])
    _one_by_one(sieve, [one for one in made if isinstance(one, SyntheticQuestion)])
    _together(sieve)
    found = _round_trip(sieve, passages, search)
    judgement = _judged(sieve, judge)
    kept = {question.passage_id for question in sieve.questions}
    sieve.rejected += _without_anything(asked, kept, sieve.rejected)
    queries, qrels = _tables(sieve, found, sets)
    rejected = REJECTED.frame(vars(one) for one in sorted(sieve.rejected, key=_order))
    return Synthetic(queries, qrels, Yield(len(asked), len(sieve.questions), rejected, judgement))


def asked_passages(passages: pl.DataFrame, config: SyntheticConfig, sets: SourceSets) -> list[Row]:
    """Passages to ask about, one of each equivalence class, in the wanted sets.

    A limited number is drawn by the hash of the ids: new documents do not change what was asked before.
    """
    frame = passages.sort("passage_id").unique("equivalence_id", keep="first", maintain_order=True)
    rows: list[Row] = [r for r in frame.iter_rows(named=True) if not config.sets or sets.of(r)[1] in config.sets]
    if not config.max_passages or len(rows) <= config.max_passages:
        return rows
    drawn = sorted(rows, key=lambda row: content_hash(row["passage_id"]))[: config.max_passages]
    return sorted(drawn, key=lambda row: row["passage_id"])


def _rows_of(
    passages: pl.DataFrame, asked: Sequence[Row], made: Sequence[SyntheticQuestion | Rejected]
) -> dict[str, Row]:
    """Every passage that was asked about or that a question needs, by id."""
    rows = {row["passage_id"]: row for row in asked}
    further = {i for one in made if isinstance(one, SyntheticQuestion) for i in one.passage_ids if i not in rows}
    named = passages.filter(pl.col("passage_id").is_in(sorted(further))) if further else passages.clear()
    if unknown := further - set(named["passage_id"]):
        raise LexError(
            f"passage {min(unknown)} of a question is not in the corpus; ask about the corpus that is searched"
        )
    return rows | {row["passage_id"]: row for row in named.iter_rows(named=True)}


def _one_by_one(sieve: _Sieve, questions: Sequence[SyntheticQuestion]) -> None:
    """The filters that look at one question, and the number per passage, to which statute wording does not count; a
    comparison counts for itself."""
    kept: Counter[tuple[str, ...]] = Counter()
    for question in questions:
        name, detail = rejection(question, sieve.sources(question), sieve.config)
        counts = question.kind not in STATUTE_KINDS
        kept[question.passage_ids] += counts and not name
        if not name and counts and sieve.applies("too_many") and kept[question.passage_ids] > sieve.config.per_passage:
            name, detail = "too_many", f"more than {sieve.config.per_passage}"
        if name:
            sieve.rejected.append(_rejected(question, name, detail))
        else:
            sieve.questions.append(question)


def _together(sieve: _Sieve) -> None:
    """The filters that compare questions with each other."""
    if sieve.applies("ambiguous"):
        parents = {passage_id: row["parent_id"] for passage_id, row in sieve.rows.items()}
        shared = ambiguous(sieve.questions, parents)
        sieve.drop("ambiguous", dict.fromkeys(shared, "another article has the same question"))
    if sieve.applies("near_duplicate"):
        twins = repeats(sieve.questions, sieve.config.near_duplicate)
        sieve.drop("near_duplicate", {n: sieve.questions[first].text for n, first in twins.items()})


def _round_trip(sieve: _Sieve, passages: pl.DataFrame, search: Search | None) -> dict[SyntheticQuestion, int]:
    """The rank at which each question finds its passage; those that do not find it at all are dropped."""
    if search is None or not sieve.applies("round_trip") or not sieve.questions:
        return {}
    depth = sieve.config.round_trip_hard
    same = dict(passages.select("passage_id", "equivalence_id").iter_rows())
    found = dict(zip(sieve.questions, ranks(sieve.questions, same, search, depth), strict=True))
    lost = {n: f"not within {depth}" for n, question in enumerate(sieve.questions) if not found[question]}
    sieve.drop("round_trip", lost)
    return found


def _judged(sieve: _Sieve, judge: Judge | None) -> Judgement | None:
    if judge is None or not sieve.applies("judge") or not sieve.questions:
        return None
    judgement = judge([(question, sieve.sources(question)) for question in sieve.questions])
    sieve.drop("judge", {n: complaint for n, complaint in enumerate(judgement.complaints) if complaint})
    return judgement


def _without_anything(asked: Sequence[Row], kept: set[str], rejected: Sequence[Rejected]) -> Iterator[Rejected]:
    """A reason for every passage that the generator passed over in silence."""
    known = kept | {one.passage_id for one in rejected}
    return (Rejected(row["passage_id"], "no_question") for row in asked if row["passage_id"] not in known)


def _rejected(question: SyntheticQuestion, name: str, detail: str) -> Rejected:
    return Rejected(question.passage_id, name, detail, question.kind, question.text)


def _order(one: Rejected) -> tuple[int, str, str, str]:
    """By filter in the order in which they act, what came before the filters first."""
    place = FILTERS.index(one.filter) if one.filter in FILTERS else -1
    return place, one.filter, one.passage_id, one.text


def _tables(sieve: _Sieve, found: dict[SyntheticQuestion, int], sets: SourceSets) -> tuple[pl.DataFrame, pl.DataFrame]:
    queries, qrels, numbers = [], [], Counter[str]()
    for question in sieve.questions:
        rows = sieve.sources(question)
        numbers[question.passage_id] += 1
        query_id = f"Q_SYN_{question.passage_id}_{numbers[question.passage_id]}"
        place, first = sets.of_all(rows), rows[0]
        meta = _meta(question, found.get(question, 0), sieve.config)
        values = (query_id, first["domain"], "synthetic", question.text, *place, first["doc_id"], "", meta)
        queries.append(dict(zip(QUERIES.names, values, strict=True)))
        qrels += [{"query_id": query_id, "passage_id": i, "grade": 2} for i in question.passage_ids]
    return QUERIES.frame(queries).sort("query_id"), QRELS.frame(qrels).sort("query_id", "passage_id")


def _meta(question: SyntheticQuestion, rank: int, config: SyntheticConfig) -> str:
    """What stays with a question, as JSON; `round_trip` is easy or hard by the rank of its passage."""
    names = (
        "kind",
        "generator",
        "licence",
        "passage_id",
        "model",
        "prompt",
        "difficulty",
        "answer",
        "evidence",
        "also",
    )
    meta = {name: value for name in names if (value := getattr(question, name))}
    if rank:
        meta["round_trip"] = "easy" if rank <= config.round_trip_keep else "hard"
    return json.dumps(meta, ensure_ascii=False, sort_keys=True)
