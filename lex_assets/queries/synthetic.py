"""Generated questions for documents without labels: the generator's interface, the filters, the sets they inherit.

Here: everything but the generators themselves (`rules` is the offline one). Search is passed in as a callable.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from lex_assets.passages.overlap import near_duplicates
from lex_assets.queries.split import (
    DROPPED,
    LAW_TYPES,
    SplitConfig,
    evaluation_set,
    family_is_held_out,
    group_dates,
    set_of_group,
    split_groups,
)
from lex_assets.schemas import DATED_TYPES, QRELS, QUERIES, STATUTE_TYPES

Search = Callable[[list[str], int], Sequence[Sequence[str]]]
"""(questions, k) → for each the k best passage ids, best first."""


@dataclass(frozen=True)
class SyntheticQuestion:
    """One generated question: its source passage, kind, and the generator's name and licence, which stay with it."""

    passage_id: str
    text: str
    kind: str
    generator: str
    licence: str


class QuestionGenerator(Protocol):
    """What makes questions: by rule, or a language model behind the same interface."""

    name: str
    licence: str

    def generate(self, passages: Iterable[Mapping[str, str]]) -> list[SyntheticQuestion]:
        """Questions for rows of a PASSAGES frame."""
        ...


class SyntheticConfig(BaseModel):
    """Which generated questions are kept."""

    model_config = ConfigDict(frozen=True)

    per_passage: int = Field(default=3, ge=1, description="단락당 질문 수. Questions per passage.")
    max_passages: int = Field(
        default=0, ge=0, description="질문을 만들 단락 수의 상한, 0은 전부. Passages asked about; 0 means all."
    )
    min_characters: int = Field(default=10, ge=1, description="질문의 최소 글자 수. Shortest question, in characters.")
    max_characters: int = Field(default=120, ge=1, description="질문의 최대 글자 수. Longest question, in characters.")
    max_copied: float = Field(
        default=0.7,
        gt=0,
        le=1,
        description="질문에서 단락을 그대로 이어 쓴 부분의 상한(0-1). Longest run copied from the passage.",
    )
    allow_law_names: bool = Field(
        default=False, description="질문에 법령명을 허용. Whether a question may name its law."
    )
    near_duplicate: float = Field(
        default=0.9, gt=0, le=1, description="같은 질문으로 보는 n-gram 자카드 값. Jaccard of duplicates."
    )
    round_trip_keep: int = Field(
        default=10, ge=1, description="이 순위 안이면 유지. Kept when its passage ranks within this."
    )
    round_trip_hard: int = Field(
        default=100, ge=1, description="이 순위 안이면 어려운 질문으로 유지. Kept as hard within this."
    )


Kept = list[tuple[SyntheticQuestion, str]]
_NUMBERED = re.compile(r"제\s?\d+(?:-\d+)?\s?[조항호]|별표\s?\d")
_POINTING = re.compile(
    r"이 (?:조항?|항|법|영|규정|문서|글|표)(?:[에은는이의을를]|\s)|위 (?:조항|문서|글|표)|본 (?:조|항|문서)|앞의|다음 각|동항|동조"
)


def longest_run(question: str, passage: str) -> float:
    """Share of the question (spaces dropped) that is one run copied from the passage, 0 to 1."""
    a, b = re.sub(r"\s", "", question), re.sub(r"\s", "", passage)
    low, high = 0, len(a)
    while low < high:
        size = (low + high + 1) // 2
        if any(a[i : i + size] in b for i in range(len(a) - size + 1)):
            low = size
        else:
            high = size - 1
    return low / max(1, len(a))


def rejection(question: SyntheticQuestion, passage: Mapping[str, str], config: SyntheticConfig) -> str:
    """Why a question is not kept, judged by itself; "" when it may stay."""
    text = question.text
    if not config.min_characters <= len(text) <= config.max_characters:
        return "length"
    if len(re.findall(r"[가-힣]", text)) < 0.5 * len(re.sub(r"\s", "", text)):
        return "language"
    if _POINTING.search(text):
        return "not_self_contained"
    if _NUMBERED.search(text) or (not config.allow_law_names and _names_law(text, passage)):
        return "leaks_law"
    if question.kind != "keyword" and longest_run(text, passage["text"]) > config.max_copied:
        return "copies_passage"
    return ""


def _names_law(text: str, passage: Mapping[str, str]) -> bool:
    law = re.sub(r"\s", "", passage["context"].split(" > ")[0])
    return passage["source_type"] in LAW_TYPES and len(law) > 2 and law in re.sub(r"\s", "", text)


def synthetic_queries(
    passages: pl.DataFrame,
    generator: QuestionGenerator,
    config: SyntheticConfig | None = None,
    search: Search | None = None,
    *,
    split: SplitConfig | None = None,
    labelled: pl.DataFrame | None = None,
    labelled_qrels: pl.DataFrame | None = None,
) -> tuple[pl.DataFrame, pl.DataFrame, dict[str, int]]:
    """(queries, qrels, counts): kept questions with their sets, and how many each filter rejected (key `kept` for the rest).

    labelled, labelled_qrels: the split table, so that a question inherits the set of the decision or context it comes
    from; what an unseen_law evaluation query looks for is never asked about in training.
    """
    config, split = config or SyntheticConfig(), split or SplitConfig()
    rows = {row["passage_id"]: row for row in _sources(passages, config).iter_rows(named=True)}
    questions = generator.generate(rows.values())
    counts: Counter[str] = Counter()
    kept: list[SyntheticQuestion] = []
    asked: Counter[str] = Counter()
    for question in questions:
        reason = rejection(question, rows[question.passage_id], config)
        if not reason:
            asked[question.passage_id] += 1
            reason = "too_many" if asked[question.passage_id] > config.per_passage else ""
        counts[reason or "kept"] += 1
        if not reason:
            kept.append(question)
    kept = _without_repeats(kept, rows, config, counts)
    marked = _round_trip(kept, passages, config, search, counts)
    queries, qrels = _tables(marked, rows, _Sets(split, labelled, labelled_qrels))
    return queries, qrels, dict(sorted(counts.items()))


def _sources(passages: pl.DataFrame, config: SyntheticConfig) -> pl.DataFrame:
    """Passages to ask about, one of each equivalence class; a limited number is spread evenly over the corpus."""
    frame = passages.sort("passage_id").unique("equivalence_id", keep="first", maintain_order=True)
    if not config.max_passages or frame.height <= config.max_passages:
        return frame
    step = frame.height / config.max_passages
    return frame[[int(n * step) for n in range(config.max_passages)]]


def _without_repeats(
    questions: list[SyntheticQuestion],
    rows: Mapping[str, Mapping[str, str]],
    config: SyntheticConfig,
    counts: Counter[str],
) -> list[SyntheticQuestion]:
    """Drops questions that two articles share word for word (they ask about neither) and near-duplicates of earlier ones."""
    owners: dict[str, set[str]] = defaultdict(set)
    for question in questions:
        owners[_key(question.text)].add(rows[question.passage_id]["parent_id"])
    clear = [q for q in questions if len(owners[_key(q.text)]) == 1]
    counts["ambiguous"] = len(questions) - len(clear)
    repeated = set(near_duplicates([q.text for q in clear], config.near_duplicate)["right"])
    counts["near_duplicate"] = len(repeated)
    counts["kept"] -= counts["ambiguous"] + counts["near_duplicate"]
    return [q for n, q in enumerate(clear) if n not in repeated]


def _key(text: str) -> str:
    return re.sub(r"\W", "", text)


def _round_trip(
    questions: list[SyntheticQuestion],
    passages: pl.DataFrame,
    config: SyntheticConfig,
    search: Search | None,
    counts: Counter[str],
) -> Kept:
    """(question, difficulty): easy when its passage is found near the top, hard when further down; dropped beyond."""
    if search is None:
        return [(question, "") for question in questions]
    same = dict(passages.select("passage_id", "equivalence_id").iter_rows())
    kept: Kept = []
    found = search([q.text for q in questions], config.round_trip_hard)
    for question, ranked in zip(questions, found, strict=True):
        wanted = same[question.passage_id]
        rank = next((n for n, p in enumerate(ranked, start=1) if same.get(p, p) == wanted), 0)
        if rank:
            kept.append((question, "easy" if rank <= config.round_trip_keep else "hard"))
    counts["round_trip"] = len(questions) - len(kept)
    counts["kept"] -= counts["round_trip"]
    return kept


class _Sets:
    """The set and regime that a question inherits from its source."""

    def __init__(self, split: SplitConfig, labelled: pl.DataFrame | None, qrels: pl.DataFrame | None) -> None:
        self.split = split
        self.groups: dict[str, str] = split_groups(labelled) if labelled is not None else {}
        self.newest: dict[str, str] = group_dates(labelled) if labelled is not None else {}
        self.unseen_documents: set[str] = set()
        self.unseen_passages: set[str] = set()
        if labelled is not None:
            unseen = labelled.filter(pl.col("regime") == "unseen_law")
            self.unseen_documents = set(unseen["doc_id"])
            if qrels is not None:
                self.unseen_passages = set(
                    qrels.join(unseen.select("query_id"), on="query_id", how="semi")["passage_id"]
                )

    def of(self, row: Mapping[str, str]) -> tuple[str, str, str]:
        """(split group, set, regime) for a question about this passage."""
        law = row["source_type"] in STATUTE_TYPES
        group = self.groups.get(row["doc_id"], row["parent_id"])
        seed, fractions = self.split.seed, self.split.fractions
        held = row["source_type"] in LAW_TYPES and family_is_held_out(row["family"], seed, self.split.held_out)
        if law and held:
            return group, evaluation_set(group, seed, fractions), "unseen_law"
        own_date = row["effective_date"] if row["source_type"] in DATED_TYPES else ""
        chosen = set_of_group(group, self.split, self.newest.get(group, own_date))
        unseen = row["doc_id"] in self.unseen_documents or row["passage_id"] in self.unseen_passages
        if not law and (held or unseen):
            return group, DROPPED if chosen == "train" else chosen, "unseen_law"
        return group, chosen, "unseen_query"


def _tables(kept: Kept, rows: Mapping[str, Mapping[str, str]], sets: _Sets) -> tuple[pl.DataFrame, pl.DataFrame]:
    queries, qrels, numbers = [], [], Counter[str]()
    for question, difficulty in kept:
        row = rows[question.passage_id]
        numbers[question.passage_id] += 1
        query_id = f"Q_SYN_{question.passage_id}_{numbers[question.passage_id]}"
        group, chosen, regime = sets.of(row)
        meta = {"kind": question.kind, "generator": question.generator, "licence": question.licence}
        meta |= {"passage_id": question.passage_id} | ({"difficulty": difficulty} if difficulty else {})
        values = (query_id, row["domain"], "synthetic", question.text, group, chosen, regime, row["doc_id"], "")
        encoded = json.dumps(meta, ensure_ascii=False, sort_keys=True)
        queries.append(dict(zip(QUERIES.names, (*values, encoded), strict=True)))
        qrels.append({"query_id": query_id, "passage_id": question.passage_id, "grade": 2})
    return QUERIES.frame(queries).sort("query_id"), QRELS.frame(qrels).sort("query_id", "passage_id")
