"""Guard sets: does a model trained for one domain still find elsewhere what its base found there?

A guard is the promotion set of another domain, or a folder of general questions that a team brings along. It is searched in
a reduced corpus (all of its gold and a drawn rest), equal for all systems, so that its scores compare with each other and with
nothing else. Not here: what a loss means (`registry.promotion`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from lex_assets.evaluation.metrics import per_query
from lex_assets.evaluation.systems import own_passages
from lex_assets.evaluation.trec import read_qrels
from lex_assets.passages.stored import TEXT_ROW, read_corpus
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.search import Searcher, rerank_run
from lex_assets.retrieval.types import Encoder, PairScorer
from lex_assets.schemas import Column, LexError, TableSchema, content_hash, frame_hash
from lex_assets.sources.lines import read_objects

METRIC = "ndcg@10"
DEPTH = 100
RERANK_DEPTH = 10
RETRIEVER, RERANKER = "retriever", "reranker"

GUARD_SCORES = TableSchema(
    "guard_scores",
    {
        "guard": Column(pl.String, "name of the guard set: another domain, or a folder"),
        "part": Column(pl.String, "retriever (dense alone) or reranker (over BM25's first candidates)"),
        "system": Column(pl.String, "base, adapter or champion"),
        "query_id": Column(pl.String, "query"),
        "split_group": Column(pl.String, "what the query rises and falls with"),
        METRIC: Column(pl.Float64, "score of the query"),
    },
    ("guard", "part", "system", "query_id"),
)


@dataclass(frozen=True)
class Guard:
    """Questions of elsewhere. queries: (query_id, text, split_group) · qrels: QRELS · corpus: PASSAGES to search ·
    exclude: query → passages that may not answer it."""

    name: str
    queries: pl.DataFrame
    qrels: pl.DataFrame
    corpus: pl.DataFrame
    exclude: Mapping[str, AbstractSet[str]] = field(default_factory=dict)

    @property
    def hash(self) -> str:
        """Changes with anything that decides the scores."""
        return frame_hash(self.queries, self.qrels, self.corpus.select("passage_id", "content_hash"))


def domain_guards(
    domain: str, queries: pl.DataFrame, qrels: pl.DataFrame, corpus: pl.DataFrame, n_queries: int, n_passages: int
) -> list[Guard]:
    """A guard for each other domain: human queries of its promotion set, at most `n_queries`, in a corpus of their gold and
    drawn passages, `n_passages` in all (more when the gold alone is more).

    queries, qrels, corpus: QUERIES, QRELS and PASSAGES of all domains. A domain without such queries has no guard.
    """
    human = queries.filter(pl.col("set") == "promotion", pl.col("origin") != "synthetic", pl.col("domain") != domain)
    guards = []
    for (name,), own in human.group_by(["domain"]):
        labelled = own.join(qrels, on="query_id", how="semi")
        asked = _drawn(labelled, "query_id", n_queries)
        labels = qrels.join(asked, on="query_id", how="semi")
        table = corpus.filter(pl.col("domain") == name)
        gold = table.join(labels, on="passage_id", how="semi")
        rest = _drawn(table.join(labels, on="passage_id", how="anti"), "passage_id", max(0, n_passages - gold.height))
        inside = labels.join(gold, on="passage_id", how="semi").sort("query_id", "passage_id")
        asked = asked.join(inside, on="query_id", how="semi").sort("query_id")
        if len(asked):
            searched = pl.concat([gold, rest]).sort("passage_id")
            texts = asked.select("query_id", "text", "split_group")
            guards.append(Guard(str(name), texts, inside, searched, own_passages(asked, searched)))
    return sorted(guards, key=lambda guard: guard.name)


def folder_guard(folder: Path) -> Guard:
    """A guard from corpus.jsonl and queries.jsonl ({id, text}) and qrels.tsv in `folder`; the folder's name is its name.

    Raises LexError when a file is missing or malformed, or the qrels name an unknown id."""
    corpus, qrels = read_corpus(folder / "corpus.jsonl"), read_qrels(folder / "qrels.tsv")
    rows = [(str(row["id"]), row["text"]) for _, row in read_objects(folder / "queries.jsonl", TEXT_ROW)]
    queries = pl.DataFrame(rows, schema={"query_id": pl.String, "text": pl.String}, orient="row")
    unknown = (
        qrels.join(queries, on="query_id", how="anti")["query_id"].to_list()
        or qrels.join(corpus, on="passage_id", how="anti")["passage_id"].to_list()
    )
    if unknown:
        raise LexError(f"{folder / 'qrels.tsv'}: {min(unknown)} is in neither queries nor corpus; correct the file")
    asked = queries.join(qrels, on="query_id", how="semi").with_columns(split_group="query_id").sort("query_id")
    return Guard(folder.name, asked, qrels, corpus)


def _drawn(table: pl.DataFrame, column: str, count: int) -> pl.DataFrame:
    """At most `count` rows, the same in every run."""
    keys = pl.Series("_draw", [content_hash(value) for value in table[column]], dtype=pl.String)
    return table.with_columns(keys).sort("_draw").head(count).drop("_draw")


def score_guards(
    guards: Sequence[Guard],
    stacks: Sequence[tuple[str, Encoder, PairScorer]],
    cache_dir: Path | None = None,
    dense_config: DenseConfig = DenseConfig(),
) -> pl.DataFrame:
    """GUARD_SCORES of every (name, retriever, reranker) on every guard."""
    frames = [frame for guard in guards for frame in _scores(guard, stacks, cache_dir, dense_config)]
    return GUARD_SCORES.validate(pl.concat([GUARD_SCORES.frame([]), *frames]))


def _scores(
    guard: Guard,
    stacks: Sequence[tuple[str, Encoder, PairScorer]],
    cache_dir: Path | None,
    dense_config: DenseConfig,
) -> Iterator[pl.DataFrame]:
    lexical = Searcher(guard.corpus).lexical
    for name, encoder, reranker in stacks:
        searcher = Searcher(guard.corpus, encoder, lexical, cache_dir, dense_config)
        candidates = searcher.search(guard.queries, "lexical", RERANK_DEPTH, guard.exclude)
        yield _scored(guard, RETRIEVER, name, searcher.search(guard.queries, "dense", DEPTH, guard.exclude))
        reranked = rerank_run(candidates, guard.queries, guard.corpus, reranker, RERANK_DEPTH, cache_dir=cache_dir)
        yield _scored(guard, RERANKER, name, reranked)


def _scored(guard: Guard, part: str, system: str, run: pl.DataFrame) -> pl.DataFrame:
    scores = per_query(run, guard.qrels, [METRIC], parents=guard.corpus, on_missing="zero")
    names = {"guard": guard.name, "part": part, "system": system}
    named = scores.with_columns(pl.lit(value).alias(column) for column, value in names.items())
    return named.join(guard.queries.select("query_id", "split_group"), on="query_id").select(GUARD_SCORES.names)
