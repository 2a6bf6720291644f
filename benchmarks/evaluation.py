"""Speed of the metrics and of significance, and what the promotion gate lets through.

    python benchmarks/evaluation.py metrics --queries 100000
    python benchmarks/evaluation.py significance
    python benchmarks/evaluation.py gate --simulations 2000

`metrics` scores rankings of 100 from Parquet with `per_query`, with ir_measures and, where it is installed (it is no
dependency: use an environment of its own), with ranx, each with the conversion that it needs, one after the other in one
process. Expected: the others take at least 10 times as long; ranx's kernel alone, on objects that are built already and
after compilation, takes at least as long as `per_query` on frames in memory; NDCG@10 differs by less than 1e-9.
Seen on 100,000 queries, by the clock and by CPU alike: ranx 14.0 times, ir_measures 13.9 times, ranx's kernel 2.6 times.
`significance`: 100,000 sign flips and 10,000 cluster bootstraps on 4,000 queries together below 1 s. Seen: 0.21 s.
`gate`: shares of simulated candidates that are promoted, 900 queries whose clusters, share of unchanged queries, spread and
correlation within clusters are those of the served system on the real law and finance test sets, with twenty slices and four
guard sets. Expected: no gain at most 5 %, 3 points on the law-like queries at least 80 %. Seen with 2,000 simulations: no gain
2.5 % (law-like) and 2.4 % (finance-like), 3 points 87.9 % of 900 law-like queries and 19.2 % of 139 finance-like ones.
"""

from __future__ import annotations

import argparse
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl

from lex_assets.evaluation.metrics import per_query
from lex_assets.evaluation.significance import (
    Comparison,
    ComparisonConfig,
    bootstrap_interval,
    compare,
    sign_flip_p,
)
from lex_assets.registry.promotion import gate

DEPTH = 100
DOCUMENTS = 200_000
METRICS = ("ndcg@10", "mrr@10", "r@100")


def made_up(queries: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(run, qrels): `queries` rankings of 100 with three labels each, ids as long as real ones."""
    rng = np.random.default_rng(0)
    names = pl.Series([f"LAW_{i // 60:06}_제{i % 60 + 1}조_①" for i in range(DOCUMENTS)])
    asked = pl.Series([f"PREC_{100_000 + i}_1_law" for i in range(queries)])
    steps = rng.integers(1, DOCUMENTS // DEPTH, (queries, DEPTH)).cumsum(axis=1)
    found = rng.permuted((rng.integers(0, DOCUMENTS, (queries, 1)) + steps) % DOCUMENTS, axis=1)
    run = pl.DataFrame(
        {
            "query_id": asked.gather(np.repeat(np.arange(queries), DEPTH)),
            "passage_id": names.gather(found.ravel()),
            "rank": np.tile(np.arange(1, DEPTH + 1, dtype=np.int32), queries),
            "score": np.tile(-np.arange(DEPTH, dtype=np.float32), queries),
            "system": pl.Series(["made up"]).new_from_index(0, queries * DEPTH),
        }
    )
    places = rng.permuted(np.tile(np.arange(DEPTH), (queries, 1)), axis=1)[:, :3]
    qrels = pl.DataFrame(
        {
            "query_id": asked.gather(np.repeat(np.arange(queries), 3)),
            "passage_id": names.gather(np.take_along_axis(found, places, axis=1).ravel()),
            "grade": np.tile(np.array([2, 1, 1], dtype=np.int32), queries),
        }
    )
    return run, qrels


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock and of CPU, over all threads. On a machine that does other work only the second means anything."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.2f} s (CPU {self.cpu:.2f})"

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.wall + other.wall, self.cpu + other.cpu)

    def times(self, other: Spent) -> str:
        """How many times `other` this is."""
        return f"{self.wall / other.wall:.1f}× (CPU {self.cpu / other.cpu:.1f}×)"


def timed(compute: Callable[[], Any]) -> tuple[Any, Spent]:
    """(result, what it took)."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    result = compute()
    return result, Spent(time.perf_counter() - wall, time.process_time() - cpu)


def least(compute: Callable[[], Any], repeats: int = 3) -> Spent:
    """The least of several times, by the clock and of CPU."""
    spent = [timed(compute)[1] for _ in range(repeats)]
    return Spent(min(one.wall for one in spent), min(one.cpu for one in spent))


def ours(folder: Path) -> pl.DataFrame:
    run, qrels = (pl.read_parquet(folder / f"{name}.parquet") for name in ("run", "qrels"))
    return per_query(run, qrels, METRICS, "passage")


def by_ir_measures(folder: Path) -> dict[str, float]:
    import ir_measures

    run, qrels = (pl.read_parquet(folder / f"{name}.parquet") for name in ("run", "qrels"))
    scored = [ir_measures.ScoredDoc(*row) for row in run.select("query_id", "passage_id", "score").iter_rows()]
    labels = [ir_measures.Qrel(*row) for row in qrels.iter_rows()]
    wanted = [ir_measures.nDCG @ 10, ir_measures.RR @ 10, ir_measures.R @ 100]
    found = ir_measures.iter_calc(wanted, labels, scored)
    return {one.query_id: one.value for one in found if one.measure == wanted[0]}


def ranx_objects(folder: Path) -> tuple[Any, Any]:
    import pandas as pd
    from ranx import Qrels, Run

    ids = {"query_id": "object", "passage_id": "object"}
    run = pd.read_parquet(folder / "run.parquet").astype(ids | {"score": "float64"})
    qrels = pd.read_parquet(folder / "qrels.parquet").astype(ids | {"grade": "int64"})
    return (
        Qrels.from_df(qrels, q_id_col="query_id", doc_id_col="passage_id", score_col="grade"),
        Run.from_df(run, q_id_col="query_id", doc_id_col="passage_id", score_col="score"),
    )


def ranx_kernel(qrels: Any, run: Any) -> Any:
    from ranx import evaluate

    return evaluate(qrels, run, ["ndcg@10", "mrr@10", "recall@100"])


def metrics_speed(queries: int) -> None:
    with TemporaryDirectory() as temporary:
        warm, real = Path(temporary, "warm"), Path(temporary, "real")
        for folder, size in ((warm, 50), (real, queries)):
            folder.mkdir()
            for name, frame in zip(("run", "qrels"), made_up(size), strict=True):
                frame.write_parquet(folder / f"{name}.parquet", compression="zstd")
        ours(warm)
        scores, seconds = timed(lambda: ours(real))
        frames = [pl.read_parquet(real / f"{name}.parquet") for name in ("run", "qrels")]
        kernel = least(lambda: per_query(*frames, METRICS, "passage"))
        frames.clear()
        print(f"per_query, {queries:,} × {DEPTH} from Parquet: {seconds}, in memory {kernel}", flush=True)
        _ranx(warm, real, seconds, kernel)
        theirs, taken = timed(lambda: by_ir_measures(real))
        worst = max(abs(theirs[q] - value) for q, value in scores.select("query_id", "ndcg@10").iter_rows())
        print(f"ir_measures {taken} · {taken.times(seconds)} · NDCG@10 differs by {worst:.1e}", flush=True)


def _ranx(warm: Path, real: Path, seconds: Spent, kernel: Spent) -> None:
    try:
        ranx_kernel(*ranx_objects(warm))  # compiles
    except ImportError:
        print("ranx is not installed: not compared")
        return
    objects, conversion = timed(lambda: ranx_objects(real))
    taken = least(lambda: ranx_kernel(*objects))
    total = conversion + taken
    print(f"ranx {total} · {total.times(seconds)} · its kernel {taken} · {taken.times(kernel)}", flush=True)


def significance_speed() -> None:
    rng = np.random.default_rng(0)
    difference, clusters = rng.normal(0.02, 0.3, 4_000), rng.integers(0, 2_500, 4_000)
    flips = timed(lambda: sign_flip_p(difference, clusters, 100_000))[1]
    bootstraps = timed(lambda: bootstrap_interval(difference, clusters, n_bootstraps=10_000))[1]
    print(f"100,000 sign flips {flips} + 10,000 bootstraps {bootstraps} = {flips + bootstraps}")


@dataclass(frozen=True)
class Shape:
    """How the differences between two served systems are spread over queries.

    unchanged: share of queries that score the same · sigma: standard deviation over all queries · shared: share of the
    variance that queries of one cluster have in common · sizes: queries per cluster, repeated until there are enough."""

    unchanged: float
    sigma: float
    shared: float
    sizes: tuple[int, ...]

    def clusters(self, queries: int) -> np.ndarray:
        """(queries,) cluster of each query."""
        repeated = np.tile(self.sizes, -(-queries // sum(self.sizes)))
        return np.repeat(np.arange(len(repeated)), repeated)[:queries]

    def draw(self, rng: np.random.Generator, clusters: np.ndarray, gain: float) -> np.ndarray:
        """(queries,) differences whose true mean is `gain`."""
        common = rng.normal(0, np.sqrt(self.shared), clusters.max() + 1)[clusters]
        changed = rng.random(len(clusters)) >= self.unchanged
        spread = (common + rng.normal(0, np.sqrt(1 - self.shared), len(clusters))) * changed
        return gain + self.sigma * spread / np.sqrt(1 - self.unchanged)


SHAPES = {
    "law-like": Shape(0.5, 0.255, 0.2, (1,) * 110 + (2,) * 36 + (3,) * 12 + (5,) * 4 + (9, 15)),
    "finance-like": Shape(0.6, 0.18, 0.1, (106, 6, 4, 3, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1)),
}
"""Law: many decisions of few issues. Finance: act families, one of them most of the set."""


SLICES = (0.1, 0.4, 0.5, 0.3, 0.5, 0.2, 0.65, 0.35, 0.6, 0.4, 0.1, 0.9, 0.25, 0.12, 0.08, 0.06, 0.05, 0.04, 0.03, 0.03)
"""Shares of the queries in slices by length, wording, answers, seen, boilerplate and law, as in the real law report."""
GUARDS, GUARD_QUERIES, GUARD_SIGMA = 4, 60, 0.15


def promoted_share(shape: Shape, gain: float, simulations: int, queries: int) -> float:
    """Share of simulated candidates with this true gain, in every slice and none on guards, that the gate promotes."""
    rng, clusters = np.random.default_rng(1), shape.clusters(queries)
    return sum(promoted(rng, shape.draw(rng, clusters, gain), clusters) for _ in range(simulations)) / simulations


def promoted(rng: np.random.Generator, difference: np.ndarray, clusters: np.ndarray) -> bool:
    """What the gate decides. Slices and guards only stop, so they are drawn only for what passes without them."""
    decisive = compared(difference, clusters, ComparisonConfig(n_flips=5_000, n_bootstraps=2_000))
    if not gate(decisive).promoted:
        return False
    quick = ComparisonConfig(n_flips=1, n_bootstraps=1_000)  # a part stops by its interval alone
    members = {f"slice {n}": rng.random(len(difference)) < share for n, share in enumerate(SLICES)}
    slices = {name: compared(difference[own], clusters[own], quick) for name, own in members.items() if own.sum() >= 20}
    noise = rng.normal(0, GUARD_SIGMA, (GUARDS, GUARD_QUERIES))
    guards = {f"guard {n}": compared(one, np.arange(GUARD_QUERIES), quick) for n, one in enumerate(noise)}
    return gate(decisive, slices=slices, guards=guards).promoted


def compared(difference: np.ndarray, clusters: np.ndarray, config: ComparisonConfig) -> Comparison:
    """The comparison of two systems with these differences."""
    ids = pl.Series("query_id", np.arange(len(difference))).cast(pl.String)
    values = {"champion": np.zeros(len(difference)), "candidate": difference}
    scores = pl.concat([pl.DataFrame({"query_id": ids, "system": s, "ndcg@10": v}) for s, v in values.items()])
    groups = pl.DataFrame({"query_id": ids, "split_group": clusters})
    return compare(scores, "champion", "candidate", "ndcg@10", groups, config, "promotion")


def gate_errors(simulations: int) -> None:
    for name, shape in SHAPES.items():
        queries = 900 if name == "law-like" else sum(shape.sizes)
        for gain in (0.0, 0.03):
            share, taken = timed(partial(promoted_share, shape, gain, simulations, queries))
            print(
                f"{name}, {queries} queries, gain of {100 * gain:.0f} points: promoted {share:.1%} of {simulations} "
                f"({taken})",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["metrics", "significance", "gate", "all"], nargs="?", default="all")
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--simulations", type=int, default=500)
    arguments = parser.parse_args()
    if arguments.what in ("metrics", "all"):
        metrics_speed(arguments.queries)
    if arguments.what in ("significance", "all"):
        significance_speed()
    if arguments.what in ("gate", "all"):
        gate_errors(arguments.simulations)
