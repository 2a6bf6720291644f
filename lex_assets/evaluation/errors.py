"""What stands first where the answer should: how near it came, and which law was taken for which."""

from __future__ import annotations

from typing import Any

import polars as pl

from lex_assets.schemas import STATUTE_TYPES

ERROR_LABELS: dict[str, tuple[str, str]] = {
    "correct": ("맞힘", "correct"),
    "sibling": ("같은 조문의 다른 항", "sibling: another part of the right article"),
    "article": ("같은 법령의 다른 조문", "right law, wrong article"),
    "family": ("같은 법령군(법·시행령)", "right family, wrong law"),
    "document": ("다른 법령·문서", "wrong law or document"),
    "nothing": ("결과 없음", "nothing retrieved"),
}
LISTED_LAWS = 8
LISTED_PAIRS = 10
_PLACES = ("passage_id", "parent_id", "doc_id", "family", "law")


def first_results(run: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    """(system, query_id, kind, gold_law, found_law) for every system and every query of `qrels`, sorted.

    kind: the closest relation between the first result and the gold, as in `ERROR_LABELS` · gold_law, found_law: names of
    statutes and rules, null for other documents; of several gold laws the one that was found, else that of the best grade.
    """
    known = _known(corpus)
    gold = qrels.filter(pl.col("grade") > 0).join(known, on="passage_id").sort("query_id", "passage_id")
    best = gold.sort("grade", descending=True, maintain_order=True)
    grouped = best.group_by("query_id", maintain_order=True).agg(pl.col(*_PLACES))
    first = run.filter(pl.col("rank") == pl.col("rank").min().over("system", "query_id")).join(known, on="passage_id")
    every = run.select("system").unique().join(grouped, how="cross")
    placed = every.join(
        first.select("system", "query_id", *_PLACES), on=["system", "query_id"], how="left", suffix="_top"
    )
    found = pl.col("law_top")
    gold_law = pl.when(found.is_in(pl.col("law"))).then(found).otherwise(pl.col("law").list.drop_nulls().list.first())
    columns = ["system", "query_id", _kind().alias("kind"), gold_law.alias("gold_law"), found.alias("found_law")]
    return placed.select(columns).sort("system", "query_id")


def _known(corpus: pl.DataFrame) -> pl.DataFrame:
    """Where every passage belongs, and every parent, which stands for itself in runs and labels by article."""
    statute = pl.when(pl.col("source_type").is_in(STATUTE_TYPES)).then(pl.col("context").str.split(" > ").list.first())
    places = corpus.with_columns(statute.alias("law")).select(_PLACES).sort("passage_id")
    whole = places.unique("parent_id", keep="first", maintain_order=True).with_columns(passage_id="parent_id")
    return pl.concat([places, whole.join(places, on="passage_id", how="anti")])


def _kind() -> pl.Expr:
    """The closest relation between the first result and the gold."""
    nothing = pl.when(pl.col("passage_id_top").is_null()).then(pl.lit("nothing"))
    nearest = [("passage_id", "correct"), ("parent_id", "sibling"), ("doc_id", "article"), ("family", "family")]
    shared = [pl.when(pl.col(f"{column}_top").is_in(pl.col(column))).then(pl.lit(kind)) for column, kind in nearest]
    return pl.coalesce(nothing, *shared, pl.lit("document"))


def error_groups(first: pl.DataFrame) -> dict[str, dict[str, int]]:
    """System → kind → queries, of `first_results`."""
    found: dict[str, dict[str, int]] = {}
    for system, kind, n in first.group_by("system", "kind").len("n").sort("system", "kind").iter_rows():
        found.setdefault(system, {})[kind] = n
    return found


def frequent_laws(first: pl.DataFrame) -> list[str]:
    """The laws that are asked for most often, in `first_results` of any systems."""
    counted = first.drop_nulls("gold_law").group_by("gold_law").len("n")
    return counted.sort(["n", "gold_law"], descending=[True, False])["gold_law"].head(LISTED_LAWS).to_list()


def confusion(first: pl.DataFrame, laws: list[str]) -> dict[str, Any]:
    """Which law was taken for which, from one system's `first_results` on queries that ask for a law.

    rows: for each of `laws`, as the gold, the number of queries (n), how often each of `laws` stood first (found), another
    document (other) or nothing · pairs: the most frequent confusions over all laws.
    """
    asked = first.filter(pl.col("gold_law").is_not_null())
    counted = asked.group_by("gold_law", "found_law", "kind").len("n").to_dicts()
    return {"laws": laws, "rows": [_gold_row(law, laws, counted) for law in laws], "pairs": _pairs(asked)}


def _gold_row(law: str, laws: list[str], counted: list[dict[str, Any]]) -> dict[str, Any]:
    own = [row for row in counted if row["gold_law"] == law]
    found = [sum(row["n"] for row in own if row["found_law"] == other) for other in laws]
    n, nothing = sum(row["n"] for row in own), sum(row["n"] for row in own if row["kind"] == "nothing")
    return {"law": law, "n": n, "found": found, "other": n - nothing - sum(found), "nothing": nothing}


def _pairs(asked: pl.DataFrame) -> list[dict[str, Any]]:
    wrong = asked.filter(pl.col("found_law").is_not_null(), pl.col("found_law") != pl.col("gold_law"))
    counted = wrong.group_by(gold="gold_law", found="found_law").len("n")
    return counted.sort(["n", "gold", "found"], descending=[True, False, False]).head(LISTED_PAIRS).to_dicts()
