"""Where a system is better and where it is worse: properties of a query, and of its first wrong answer.

Here: the slices of the report and the groups of errors. Slices are exploratory: their p-values are corrected together
and a slice below the minimum is hidden, never averaged into another.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection

import polars as pl

SLICE_LABELS: dict[str, tuple[str, str]] = {
    "length": ("질의 길이", "query length"),
    "overlap": ("정답과 겹치는 표현", "wording shared with the gold"),
    "gold": ("정답 수", "number of gold articles"),
    "seen": ("학습에서 본 정답", "gold seen in training"),
    "boilerplate": ("상투적으로 인용되는 조문", "boilerplate citation"),
    "law": ("법령", "law"),
}
ERROR_LABELS: dict[str, tuple[str, str]] = {
    "correct": ("맞힘", "correct"),
    "sibling": ("같은 조문의 다른 부분", "another part of the right article"),
    "article": ("같은 법령의 다른 조문", "right law, wrong article"),
    "family": ("같은 법령군(법·시행령)", "right family, wrong law"),
    "document": ("다른 문서", "wrong document"),
    "nothing": ("결과 없음", "nothing retrieved"),
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


def error_groups(run: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    """(system, kind, n): what stands first in each ranking, for the queries of `qrels`; kinds as in `ERROR_LABELS`."""
    places = corpus.select("passage_id", "parent_id", "doc_id", "family").sort("passage_id")
    whole = places.unique("parent_id", keep="first", maintain_order=True).with_columns(passage_id="parent_id")
    known = pl.concat([places, whole.join(places, on="passage_id", how="anti")])
    gold = (
        qrels.filter(pl.col("grade") > 0).join(known, on="passage_id").group_by("query_id").agg(pl.exclude("query_id"))
    )
    first = run.filter(pl.col("rank") == pl.col("rank").min().over("system", "query_id")).join(known, on="passage_id")
    every = run.select("system").unique().join(gold, how="cross")
    placed = every.join(
        first.select("system", "query_id", *_PLACES), on=["system", "query_id"], how="left", suffix="_top"
    )
    return placed.with_columns(kind=_kind()).group_by("system", "kind").len("n").sort("system", "kind")


_PLACES = ("passage_id", "parent_id", "doc_id", "family")


def _kind() -> pl.Expr:
    """The closest relation between the first result and the gold."""
    shared: Callable[[str], pl.Expr] = lambda name: pl.col(f"{name}_top").is_in(pl.col(name))  # noqa: E731
    return (
        pl.when(pl.col("passage_id_top").is_null())
        .then(pl.lit("nothing"))
        .when(shared("passage_id"))
        .then(pl.lit("correct"))
        .when(shared("parent_id"))
        .then(pl.lit("sibling"))
        .when(shared("doc_id"))
        .then(pl.lit("article"))
        .when(shared("family"))
        .then(pl.lit("family"))
        .otherwise(pl.lit("document"))
    )
