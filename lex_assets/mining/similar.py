"""What similar questions say about a candidate: a passage that answers one of them probably answers this one too.

Courts cite a part of the articles that bear on an issue, and the next decision on the same issue cites another part. The
labels of the neighbours are therefore the best evidence there is of an answer that a question's own labels lack.
"""

from __future__ import annotations

import polars as pl

from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.retrieval.texts import rows_of

NEIGHBOURS = 50
"""Questions looked at per question, at most."""


def similar_questions(queries: pl.DataFrame, similarity: float) -> pl.DataFrame:
    """(query_id, similar): the other questions that are at least `similarity` like it; none when that is 0, which is off.

    Similarity is the BM25 score of the one question for the other, as a share of its score for itself.
    """
    rows: list[tuple[str, str]] = []
    if similarity and len(queries) > 1:
        ids, texts = queries["query_id"].to_list(), queries["text"].to_list()
        for query_id, found in zip(ids, LexicalIndex.build(ids, texts).search(texts, NEIGHBOURS + 1), strict=True):
            floor = similarity * dict(found).get(query_id, float("inf"))
            rows += [(query_id, other) for other, score in found if other != query_id and score >= floor]
    return pl.DataFrame(rows, schema={"query_id": pl.String, "similar": pl.String}, orient="row")


def answers_of_similar(near: pl.DataFrame, relevant: pl.DataFrame, corpus: pl.DataFrame) -> pl.DataFrame:
    """(query_id, parent_id): articles that answer a question which `near` (query_id, similar) names as similar.

    relevant: (query_id, passage_id) of the questions' positives.
    """
    articles = rows_of(corpus, relevant["passage_id"]).select("passage_id", "parent_id")
    answers = relevant.join(articles, on="passage_id")
    answers = answers.select("parent_id", similar="query_id").unique()
    return near.join(answers, on="similar").select("query_id", "parent_id").unique()
