"""Single queries to look at: those that a system won or lost most, with the gold and both rankings side by side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any

import polars as pl

from lex_assets.evaluation.errors import first_results
from lex_assets.evaluation.units import parent_table

Segments = list[tuple[str, bool]]

EXCERPT_CHARACTERS = 240
LEAD = 24  # characters before the first shared word of an excerpt
_WORD = re.compile(r"[가-힣A-Za-z0-9ㆍ·]+")
_FUNCTION_WORDS = (
    "경우 관한 관하여 대한 대하여 따라 따른 따르 의한 의하여 위하여 위한 있는 없는 하는 되는 이를 다음 각호 해당 또는 그리고 "
    "여부 사례 규정 말한 말하 정한 정하 본다 한다 으로 에서 이상 이하 어느 하나 아니 제1 제2 제3"
)
_COMMON = frozenset(_FUNCTION_WORDS.split())


def highlight(text: str, query: str) -> Segments:
    """`text` cut into (part, shared with the query?). A word is shared as far as it begins like a word of the query,
    two characters at least: Korean particles and endings differ at the end. Function words are not marked."""
    segments: Segments = []
    done = 0
    for start, end in _shared(text, query):
        segments += [(text[done:start], False), (text[start:end], True)]
        done = end
    return [(part, marked) for part, marked in [*segments, (text[done:], False)] if part]


def _shared(text: str, query: str) -> Iterator[tuple[int, int]]:
    """(start, end) of the beginnings of words of `text` that a word of the query begins with too."""
    wanted = {word for word in _WORD.findall(query) if len(word) >= 2}
    for match in _WORD.finditer(text):
        length = max((_common_prefix(match[0], word) for word in wanted), default=0)
        if length >= 2 and match[0][:length] not in _COMMON and match[0][:2] not in _COMMON:
            yield match.start(), match.start() + length


def _common_prefix(one: str, other: str) -> int:
    length = 0
    for a, b in zip(one, other, strict=False):
        if a != b:
            break
        length += 1
    return length


def excerpt(text: str, query: str = "", limit: int = EXCERPT_CHARACTERS) -> str:
    """`text` on one line; of a long one the beginning, or the part that shares most words with the query."""
    line = " ".join(text.split())
    if len(line) <= limit:
        return line
    starts = [start for start, _ in _shared(line, query)]
    held = {start: sum(start <= other < start + limit - LEAD for other in starts) for start in starts}
    best = max(held, key=lambda start: (held[start], -start), default=0)
    begin = best - LEAD if best > limit // 2 else 0
    shown = line[begin : begin + limit - 2].strip()
    return ("…" if begin else "") + shown + ("…" if begin + limit - 2 < len(line) else "")


def won_and_lost(
    paired: pl.DataFrame,
    run: pl.DataFrame,
    queries: pl.DataFrame,
    qrels: pl.DataFrame,
    corpus: pl.DataFrame,
    count: int = 5,
    ranked: int = 3,
) -> dict[str, list[dict[str, Any]]]:
    """The `count` queries that `system` won and lost most, each with its gold, both rankings, where the first gold stands in
    them and what kind of result comes first.

    Args:
        paired: (query_id, baseline, system), scores of the two.
        run: the two sides' rankings, `system` being "baseline" or "system".
    """
    changed = paired.with_columns(difference=pl.col("system") - pl.col("baseline"))
    won = (
        changed.filter(pl.col("difference") > 0).sort(["difference", "query_id"], descending=[True, False]).head(count)
    )
    lost = changed.filter(pl.col("difference") < 0).sort("difference", "query_id").head(count)
    shown = pl.concat([won, lost]).select("query_id")
    run, queries, qrels = (frame.join(shown, on="query_id", how="semi") for frame in (run, queries, qrels))
    book = _Book(run, queries, qrels, corpus, ranked)
    return {name: [book.case(row) for row in rows.to_dicts()] for name, rows in (("won", won), ("lost", lost))}


class _Book:
    """Looks up what a case shows."""

    def __init__(
        self, run: pl.DataFrame, queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, ranked: int
    ) -> None:
        self.queries = {row["query_id"]: row for row in queries.to_dicts()}
        labels = qrels.filter(pl.col("grade") > 0).sort(["grade", "passage_id"], descending=[True, False])
        self.gold = _listed(labels, ["query_id"])
        self.ranked = _listed(run.filter(pl.col("rank") <= ranked).sort("rank"), ["system", "query_id"])
        self.first_gold = _first_gold(run, labels, corpus)
        self.kinds = {(s, q): kind for s, q, kind, *_ in first_results(run, labels, corpus).iter_rows()}
        used = {p for found in (self.gold, self.ranked) for ids in found.values() for p in ids}
        used |= {passage_id for _, passage_id in self.first_gold.values()}
        kept = corpus.filter(pl.col("passage_id").is_in(sorted(used)) | pl.col("parent_id").is_in(sorted(used)))
        rows = kept.sort("passage_id").to_dicts()
        self.passages = {row["parent_id"]: row for row in reversed(rows)} | {row["passage_id"]: row for row in rows}

    def case(self, row: dict[str, Any]) -> dict[str, Any]:
        query_id = row["query_id"]
        query, gold = self.queries[query_id], self.gold.get((query_id,), [])
        return {
            **{name: query[name] for name in ("query_id", "origin", "regime", "text")},
            "gold_count": len(gold),
            "gold": self._shown(gold[:2], query_id),
            "baseline": self._side("baseline", query_id, row["baseline"]),
            "system": self._side("system", query_id, row["system"]),
        }

    def _side(self, side: str, query_id: str, score: float) -> dict[str, Any]:
        """One system's ranking: its first passages, and the first gold where that stands below them."""
        ids = self.ranked.get((side, query_id), [])
        rank, passage_id = self.first_gold.get((side, query_id), (None, ""))
        below = [passage_id] if rank is not None and rank > len(ids) else []
        return {
            "score": round(score, 4),
            "kind": self.kinds[side, query_id],
            "gold_rank": rank,
            "ranking": self._shown(ids, query_id),
            "below": self._shown(below, query_id),
        }

    def _shown(self, ids: Iterable[str], query_id: str) -> list[dict[str, Any]]:
        relevant = {self.passages[p]["parent_id"] for p in self.gold.get((query_id,), [])}
        text = self.queries[query_id]["text"]
        return [
            {
                "passage_id": row["passage_id"],
                "citation": row["citation"],
                "context": row["context"],
                "relevant": row["parent_id"] in relevant,
                "segments": highlight(excerpt(row["text"], text), text),
            }
            for row in (self.passages[one] for one in ids)
        ]


def _listed(frame: pl.DataFrame, key: list[str]) -> dict[tuple[str, ...], list[str]]:
    """Passage ids per key, in row order."""
    grouped = frame.group_by(key, maintain_order=True).agg("passage_id")
    return {tuple(row[:-1]): row[-1] for row in grouped.iter_rows()}


def _first_gold(
    run: pl.DataFrame, labels: pl.DataFrame, corpus: pl.DataFrame
) -> dict[tuple[str, str], tuple[int, str]]:
    """(side, query) → (rank, passage) of the first result whose article is relevant, where there is one."""
    table = parent_table(corpus)
    relevant = labels.join(table, on="passage_id").select("query_id", "parent_id").unique()
    hits = run.join(table, on="passage_id").join(relevant, on=["query_id", "parent_id"], how="semi").sort("rank")
    first = hits.unique(["system", "query_id"], keep="first", maintain_order=True)
    return {(s, q): (rank, p) for s, q, rank, p in first.select("system", "query_id", "rank", "passage_id").iter_rows()}
