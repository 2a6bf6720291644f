"""Speed of the metrics and of significance, and what the promotion gate lets through.

    python benchmarks/evaluation.py --queries 20000 --simulations 500

Prints seconds of `per_query` and of ir_measures with its conversion on the same ranking, with the largest difference
between their NDCG@10; seconds of 100,000 sign flips and 10,000 bootstraps on 4,000 queries; and the shares of simulated
candidates without a gain and with a gain of 3 points that the gate promotes (900 queries in pairs, σ .25).
Expected: difference below 1e-9; flips and bootstraps together below 1 s; no gain ≤ 5 %; 3 points ≥ 80 %.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import polars as pl

from lex_assets.evaluation.metrics import per_query
from lex_assets.evaluation.significance import ComparisonConfig, bootstrap_interval, compare, sign_flip_p
from lex_assets.registry.promotion import gate

DEPTH = 100
METRICS = ("ndcg@10", "mrr@10", "r@100")


def made_up(queries: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(run, qrels): `queries` rankings of 100 with three labels each."""
    rng = np.random.default_rng(0)
    documents = np.stack([rng.choice(5_000, DEPTH, replace=False) for _ in range(queries)])
    names = pl.Series("query_id", np.repeat(np.arange(queries), DEPTH)).cast(pl.String)
    run = pl.DataFrame(
        {
            "query_id": names,
            "passage_id": pl.Series(documents.ravel()).cast(pl.String),
            "rank": np.tile(np.arange(1, DEPTH + 1, dtype=np.int32), queries),
            "score": np.tile(-np.arange(DEPTH, dtype=np.float32), queries),
            "system": "s",
        }
    )
    gold = documents[np.arange(queries)[:, None], rng.permuted(np.tile(np.arange(DEPTH), (queries, 1)), axis=1)[:, :3]]
    labels = {
        "query_id": np.repeat(np.arange(queries), 3),
        "passage_id": gold.ravel(),
        "grade": np.tile(np.array([2, 1, 1], dtype=np.int32), queries),
    }
    return run, pl.DataFrame(labels).cast({"query_id": pl.String, "passage_id": pl.String})


def metrics_speed(queries: int) -> None:
    import ir_measures

    run, qrels = made_up(queries)
    start = time.perf_counter()
    ours = per_query(run, qrels, METRICS, "passage")
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    their_run = [
        ir_measures.ScoredDoc(q, d, s) for q, d, s in run.select("query_id", "passage_id", "score").iter_rows()
    ]
    their_qrels = [ir_measures.Qrel(*row) for row in qrels.iter_rows()]
    wanted = [ir_measures.nDCG @ 10, ir_measures.RR @ 10, ir_measures.R @ 100]
    found = list(ir_measures.iter_calc(wanted, their_qrels, their_run))
    theirs = time.perf_counter() - start
    ndcg = {one.query_id: one.value for one in found if one.measure == wanted[0]}
    worst = max(abs(ndcg[q] - value) for q, value in ours.select("query_id", "ndcg@10").iter_rows())
    print(f"per_query {seconds:.2f} s · ir_measures {theirs:.2f} s · {theirs / seconds:.1f}× · difference {worst:.1e}")


def significance_speed() -> None:
    rng = np.random.default_rng(0)
    difference, clusters = rng.normal(0.02, 0.3, 4_000), rng.integers(0, 2_500, 4_000)
    start = time.perf_counter()
    sign_flip_p(difference, clusters, 100_000)
    flips = time.perf_counter() - start
    start = time.perf_counter()
    bootstrap_interval(difference, clusters, n_bootstraps=10_000)
    print(f"100,000 sign flips {flips:.2f} s · 10,000 bootstraps {time.perf_counter() - start:.2f} s")


def promoted_share(gain: float, simulations: int, queries: int = 900) -> float:
    """Share of simulated candidates with this true gain that the gate promotes."""
    rng, promoted = np.random.default_rng(1), 0
    ids = pl.Series("query_id", np.arange(queries)).cast(pl.String)
    groups = pl.DataFrame({"query_id": ids, "split_group": np.arange(queries) // 2})
    config = ComparisonConfig(n_flips=5_000, n_bootstraps=2_000)
    for _ in range(simulations):
        shared = np.repeat(rng.normal(0, 0.12, queries // 2), 2)
        values = {"champion": np.zeros(queries), "candidate": gain + shared + rng.normal(0, 0.22, queries)}
        scores = pl.concat([pl.DataFrame({"query_id": ids, "system": s, "ndcg@10": v}) for s, v in values.items()])
        promoted += gate(compare(scores, "champion", "candidate", "ndcg@10", groups, config, "promotion")).promoted
    return promoted / simulations


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument("--simulations", type=int, default=500)
    arguments = parser.parse_args()
    metrics_speed(arguments.queries)
    significance_speed()
    for gain in (0.0, 0.03):
        share = promoted_share(gain, arguments.simulations)
        print(f"gain {100 * gain:.0f} points: promoted {share:.1%} of {arguments.simulations}")
