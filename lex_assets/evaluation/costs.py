"""What a retriever and a reranker cost to serve: parameters, time per query, memory. Measured, so it differs from run to
run and is never part of a report's hash."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.search import Searcher
from lex_assets.retrieval.texts import texts_of
from lex_assets.retrieval.types import Encoder, PairScorer
from lex_assets.schemas import Column, TableSchema

MEASURED_QUERIES = 16
SAMPLE_S = 0.02
_STATM, _MIB = Path("/proc/self/statm"), 2**20

COSTS = TableSchema(
    "costs",
    {
        "system": Column(pl.String, "base, adapter or champion, or the name of a pair"),
        "parameters": Column(pl.Int64, "of the retriever and the reranker, adapters merged", nullable=True),
        "retrieve_ms": Column(pl.Float64, "median milliseconds to encode one query and search the corpus"),
        "rerank_ms": Column(pl.Float64, "median milliseconds to rerank its candidates"),
        "latency_ms": Column(pl.Float64, "the two together"),
        "peak_mib": Column(pl.Float64, "peak memory: of the GPU, or of this process on the CPU", nullable=True),
    },
    ("system",),
)


def measure(
    system: str,
    encoder: Encoder,
    reranker: PairScorer,
    queries: pl.DataFrame,
    corpus: pl.DataFrame,
    rerank_depth: int,
    cache_dir: Path | None = None,
    dense_config: DenseConfig = DenseConfig(),
) -> pl.DataFrame:
    """One COSTS row: the first queries, one at a time, over the whole corpus. The first of them warms up and is not counted."""
    searcher = Searcher(corpus, encoder, cache_dir=cache_dir, dense_config=dense_config)
    searcher.dense  # noqa: B018  encoding the corpus is not part of a query's time
    with peak_memory(encoder) as peak:
        times = [
            _one(searcher, encoder, reranker, text, rerank_depth) for text in queries["text"].head(MEASURED_QUERIES + 1)
        ]
    retrieve, rerank = (_median([one[n] for one in times[1:] or times]) for n in (0, 1))
    row = {
        "system": system,
        "parameters": parameters(encoder, reranker),
        "retrieve_ms": retrieve,
        "rerank_ms": rerank,
        "latency_ms": retrieve + rerank,
        "peak_mib": peak[0] if peak else None,
    }
    return COSTS.frame([row])


def _one(searcher: Searcher, encoder: Encoder, reranker: PairScorer, text: str, depth: int) -> tuple[float, float]:
    """(milliseconds to retrieve, to rerank)."""
    start = time.perf_counter()
    [hits] = searcher.dense.search(encoder.encode_queries([text]), depth)
    found = time.perf_counter()
    texts = texts_of(searcher.corpus, (passage_id for passage_id, _ in hits))
    began = time.perf_counter()
    reranker.score([(text, texts[passage_id]) for passage_id, _ in hits])
    return 1000 * (found - start), 1000 * (time.perf_counter() - began)


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def parameters(*models: Any) -> int | None:
    """Parameters of models that wrap a torch module as `.model`; None when one does not."""
    modules = [model.model for model in models if hasattr(model, "model")]
    if len(modules) < len(models):
        return None
    return sum(p.numel() for module in modules for p in module.parameters())


@contextmanager
def peak_memory(encoder: Encoder) -> Iterator[list[float]]:
    """A list that holds, once the body has ended, the peak in MiB: of the encoder's GPU, or resident memory of this process
    where it runs on the CPU of a Linux machine; else it stays empty."""
    device = str(getattr(getattr(encoder, "model", None), "device", "cpu"))
    found: list[float] = []
    if device.startswith("cuda"):
        import torch

        torch.cuda.reset_peak_memory_stats(device)
        yield found
        found.append(torch.cuda.max_memory_allocated(device) / _MIB)
        return
    samples, stop = [_resident_mib()], threading.Event()
    thread = threading.Thread(target=_sample, args=(samples, stop), daemon=True)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()
    if max(samples):
        found.append(max(samples))


def _sample(samples: list[float], stop: threading.Event) -> None:
    while not stop.wait(SAMPLE_S):
        samples.append(_resident_mib())


def _resident_mib() -> float:
    return int(_STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / _MIB if _STATM.exists() else 0.0
