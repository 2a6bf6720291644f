"""From passages to training tables without the graph: questions by rule, then hard negatives. What a recipe's data stage is.

For a corpus without labels. The graph (`assets`) does the same with its own tables and adds the labelled questions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.scoring import Progress
from lex_assets.mining.with_models import mine_with_models
from lex_assets.passages.build import PassageConfig
from lex_assets.passages.cut import windows
from lex_assets.queries.filters import SyntheticConfig
from lex_assets.queries.questions import QuestionGenerator, SyntheticQuestion
from lex_assets.queries.split import SplitConfig
from lex_assets.queries.synthetic import synthetic_queries
from lex_assets.retrieval.engine import LexicalConfig
from lex_assets.retrieval.types import Encoder, PairScorer
from lex_assets.schemas import PASSAGES, LexError, content_hash
from lex_assets.sources.lines import read_objects
from lex_assets.training.files import TrainingTables

PREPARED = "prepared"
"""Last part of the alias of the passages on a server."""

_ALL_TRAIN = SplitConfig(train=1, valid=0, promotion=0, test=0, held_out=0)


@dataclass
class GivenQuestions:
    """Questions that were made elsewhere, by people or a language model, as a generator.

    by_passage: passage id → its rows, with `text` and, as `lex-assets questions` writes them, `kind` and `also`.
    """

    by_passage: Mapping[str, Sequence[Mapping[str, Any]]]
    licence: str = ""
    name: str = "given"

    @classmethod
    def read(cls, path: Path, licence: str = "") -> GivenQuestions:
        """From JSONL `{id, text, kind?, also?}`, where id is the passage's and `also` lists further ones. Raises LexError with
        the first line that is not."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for where, row in read_objects(path, {"id": (str, int), "text": (str,)}):
            if not isinstance(row.get("also", []), list):
                raise LexError(f"{where}: also is {row['also']!r}; write a list of passage ids")
            found.setdefault(str(row["id"]), []).append(row)
        return cls(found, licence)

    def generate(self, passages: Iterable[Mapping[str, str]]) -> list[SyntheticQuestion]:
        """All questions of the given passages."""
        return [
            SyntheticQuestion(
                row["passage_id"],
                given["text"],
                str(given.get("kind", self.name)),
                self.name,
                self.licence,
                also=tuple(map(str, given.get("also", ()))),
            )
            for row in passages
            for given in self.by_passage.get(row["passage_id"], ())
        ]


def cut_passages(corpus: pl.DataFrame, config: PassageConfig) -> pl.DataFrame:
    """`corpus` (PASSAGES) with every text that is longer than `config.max_characters` in windows `<id>_w2`, `<id>_w3`, …"""
    rows = []
    for row in PASSAGES.validate(corpus).iter_rows(named=True):
        for number, text in enumerate(windows(row["text"], config.max_characters), start=1):
            own = row["passage_id"] if number == 1 else f"{row['passage_id']}_w{number}"
            hashed = content_hash(row["context"], text)
            same = row["equivalence_id"] if text == row["text"] else own
            rows.append(row | {"passage_id": own, "text": text, "equivalence_id": same, "content_hash": hashed})
    return PASSAGES.frame(rows)


def prepare_rows(
    corpus: pl.DataFrame,
    generator: QuestionGenerator,
    encoder: Encoder,
    reranker: PairScorer | None,
    passages: PassageConfig,
    questions: SyntheticConfig,
    mining: MiningConfig,
    lexical: LexicalConfig | None = None,
    *,
    cache_dir: Path | None = None,
    progress: Progress | None = None,
) -> TrainingTables:
    """Training rows of `corpus` (PASSAGES): passages within the limit, questions about each, and mined negatives.

    lexical: the keyword search that mines, by default the embedded one. Every question is of the set train: a validation file
    is made from other documents. Raises LexError when the passages give no question or no negative.
    """
    cut = cut_passages(corpus, passages)
    asked, qrels, report = synthetic_queries(cut, generator, questions, split=_ALL_TRAIN)
    if asked.is_empty():
        raise LexError(
            f"{cut.height} passages gave no question ({report.counts}); give other documents, or loosen `questions`"
        )
    index = (lexical or LexicalConfig()).over(cut, PREPARED, cache_dir and cache_dir / "terms", progress)
    mined = mine_with_models(
        asked, qrels, cut, encoder, reranker, mining, cache_dir=cache_dir, progress=progress, lexical=index
    )
    return TrainingTables(mined.triplets, asked, mined.qrels, cut)
