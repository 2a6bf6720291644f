"""Evaluation formats: a BEIR folder, and TREC qrels and runs. The two regimes are files of their own: never averaged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.evaluation.question_sets import QuestionSet
from lex_assets.evaluation.trec import write_qrels, write_run
from lex_assets.exports.folder import Export, File, json_lines
from lex_assets.exports.source import EvaluationSource

BEIR_SETS = {"train": "train", "valid": "dev", "promotion": "promotion", "test": "test"}
"""Split set → the name that BEIR has for it."""
HEADLINE = "unseen_query"


def beir(source: EvaluationSource) -> Export:
    """corpus.jsonl, queries.jsonl and qrels/<set>.tsv; `test` holds the questions of the headline regime, `test_unseen_law`
    those of held-out laws. `metadata.exclude` of a question: passages that may not answer it."""
    asked = list(_asked(source))
    files: dict[str, File] = {
        "corpus.jsonl": json_lines(_beir_passages(source.corpus)),
        "queries.jsonl": json_lines(row for _, one in asked for row in _beir_queries(one)),
    }
    files |= {f"qrels/{_name(BEIR_SETS[name], one)}.tsv": _beir_qrels(one.qrels) for name, one in asked}
    return Export("beir", source.domain, files, source.hashes, source.licences)


def trec(source: EvaluationSource) -> Export:
    """qrels/<set>.txt, and runs/<set>/<system>.txt of the last report where it ranked the set."""
    files: dict[str, File] = {}
    for name, one in _asked(source):
        files[f"qrels/{_name(name, one)}.txt"] = _trec_qrels(one.qrels)
        files |= _runs(source, f"runs/{_name(name, one)}", one)
    return Export("trec", source.domain, files, source.hashes, source.licences)


def _asked(source: EvaluationSource) -> Iterator[tuple[str, QuestionSet]]:
    for name, sets in source.questions.items():
        for one in sets:
            yield name, one


def _name(name: str, one: QuestionSet) -> str:
    return name if one.name == HEADLINE else f"{name}_{one.name}"


def _beir_passages(corpus: pl.DataFrame) -> Iterator[dict[str, Any]]:
    kept = ("parent_id", "doc_id", "source_type", "citation", "effective_date")
    for row in corpus.sort("passage_id").iter_rows(named=True):
        metadata = {name: row[name] for name in kept}
        yield {"_id": row["passage_id"], "title": row["context"], "text": row["text"], "metadata": metadata}


def _beir_queries(one: QuestionSet) -> Iterator[dict[str, Any]]:
    for row in one.queries.sort("query_id").iter_rows(named=True):
        excluded = sorted(one.exclude.get(row["query_id"], ()))
        metadata = {"origin": row["origin"], "regime": one.name, "set": row["set"], "exclude": excluded}
        yield {"_id": row["query_id"], "text": row["text"], "metadata": metadata}


def _beir_qrels(qrels: pl.DataFrame) -> File:
    def write(path: Path) -> int:
        named = qrels.sort("query_id", "passage_id").select(
            pl.col("query_id").alias("query-id"), pl.col("passage_id").alias("corpus-id"), score="grade"
        )
        named.write_csv(path, separator="\t", quote_style="never")
        return named.height

    return write


def _trec_qrels(qrels: pl.DataFrame) -> File:
    def write(path: Path) -> int:
        write_qrels(qrels, path)
        return qrels.height

    return write


def _runs(source: EvaluationSource, folder: str, one: QuestionSet) -> dict[str, File]:
    if source.run is None:
        return {}
    ranked = source.run.join(one.queries, on="query_id", how="semi", maintain_order="left")
    return {f"{folder}/{name}.txt": _run(ranked.filter(system=name)) for name in ranked["system"].unique().sort()}


def _run(found: pl.DataFrame) -> File:
    def write(path: Path) -> int:
        write_run(found, path)
        return found.height

    return write
