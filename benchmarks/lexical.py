"""Keyword search: its speed beside bm25s, and the analyzers beside each other on validation groups.

`pip install -e '.[benchmarks,kiwi]' -c constraints.txt`, then

- `python benchmarks/lexical.py speed --shared ../shared`: 6,000 issues of `bench/wide` against its 27,276 articles and the 6,468 of
  `bench/core` (without equal texts). Compared with bm25s, backend numba, called as its manual says, its compilation left out;
  cutting, indexing and searching count on both sides, best of three, turn by turn. Here search runs on every core, bm25s on one as it
  does by default. Seen on two idle cores, seconds by the clock: bm25s 5.55 with the same terms and 2.79 with its own words, which are
  fewer; here 1.89 (2.9 times as fast; by CPU seconds, which do not count what threads gain, 2.5), .59 in a second run (9.4 times; 5.9 by
  CPU). On one core only, beside other work: 2.4 times, and 5.9 (6.2 by the clock) in a second run.
- `python benchmarks/lexical.py analyzers --shared ../shared`: NDCG@10 on the validation groups of the four benches, and
  CPU seconds; terms are kept, so that a fusion counts only what its parts have not cut before. Seen for bigram, kiwi, kiwi-legal and
  the fusions bigram+kiwi and bigram+kiwi-legal: core .386 .393 .385 .401 .398, wide .390 .389 .387 .403 .402,
  precedent .674 .658 .662 .679 .678, delegation .688 .657 .658 .698 .699. bigram+kiwi is the best or nearly so, at 20 to 80 times the
  cost of bigram; one alone, bigram is 0.6 points below kiwi on core and 0.2 to 3 above it elsewhere, so that it stays the default.
- `python benchmarks/lexical.py parity --shared ../shared`: overlap of the ten best of the embedded engine and of the Elasticsearch server
  at LEX_ES_URL that indexes the same terms, 200 issues against the articles of `bench/core`; without LEX_ES_URL against the tests'
  server, which counts lengths as Lucene does. An alias `lex-assets-parity` stays on the server. Seen against the tests' server: 1.0000
  with bigram and with kiwi (0.974 with exact lengths in the embedded engine); Lucene 8.7 itself, over the same terms, agreed too.
- `python benchmarks/lexical.py nori --shared ../shared`: nori's user dictionaries by NDCG@10 on validation groups, with Debian's
  liblucene8-java. Seen: abbreviations of laws change nothing; legal terms too, kept whole, core -0.0137 ± 0.0101, others nothing.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from lex_assets.retrieval.bm25 import K1, B
from lex_assets.retrieval.elasticsearch import ElasticsearchIndex, GivenTerms, Server
from lex_assets.retrieval.kiwi import law_abbreviations, legal_words
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.retrieval.types import Hit
from lex_assets.schemas import content_hash

QUERIES, DEPTH, REPETITIONS = 6000, 100, 3
ANALYZERS = ("bigram", "kiwi", "kiwi-legal", "bigram+kiwi", "bigram+kiwi-legal")
VALID_SHARE = 0.2
PARITY_QUERIES, PARITY_ANALYZERS = 200, ("bigram", "kiwi")
BENCHES = ("core", "wide", "precedent", "delegation")


@dataclass(frozen=True)
class Bench:
    """Documents, and queries with their relevant documents, what they may not be answered with, and their group."""

    documents: dict[str, str]
    queries: dict[str, str]
    relevant: dict[str, set[str]]
    exclude: dict[str, set[str]]
    group: dict[str, str]


def rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def bench(folder: Path) -> Bench:
    """The queries with specific labels where the bench has these: its boilerplate articles are then no documents."""
    articles = folder / "articles.jsonl.gz"
    documents = {
        row["id"]: searched(row) for row in rows(articles if articles.is_file() else folder / "precedents.jsonl.gz")
    }
    every, specific = labels(folder / "qrels.tsv"), folder / "qrels_specific.tsv"
    relevant = labels(specific) if specific.is_file() else every
    if specific.is_file():
        boilerplate = set().union(*every.values()) - set().union(*relevant.values())
        documents = {name: text for name, text in documents.items() if name not in boilerplate}
    asked = [row for row in rows(folder / "queries.jsonl.gz") if relevant.get(row["id"])]
    return Bench(
        documents,
        {row["id"]: row["text"] for row in asked},
        relevant,
        {row["id"]: set(row.get("exclude", ())) for row in asked},
        {row["id"]: str(row.get("precedent_id") or row.get("law_id") or row["id"]) for row in asked},
    )


def searched(row: dict[str, Any]) -> str:
    return f"{row.get('law', '')} {row.get('title', '')}\n{row['text']}".strip()


def labels(path: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for line in path.read_text("utf-8").splitlines():
        query, _, document, _ = line.split("\t")
        found[query].add(document)
    return found


def in_validation(group: str) -> bool:
    return int(content_hash("lexical benchmark", group)[:8], 16) / 2**32 < VALID_SHARE


def ndcg(found: Sequence[str], relevant: set[str]) -> float:
    discounts = 1 / np.log2(np.arange(2, 12))
    gains = np.array([document in relevant for document in found[:10]] + [False] * (10 - len(found[:10])))
    return float((gains * discounts).sum() / discounts[: min(10, len(relevant))].sum())


def compare_analyzers(shared: Path) -> None:
    with tempfile.TemporaryDirectory() as kept:
        print_quality(shared, Path(kept))


def print_quality(shared: Path, kept: Path) -> None:
    print(f"{'NDCG@10, validation':<22}" + "".join(f"{name:>19}" for name in ANALYZERS))
    for name in BENCHES:
        one = bench(shared / "bench" / name)
        chosen = [query for query in one.queries if in_validation(one.group[query])]
        banned = [one.exclude[query] for query in chosen]
        line = f"{name + f', {len(chosen):,} queries':<22}"
        for analyzer in ANALYZERS:
            started = time.process_time()
            index = LexicalIndex.build(list(one.documents), list(one.documents.values()), analyzer, kept)
            hits = index.search([one.queries[query] for query in chosen], 10, banned)
            scores = [ndcg([i for i, _ in found], one.relevant[q]) for q, found in zip(chosen, hits, strict=True)]
            line += f"{np.mean(scores):>10.4f} {time.process_time() - started:>6.0f} s"
        print(line, flush=True)


def compare_dictionaries(shared: Path) -> None:
    from lex_assets_tests.retrieval.elasticsearch.analysis import nori_itself

    words = {"none": (), "abbreviations": law_abbreviations(), "legal": legal_words()}
    for name in ("core", "delegation", "precedent"):
        one = bench(shared / "bench" / name)
        chosen = [query for query in one.queries if in_validation(one.group[query])]
        scores = {label: nori_quality(one, chosen, nori_itself(rules, "discard")) for label, rules in words.items()}
        print(
            f"{name}, {len(chosen):,} queries: NDCG@10 " + ", ".join(f"{k} {np.mean(v):.4f}" for k, v in scores.items())
        )
        for label in ("abbreviations", "legal"):
            change = np.subtract(scores[label], scores["none"])
            print(f"  {label} {np.mean(change):+.4f} ± {1.96 * np.std(change) / len(change) ** 0.5:.4f}", flush=True)


def nori_quality(one: Bench, chosen: list[str], cut: Callable[[str], list[str]]) -> list[float]:
    import bm25s

    names, deep = list(one.documents), 10 + max(len(one.exclude[query]) for query in chosen)
    index = bm25s.BM25(k1=K1, b=B)
    index.index([cut(text) for text in one.documents.values()], show_progress=False)
    found, _ = index.retrieve([cut(one.queries[query]) for query in chosen], k=deep, show_progress=False)
    ranked = (
        [names[row] for row in rows if names[row] not in one.exclude[q]] for rows, q in zip(found, chosen, strict=True)
    )
    return [ndcg(hits, one.relevant[query]) for hits, query in zip(ranked, chosen, strict=True)]


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """(seconds by the clock, seconds of CPU)."""
    clock, cpu = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - clock, time.process_time() - cpu


def bm25s_plainly(texts: list[str], queries: list[str], pattern: str) -> None:
    import bm25s

    options = {"token_pattern": pattern, "stopwords": None, "show_progress": False}
    retriever = bm25s.BM25(k1=K1, b=B, backend="numba")
    retriever.index(bm25s.tokenize(texts, **options), show_progress=False)
    retriever.retrieve(bm25s.tokenize(queries, **options), k=DEPTH, show_progress=False)


def ours(texts: list[str], queries: list[str], cache_dir: Path | None) -> None:
    ids = [f"{n:06}" for n in range(len(texts))]
    LexicalIndex.build(ids, texts, cache_dir=cache_dir).search(queries, DEPTH)


SAME_TERMS = r"(?=([가-힣]{2}|(?<![가-힣])[가-힣](?![가-힣])|(?<![a-z])[a-z]+|(?<!\d)\d+|(?<![一-鿿])[一-鿿]+|[①-⓿]))"
"""The terms of analyzer bigram as bm25s' tokenizer is told them, but for circled digits side by side."""


def compare_speed(shared: Path) -> None:
    documents = [
        searched(row) for name in ("core", "wide") for row in rows(shared / "bench" / name / "articles.jsonl.gz")
    ]
    texts = list(dict.fromkeys(documents))
    queries = [row["text"] for row in rows(shared / "bench" / "wide" / "queries.jsonl.gz")][:QUERIES]
    print(
        f"{len(queries):,} queries × {len(texts):,} passages of {sum(map(len, texts)) / len(texts):.0f} characters, {DEPTH} each"
    )
    with tempfile.TemporaryDirectory() as kept:
        runs: dict[str, Callable[[], None]] = {
            "bm25s numba, the same terms": lambda: bm25s_plainly(texts, queries, SAME_TERMS),
            "bm25s numba, its own words": lambda: bm25s_plainly(texts, queries, r"(?u)\b\w\w+\b"),
            "lex_assets, nothing kept": lambda: ours(texts, queries, None),
            "lex_assets, second run": lambda: ours(texts, queries, Path(kept)),
        }
        for run in runs.values():
            run()  # compiles, and fills the cache
        seen: dict[str, list[tuple[float, float]]] = defaultdict(list)
        for _ in range(REPETITIONS):
            for name, run in runs.items():
                seen[name].append(timed(run))
    base = np.min(seen["bm25s numba, the same terms"], axis=0)
    for name, laps in seen.items():
        clock, cpu = np.min(laps, axis=0)
        print(f"{name:<30} clock {clock:>6.2f} s {base[0] / clock:>5.2f}× · CPU {cpu:>6.2f} s {base[1] / cpu:>5.2f}×")


def compare_engines(shared: Path) -> None:
    one = bench(shared / "bench" / "core")
    ids, texts, queries = list(one.documents), list(one.documents.values()), list(one.queries.values())[:PARITY_QUERIES]
    with server_of_the_tests() if "LEX_ES_URL" not in os.environ else nullcontext():
        for analyzer in PARITY_ANALYZERS:
            built = ElasticsearchIndex.build(
                Server.from_environment().connect(), "lex-assets-parity", ids, texts, GivenTerms(analyzer)
            )
            theirs, ours = built.search(queries, 10), LexicalIndex.build(ids, texts, analyzer).search(queries, 10)
            shares = [overlap(a, b) for a, b in zip(theirs, ours, strict=True)]
            print(
                f"overlap@10 {analyzer:<12} {np.mean(shares):.4f} over {len(queries):,} queries × {len(ids):,} passages"
            )


@contextmanager
def server_of_the_tests() -> Iterator[None]:
    from lex_assets_tests.retrieval.elasticsearch.double import Double
    from lex_assets_tests.retrieval.elasticsearch.front import Front, opened

    major = int(version("elasticsearch").partition(".")[0])
    with opened(Front(Double(major), major)) as url:
        os.environ["LEX_ES_URL"] = url
        yield


def overlap(theirs: Sequence[Hit], ours: Sequence[Hit]) -> float:
    """Share of the best that both have."""
    found, expected = {name for name, _ in theirs}, {name for name, _ in ours}
    return len(found & expected) / max(len(expected), 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    modes = {
        "speed": compare_speed,
        "analyzers": compare_analyzers,
        "parity": compare_engines,
        "nori": compare_dictionaries,
    }
    parser.add_argument("what", choices=modes)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    arguments = parser.parse_args()
    modes[arguments.what](arguments.shared)


if __name__ == "__main__":
    main()
