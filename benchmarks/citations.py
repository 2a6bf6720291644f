"""Citations, labels and split on real documents, against the qrels of an independent parser.

    python benchmarks/citations.py --shared ../shared

Prints how many citations resolve and why the others do not, how far the issue → article qrels agree with
`bench/core`, why they differ, the delegation qrels against `bench/delegation`, leaks of the split, and times.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import polars as pl

from lex_assets.citations.parse import parse_citations
from lex_assets.citations.resolve import ArticleIndex, OldVersions, graph_of, law_key
from lex_assets.passages.build import build_passages
from lex_assets.passages.corpus import build_corpus
from lex_assets.queries.labelled import labelled_from
from lex_assets.queries.split import assign_split, split_leaks
from lex_assets.schemas import DOMAINS, Document, frame_hash
from lex_assets.sources.archives import unpacked
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.read import ingest

Pairs = set[tuple[str, str]]


def bench_qrels(folder: Path) -> Pairs:
    """(query id, document id) of a benchmark."""
    rows = (line.split("\t") for line in (folder / "qrels.tsv").read_text().splitlines())
    return {(row[0], row[2]) for row in rows}


def bench_ids(folder: Path, name: str) -> set[str]:
    """Ids of a gzipped JSONL file of a benchmark."""
    with gzip.open(folder / f"{name}.jsonl.gz", "rt") as lines:
        return {json.loads(line)["id"] for line in lines}


def article_id(parent: str) -> str:
    """LAW_001706_제839조의2 → 001706:839-2."""
    _, law, article = parent.split("_")
    return f"{law}:{article.removeprefix('제').replace('조의', '-').replace('조', '')}"


def our_pairs(graph: pl.DataFrame, numbered: dict[str, bool]) -> Pairs:
    """Issue → article pairs under the benchmark's ids; it calls an unnumbered issue 0."""
    rows = graph.filter((pl.col("kind") == "article") & pl.col("target_parent_id").str.starts_with("LAW_"))
    found = set()
    for doc_id, issue, parent in rows.select("source_doc_id", "issue", "target_parent_id").iter_rows():
        number = issue if numbered.get(doc_id, True) else 0
        found.add((f"{doc_id.removeprefix('PREC_')}-{number}", article_id(parent)))
    return found


def agreement(ours: Pairs, theirs: Pairs) -> str:
    """Shared pairs as a share of the benchmark's pairs and of both."""
    both = len(ours & theirs)
    return (
        f"{both} shared; of theirs {both / len(theirs):.2%}, of ours {both / len(ours):.2%}, "
        f"of either {both / len(ours | theirs):.2%}"
    )


def explain(pairs: Pairs, documents: dict[str, Document], index: ArticleIndex) -> Counter[str]:
    """Why pairs of the benchmark are not ours, by reason."""
    laws = {doc_id.removeprefix("LAW_"): title for doc_id, title in index.titles.items()}
    reasons: Counter[str] = Counter()
    for query, article in pairs:
        doc_id, _, issue = query.partition("-")
        law, _, number = article.partition(":")
        document = documents[f"PREC_{doc_id}"]
        reasons[_reason(document, issue, laws[law], number.replace("-", "의"), index)] += 1
    return reasons


def _reason(document: Document, issue: str, law: str, number: str, index: ArticleIndex) -> str:
    elsewhere = "the issue's 참조조문 does not name the article (the benchmark merged a duplicate issue)"
    for unit in document.tree.children:
        if unit.kind != "cited_articles" or (issue != "0" and unit.number != issue):
            continue
        for citation in parse_citations(unit.text):
            if law_key(citation.law) == law_key(law) and citation.article == number:
                return index.article(citation, document.effective_date)[1]
    return elsewhere


def delegation_pairs(graph: pl.DataFrame) -> Pairs:
    """Decree article → act article under the benchmark's ids."""
    rows = graph.filter((pl.col("kind") == "delegation") & pl.col("target_parent_id").is_not_null())
    rows = rows.filter(pl.col("source_doc_id").str.starts_with("LAW_"))
    sources = ("_".join(s.split("_")[:3]) for s in rows["source_id"])
    return {(article_id(s), article_id(t)) for s, t in zip(sources, rows["target_parent_id"], strict=True)}


def main() -> None:
    """Print the figures."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--shared", type=Path, default=Path("../shared"))
    options.add_argument("--workers", type=int, default=2)
    arguments = options.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        raw = unpacked(arguments.shared / "raw", Path(cache), exclude=("statutes_md*", "partitions.json"))
        started = time.perf_counter()
        table = ingest(raw, DomainRules.load(None), workers=arguments.workers).documents
        ingested = time.perf_counter() - started
    started = time.perf_counter()
    corpus = build_corpus([build_passages(table.filter(pl.col("domain") == domain)) for domain in DOMAINS])
    built = time.perf_counter() - started
    report(arguments.shared / "bench", table, corpus)
    print(f"seconds: ingest {ingested:.1f}, passages and corpus {built:.1f}")


def report(bench: Path, table: pl.DataFrame, corpus: pl.DataFrame) -> None:
    """Citations, agreement, labels and split of one corpus."""
    started = time.perf_counter()
    documents = [Document.from_row(row) for row in table.iter_rows(named=True)]
    index = ArticleIndex.build(documents, corpus)
    graph = graph_of(documents, index)
    graphed = time.perf_counter() - started
    print("citations by kind and reason")
    for kind, reason, count in graph.group_by("kind", "reason").len().sort("kind", "len").iter_rows():
        print(f"  {kind:<11} {reason:<18} {count:>7}")
    core(bench / "core", documents, index, graph)
    known = {name.removeprefix("LAW_") for name in index.titles}
    theirs = {(q, a) for q, a in bench_qrels(bench / "delegation") if q.partition(":")[0] in known}
    asked = {q for q, _ in theirs}
    ours = {pair for pair in delegation_pairs(graph) if pair[0] in asked}
    print(f"bench/delegation, decrees in the corpus  {agreement(ours, theirs)}")
    started = time.perf_counter()
    queries, qrels = labelled_from(documents, corpus, graph)
    labelled = time.perf_counter() - started
    started = time.perf_counter()
    split = assign_split(queries, qrels, corpus)
    divided = time.perf_counter() - started
    print("queries by domain, origin, regime, set")
    for row in split.group_by("domain", "origin", "regime", "set").len().sort(pl.all()).iter_rows():
        print("  " + " ".join(f"{value:<12}" for value in row))
    print(f"leaks: {split_leaks(split, qrels, corpus)}")
    print(f"split hash {frame_hash(split)[:16]}, again {frame_hash(assign_split(queries, qrels, corpus))[:16]}")
    print(f"seconds: citations {graphed:.1f}, labels {labelled:.1f}, split {divided:.1f}")


def core(folder: Path, documents: list[Document], index: ArticleIndex, graph: pl.DataFrame) -> None:
    """Agreement with bench/core under both readings of 구 … (개정되기 전의 것)."""
    theirs, asked = bench_qrels(folder), bench_ids(folder, "queries")
    decisions = {d.doc_id: d for d in documents if d.source_type == "precedent"}
    numbered = {name: is_numbered(d) for name, d in decisions.items()}
    asked_of = {f"PREC_{query.partition('-')[0]}" for query in asked}
    policies: dict[OldVersions, pl.DataFrame] = {
        "refuse": graph,
        "same_number": graph_of([d for d in documents if d.doc_id in asked_of], index, "same_number"),
    }
    zero = {q.partition("-")[0] for q in asked if q.endswith("-0")}
    numbered |= {f"PREC_{name}": False for name in zero}
    for policy, table in policies.items():
        ours = {pair for pair in our_pairs(table, numbered) if pair[0] in asked}
        print(f"bench/core, old versions {policy:<12} {agreement(ours, theirs)}")
        print(f"  theirs only: {dict(explain(theirs - ours, decisions, index).most_common())}")
        ours_only: dict[str, list[str]] = defaultdict(list)
        for query, article in sorted(ours - theirs):
            ours_only[article].append(query)
        print(f"  ours only: {len(ours - theirs)} {dict(list(ours_only.items())[:8])}")


def is_numbered(document: Document) -> bool:
    """Whether the decision numbers its issues."""
    return sum(unit.kind == "issue" for unit in document.tree.children) > 1


if __name__ == "__main__":
    main()
