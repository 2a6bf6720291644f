"""Where a system is better and where it is worse: properties of a query.

Slices are exploratory: their p-values are corrected together
and a slice below the minimum is hidden, never averaged into another.
"""

from __future__ import annotations

import json
from collections.abc import Collection

import polars as pl

SLICE_LABELS: dict[str, tuple[str, str]] = {
    "length": ("질의 길이", "query length"),
    "overlap": ("정답과 겹치는 표현", "wording shared with the gold"),
    "gold": ("정답 수", "number of gold articles"),
    "seen": ("학습에서 본 정답", "gold seen in training"),
    "boilerplate": ("상투적으로 인용되는 조문", "boilerplate citation"),
    "law": ("법령", "law"),
}
_LONGEST_LISTED_LAWS = 8


def bigrams(text: str) -> set[str]:
    """Character bigrams without spaces."""
    squeezed = "".join(text.split())
    return {squeezed[i : i + 2] for i in range(len(squeezed) - 1)}


def trained_parents(queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> set[str]:
    """Gold articles of the training questions, as far as `corpus` holds them."""
    train = queries.filter(pl.col("set") == "train").select("query_id")
    gold = qrels.join(train, on="query_id", how="semi").select("passage_id").unique()
    return set(corpus.join(gold, on="passage_id", how="semi")["parent_id"])


def query_slices(
    queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, trained: Collection[str]
) -> pl.DataFrame:
    """(query_id, slice, value): one value per query and slice. `trained`: gold articles of training."""
    passages = corpus.select("passage_id", "parent_id", "context", "text")
    gold = qrels.filter(pl.col("grade") > 0).join(passages, on="passage_id").sort("query_id", "passage_id")
    grouped = gold.group_by("query_id", maintain_order=True).agg(pl.col("parent_id", "context", "text", "grade"))
    joined = queries.select("query_id", "text", "meta").join(grouped, on="query_id", suffix="_gold").sort("query_id")
    rows: list[tuple[str, str, str]] = []
    known = set(trained)
    for query_id, text, meta, parents, contexts, texts, grades in joined.iter_rows():
        values = {
            "length": _length(text),
            "overlap": _overlap(text, texts),
            "gold": "1 개" if len(set(parents)) == 1 else "2 개 이상",
            "seen": "봄" if known & set(parents) else "못 봄",
            "boilerplate": "포함" if json.loads(meta or "{}").get("boilerplate") else "없음",
            "law": contexts[grades.index(max(grades))].split(" > ")[0],
        }
        rows += [(query_id, name, value) for name, value in values.items() if value]
    return pl.DataFrame(rows, schema=["query_id", "slice", "value"], orient="row", schema_overrides=_SLICE_TYPES)


_SLICE_TYPES = {"query_id": pl.String, "slice": pl.String, "value": pl.String}


def _length(text: str) -> str:
    return "60자 미만" if len(text) < 60 else "60–150자" if len(text) <= 150 else "150자 초과"


def _overlap(query: str, texts: Collection[str]) -> str:
    """Share of the query's character bigrams that its closest gold passage holds."""
    own = bigrams(query)
    share = max((len(own & bigrams(text)) / len(own) for text in texts), default=0.0) if own else 0.0
    return "20 % 미만" if share < 0.2 else "20–40 %" if share < 0.4 else "40 % 이상"


def slice_sizes(slices: pl.DataFrame, minimum: int) -> tuple[pl.DataFrame, int]:
    """((slice, value, n) of those shown, number hidden). A slice with one value is not a slice; of the laws only the
    most frequent are listed."""
    order = pl.col("slice").replace_strict({name: i for i, name in enumerate(SLICE_LABELS)})
    counted = slices.group_by("slice", "value").len("n")
    sizes = counted.sort([order, "n", "value"], descending=[False, True, False])
    divided = sizes.filter(pl.len().over("slice") > 1)
    frequent = divided.filter(
        (pl.col("slice") != "law") | (pl.int_range(pl.len()).over("slice") < _LONGEST_LISTED_LAWS)
    )
    shown = frequent.filter(pl.col("n") >= minimum)
    return shown, divided.height - shown.height
