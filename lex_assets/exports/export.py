"""A store's tables in one of the formats, by name: what the command and the asset call."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from lex_assets.exports.evaluation_files import beir, trec
from lex_assets.exports.folder import Export, Exported, write_export
from lex_assets.exports.source import EvaluationSource, TrainingSource, evaluation_source, training_source
from lex_assets.exports.training_files import Scores, flag_embedding, lexdpr, reranker_rows, sentence_transformers
from lex_assets.schemas import SETS, LexError

TRAINING: dict[str, Callable[[TrainingSource], Export]] = {
    "flagembedding": flag_embedding,
    "sentence-transformers": sentence_transformers,
    "lexdpr": lexdpr,
    "reranker": reranker_rows,
}
EVALUATION: dict[str, Callable[[EvaluationSource], Export]] = {"beir": beir, "trec": trec}
FORMATS = (*TRAINING, *EVALUATION)


def prepare_export(
    format: str, store: Path, domain: str, scores: Scores = "rerank", sets: Sequence[str] = ("valid", "test")
) -> Export:
    """What a folder in `format` will hold of `domain`.

    scores: of flagembedding · sets: of beir and trec. Raises LexError for an unknown name, for what is not made yet, and
    when anything held back would get into a training file."""
    if format not in FORMATS:
        raise LexError(f"format {format!r} is not known; choose from {', '.join(FORMATS)}")
    if format in EVALUATION:
        strange = [name for name in sets if name not in SETS]
        if strange or not sets:
            raise LexError(f"set {', '.join(strange) or '(none)'} is not known; choose from {', '.join(SETS)}")
        return EVALUATION[format](evaluation_source(store, domain, tuple(sets)))
    source = training_source(store, domain)
    return flag_embedding(source, scores) if format == "flagembedding" else TRAINING[format](source)


def export_to(
    target: Path,
    format: str,
    store: Path,
    domain: str,
    scores: Scores = "rerank",
    sets: Sequence[str] = ("valid", "test"),
) -> Exported:
    """`prepare_export`, written to the folder `target`."""
    return write_export(prepare_export(format, store, domain, scores, sets), target)
