"""What a second round of mining costs: `python -m benchmarks.mining_rounds --shared ../shared`

Training questions of `bench/core` over its articles, the built-in models, one cache. Round 1 starts empty. Then 1 % of the
articles get another sentence, and round 2 mines (a) with the same models, (b) with a new champion, the built-in retriever
adapter, and the same reranker. Counted: texts that were encoded and pairs that were scored, at the models.

Expected: (a) at most 5 % of round 1's texts and pairs; (b) every text encoded again, and only pairs scored that round 1 did
not score. Seen (200 questions, 3,000 passages; a busy machine): round 1 7,365 texts and 5,897 pairs in 57.4 CPU seconds; (a) 30
texts (0.41 %) and 58 pairs (0.98 %) in 2.1; (b) 7,365 texts and 1,832 new pairs (31 %), none of them scored before, in 32.6.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

import numpy as np
import polars as pl

from benchmarks.core_tables import load
from lex_assets.mining.config import MiningConfig
from lex_assets.mining.with_models import mine_with_models
from lex_assets.models.bi_encoder import BiEncoder
from lex_assets.models.presets import BUILTIN, BUILTIN_DIR
from lex_assets.models.reranker import Reranker
from lex_assets.schemas import content_hash

CHANGED = 0.01


class CountedEncoder:
    """A retriever that counts the texts it encodes."""

    def __init__(self, inner: BiEncoder) -> None:
        self.inner, self.texts = inner, 0

    def encode_queries(self, texts: Sequence[str], **options: Any) -> np.ndarray:
        self.texts += len(texts)
        return self.inner.encode_queries(texts, **options)

    def encode_passages(self, texts: Sequence[str], **options: Any) -> np.ndarray:
        self.texts += len(texts)
        return self.inner.encode_passages(texts, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


class CountedReranker:
    """A reranker that counts the pairs it scores."""

    def __init__(self, inner: Reranker) -> None:
        self.inner, self.cache_key, self.pairs = inner, inner.cache_key, 0
        self.seen: set[tuple[str, str]] = set()
        self.again = 0

    def score(self, pairs: Sequence[tuple[str, str]], batch_size: int = 64) -> np.ndarray:
        self.pairs += len(pairs)
        self.again += sum(pair in self.seen for pair in pairs)
        self.seen.update(pairs)
        return self.inner.score(pairs, batch_size=batch_size)


def changed(corpus: pl.DataFrame, share: float) -> pl.DataFrame:
    """`corpus` with another sentence in a drawn share of its passages."""
    drawn = set(corpus["passage_id"].sample(round(share * len(corpus)), seed=1))
    text = pl.when(pl.col("passage_id").is_in(list(drawn))).then(pl.col("text") + " <개정>").otherwise("text")
    table = corpus.with_columns(text=text)
    hashes = [content_hash(*row) for row in table.select("context", "text").iter_rows()]
    return table.with_columns(content_hash=pl.Series(hashes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--passages", type=int, default=3000)
    options = parser.parse_args()
    tables = load(options.shared)
    asked = tables.asked("train").sort("query_id")
    asked = asked.sample(min(options.queries, len(asked)), seed=1)
    qrels = tables.qrels.join(asked, on="query_id", how="semi")
    gold = tables.corpus.join(qrels, on="passage_id", how="semi")
    rest = tables.corpus.join(gold, on="passage_id", how="anti").sort("passage_id")
    corpus = pl.concat([gold, rest.sample(min(len(rest), max(0, options.passages - len(gold))), seed=1)])
    later = changed(corpus, CHANGED)
    reranker = CountedReranker(Reranker())
    print(f"{len(asked):,} questions, {len(corpus):,} passages, {CHANGED:.0%} of them changed before round 2")
    first: tuple[int, int] | None = None
    with TemporaryDirectory() as folder:
        for name, passages, adapter in (
            ("round 1", corpus, None),
            ("round 2, same model", later, None),
            ("round 2, new champion", later, str(BUILTIN_DIR / "retriever_adapter")),
        ):
            encoder = CountedEncoder(BiEncoder(BUILTIN, peft_adapter_path=adapter))
            reranker.pairs = reranker.again = 0
            began = time.process_time()
            mine_with_models(
                asked, qrels, passages, encoder, reranker, MiningConfig(examples=0), cache_dir=Path(folder)
            )
            spent = time.process_time() - began
            first = first or (encoder.texts, reranker.pairs)
            shares = f"{encoder.texts / first[0]:7.2%} of the texts, {reranker.pairs / first[1]:7.2%} of the pairs"
            print(
                f"{name:24}{encoder.texts:8,} texts encoded{reranker.pairs:9,} pairs scored, {reranker.again} of them again"
                f"{spent:8.1f} cpu-s   {shares}"
            )


if __name__ == "__main__":
    main()
