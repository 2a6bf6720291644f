"""Which settings of a search are best: every combination on the validation questions, the winner once on the test.

Here: prefix, fusion, its weight, how many candidates each side gives, how many are reranked. What costs (encoding, search,
reranking) is done once and shared by all points. Not here: learning a weight within the pipeline (`retrieval.fusion`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator

from lex_assets.evaluation.contest import submission_of, write_submission
from lex_assets.evaluation.metrics import parse_metric, per_query, summarise
from lex_assets.evaluation.question_sets import QuestionSet
from lex_assets.evaluation.refusals import refuse
from lex_assets.evaluation.scoring import Scored, score_runs
from lex_assets.models.presets import TemplateMode
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.fusion import METHODS, fuse
from lex_assets.retrieval.score_cache import PART_PAIRS, with_score_cache
from lex_assets.retrieval.search import Searcher
from lex_assets.retrieval.texts import texts_of
from lex_assets.retrieval.types import Encoder, Hits, LexicalSearch, PairScorer, Progress, hits_to_run, ranked
from lex_assets.schemas import Column, TableSchema

OWN_PREFIX = "own"
"""The prefixes that the retriever was trained with."""
_PREFIXES = (OWN_PREFIX, *TemplateMode)
BM25, WINNER = "bm25", "winner"
KEPT = 100  # passages of a ranking that are scored

POINTS = TableSchema(
    "points",
    {
        "prefix": Column(pl.String, "own, or a template: bge, e5, query, instruction, none"),
        "fusion": Column(pl.String, "minmax, zscore or rrf"),
        "weight": Column(pl.Float64, "share of dense search; 0 is BM25 alone, 1 dense alone"),
        "top_k": Column(pl.Int64, "candidates of each side"),
        "rerank_depth": Column(pl.Int64, "first passages that the cross-encoder reorders; 0 for none"),
        "score": Column(pl.Float64, "mean of the metric over the validation questions"),
    },
    ("prefix", "fusion", "weight", "top_k", "rerank_depth"),
)


class GridConfig(BaseModel):
    """What is tried."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    prefixes: tuple[str, ...] = Field(
        default=(OWN_PREFIX,), description="접두어: own(모델 것), bge, e5, query, instruction, none. Prefixes."
    )
    fusions: tuple[str, ...] = Field(default=("minmax",), description="결합: minmax, zscore, rrf. Fusions.")
    weights: tuple[float, ...] = Field(
        default=(0.0, 0.25, 0.5, 0.75, 1.0), description="결합에서 밀집 검색의 몫. Share of dense search."
    )
    top_k: tuple[int, ...] = Field(default=(100,), description="쪽마다 후보 수. Candidates of each side.")
    rerank_depths: tuple[int, ...] = Field(default=(0, 30), description="재순위할 수, 0은 안 함. Passages reranked.")
    metric: str = Field(default="ndcg@10", description="고르는 지표(조문 단위). Metric that chooses, by article.")

    @field_validator("prefixes", "fusions", "weights", "top_k", "rerank_depths")
    @classmethod
    def _something_known(cls, values: tuple[Any, ...], info: Any) -> tuple[Any, ...]:
        may_be_tried, allowed = _ALLOWED[info.field_name]
        wrong = [value for value in values if not may_be_tried(value)]
        if wrong or not values:
            raise ValueError(f"{wrong[0]!r} cannot be tried; use {allowed}" if wrong else "name at least one value")
        return tuple(dict.fromkeys(values))

    @field_validator("metric")
    @classmethod
    def _known(cls, metric: str) -> str:
        return str(parse_metric(metric))

    def points(self) -> Iterator[Point]:
        """Every combination that makes a difference: a side that is not used has no prefix, fusion or partner."""
        made = product(self.prefixes, self.fusions, self.weights, self.top_k, self.rerank_depths)
        yield from dict.fromkeys(Point(*values).canonical(self) for values in made)


_ALLOWED: dict[str, tuple[Callable[[Any], bool], str]] = {
    "prefixes": (lambda name: name in _PREFIXES, ", ".join(_PREFIXES)),
    "fusions": (lambda name: name in METHODS, ", ".join(METHODS)),
    "weights": (lambda weight: 0 <= weight <= 1, "0 to 1"),
    "top_k": (lambda k: k >= 1, "1 or more"),
    "rerank_depths": (lambda depth: depth >= 0, "0 or more"),
}
"""What may be tried, and how that is said."""


@dataclass(frozen=True)
class Point:
    """One combination."""

    prefix: str
    fusion: str
    weight: float
    top_k: int
    rerank_depth: int

    @property
    def name(self) -> str:
        """Fit for a file: `own-minmax-w0.25-k100-r30`."""
        return f"{self.prefix}-{self.fusion}-w{self.weight:g}-k{self.top_k}-r{self.rerank_depth}"

    @property
    def cost(self) -> tuple[int, int, bool]:
        """What is cheaper sorts first."""
        return self.rerank_depth, self.top_k, self.weight > 0

    def canonical(self, config: GridConfig) -> Point:
        """The first point of `config` that ranks as this one does: BM25 alone has no prefix, one side alone no fusion."""
        prefix = self.prefix if self.weight > 0 else config.prefixes[0]
        fusion = self.fusion if 0 < self.weight < 1 else config.fusions[0]
        return Point(prefix, fusion, self.weight, self.top_k, self.rerank_depth)


class Rankings:
    """The rankings of any point for one set of questions.

    questions: query_id and text · encoder_of: the retriever with a prefix, asked for once each · reranker: None when no point
    reranks · lexical: an index over `questions.corpus`, built here without one · cache_dir: of vectors and reranker scores ·
    dense_config: devices and memory of the dense search."""

    def __init__(
        self,
        questions: QuestionSet,
        points: list[Point],
        encoder_of: Callable[[str], Encoder],
        reranker: PairScorer | None = None,
        lexical: LexicalSearch | None = None,
        cache_dir: Path | None = None,
        dense_config: DenseConfig = DenseConfig(),
    ) -> None:
        self.questions, self.points = questions, points
        self._encoder_of, self._reranker, self._lexical_index = encoder_of, reranker, lexical
        self._cache_dir, self._dense_config = cache_dir, dense_config
        self.ids, self._texts = questions.queries["query_id"].to_list(), questions.queries["text"].to_list()
        self._exclude = [questions.exclude.get(query_id, set()) for query_id in self.ids]
        self._depth = max(point.top_k for point in points)
        self._dense: dict[str, Hits] = {}
        self._scores: dict[tuple[int, str], float] = {}

    @cached_property
    def _searcher(self) -> Searcher:
        return Searcher(self.questions.corpus, lexical=self._lexical_index, cache_dir=self._cache_dir)

    @cached_property
    def _lexical(self) -> Hits:
        return self._searcher.hits(self._texts, "lexical", self._depth, self._exclude)

    def find(self, progress: Progress) -> None:
        """Do what costs, for all points: search once per prefix, then rerank every pair that some point reranks."""
        prefixes = list(dict.fromkeys(point.prefix for point in self.points if point.weight > 0))
        for done, prefix in enumerate(prefixes):
            progress(SEARCHING, done, len(prefixes))
            searcher = Searcher(
                self.questions.corpus,
                self._encoder_of(prefix),
                self._searcher.lexical,
                self._cache_dir,
                self._dense_config,
            )
            self._dense[prefix] = searcher.hits(self._texts, "dense", self._depth, self._exclude)
        if prefixes:
            progress(SEARCHING, len(prefixes), len(prefixes))
        self._rerank(sorted({pair for point in self.points for pair in self._heads(point)}), progress)

    def run(self, point: Point) -> pl.DataFrame:
        """RUN of a point under its name."""
        return hits_to_run(
            self.ids, [self._reranked(n, hits, point) for n, hits in enumerate(self._fused(point))], point.name
        )

    def _fused(self, point: Point) -> Hits:
        first = [hits[: point.top_k] for hits in self._lexical]
        second = [hits[: point.top_k] for hits in self._dense[point.prefix]] if point.weight > 0 else first
        return fuse(first, second, point.weight, KEPT, point.fusion)

    def _heads(self, point: Point) -> Iterator[tuple[int, str]]:
        for n, hits in enumerate(self._fused(point) if point.rerank_depth else []):
            yield from ((n, passage_id) for passage_id, _ in hits[: point.rerank_depth])

    def _reranked(self, n: int, hits: list[tuple[str, float]], point: Point) -> list[tuple[str, float]]:
        """The head in the cross-encoder's order; what lies deeper stays behind it."""
        head = [(passage_id, self._scores[n, passage_id]) for passage_id, _ in hits[: point.rerank_depth]]
        return ranked(head) + hits[point.rerank_depth :]

    def _rerank(self, pairs: list[tuple[int, str]], progress: Progress) -> None:
        if not pairs or self._reranker is None:
            return
        scorer = with_score_cache(self._reranker, self._cache_dir)
        texts = texts_of(self.questions.corpus, (passage_id for _, passage_id in pairs))
        for at in range(0, len(pairs), PART_PAIRS):
            progress(RERANKING, at, len(pairs))
            part = pairs[at : at + PART_PAIRS]
            scores = scorer.score([(self._texts[n], texts[passage_id]) for n, passage_id in part])
            self._scores |= dict(zip(part, scores.tolist(), strict=True))
        progress(RERANKING, len(pairs), len(pairs))


SEARCHING, RERANKING = "검색 · searching", "재순위 · reranking"


@dataclass(frozen=True)
class GridResult:
    """points: POINTS, best first · winner: the first of them · test: winner and BM25 on the test questions, compared."""

    config: GridConfig
    points: pl.DataFrame
    winner: Point
    valid_questions: int
    test: Scored
    provenance: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "config": self.config.model_dump(),
            "valid_questions": self.valid_questions,
            "points": self.points.to_dicts(),
            "winner": asdict(self.winner),
            "test": self.test.to_dict(),
            "provenance": self.provenance,
        }


def grid_search(
    valid: QuestionSet,
    test: QuestionSet,
    config: GridConfig,
    rankings_of: Callable[[QuestionSet, list[Point]], Rankings],
    progress: Progress,
) -> GridResult:
    """The best point of `config` on `valid`, and that point alone, beside BM25, on `test`.

    The validation score of a winner is the best of many and promises too much; the test's is what it is worth. Of equal
    points the cheaper wins. Raises EvaluationError when a question is in both sets, and as `metrics.per_query`."""
    refuse(set(valid.queries["query_id"]) & set(test.queries["query_id"]), "query", "is in validation and in the test")
    points = list(config.points())
    rankings = rankings_of(valid, points)
    rankings.find(progress)
    scores = _validated(rankings, valid, config.metric)
    best = sorted(points, key=lambda point: (-scores[point.name], point.cost, point.name))
    table = POINTS.frame(asdict(point) | {"score": scores[point.name]} for point in best)
    return GridResult(config, table, best[0], len(rankings.ids), _tested(best[0], test, config, rankings_of, progress))


def _validated(rankings: Rankings, valid: QuestionSet, metric: str) -> dict[str, float]:
    """Point name → mean. Rounded, so that points that rank alike are equal."""
    runs = pl.concat([rankings.run(point) for point in rankings.points])
    scores = per_query(runs, valid.qrels, [metric], parents=valid.corpus, on_missing="zero")
    return {row["system"]: round(row[metric], 12) for row in summarise(scores).iter_rows(named=True)}


def _tested(
    winner: Point,
    test: QuestionSet,
    config: GridConfig,
    rankings_of: Callable[[QuestionSet, list[Point]], Rankings],
    progress: Progress,
) -> Scored:
    lexical = Point(winner.prefix, winner.fusion, 0.0, KEPT, 0)
    rankings = rankings_of(test, [winner, lexical])
    rankings.find(progress)
    named = {WINNER: winner, BM25: lexical}
    runs = pl.concat([rankings.run(point).with_columns(system=pl.lit(name)) for name, point in named.items()])
    metrics = list(dict.fromkeys([config.metric, "mrr@10", "hit@10", "r@10"]))
    return score_runs(runs, test.qrels, metrics, BM25, unit="parent", parents=test.corpus, groups=test.queries)


def write_submissions(rankings: Rankings, folder: Path) -> list[Path]:
    """One contest submission per point, `<point>.csv`; `rankings.find` was called before."""
    asked, corpus = rankings.questions.queries, rankings.questions.corpus
    files = {folder / f"{point.name}.csv": point for point in rankings.points}
    for path, point in files.items():
        write_submission(submission_of(rankings.run(point), asked, corpus), path)
    return list(files)
