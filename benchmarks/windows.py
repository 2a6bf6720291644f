"""What windows do to passages beyond the built-in retriever's 128 tokens: quality and encoding time, beside cutting them.

`python benchmarks/windows.py --shared ../shared` ranks the whole articles of `bench/core` for 600 of its questions and prints
NDCG@10 of the base and of the bundled adapter. Seen: cut 0.265 and 0.334, windows 0.269 and 0.320, 2.9 times the time.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from lex_assets import BiEncoder
from lex_assets.models.presets import BUILTIN, BUILTIN_ADAPTER
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.training.metrics import rank_metrics

QUESTIONS, DEPTH, SEED = 600, 10, 1


def rows(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def relevant(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for line in path.read_text("utf-8").splitlines():
        query, _, document, _ = line.split()
        found[query].add(document)
    return found


def measure(name: str, encoder: BiEncoder, folder: Path) -> None:
    articles, gold = rows(folder / "articles.jsonl.gz"), relevant(folder / "qrels.tsv")
    asked = random.Random(SEED).sample([q for q in rows(folder / "queries.jsonl.gz") if q["id"] in gold], QUESTIONS)
    texts = [f"{row['law']} {row.get('title', '')}\n{row['text']}" for row in articles]
    started = time.process_time()
    index = DenseIndex.encode(encoder, [row["id"] for row in articles], texts)
    seconds = time.process_time() - started
    hits = index.search(encoder.encode_queries([query["text"] for query in asked]), DEPTH)
    gains = np.array([[float(i in gold[q["id"]]) for i, _ in found] for q, found in zip(asked, hits, strict=True)])
    widest = max(len(gold[query["id"]]) for query in asked)
    ideal = np.array([[float(n < len(gold[query["id"]])) for n in range(widest)] for query in asked])
    scores = np.array([[score for _, score in found] for found in hits])
    ndcg = rank_metrics(scores, gains, ideal)["ndcg@10"]
    print(
        f"{name:<18} NDCG@10 {ndcg:.3f} · {len(index.vectors):,} vectors of {len(texts):,} articles · {seconds:.0f} s"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    folder = parser.parse_args().shared / "bench" / "core"
    for what, adapter in (("base", None), ("adapter", str(BUILTIN_ADAPTER))):
        for how, overlap in (("cut", None), ("windows", 32)):
            encoder = BiEncoder(BUILTIN, peft_adapter_path=adapter, window_overlap=overlap)
            measure(f"{what}, {how}", encoder, folder)


if __name__ == "__main__":
    main()
