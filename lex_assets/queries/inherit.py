"""The set and regime that a generated question inherits from its source passages."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from lex_assets.queries.questions import Row
from lex_assets.queries.split import (
    DROPPED,
    LAW_TYPES,
    SplitConfig,
    evaluation_set,
    family_is_held_out,
    group_dates,
    set_of_group,
    split_groups,
)
from lex_assets.schemas import DATED_TYPES, STATUTE_TYPES

Place = tuple[str, str, str]
"""(split group, set, regime)."""


class SourceSets:
    """Where the questions of a passage belong.

    labelled, qrels: the split table, so that a question inherits the set of the decision or context it comes from; what
    an unseen_law evaluation query looks for is never asked about in training.
    """

    def __init__(
        self,
        split: SplitConfig | None = None,
        labelled: pl.DataFrame | None = None,
        qrels: pl.DataFrame | None = None,
    ) -> None:
        self.split = split or SplitConfig()
        self.groups: dict[str, str] = split_groups(labelled) if labelled is not None else {}
        self.newest: dict[str, str] = group_dates(labelled) if labelled is not None else {}
        self.unseen_documents: set[str] = set()
        self.unseen_passages: set[str] = set()
        if labelled is not None:
            unseen = labelled.filter(pl.col("regime") == "unseen_law")
            self.unseen_documents = set(unseen["doc_id"])
            if qrels is not None:
                self.unseen_passages = set(
                    qrels.join(unseen.select("query_id"), on="query_id", how="semi")["passage_id"]
                )

    def of(self, row: Row) -> Place:
        """The place of a question about this passage."""
        law = row["source_type"] in STATUTE_TYPES
        group = self.groups.get(row["doc_id"], row["parent_id"])
        seed, fractions = self.split.seed, self.split.fractions
        held = row["source_type"] in LAW_TYPES and family_is_held_out(row["family"], seed, self.split.held_out)
        if law and held:
            return group, evaluation_set(group, seed, fractions), "unseen_law"
        own_date = row["effective_date"] if row["source_type"] in DATED_TYPES else ""
        chosen = set_of_group(group, self.split, self.newest.get(group, own_date))
        unseen = row["doc_id"] in self.unseen_documents or row["passage_id"] in self.unseen_passages
        if not law and (held or unseen):
            return group, DROPPED if chosen == "train" else chosen, "unseen_law"
        return group, chosen, "unseen_query"

    def of_all(self, rows: Sequence[Row]) -> Place:
        """The place of a question over several passages: the first one's where all agree, else dropped."""
        group, chosen, regime = self.of(rows[0])
        agree = all(self.of(row)[1:] == (chosen, regime) for row in rows[1:])
        return group, chosen if agree else DROPPED, regime
