"""Training formats: what each tool reads, from the same questions and passages.

A text is what the pipeline itself encodes: the context line, then the passage.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from lex_assets.exports.folder import Export, File, json_lines, text
from lex_assets.exports.source import Row, TrainingSource
from lex_assets.schemas import LexError

Scores = Literal["rerank", "dense", "none"]
SCORES: tuple[Scores, ...] = ("rerank", "dense", "none")
"""Whose scores FlagEmbedding distils from: the reranker's logits, the cosine, or nobody's."""

LEXDPR_TYPES = {"law": "법령", "admin_rule": "행정규칙", "precedent": "판례"}
LEXDPR_FILES = {"law_passages": "law", "admin_passages": "admin_rule", "prec_fallback_passages": "precedent"}
"""File of passages → their source type; passages of other types are in merged_corpus alone."""


def flag_embedding(source: TrainingSource, scores: Scores = "rerank") -> Export:
    """`{query, pos, neg, pos_scores, neg_scores}`. A question without negatives cannot be batched there and is left out.

    Raises LexError when a score is asked for that mining did not keep."""
    scored = None if scores == "none" else _Scores(source, scores)

    def line(row: Row) -> dict[str, Any]:
        texts = [source.texts[one] for one in row.positives], [source.texts[n["passage_id"]] for n in row.negatives]
        plain = {"query": row.query["text"], "pos": texts[0], "neg": texts[1]}
        return plain if scored is None else plain | scored.of(row)

    with_negatives = [row for row in source.train() if row.negatives]
    files = {
        "train.jsonl": json_lines(map(line, with_negatives)),
        "valid.jsonl": json_lines(
            {"query": row.query["text"], "pos": [source.texts[one] for one in row.positives], "neg": []}
            for row in source.valid()
        ),
    }
    return _export("flagembedding", source, files, _without_negatives(source))


def reranker_rows(source: TrainingSource) -> Export:
    """`{query_text, positives[{doc_id, text}], negatives[{doc_id, text}], source_chunk, meta}`."""

    def line(row: Row) -> dict[str, Any]:
        return {
            "query_text": row.query["text"],
            "positives": [{"doc_id": one, "text": source.texts[one]} for one in row.positives],
            "negatives": [{"doc_id": n["passage_id"], "text": source.texts[n["passage_id"]]} for n in row.negatives],
            "source_chunk": _meta_of(row).get("passage_id") or row.query["doc_id"],
            "meta": _meta(row),
        }

    return _export("reranker", source, _train_and_valid(source, line, "train.jsonl", "valid.jsonl"))


def lexdpr(source: TrainingSource) -> Export:
    """The files of LexDPR: passages by type and merged, and pairs that name them by id."""

    def line(row: Row) -> dict[str, Any]:
        return {
            "query_text": row.query["text"],
            "positive_passages": row.positives,
            "hard_negatives": [negative["passage_id"] for negative in row.negatives],
            "meta": _meta(row),
        }

    corpus = source.tables.corpus.sort("passage_id")
    passages = {
        f"{name}.jsonl": json_lines(map(_lexdpr_passage, corpus.filter(source_type=kind).iter_rows(named=True)))
        for name, kind in LEXDPR_FILES.items()
    }
    merged = {"merged_corpus.jsonl": json_lines(map(_lexdpr_passage, corpus.iter_rows(named=True)))}
    pairs = _train_and_valid(source, line, "pairs_train.jsonl", "pairs_train_valid.jsonl")
    return _export("lexdpr", source, passages | merged | pairs)


def sentence_transformers(source: TrainingSource) -> Export:
    """A dataset folder with one configuration per family of losses; columns in the order in which losses take them.

    pair (anchor, positive) · triplet (anchor, positive, negative) · labeled-pair (query, passage, label) and labeled-list
    (query, docs, labels) for cross-encoders."""
    files = {
        "pair/train.jsonl": json_lines(_pairs(source, source.train())),
        "pair/validation.jsonl": json_lines(_pairs(source, source.valid())),
        "triplet/train.jsonl": json_lines(_triplets(source)),
        "labeled-pair/train.jsonl": json_lines(
            {"query": row.query["text"], "passage": passage, "label": label}
            for row in source.train()
            for passage, label in _labelled(source, row)
        ),
        "labeled-list/train.jsonl": json_lines(_lists(source)),
    }
    card = {"README.md": text(_dataset_card(source))}
    return _export("sentence-transformers", source, files | card, _without_negatives(source))


class _Scores:
    """Scores of positives and negatives by one model."""

    def __init__(self, source: TrainingSource, kind: Scores) -> None:
        if source.scores is None:
            raise LexError(
                f"export: the store of {source.domain} holds no scores of positives; mine again, or use --scores none"
            )
        self.kind, self.column = kind, f"score_{kind}"
        known = source.scores.select("query_id", "passage_id", self.column)
        self.positives = {(query, passage): score for query, passage, score in known.iter_rows()}

    def of(self, row: Row) -> dict[str, list[float]]:
        """pos_scores and neg_scores, aligned with the passages."""
        query_id = row.query["query_id"]
        return {
            "pos_scores": [self._known(self.positives.get((query_id, one)), query_id) for one in row.positives],
            "neg_scores": [self._known(negative[self.column], query_id) for negative in row.negatives],
        }

    def _known(self, score: float | None, query_id: str) -> float:
        if score is None:
            raise LexError(
                f"export: a passage of {query_id} has no {self.kind} score; mine with that model, "
                "or choose other --scores (rerank, dense, none)"
            )
        return score


def _pairs(source: TrainingSource, rows: Iterator[Row]) -> Iterator[dict[str, str]]:
    for row in rows:
        for one in row.positives:
            yield {"anchor": row.query["text"], "positive": source.texts[one]}


def _triplets(source: TrainingSource) -> Iterator[dict[str, str]]:
    """Every positive and every negative at least once, and no question more often than its longer list is long."""
    for row in source.train():
        negatives = [negative["passage_id"] for negative in row.negatives]
        for place in range(max(len(row.positives), len(negatives)) if negatives else 0):
            positive, negative = row.positives[place % len(row.positives)], negatives[place % len(negatives)]
            yield {
                "anchor": row.query["text"],
                "positive": source.texts[positive],
                "negative": source.texts[negative],
            }


def _lists(source: TrainingSource) -> Iterator[dict[str, Any]]:
    for row in source.train():
        docs, labels = zip(*_labelled(source, row), strict=True)
        yield {"query": row.query["text"], "docs": list(docs), "labels": list(labels)}


def _labelled(source: TrainingSource, row: Row) -> list[tuple[str, float]]:
    """(text, 1 or 0) of positives, then negatives."""
    negatives = [(source.texts[negative["passage_id"]], 0.0) for negative in row.negatives]
    return [(source.texts[one], 1.0) for one in row.positives] + negatives


def _lexdpr_passage(row: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("context", "citation", "doc_id", "domain", "family", "source_type", "unit", "effective_date")
    return {
        "id": row["passage_id"],
        "parent_id": row["parent_id"],
        "type": LEXDPR_TYPES.get(row["source_type"], row["source_type"]),
        "text": f"{row['context']}\n{row['text']}" if row["context"] else row["text"],
        **{name: row[name] for name in (*kept, "equivalence_id", "content_hash")},
    }


def _meta(row: Row) -> dict[str, Any]:
    """Where a question comes from; what its own record says, its licence and the model's name too, stays with it."""
    own = {name: row.query[name] for name in ("query_id", "domain", "set", "regime", "doc_id")}
    return _meta_of(row) | {"type": row.query["origin"]} | own


def _meta_of(row: Row) -> dict[str, Any]:
    return json.loads(row.query["meta"] or "{}")


def _train_and_valid(source: TrainingSource, line: Any, train: str, valid: str) -> dict[str, File]:
    return {train: json_lines(map(line, source.train())), valid: json_lines(map(line, source.valid()))}


def _without_negatives(source: TrainingSource) -> dict[str, int]:
    return {"questions without negatives": sum(not row.negatives for row in source.train())}


def _export(
    name: str, source: TrainingSource, files: Mapping[str, File], left_out: Mapping[str, int] | None = None
) -> Export:
    return Export(name, source.domain, files, source.hashes, source.licences, left_out or {})


def _dataset_card(source: TrainingSource) -> str:
    """The head that `datasets.load_dataset(folder, name)` reads, and the licences."""
    configs = {
        "pair": ("train", "validation"),
        "triplet": ("train",),
        "labeled-pair": ("train",),
        "labeled-list": ("train",),
    }
    lines = ["---", "language: ko", "configs:"]
    for name, splits in configs.items():
        lines += [f"- config_name: {name}", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {name}/{split}.jsonl"]
    licences = [f"- {licence}" for licence in source.licences]
    return "\n".join([*lines, "---", "", f"# {source.domain}", "", "사용 허락 · licences", "", *licences]) + "\n"
