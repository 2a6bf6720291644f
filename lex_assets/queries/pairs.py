"""Pairs of passages for questions that need both: one cites the other, and both belong to the same set."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from lex_assets.queries.inherit import SourceSets
from lex_assets.queries.questions import Row
from lex_assets.queries.split import DROPPED
from lex_assets.schemas import content_hash

_KINDS = ("in_text", "delegation", "article", "decision")


def comparison_pairs(
    passages: pl.DataFrame, citations: pl.DataFrame, sets: SourceSets, limit: int = 0
) -> list[tuple[Row, Row]]:
    """(citing, cited) rows of `passages`, at most `limit` (0 means all) drawn by the hash of their ids.

    Pairs whose questions would be dropped, because the two belong to different sets or regimes, are not made. An article
    stands for its first passage where a citation names no 항; an issue of a decision stands for its holding.
    """
    rows: dict[str, Row] = {row["passage_id"]: row for row in passages.iter_rows(named=True)}
    pairs = sorted(_cited(passages, citations, rows), key=lambda pair: content_hash(*pair))
    chosen: list[tuple[Row, Row]] = []
    for first, second in pairs:
        pair = rows[first], rows[second]
        if sets.of_all(pair)[1] != DROPPED:
            chosen.append(pair)
        if limit and len(chosen) == limit:
            break
    return chosen


def _cited(passages: pl.DataFrame, citations: pl.DataFrame, rows: Mapping[str, Row]) -> set[tuple[str, str]]:
    """(citing, cited) passage ids, each pair once, never two passages of the same article or decision."""
    firsts = passages.sort("passage_id").group_by("parent_id", maintain_order=True).first()
    first_of = dict(firsts.select("parent_id", "passage_id").iter_rows())
    resolved = citations.filter(pl.col("kind").is_in(_KINDS) & pl.col("target_parent_id").is_not_null())
    columns = ("source_id", "source_doc_id", "issue", "target_parent_id", "target_passage_id")
    pairs = set()
    for source_id, document, issue, parent, named in resolved.select(columns).iter_rows():
        citing = source_id if source_id in rows else f"{document}_h{issue}"
        cited = named if named in rows else first_of.get(parent, "")
        if citing in rows and cited in rows and rows[citing]["parent_id"] != rows[cited]["parent_id"]:
            pairs.add((citing, cited))
    return pairs
