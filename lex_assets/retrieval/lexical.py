"""Embedded keyword search: BM25 over character bigrams, on bm25s."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lex_assets.retrieval.analyzers import analyzer as analyzer_of
from lex_assets.retrieval.types import Exclude, Hit, Hits
from lex_assets.schemas import LexError

K1, B = 1.5, 0.75


class LexicalIndex:
    """A BM25 index over passages. Only passages that share a term with the query are answered."""

    def __init__(self, ids: list[str], bm25: Any, analyzer: str) -> None:
        self.ids = ids
        self.analyzer = analyzer
        self._bm25 = bm25
        self._row = {passage_id: row for row, passage_id in enumerate(ids)}

    @classmethod
    def build(cls, ids: Sequence[str], texts: Sequence[str], analyzer: str = "bigram") -> LexicalIndex:
        """Index `texts` under `ids`. Raises LexError when there is nothing to index or ids repeat."""
        import bm25s

        if len(ids) != len(texts) or len(set(ids)) != len(ids):
            raise LexError(f"lexical index: {len(ids)} ids, {len(set(ids))} of them unique, for {len(texts)} texts")
        # Rows in id order: a stable sort by score then breaks ties by id.
        order = sorted(range(len(ids)), key=ids.__getitem__)
        vocabulary: dict[str, int] = {}
        analyse = analyzer_of(analyzer)
        rows = [[vocabulary.setdefault(t, len(vocabulary)) for t in analyse(texts[n])] for n in order]
        if not vocabulary:
            raise LexError("lexical index: no passage holds an indexable term; check the corpus")
        bm25 = bm25s.BM25(k1=K1, b=B)
        bm25.index((rows, vocabulary), show_progress=False)
        return cls([ids[n] for n in order], bm25, analyzer)

    def search(self, queries: Sequence[str], k: int, exclude: Exclude = None) -> Hits:
        """The best `k` passages of each query with their BM25 scores."""
        analyse, vocabulary = analyzer_of(self.analyzer), self._bm25.vocab_dict
        banned = exclude if exclude is not None else [frozenset()] * len(queries)
        return [
            self._best([vocabulary[t] for t in analyse(query) if t in vocabulary], k, ban)
            for query, ban in zip(queries, banned, strict=True)
        ]

    def _best(self, terms: list[int], k: int, banned: Iterable[str]) -> list[Hit]:
        if not terms:
            return []
        scores = self._bm25.get_scores_from_ids(terms)
        scores[[self._row[passage_id] for passage_id in banned if passage_id in self._row]] = 0
        floor = np.partition(scores, -k)[-k] if k < len(scores) else 0
        rows = np.flatnonzero((scores >= floor) & (scores > 0))
        best = rows[np.argsort(-scores[rows], kind="stable")][:k]
        return [(self.ids[row], float(scores[row])) for row in best]

    def save(self, folder: Path) -> Path:
        """Write the index to `folder`, replacing what is there; complete or not at all."""
        folder = Path(folder)
        beside = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(beside, ignore_errors=True)
        self._bm25.save(beside, show_progress=False)
        (beside / "ids.json").write_text(json.dumps({"analyzer": self.analyzer, "ids": self.ids}, ensure_ascii=False))
        if folder.exists():
            shutil.rmtree(folder)
        beside.rename(folder)
        return folder

    @classmethod
    def load(cls, folder: Path) -> LexicalIndex:
        """Open an index, memory-mapped. Raises LexError when `folder` holds none."""
        import bm25s

        path = Path(folder) / "ids.json"
        if not path.is_file():
            raise LexError(f"no lexical index at {folder}; build it from the corpus")
        described = json.loads(path.read_text("utf-8"))
        return cls(described["ids"], bm25s.BM25.load(folder, mmap=True, show_progress=False), described["analyzer"])
