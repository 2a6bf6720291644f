"""Single queries to look at: those that a system won or lost most, with the gold and both rankings side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import polars as pl

Segments = list[tuple[str, bool]]

EXCERPT_CHARACTERS = 240
_WORD = re.compile(r"[가-힣A-Za-z0-9ㆍ·]+")
_FUNCTION_WORDS = (
    "경우 관한 관하여 대한 대하여 따라 따른 따르 의한 의하여 위하여 위한 있는 없는 하는 되는 이를 다음 각호 해당 또는 그리고 "
    "여부 사례 규정 말한 말하 정한 정하 본다 한다 으로 에서 이상 이하 어느 하나 아니 제1 제2 제3"
)
_COMMON = frozenset(_FUNCTION_WORDS.split())


def highlight(text: str, query: str) -> Segments:
    """`text` cut into (part, shared with the query?). A word is shared as far as it begins like a word of the query,
    two characters at least: Korean particles and endings differ at the end. Function words are not marked."""
    wanted = {word for word in _WORD.findall(query) if len(word) >= 2}
    segments: Segments = []
    done = 0
    for match in _WORD.finditer(text):
        length = max((_common_prefix(match[0], word) for word in wanted), default=0)
        if length < 2 or match[0][:length] in _COMMON or match[0][:2] in _COMMON:
            continue
        segments += [(text[done : match.start()], False), (match[0][:length], True)]
        done = match.start() + length
    return [(part, marked) for part, marked in [*segments, (text[done:], False)] if part]


def _common_prefix(one: str, other: str) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def excerpt(text: str, limit: int = EXCERPT_CHARACTERS) -> str:
    """The beginning of `text`, on one line."""
    line = " ".join(text.split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def won_and_lost(
    paired: pl.DataFrame,
    run: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    corpus: pl.DataFrame,
    count: int = 5,
    ranked: int = 3,
) -> dict[str, list[dict[str, Any]]]:
    """{"won": [...], "lost": [...]}, largest difference first.

    Args:
        paired: (query_id, baseline, system): the metric of the two sides.
        run: the two sides' rankings, `system` being "baseline" or "system".
    """
    changed = paired.with_columns(difference=pl.col("system") - pl.col("baseline"))
    won = (
        changed.filter(pl.col("difference") > 0).sort(["difference", "query_id"], descending=[True, False]).head(count)
    )
    lost = changed.filter(pl.col("difference") < 0).sort("difference", "query_id").head(count)
    shown = pl.concat([won, lost])["query_id"].to_list()
    book = _Book(run.filter(pl.col("query_id").is_in(shown)), queries, qrels, corpus, ranked)
    return {name: [book.case(row) for row in rows.to_dicts()] for name, rows in (("won", won), ("lost", lost))}


class _Book:
    """Looks up what a case shows."""

    def __init__(
        self, run: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, ranked: int
    ) -> None:
        ids = run["query_id"].unique()
        self.queries = {
            row["query_id"]: row for row in queries.filter(pl.col("query_id").is_in(ids.to_list())).to_dicts()
        }
        gold = qrels.filter(pl.col("query_id").is_in(ids.to_list()) & (pl.col("grade") > 0))
        self.gold: dict[str, list[str]] = {}
        for row in gold.sort(["grade", "passage_id"], descending=[True, False]).to_dicts():
            self.gold.setdefault(row["query_id"], []).append(row["passage_id"])
        self.ranked: dict[tuple[str, str], list[str]] = {}
        for row in run.filter(pl.col("rank") <= ranked).sort("rank").to_dicts():
            self.ranked.setdefault((row["system"], row["query_id"]), []).append(row["passage_id"])
        used = {p for ps in self.gold.values() for p in ps} | {p for ps in self.ranked.values() for p in ps}
        kept = corpus.filter(pl.col("passage_id").is_in(list(used)) | pl.col("parent_id").is_in(list(used)))
        rows = kept.sort("passage_id").to_dicts()
        self.passages = {row["parent_id"]: row for row in reversed(rows)} | {row["passage_id"]: row for row in rows}

    def case(self, row: dict[str, Any]) -> dict[str, Any]:
        query_id = row["query_id"]
        query = self.queries[query_id]
        gold = self.gold.get(query_id, [])
        relevant = {self.passages[p]["parent_id"] for p in gold}
        return {
            "query_id": query_id,
            "origin": query["origin"],
            "text": query["text"],
            "baseline": round(row["baseline"], 4),
            "system": round(row["system"], 4),
            "gold_count": len(gold),
            "gold": self._shown(gold[:2], query["text"], relevant),
            "baseline_ranking": self._shown(self.ranked.get(("baseline", query_id), []), query["text"], relevant),
            "system_ranking": self._shown(self.ranked.get(("system", query_id), []), query["text"], relevant),
        }

    def _shown(self, ids: Iterable[str], query: str, relevant: set[str]) -> list[dict[str, Any]]:
        rows = [self.passages[one] for one in ids]
        return [
            {
                "passage_id": row["passage_id"],
                "citation": row["citation"],
                "context": row["context"],
                "relevant": row["parent_id"] in relevant,
                "segments": highlight(excerpt(row["text"]), query),
            }
            for row in rows
        ]
