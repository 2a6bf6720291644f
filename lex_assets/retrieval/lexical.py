"""Embedded keyword search: BM25 over the terms of an analyzer, in the format of bm25s, memory-mapped when loaded."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, islice, repeat
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from lex_assets.retrieval.analyzers import analyzers
from lex_assets.retrieval.bm25 import bm25_over
from lex_assets.retrieval.ids import Ids, OrderedIds
from lex_assets.retrieval.postings import Asked, Found, Postings, find_by_numpy
from lex_assets.retrieval.terms import Tokens
from lex_assets.retrieval.tokens import token_parts, tokens_of
from lex_assets.retrieval.types import Exclude, Hits, Progress
from lex_assets.schemas import LexError, hash_of

FORMAT = "4"
LAYOUT = "2"
"""Of the files that an index is kept in."""
DESCRIBED = "index.json"
AT_ONCE = 250
"""Queries that one thread takes together."""
THREADS_FROM = 100_000
"""Passages from which numpy takes so long over a query that threads do not wait for each other more than they gain."""


class LexicalIndex:
    """A BM25 index over passages. Only passages that share a term with the query are answered."""

    def __init__(self, ids: OrderedIds, bm25: Any, analyzer: str, cache_dir: Path | None = None) -> None:
        self.ids = ids
        self.analyzer = analyzer
        self.cache_dir = cache_dir
        self._bm25 = bm25
        self._postings = Postings(bm25.scores)

    @classmethod
    def build(
        cls,
        ids: Ids,
        texts: Sequence[str],
        analyzer: str = "bigram",
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> LexicalIndex:
        """Index `texts` under `ids`. Raises LexError when there is nothing to index or ids repeat.

        cache_dir: keeps terms by text, so that only new texts are cut, and whole indices by content; None computes without
        keeping · progress: told how many texts are cut.
        """
        if len(ids) != len(texts):
            raise LexError(f"lexical index: {len(ids)} ids for {len(texts)} texts")
        if cache_dir is None:
            return cls._over(ids, texts, analyzer)
        content = hash_of(chain((LAYOUT, analyzer, version(analyzer)), ids, texts))
        folder = Path(cache_dir) / "indices" / content[:32]
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_suffix(".lock")):
            if not folder.is_dir():
                cls._over(ids, texts, analyzer, Path(cache_dir), progress).save(folder)
        return cls.load(folder, cache_dir)

    @classmethod
    def _over(
        cls,
        ids: Ids,
        texts: Sequence[str],
        analyzer: str,
        cache_dir: Path | None = None,
        progress: Progress | None = None,
    ) -> LexicalIndex:
        # Rows in id order: a stable sort by score then breaks ties by id.
        ordered, order = OrderedIds.of(ids, cache_dir)
        parts = token_parts(texts, analyzer, cache_dir, progress, order)
        bm25 = bm25_over(parts, cache_dir)
        if not bm25.vocab_dict:
            raise LexError("lexical index: no passage holds an indexable term; check the corpus")
        return cls(ordered, bm25, analyzer)

    def search(self, queries: Sequence[str], k: int, exclude: Exclude = None) -> Hits:
        """The best `k` passages of each query with their BM25 scores."""
        if not len(queries):
            return []
        if exclude is not None and len(exclude) != len(queries):
            raise LexError(f"lexical search: {len(exclude)} sets of ids to exclude for {len(queries)} queries")
        cache_dir = self.cache_dir and self.cache_dir / "queries"  # apart: to read them is not to read the corpus
        asked = self._known(tokens_of(queries, self.analyzer, cache_dir))
        banned = [self._rows(names) for names in exclude or repeat(frozenset(), len(queries))]
        find, weights = self._postings.finder(asked), self._postings.weights

        def part(at: int) -> list[Found]:
            some = slice(at, at + AT_ONCE)
            terms = asked.rows(np.arange(len(asked))[some])
            return list(find(weights, Asked.of(terms, banned[some]), k))

        waits = find is find_by_numpy and len(self.ids) < THREADS_FROM
        with ThreadPoolExecutor(1 if waits else len(os.sched_getaffinity(0))) as pool:
            return self._named([one for found in pool.map(part, range(0, len(asked), AT_ONCE)) for one in found])

    def _named(self, found: list[Found]) -> Hits:
        """The hits with their ids in place of their rows."""
        names = iter(self.ids.take(np.concatenate([rows for rows, _ in found])).tolist())
        return [list(zip(islice(names, len(rows)), scores.tolist(), strict=True)) for rows, scores in found]

    def _known(self, tokens: Tokens) -> Tokens:
        """The queries' terms by the index's numbers, without those that no passage has."""
        numbers = self._bm25.vocab_dict
        renumbered = np.array([numbers.get(term, -1) for term in tokens.vocabulary], np.int32)[tokens.ids]
        kept = renumbered >= 0
        ends = np.concatenate([[0], np.cumsum(kept)])[tokens.starts]
        return Tokens([], renumbered[kept], ends)

    def _rows(self, names: AbstractSet[str]) -> list[int]:
        """Numbers of those passages that there are."""
        return [row for name in names if (row := self.ids.place(name)) is not None]

    def save(self, folder: Path) -> Path:
        """Write the index to `folder`, replacing what is there; complete or not at all."""
        folder = Path(folder)
        beside = folder.with_name(f".{folder.name}.{os.getpid()}")
        shutil.rmtree(beside, ignore_errors=True)
        self._bm25.save(beside, show_progress=False)
        self.ids.save(beside)
        (beside / DESCRIBED).write_text(json.dumps({"analyzer": self.analyzer}))
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)
        return folder

    @classmethod
    def load(cls, folder: Path, cache_dir: Path | None = None) -> LexicalIndex:
        """Open an index, memory-mapped. Raises LexError when `folder` holds none."""
        import bm25s

        path = Path(folder) / DESCRIBED
        if not path.is_file():
            raise LexError(f"no lexical index at {folder}; build it from the corpus")
        try:
            described = json.loads(path.read_text("utf-8"))
            bm25 = bm25s.BM25.load(folder, mmap=True, show_progress=False)
            return cls(OrderedIds.load(folder), bm25, described["analyzer"], cache_dir)
        except (OSError, ValueError, EOFError, KeyError) as error:
            raise LexError(f"lexical index {folder} cannot be read ({error}); delete it and build it again") from error


def version(analyzer: str) -> str:
    """Differs whenever the same passages are answered with other scores. Raises LexError for an unknown analyzer."""
    return "-".join([FORMAT, *(one.version for one in analyzers(analyzer))])
