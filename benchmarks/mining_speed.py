"""How fast hard negatives are mined beside sentence-transformers: `python -m benchmarks.mining_speed --shared ../shared`

Training questions of `bench/core` with one labelled article each over 항 as passages, the built-in retriever and reranker, one thread, fp32 on
both sides; encoding, search, reranking, filtering and selection included. Both drop what the reranker scores at or above the
positive and take 7 of the rest, out of the 50 nearest passages:

- peer: `mine_hard_negatives(range_max=50, absolute_margin=0, num_negatives=7, sampling_strategy="top", cross_encoder=…)`
- ours, adaptive: stops reading for a question when enough passed; the same number of negatives
- ours, all pairs: reads all 50, as the peer does

Expected: adaptive >= 3 x the peer's speed, all pairs >= 1.1 x, in CPU time, medians over interleaved rounds. Seen
(`--passages 540`, an idle machine): with `--rounds 1 --queries 400` 3.4 and 3.5 x (6,430 pairs read of 20,800), 1.2 x for all pairs;
with `--rounds 2 --queries 100`, where encoding the passages weighs more, 2.77 x (2.94 x on a busy machine) and 1.13 x.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

import datasets
import numpy as np
import polars as pl
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.util import mine_hard_negatives as peer_mining

from benchmarks.core_tables import load
from lex_assets.mining.config import MiningConfig
from lex_assets.mining.with_models import mine_with_models
from lex_assets.models.bi_encoder import BiEncoder
from lex_assets.models.presets import BUILTIN, RETRIEVERS
from lex_assets.models.reranker import Reranker
from lex_assets.retrieval.search import corpus_texts
from lex_assets.schemas import PASSAGES, content_hash

POOL, WANTED = 50, 7
SAME_FILTERS = MiningConfig(
    pool_lexical=0, pool_dense=POOL, pool_sibling=0, pool_same_title=0, pool_cited=0, hard=WANTED, mid=0, keep=POOL,
    dense_reference="none", rerank_reference="lowest", rerank_margin=0.0, neighbour_factor=1.0, cap_quantile=0.0,
    question_similarity=0.0, rerank_depth=POOL, rerank_chunk=4, enough=1.0, batch_size=32, examples=0,
)  # fmt: skip


@dataclass(frozen=True)
class Task:
    """queries, qrels, corpus: tables; every question has one positive."""

    queries: pl.DataFrame
    qrels: pl.DataFrame
    corpus: pl.DataFrame


@dataclass(frozen=True)
class Outcome:
    """What a run took and gave. cpu_s: of this process · pairs: read by the reranker · negatives, queries: those with a
    full set."""

    cpu_s: float
    pairs: int
    negatives: int
    queries: int


class CountedReranker:
    """A reranker that counts its pairs; `cross_encoder` is the model inside, which the peer calls."""

    def __init__(self) -> None:
        self.inner, self.pairs = Reranker(), 0
        self.cross_encoder: Any = self.inner.model
        self.cross_encoder.max_length = self.inner.max_seq_length
        predict = self.cross_encoder.predict

        def counted(pairs: Sequence[tuple[str, str]], **options: Any) -> torch.Tensor:
            self.pairs += len(pairs)
            return predict(pairs, show_progress_bar=False, **options)

        self.cross_encoder.predict = counted

    def score(self, pairs: Sequence[tuple[str, str]], batch_size: int = 64) -> np.ndarray:
        self.pairs += len(pairs)
        return self.inner.score(pairs, batch_size)


def task(shared: Path, queries: int, passages: int) -> Task:
    """A seeded sample; the corpus holds the positives, each an article's first 항, and others up to `passages`."""
    tables = load(shared)
    paragraphs = _paragraphs(tables.corpus)
    single = tables.qrels.group_by("query_id").len().filter(pl.col("len") == 1)
    asked = tables.asked("train").join(single, on="query_id", how="semi").sort("query_id")
    asked = asked.sample(min(queries, len(asked)), seed=1)
    qrels = tables.qrels.join(asked, on="query_id", how="semi")
    gold = paragraphs.join(qrels, on="passage_id", how="semi")
    others = paragraphs.join(gold, on="passage_id", how="anti").sort("passage_id")
    rest = others.sample(min(max(passages - len(gold), 0), len(others)), seed=1)
    return Task(asked, qrels, pl.concat([gold, rest]).unique("content_hash").sort("passage_id"))


def _paragraphs(articles: pl.DataFrame) -> pl.DataFrame:
    """Each 항 as a passage; the first keeps the article's id."""
    rows = []
    for row in articles.iter_rows(named=True):
        for number, text in enumerate(re.split(r"\n(?=[①-⑳])", row["text"])):
            own = f"{row['passage_id']}_{number}" if number else row["passage_id"]
            rows.append(row | {"passage_id": own, "text": text, "content_hash": content_hash(row["context"], text)})
    return PASSAGES.frame(rows)


def ours(config: MiningConfig) -> Callable[[Task, CountedReranker], Outcome]:
    def run(what: Task, reranker: CountedReranker) -> Outcome:
        reranker.pairs, started = 0, time.process_time()
        mined = mine_with_models(what.queries, what.qrels, what.corpus, BiEncoder(BUILTIN), reranker, config)
        spent = time.process_time() - started
        counts = mined.triplets["negatives"].list.len()
        return Outcome(spent, reranker.pairs, int(counts.sum()), int((counts == WANTED).sum()))

    return run


def peer(what: Task, reranker: CountedReranker) -> Outcome:
    texts = corpus_texts(what.corpus)
    rows = what.qrels.join(what.queries, on="query_id").sort("query_id").select("text", "passage_id")
    table = {"anchor": rows["text"].to_list(), "positive": [texts[passage] for passage in rows["passage_id"]]}
    reranker.pairs, started = 0, time.process_time()
    model = SentenceTransformer(RETRIEVERS[BUILTIN].hub_id, device="cpu", model_kwargs={"dtype": torch.float32})
    model.max_seq_length = 128
    mined = peer_mining(
        datasets.Dataset.from_dict(table), model, corpus=list(texts.values()), cross_encoder=reranker.cross_encoder,
        range_max=POOL, absolute_margin=0.0, num_negatives=WANTED, sampling_strategy="top", output_format="n-tuple",
        batch_size=32, verbose=False,
    )  # fmt: skip
    return Outcome(time.process_time() - started, reranker.pairs, WANTED * len(mined), len(mined))


PEER = "sentence-transformers"
SYSTEMS = {
    PEER: peer,
    "ours, adaptive": ours(SAME_FILTERS),
    "ours, all pairs": ours(SAME_FILTERS.model_copy(update={"rerank_chunk": POOL, "enough": 10.0})),
}
TARGETS = {"ours, adaptive": 3.0, "ours, all pairs": 1.1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, default=150)
    parser.add_argument("--passages", type=int, default=800)
    options = parser.parse_args()
    torch.set_num_threads(1)
    what, reranker = task(options.shared, options.queries, options.passages), CountedReranker()
    print(f"{len(what.queries):,} questions, {len(what.corpus):,} passages, {options.rounds} rounds")
    outcomes: dict[str, list[Outcome]] = {name: [] for name in SYSTEMS}
    for _ in range(options.rounds):
        for name, run in SYSTEMS.items():
            outcomes[name].append(run(what, reranker))
    for name, rounds in outcomes.items():
        ratio = statistics.median(its.cpu_s / own.cpu_s for own, its in zip(rounds, outcomes[PEER], strict=True))
        cpu_s, last = statistics.median(o.cpu_s for o in rounds), rounds[-1]
        target = f", target {TARGETS[name]:.1f} x" if name in TARGETS else ""
        print(
            f"{name:24}{cpu_s:8.1f} cpu-s{last.pairs:9,} pairs{last.negatives:8,} negatives of {last.queries:,} full "
            f"questions   {ratio:.2f} x{target}"
        )


if __name__ == "__main__":
    main()
