"""The rule of the 220-question retrieval contest, and its files.

A `submission.csv` holds, whatever its name says, one JSON object per line: `{"eval_id", "standalone_query", "topk",
"answer", "references"}`. Average precision looks at three documents and is divided by the hits among them, not by the
number of relevant documents; a question that nothing answers is worth 1 when `topk` is empty and 0 otherwise. Not here: the
field's own metrics (`metrics`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.evaluation.refusals import NOT_IN_CORPUS, EvaluationError, refuse
from lex_assets.evaluation.trec import read_qrels
from lex_assets.retrieval.search import corpus_texts
from lex_assets.sources.lines import read_objects

TOPK = 3
MAP, MRR = "contest_map", "contest_mrr"
_ROW = {"eval_id": (str, int), "topk": (list,)}
_GOLD_ROW = {"eval_id": (str, int), "gold": (list,)}


@dataclass(frozen=True)
class Answer:
    """One row of a submission. topk: at most three document ids, best first; none says that nothing answers the question."""

    eval_id: str | int
    standalone_query: str
    topk: tuple[str, ...]
    answer: str = ""
    references: tuple[dict[str, Any], ...] = ()


def read_submission(path: Path) -> list[Answer]:
    """The rows of a submission. Raises LexError with file and line for a row that is malformed, names more than three
    documents, one twice, or a question that an earlier row has answered."""
    rows = list(read_objects(path, _ROW))
    if not rows:
        raise EvaluationError(f"{path}: the submission is empty; write one JSON object per question")
    seen: dict[str, str] = {}
    for where, row in rows:
        _check_topk(where, row["topk"])
        if str(row["eval_id"]) in seen:
            raise EvaluationError(f"{where}: eval_id {row['eval_id']} was given at {seen[str(row['eval_id'])]} already")
        seen[str(row["eval_id"])] = where
    return [_answer(row) for _, row in rows]


def _check_topk(where: str, topk: list[Any]) -> None:
    if len(topk) > TOPK:
        raise EvaluationError(f"{where}: topk names {len(topk)} documents; the contest reads {TOPK}, keep the best")
    if not all(isinstance(one, str) and one for one in topk):
        raise EvaluationError(f"{where}: topk holds something that is no document id; write ids as text")
    if len(set(topk)) < len(topk):
        raise EvaluationError(f"{where}: topk names a document twice; keep the first")


def _answer(row: Mapping[str, Any]) -> Answer:
    references = tuple(row.get("references") or ())
    texts = (str(row.get(name) or "") for name in ("standalone_query", "answer"))
    query, answer = texts
    return Answer(row["eval_id"], query, tuple(row["topk"]), answer, references)


def write_submission(answers: Iterable[Answer], path: Path) -> None:
    """One JSON object per line, beside and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.part")
    lines = (json.dumps(asdict(answer), ensure_ascii=False) + "\n" for answer in answers)
    beside.write_text("".join(lines), encoding="utf-8")
    beside.replace(path)


def submission_of(run: pl.DataFrame, queries: pl.DataFrame, corpus: pl.DataFrame) -> list[Answer]:
    """The first three passages of one system's run for every query, in the order of `queries`; none where nothing was found.

    run: RUN · queries: query_id, text · corpus: PASSAGES. An id that is a whole number is written as one, as the contest does.
    """
    texts, found = corpus_texts(corpus), dict[str, list[tuple[str, float]]]()
    for query_id, passage_id, score in (
        run.filter(pl.col("rank") <= TOPK).sort("rank").select("query_id", "passage_id", "score").iter_rows()
    ):
        found.setdefault(query_id, []).append((passage_id, score))
    return [
        Answer(
            int(query_id) if query_id.isdecimal() and str(int(query_id)) == query_id else query_id,
            text,
            tuple(passage_id for passage_id, _ in found.get(query_id, ())),
            references=tuple({"score": score, "content": texts[i]} for i, score in found.get(query_id, ())),
        )
        for query_id, text in queries.select("query_id", "text").iter_rows()
    ]


def read_gold(path: Path) -> dict[str, frozenset[str]]:
    """eval_id → relevant documents: JSONL rows `{"eval_id", "gold"}`, or qrels, in which a question that nothing answers has a
    line of grade 0. Raises LexError with file and line."""
    if path.suffix == ".jsonl":
        rows = list(read_objects(path, _GOLD_ROW))
        twice = pl.Series([str(row["eval_id"]) for _, row in rows], dtype=pl.String)
        refuse(twice.filter(twice.is_duplicated()), f"{path}: eval_id", "is given more than once; keep one row")
        return {str(row["eval_id"]): frozenset(map(str, row["gold"])) for _, row in rows}
    relevant = pl.col("passage_id").filter(pl.col("grade") > 0)
    grouped = read_qrels(path).group_by("query_id").agg(relevant)
    return {query_id: frozenset(ids) for query_id, ids in grouped.iter_rows()}


def contest_scores(
    submissions: Mapping[str, Sequence[Answer]],
    gold: Mapping[str, Collection[str]],
    known: Collection[str] | None = None,
) -> pl.DataFrame:
    """(query_id, system, contest_map, contest_mrr), one row per question and submission; the contest's figure is the mean.

    known: ids of the corpus; with it, any other id in a submission or in the gold is refused. Raises EvaluationError when a
    submission and the gold are not about the same questions."""
    if not gold:
        raise EvaluationError("the gold holds no question; write its rows first")
    if known is not None:
        _refuse_unknown(submissions, gold, known)
    rows = [row for name, answers in sorted(submissions.items()) for row in _scored(name, answers, gold)]
    return pl.DataFrame(rows, schema=["query_id", "system", MAP, MRR], orient="row").sort("system", "query_id")


def _refuse_unknown(
    submissions: Mapping[str, Sequence[Answer]], gold: Mapping[str, Collection[str]], known: Collection[str]
) -> None:
    ids = set(known)
    refuse({i for relevant in gold.values() for i in relevant} - ids, "gold: document", NOT_IN_CORPUS)
    for name, answers in submissions.items():
        refuse({i for one in answers for i in one.topk} - ids, f"{name}: document", NOT_IN_CORPUS)


def _scored(
    name: str, answers: Sequence[Answer], gold: Mapping[str, Collection[str]]
) -> Iterable[tuple[str, str, float, float]]:
    answered = {str(one.eval_id): one.topk for one in answers}
    refuse(set(answered) - set(gold), f"{name}: eval_id", "is not in the gold; score the questions of one set")
    refuse(
        set(gold) - set(answered),
        f"{name}: eval_id",
        "is missing; answer every question, with an empty topk if need be",
    )
    for eval_id, topk in answered.items():
        yield eval_id, name, *_precision_and_rank(topk, gold[eval_id])


def _precision_and_rank(topk: Sequence[str], relevant: Collection[str]) -> tuple[float, float]:
    """(average precision, reciprocal rank) of one question by the contest's rule."""
    if not relevant:
        return (0.0, 0.0) if topk else (1.0, 1.0)
    places = [place for place, one in enumerate(topk[:TOPK], 1) if one in relevant]
    if not places:
        return 0.0, 0.0
    return sum(n / place for n, place in enumerate(places, 1)) / len(places), 1 / places[0]
