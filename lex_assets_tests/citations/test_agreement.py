"""Issue → article pairs of real decisions against an independent parser's."""

from __future__ import annotations

import json
import re
import tarfile
from pathlib import Path

import polars as pl
import pytest

from benchmarks.citations import article_id, bench_qrels
from lex_assets.citations.resolve import ArticleIndex, graph_of
from lex_assets.passages.build import build_passages
from lex_assets.schemas import DOCUMENTS, Document
from lex_assets.sources.read import read_file


@pytest.mark.slow
def test_agrees_with_an_independent_parser(shared_dir: Path) -> None:
    theirs = {(q, a) for q, a in bench_qrels(shared_dir / "bench" / "core") if int(q.split("-")[0]) % 10 == 7}
    raw = shared_dir / "raw"
    laws = [d for path in sorted((raw / "laws").glob("*.json")) for d in read_file(path, raw)[0]]
    decisions = list(decisions_of(raw, {q.split("-")[0] for q, _ in theirs}))
    for document in laws:
        document.domain = "law"
    corpus = build_passages(DOCUMENTS.frame(d.row() for d in laws))
    index = ArticleIndex.build(laws, corpus)
    graph = graph_of(decisions, index, "same_number").filter(pl.col("target_parent_id").is_not_null())
    ours = {
        (f"{doc_id.removeprefix('PREC_')}-{issue}", article_id(parent))
        for doc_id, issue, parent in graph.select("source_doc_id", "issue", "target_parent_id").iter_rows()
    }
    theirs = {(re.sub("-0$", "-1", query), article) for query, article in theirs}
    assert len(theirs) > 900
    assert len(ours & theirs) / len(theirs) >= 0.99
    asked = {q for q, _ in theirs}
    assert len(ours & theirs) / len({pair for pair in ours if pair[0] in asked}) >= 0.99


def decisions_of(raw: Path, wanted: set[str]) -> list[Document]:
    from lex_assets.sources.precedent import read_precedent

    with tarfile.open(raw / "precedents.tar.xz") as members:
        return [
            read_precedent(json.loads(members.extractfile(m).read()))
            for m in members
            if m.isfile() and Path(m.name).stem in wanted
        ]
