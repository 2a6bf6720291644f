"""What is counted: passages, or their parents (the article, decision or context that a passage is part of)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import polars as pl

from lex_assets.evaluation.refusals import NOT_IN_CORPUS, EvaluationError, refuse
from lex_assets.schemas import QRELS

Unit = Literal["parent", "passage"]
Parents = Mapping[str, str] | pl.DataFrame
_IDS = {"passage_id": pl.String, "parent_id": pl.String}


def parent_table(parents: Parents) -> pl.DataFrame:
    """(passage_id, parent_id) from a mapping or from any frame with these columns, such as the corpus; every parent is
    its own parent, so that runs and labels by article are understood too."""
    if isinstance(parents, pl.DataFrame):
        table = parents.select("passage_id", "parent_id").unique("passage_id", keep="first", maintain_order=True)
    else:
        table = pl.DataFrame({"passage_id": list(parents), "parent_id": list(parents.values())}, schema_overrides=_IDS)
    itself = table.select(pl.col("parent_id").alias("passage_id"), "parent_id").unique(maintain_order=True)
    return pl.concat([table, itself.join(table, on="passage_id", how="anti", maintain_order="left")])


def to_parents(frame: pl.DataFrame, parents: Parents, what: str = "run") -> pl.DataFrame:
    """`frame` (run or qrels) with each passage replaced by its parent; an id that already is a parent stays.

    Raises EvaluationError for ids that are neither."""
    joined = frame.join(parent_table(parents), on="passage_id", how="left", maintain_order="left")
    refuse(joined.filter(pl.col("parent_id").is_null())["passage_id"], f"{what}: passage", NOT_IN_CORPUS)
    return joined.drop("passage_id").rename({"parent_id": "passage_id"})


def qrels_at(qrels: pl.DataFrame, unit: Unit, parents: Parents | None) -> pl.DataFrame:
    """Labels at the unit that is counted: a parent's grade is the highest among its passages."""
    if unit == "passage":
        return qrels
    if parents is None:
        raise EvaluationError("unit 'parent' needs `parents`: pass the corpus, or score by unit='passage'")
    merged = to_parents(qrels, parents, "qrels").group_by("query_id", "passage_id").agg(pl.col("grade").max())
    return merged.select(QRELS.names).sort("query_id", "passage_id")
