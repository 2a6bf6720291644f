"""Citations, labels and split on real documents, against the qrels of an independent parser.

    python benchmarks/citations.py --shared ../shared

Prints how many citations resolve and why the others do not, the parser's accuracy on hand-labelled facts, how far the
issue → article qrels agree with `bench/core` and the cause of every disagreement (none may be left unexplained), the
delegation qrels against `bench/delegation`, leaks of the split, and times.
"""

from __future__ import annotations

import argparse
import gzip
import json
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from lex_assets.citations.names import law_key
from lex_assets.citations.parse import parse_citations
from lex_assets.citations.resolve import ArticleIndex, OldVersions, graph_of
from lex_assets.citations.units import Citation
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


def article_id(parent: str) -> str:
    """LAW_001706_제839조의2 → 001706:839-2."""
    _, law, article = parent.split("_", 2)
    return f"{law}:{article.removeprefix('제').replace('조의', '-').replace('조', '')}"


def our_pairs(graph: pl.DataFrame, unnumbered: set[str]) -> Pairs:
    """Issue → article pairs under the benchmark's ids; it calls the only issue of `unnumbered` decisions 0."""
    rows = graph.filter((pl.col("kind") == "article") & pl.col("target_parent_id").str.starts_with("LAW_"))
    found = set()
    for doc_id, issue, parent in rows.select("source_doc_id", "issue", "target_parent_id").iter_rows():
        serial = doc_id.removeprefix("PREC_")
        if "별표" not in parent:  # the benchmark has articles only
            found.add((f"{serial}-{0 if serial in unnumbered else issue}", article_id(parent)))
    return found


def agreement(ours: Pairs, theirs: Pairs) -> str:
    """Shared pairs as a share of the benchmark's pairs and of both."""
    both = len(ours & theirs)
    return (
        f"{both} shared; of theirs {both / len(theirs):.2%}, of ours {both / len(ours):.2%}, "
        f"of either {both / len(ours | theirs):.2%}"
    )


OLD = "구 version without (현행 … 참조): refused, DESIGN"
LATER = "today's article was inserted or moved there after the decision (본조신설, 이동): refused"
MERGED = "only a duplicate issue, merged into this one by the benchmark, names the article"
COMMA = "the source lacks a comma (제664조채무자 …): the benchmark reads the next law's article as this law's"
BARE = "written without 제 or with a space before the branch (264조, 제165조의 2): the benchmark does not read it"
IN_NOTE = "second law inside (현행 … 및 …): the benchmark does not read it"
REVISED = "the article's whole text or title was revised after the decision: the benchmark leaves it out"
UNEXPLAINED = "UNEXPLAINED"
_REVISED = re.compile(r"(?:전문개정|제목개정)\s?(\d{4})\.\s?(\d{1,2})\.\s?(\d{1,2})")


@dataclass
class Bench:
    """What the benchmark asks and answers, and the decisions behind it."""

    asked: dict[str, list[str]]
    pairs: Pairs
    decisions: dict[str, Document]
    revised: dict[str, str]
    index: ArticleIndex

    @classmethod
    def load(cls, folder: Path, documents: list[Document], index: ArticleIndex) -> Bench:
        """Queries with their duplicates, qrels, decisions by serial number, date of the last revision by article."""
        with gzip.open(folder / "queries.jsonl.gz", "rt") as lines:
            asked = {row["id"]: row["duplicates"] for row in map(json.loads, lines)}
        decisions = {d.doc_id.removeprefix("PREC_"): d for d in documents if d.source_type == "precedent"}
        return cls(asked, bench_qrels(folder), decisions, revisions(documents), index)

    @property
    def unnumbered(self) -> set[str]:
        """Serial numbers of the decisions whose only issue it calls 0."""
        return {query.removesuffix("-0") for query in self.asked if query.endswith("-0")}

    def blocks(self, query: str) -> list[str]:
        """참조조문 of an issue."""
        serial, _, issue = query.partition("-")
        units = self.decisions[serial].tree.children
        return [u.text for u in units if u.kind == "cited_articles" and issue in ("0", u.number)]

    def naming(self, query: str, article: str) -> list[Citation]:
        """Citations of an issue that name an article, whatever becomes of them."""
        law, _, number = article.replace("-", "의").partition(":")
        cited = [citation for block in self.blocks(query) for citation in parse_citations(block)]
        laws = self.index.laws
        return [c for c in cited if c.article == number and laws.get(law_key(c.law)) == f"LAW_{law}" and not c.part]

    def cause(self, query: str, article: str) -> str:
        """Why a pair of the benchmark is not ours."""
        day = self.decisions[query.partition("-")[0]].effective_date
        reasons = {self.index.article(c, day)[1] for c in self.naming(query, article)}
        known = {"old_version": OLD, "inserted_later": LATER}
        if explained := [known[reason] for reason in reasons if reason in known]:
            return explained[0]
        if reasons - {"addendum", "noted"}:
            return UNEXPLAINED
        if any(self.naming(other, article) for other in self.asked[query]):
            return MERGED
        number = article.partition(":")[2]
        glued = re.compile(rf"조(?:의\d+)?[가-힣 ]{{4,40}}(?:법|법률|령) 제{number}조")
        return COMMA if any(glued.search(block) for block in self.blocks(query)) else UNEXPLAINED

    def cause_of_ours(self, query: str, article: str) -> str:
        """Why a pair of ours is not the benchmark's."""
        number, branch = re.findall(r"\d+", article.partition(":")[2].replace("-", " ") + " 0")[:2]
        text = " ".join(self.blocks(query))
        bare = rf"(?<![제\d]){number}조" if branch == "0" else rf"제{number}조의 {branch}"
        title = self.index.titles[f"LAW_{article.partition(':')[0]}"]
        if re.search(bare, text):
            return BARE
        if re.search(rf"조{re.escape(title)} 제{number}조", text):
            return COMMA
        if re.search(rf"현행[^()]*및 {re.escape(title)} 제{number}조", text):
            return IN_NOTE
        day = self.decisions[query.partition("-")[0]].effective_date
        return REVISED if self.revised.get(article, "") > day else UNEXPLAINED


def revisions(documents: list[Document]) -> dict[str, str]:
    """Article under the benchmark's id → YYYYMMDD of the last [전문개정] or [제목개정] noted behind it."""
    found: dict[str, str] = {}
    for document in (d for d in documents if d.source_type == "law"):
        for unit in document.tree.walk():
            dates = [f"{y}{int(m):02d}{int(d):02d}" for y, m, d in _REVISED.findall(str(unit.meta.get("note", "")))]
            if unit.kind == "조" and dates:
                found[f"{document.doc_id.removeprefix('LAW_')}:{unit.number.replace('의', '-')}"] = max(dates)
    return found


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
    facts()
    current(graph)
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
    """Agreement with bench/core under both readings of 구 … (개정되기 전의 것), and every disagreement by its cause."""
    bench = Bench.load(folder, documents, index)
    asked = [bench.decisions[serial] for serial in sorted({query.partition("-")[0] for query in bench.asked})]
    policies: dict[OldVersions, pl.DataFrame] = {"refuse": graph, "same_number": graph_of(asked, index, "same_number")}
    for policy, table in policies.items():
        ours = {pair for pair in our_pairs(table, bench.unnumbered) if pair[0] in bench.asked}
        print(f"bench/core, old versions {policy:<12} raw               {agreement(ours, bench.pairs)}")
        if policy == "refuse":
            disagreements(bench, ours)


def disagreements(bench: Bench, ours: Pairs) -> None:
    """The cause of every pair that only one side has, and the agreement on what is not a 구 version."""
    missing = Counter({pair: bench.cause(*pair) for pair in bench.pairs - ours})
    extra = {pair: bench.cause_of_ours(*pair) for pair in ours - bench.pairs}
    versions = {pair for pair, cause in missing.items() if cause == OLD}
    print(f"bench/core, old versions refuse       without 구 versions {agreement(ours, bench.pairs - versions)}")
    for side, pairs in (("theirs only", missing), ("ours only", extra)):
        for cause, count in Counter(pairs.values()).most_common():
            print(f"  {side:<12} {count:>4}  {cause}")
    unexplained = [pair for pairs in (missing, extra) for pair, cause in pairs.items() if cause == UNEXPLAINED]
    print(f"  unexplained  {len(unexplained):>4}  {unexplained[:5]}")


def current(graph: pl.DataFrame) -> None:
    """How many 참조조문 citations of the laws of the corpus that mean today's law resolve to the article they name."""
    meant = ("resolved", "current_note", "no_such_paragraph")
    rightly_none = {"renumbered": "the number meant another article", "inserted_later": "not yet that article"}
    of_laws = pl.col("target_parent_id").is_null() | pl.col("target_parent_id").str.starts_with("LAW_")
    cited = graph.filter((pl.col("kind") == "article") & of_laws).unique(["source_id", "raw", "target_parent_id"])
    counts: Counter[str] = Counter(dict(cited.group_by("reason").len().iter_rows()))
    found, lost = sum(counts[reason] for reason in meant), counts["no_such_article"]
    print(
        f"current citations of the corpus' laws resolved to the article of that number: {found} of {found + lost} "
        f"({found / (found + lost):.2%}; the reference project: 40.3 %); refused beside them: "
        + ", ".join(f"{counts[reason]} {reason} ({why})" for reason, why in rightly_none.items())
    )


def facts() -> None:
    """Accuracy on the facts that a person read from the sources before the parser did."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # run as a script, only this folder is on the path
    from lex_assets_tests.citations.facts import accuracy

    print("hand-labelled facts (the reference project: 81.0 %)")
    for kind, (right, wrong, contexts) in accuracy().items():
        share = right / (right + wrong)
        print(f"  {kind:<6} {contexts:>4} contexts  {right:>4} right  {wrong:>3} wrong  {share:.2%}")


if __name__ == "__main__":
    main()
