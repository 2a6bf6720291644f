"""The text of a cited provision: what `lex-assets cite` shows.

Here: a citation as people write it ─► passages, or the reason why none is shown. Not here: how names and numbers are
matched (`resolve`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import polars as pl

from lex_assets.citations.resolve import REASONS, ArticleIndex, Target, unversioned
from lex_assets.citations.units import Citation
from lex_assets.schemas import STATUTE_TYPES, LexError


@dataclass(frozen=True)
class Provision:
    """One passage of a cited provision. effective_date: YYYYMMDD, or "" where the source gives none."""

    label: str
    effective_date: str
    text: str


@dataclass(frozen=True)
class Answer:
    """What was found for a citation, and one line per part of it for which nothing is shown."""

    provisions: list[Provision]
    refusals: list[str]


def provisions_of(text: str, documents: pl.DataFrame, corpus: pl.DataFrame, as_of: str = "") -> Answer:
    """The passages that `text` cites ("민법 제839조의2", "자본시장법 제9조 제1항"), in the order cited.

    documents, corpus: DOCUMENTS and PASSAGES. as_of: YYYYMMDD of the day whose law is asked for, "" for what the corpus
    holds. Raises LexError when `text` is no citation or `as_of` no date.
    """
    if as_of and not re.fullmatch(r"[12]\d{7}", as_of):
        raise LexError(f"date {as_of!r} is not read; write it as YYYY-MM-DD")
    index = ArticleIndex.from_corpus(documents.filter(pl.col("source_type").is_in(STATUTE_TYPES)), corpus)
    found = index.lookup(text, as_of)
    if not found:
        raise LexError(
            f"{text!r} names no article of a law; write it like '민법 제839조의2' or '자본시장법 제9조 제1항'"
        )
    answer = Answer([], [])
    for citation, targets in found:
        for target in targets:
            _add(answer, citation, target, _versions(index, corpus, target, as_of), as_of)
    return answer


def _versions(index: ArticleIndex, corpus: pl.DataFrame, target: Target, as_of: str) -> list[dict[str, str]]:
    """Rows of the target's passages: those in force, or with a day all versions of them."""
    wanted = [target.passage] if target.passage else index.passages.get(target.parent or "", [])
    rows = corpus.filter(pl.col("parent_id") == (target.parent or "")).to_dicts()
    if as_of:
        plain = {unversioned(passage_id) for passage_id in wanted}
        wanted = [row["passage_id"] for row in rows if unversioned(row["passage_id"]) in plain]
    return sorted((row for row in rows if row["passage_id"] in wanted), key=lambda row: _natural(row["passage_id"]))


def _natural(passage_id: str) -> list[str | int]:
    """Sort key that puts 호 10 behind 호 9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", passage_id)]


def _add(answer: Answer, citation: Citation, target: Target, rows: list[dict[str, str]], as_of: str) -> None:
    """The target's passages that were in force on `as_of`, or why there are none."""
    if not target.parent or target.reason == "no_such_paragraph":
        answer.refusals.append(f"{citation.label}: {target.reason} ({REASONS[target.reason]})")
        return
    newest: dict[str, dict[str, str]] = {}
    for row in (row for row in rows if not as_of or row["effective_date"] <= as_of):
        key = unversioned(row["passage_id"]) if as_of else row["passage_id"]
        if key not in newest or row["effective_date"] > newest[key]["effective_date"]:
            newest[key] = row
    shown = list(newest.values())
    answer.provisions.extend(Provision(row["citation"], row["effective_date"], row["text"]) for row in shown)
    if rows and not shown:
        since = min(row["effective_date"] for row in rows)
        answer.refusals.append(
            f"{citation.label}: old_version (the corpus holds the text in force since {iso(since)}, later than "
            f"{iso(as_of)}; leave out --as-of to see it)"
        )


def iso(date: str) -> str:
    """20250131 → 2025-01-31; anything else as it is."""
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if re.fullmatch(r"\d{8}", date) else date
