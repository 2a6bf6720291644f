"""Cost of mining against the size of the corpus: `python -m benchmarks.mining_scale --shared ../shared`

The articles of `bench/core`, cut to `--characters` and repeated with a number in front until there are as many as asked for, so
that no two are equal; a sample of training questions; the built-in retriever, no reranker (its cost depends on the questions,
not on the corpus), one thread. Every size runs in a process of its own, from an empty cache, with `--memory-mib` for the dense
search. Encoding, indexing, search and the rest are timed together.

Printed: memory of the process before mining (libraries, models and the table of passages) and what mining adds to it at most,
anonymous; beside it the peak of mapped files, which the system may take back at any time.

Expected: CPU seconds per 1,000 passages stay the same (linear). Memory hardly grows: beyond `--memory-mib` vectors lie in a file, as
ids, hashes, places, terms and the keyword index do; texts and ids are strings only while they are needed, and the rows of the
commonest terms stop at `postings.ROWS_MIB`. What the indices still take per passage is what sorting takes, below 30 bytes by
tracemalloc (`lex_assets_tests/retrieval/test_memory.py` holds them to it). The rest is the retriever's: with one that answers at
once, mining adds 76 MiB at 10,000 passages and 93 at 300,000; a real one leaves more behind the more batches it has encoded, in the
allocator's hands. The table of passages is the caller's and counts as before.
Seen (a busy machine, a run each, so that CPU seconds vary by a third):

    passages   CPU seconds per 1,000   anonymous before   added by mining   mapped
      10,000                    1.39            464 MiB               +98      219
      30,000                    1.02            467 MiB              +124      230
     100,000                    1.11            482 MiB              +125      255
     300,000                    1.14            511 MiB              +164      276    (+139 in another run)
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

SIZES = (10_000, 30_000, 100_000, 300_000)
SAMPLE_S = 0.02


def resident_mib() -> tuple[float, float]:
    """(anonymous, mapped) memory of this process."""
    status = Path("/proc/self/status").read_text()
    anonymous, mapped = (int(status.split(f"{name}:")[1].split()[0]) / 1024 for name in ("RssAnon", "RssFile"))
    return anonymous, mapped


@contextmanager
def peaks() -> Iterator[list[float]]:
    """The largest that `resident_mib` says while the body runs."""
    found, stop = list(resident_mib()), threading.Event()

    def sample() -> None:
        while not stop.wait(SAMPLE_S):
            found[:] = map(max, found, resident_mib())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def one(shared: Path, size: int, queries: int, characters: int, memory_mib: int) -> None:
    """Mine over `size` passages and print what it took."""
    import polars as pl

    from benchmarks.core_tables import load
    from lex_assets.mining.config import MiningConfig
    from lex_assets.mining.with_models import mine_with_models
    from lex_assets.models.bi_encoder import BiEncoder
    from lex_assets.models.presets import BUILTIN
    from lex_assets.retrieval.dense_config import DenseConfig

    tables = load(shared)
    asked = tables.asked("train").sort("query_id").sample(queries, seed=1)
    qrels = tables.qrels.join(asked, on="query_id", how="semi")
    corpus = tables.corpus.with_columns(context=pl.lit(""), text=pl.col("text").str.slice(0, characters))
    copies = [
        corpus.with_columns(
            passage_id=pl.col("passage_id") + f"_{n}" if n else "passage_id",
            parent_id=pl.col("parent_id") + f"_{n}" if n else "parent_id",
            text=pl.format("{} {}", pl.lit(str(n)), "text"),
            content_hash=pl.lit(""),
            equivalence_id=pl.lit(""),
        )
        for n in range(-(-size // len(corpus)))
    ]
    grown = pl.concat(copies).head(max(size, len(corpus)))
    del tables, corpus, copies
    encoder, began = BiEncoder(BUILTIN), time.process_time()
    encoder.encode_queries(["준비"])
    before, _ = resident_mib()
    with TemporaryDirectory() as folder, peaks() as peak:
        mined = mine_with_models(
            asked, qrels, grown, encoder, None, MiningConfig(examples=0), cache_dir=Path(folder),
            dense_config=DenseConfig(memory_mib=memory_mib),
        )  # fmt: skip
    spent = time.process_time() - began
    print(
        f"{len(grown):9,} passages{spent:9.1f} cpu-s{1000 * spent / len(grown):8.2f} cpu-s per 1,000   anonymous {before:5,.0f} MiB "
        f"{peak[0] - before:+5,.0f} by mining, mapped {peak[1]:5,.0f}   {mined.report['negatives']:,} negatives",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--characters", type=int, default=40)
    parser.add_argument("--memory-mib", type=int, default=4)
    parser.add_argument("--only", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    given = (options.queries, options.characters, options.memory_mib)
    if options.only:
        one(options.shared, options.only, *given)
        return
    for size in options.sizes:
        command = [
            sys.executable,
            "-m",
            "benchmarks.mining_scale",
            "--only",
            str(size),
            "--shared",
            str(options.shared),
        ]
        names = ("--queries", "--characters", "--memory-mib")
        pairs = [part for name, value in zip(names, given, strict=True) for part in (name, str(value))]
        subprocess.run([*command, *pairs], check=True)


if __name__ == "__main__":
    main()
