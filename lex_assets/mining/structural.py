"""Candidates by structure: what stands next to a positive in the law rather than what a search finds.

Other paragraphs of a positive's article, articles of other laws under its title, and articles that a citation links to it.
They look like answers and mostly are none; the filters treat siblings and cited articles with a wider margin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import polars as pl

from lex_assets.mining.config import MiningConfig
from lex_assets.mining.pools import ROWS_AT_ONCE
from lex_assets.retrieval.texts import rows_of
from lex_assets.schemas import content_hash

PER_ARTICLE = 50
"""Passages that an article contributes per kind at most: hundreds of laws have an article titled 정의."""

_TITLE = r"^제[^(]+\((.+)\)$"


def structural_hits(
    relevant: pl.DataFrame,
    corpus: pl.DataFrame,
    neighbours: Mapping[str, Iterable[str]],
    config: MiningConfig,
    scored: Callable[[pl.DataFrame], pl.DataFrame],
) -> dict[str, pl.DataFrame]:
    """Per kind (sibling, same_title, cited; those whose size is not 0) the rows (query_id, passage_id, rank).

    relevant: query_id, passage_id of the positives · neighbours: parent_id → parent_ids linked by citation · scored: adds
    score_dense, by which they are ranked (in seeded order without a retriever).
    """
    positives = rows_of(corpus, relevant["passage_id"]).select("passage_id", "parent_id")
    asked = relevant.join(positives, on="passage_id").select("query_id", "parent_id").unique()
    own = corpus.filter(pl.col("parent_id").is_in(asked["parent_id"].unique().implode()))
    own = own.select("passage_id", "parent_id", "doc_id", title=_title())
    makers = {"sibling": (config.pool_sibling, lambda: _siblings(own))}
    makers["same_title"] = (config.pool_same_title, lambda: _same_title(own, corpus))
    makers["cited"] = (config.pool_cited, lambda: _cited(own, corpus, neighbours))
    return {
        name: _ranked(_ordered(make(), config.seed), asked, scored) for name, (size, make) in makers.items() if size
    }


def linked_articles(neighbours: Mapping[str, Iterable[str]]) -> pl.DataFrame:
    """(parent_id, other) of every citation link, in both directions."""
    links = [(a, b) for one, others in neighbours.items() for other in others for a, b in ((one, other), (other, one))]
    return pl.DataFrame(links, schema={"parent_id": pl.String, "other": pl.String}, orient="row").unique()


def _title() -> pl.Expr:
    """정의 of `…법 > 제1장 총칙 > 제2조(정의)`; null where the passage belongs to no titled article."""
    return pl.col("context").str.split(" > ").list.last().str.extract(_TITLE)


def _ordered(found: pl.DataFrame, seed: int) -> pl.DataFrame:
    """With the column `order`: a seeded order of the passages that adding others does not change."""
    hashes = [content_hash(str(seed), passage_id)[:16] for passage_id in found["passage_id"]]
    return found.with_columns(order=pl.Series(hashes, dtype=pl.String))


def _siblings(own: pl.DataFrame) -> pl.DataFrame:
    return own.select("parent_id", "passage_id")


def _same_title(own: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    asked = own.select("parent_id", "doc_id", "title").drop_nulls("title").unique()
    found = [asked.select("parent_id", passage_id="parent_id").clear()]
    for part in corpus.iter_slices(ROWS_AT_ONCE):  # the titles of a whole corpus take more than what is looked for
        titled = asked.join(part.select("passage_id", "doc_id", title=_title()), on="title", suffix="_other")
        found.append(titled.filter(pl.col("doc_id") != pl.col("doc_id_other")).select("parent_id", "passage_id"))
    return pl.concat(found)


def _cited(own: pl.DataFrame, corpus: pl.DataFrame, neighbours: Mapping[str, Iterable[str]]) -> pl.DataFrame:
    links = linked_articles(neighbours).join(own.select("parent_id").unique(), on="parent_id")
    found = links.join(corpus.select("passage_id", other="parent_id"), on="other")
    return found.select("parent_id", "passage_id")


def _ranked(found: pl.DataFrame, asked: pl.DataFrame, scored: Callable[[pl.DataFrame], pl.DataFrame]) -> pl.DataFrame:
    """`found` (parent_id, passage_id, order) as rows of the queries whose positives the articles are, nearest first."""
    few = found.sort("parent_id", "order").group_by("parent_id", maintain_order=True).head(PER_ARTICLE)
    pairs = asked.join(few, on="parent_id").select("query_id", "passage_id", "order").unique()
    ranked = scored(pairs.sort("query_id", "passage_id")).sort(
        ["query_id", "score_dense", "order"], descending=[False, True, False], nulls_last=True
    )
    rank = pl.int_range(1, pl.len() + 1, dtype=pl.Int32).over("query_id")
    return ranked.select("query_id", "passage_id", rank=rank)
