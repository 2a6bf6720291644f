"""How well the built-in models find what courts and decrees cite: BM25, the retriever, and a ranking learnt over all signals.

    python benchmarks/quality.py --shared ../shared [--tasks articles decisions delegation]

articles: issue → specific articles of 306 statutes (`bench/wide`) · decisions: issue → decisions it cites
(`bench/precedent`) · delegation: decree article → act article (`bench/delegation`). NDCG@10. The weights of the learnt ranking
come from the validation questions (delegation: from the other law families, five folds), the figures from the test questions.
Intervals: 95 %, bootstrap by split group or family, of the difference to BM25. The retriever is `builtin-supervised`, one seed.

Seen (BM25 · retriever · learnt): articles, unseen query .371 · .650 · .707; articles, unseen law .543 · .278 · .529; decisions
.662 · .624 · .674 (BM25 over single issues and holdings .693); delegation .689 · .345 · .733.
"""

from __future__ import annotations

import argparse
import logging
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from issue_articles import UNSEEN_LAW, load, ndcg_at_10, read_lines, read_qrels
from train_builtin import load_material

from lex_assets.evaluation.significance import bootstrap_interval
from lex_assets.models.bi_encoder import BiEncoder
from lex_assets.queries.split import SplitConfig, split_set
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.retrieval.known import nearness, popularity, votes
from lex_assets.retrieval.learned import Signal, candidates, learn_ranking
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.retrieval.named import NamedLaws, in_named_laws
from lex_assets.retrieval.types import Hits, ranked
from lex_assets.schemas import search_text

QUOTED = re.compile(r'["“]([^"”]{4,80})["”]')
DEPTH = 200
UNSEEN_LAW_IMPORTANCE = 10.0
"""Weight of a validation question on an unseen law: there are fifteen times fewer of them."""
Gold = Sequence[frozenset[str] | set[str]]


def per_character(hits: Hits, texts: Sequence[str]) -> Hits:
    """BM25 scores of long questions made comparable with those of short ones."""
    return [[(i, s / max(1, len(t))) for i, s in found] for found, t in zip(hits, texts, strict=True)]


def without(hits: Hits, barred: Sequence[set[str]]) -> Hits:
    """Hits without what may not answer the question."""
    return [[hit for hit in found if hit[0] not in own] for found, own in zip(hits, barred, strict=True)]


@dataclass
class Signals:
    """What a learnt ranking reads for some questions."""

    by_name: dict[str, Signal]
    context: np.ndarray

    def ranking(self, learn: np.ndarray, apply: np.ndarray, gold: Gold, importance: np.ndarray) -> Hits:
        """Learnt on the questions `learn`, applied to the questions `apply` (row numbers)."""
        found = candidates(self.by_name, self.context)
        learnt = learn_ranking(
            list(self.by_name), [found[n] for n in learn], [gold[n] for n in learn], importance[learn]
        )
        return learnt.rank([found[n] for n in apply])


def show(task: str, systems: Mapping[str, np.ndarray], groups: Sequence[str]) -> None:
    """One line a system: NDCG@10 and its difference to BM25."""
    base, clusters = systems["BM25"], np.array(groups)
    for name, scores in systems.items():
        line = f"{task:34} {name:12} n={len(scores):5} NDCG@10 {scores.mean():.4f}"
        if name != "BM25":
            low, high = bootstrap_interval(scores - base, clusters)
            line += f"  − BM25 {(scores - base).mean():+.4f} [{low:+.4f}, {high:+.4f}]"
        print(line, flush=True)


# ------------------------------------------------------------------------------------------------------------- articles


def articles(shared: Path, groups: Mapping[str, str], encoder: BiEncoder) -> None:
    """Issue → articles, both regimes from one ranking."""
    bench = load(shared / "bench" / "wide", groups)
    train, asked = bench.asked("train"), bench.asked("valid", "test")
    texts, ids = [question.text for question in asked], [article.id for article in bench.articles]
    bm25 = LexicalIndex.build(ids, [article.searched for article in bench.articles]).search(texts, DEPTH)
    title = LexicalIndex.build(ids, [article.title or article.law for article in bench.articles]).search(texts, DEPTH)
    vectors = encoder.encode_queries(texts)
    dense = DenseIndex(ids, encoder.encode_passages([article.searched for article in bench.articles])).search(
        vectors, DEPTH
    )
    answers = {question.id: question.gold for question in train}
    known_texts = [question.text for question in train]
    near = DenseIndex(list(answers), encoder.encode_queries(known_texts)).search(vectors, 30)
    alike = per_character(LexicalIndex.build(list(answers), known_texts).search(texts, 30), texts)
    of_law: dict[str, list[str]] = defaultdict(list)
    for article in bench.articles:
        of_law[article.law].append(article.id)
    names = NamedLaws(of_law)
    named = [names.in_text(text) for text in texts]
    prior = list(popularity(answers).items())
    signals = Signals(
        {
            "bm25": Signal(per_character(bm25, texts)),
            "title": Signal(per_character(title, texts), missing=0.0),
            "dense": Signal(dense),
            "known_dense": Signal(votes(near, answers), missing=0.0),
            "known_lexical": Signal(votes(alike, answers, sharpness=1.0), missing=0.0),
            "popularity": Signal([prior] * len(asked), missing=0.0, proposes=False),
            "named_law": Signal(in_named_laws(named, of_law, bm25), missing=0.0),
        },
        np.stack([nearness(near), nearness(alike), [float(bool(laws)) for laws in named]], axis=1),
    )
    gold, unseen = [q.gold for q in asked], np.array([q.regime == UNSEEN_LAW for q in asked])
    learn = np.flatnonzero([q.set == "valid" for q in asked])
    importance = np.where(unseen, UNSEEN_LAW_IMPORTANCE, 1.0)
    for regime, chosen in (("unseen query", ~unseen), ("unseen law", unseen)):
        rows = np.flatnonzero(chosen & np.array([q.set == "test" for q in asked]))
        wanted = [gold[n] for n in rows]
        systems = {
            "BM25": ndcg_at_10([bm25[n] for n in rows], wanted),
            "retriever": ndcg_at_10([dense[n] for n in rows], wanted),
            "known": ndcg_at_10([signals.by_name["known_dense"].hits[n] for n in rows], wanted),
            "learnt": ndcg_at_10(signals.ranking(learn, rows, gold, importance), wanted),
        }
        show(f"issue → article, {regime}", systems, [asked[n].group for n in rows])


# ------------------------------------------------------------------------------------------------------------ decisions


def decisions(shared: Path, groups: Mapping[str, str], encoder: BiEncoder) -> None:
    """Issue → decisions it cites: whole decisions by words, their issues and holdings one by one by words and vectors."""
    folder, split = shared / "bench" / "precedent", SplitConfig()
    documents, labels = list(read_lines(folder / "precedents.jsonl.gz")), read_qrels(folder / "qrels.tsv")
    rows = [row for row in read_lines(folder / "queries.jsonl.gz") if row["id"] in labels]
    group = {row["id"]: groups.get(f"PREC_{row['precedent_id']}", f"PREC_{row['precedent_id']}") for row in rows}
    sets = {i: split_set(name, split.seed, split.fractions) for i, name in group.items()}
    asked = [row for row in rows if sets[row["id"]] in ("valid", "test")]
    texts, own = [row["text"] for row in asked], [set(row["exclude"]) for row in asked]
    ids = [document["id"] for document in documents]
    whole = without(LexicalIndex.build(ids, [d["text"] for d in documents]).search(texts, DEPTH), own)
    pieces = {
        f"{d['id']}#{n}": line for d in documents for n, line in enumerate(d["text"].splitlines()) if line.strip()
    }
    parts = LexicalIndex.build(list(pieces), list(pieces.values())).search(texts, 3 * DEPTH)
    best = without([_best_piece(found) for found in parts], own)
    counts = [sum(bool(line.strip()) for line in d["text"].splitlines()) for d in documents]
    index = DenseIndex(ids, encoder.encode_passages(list(pieces.values())), counts)
    dense = without(index.search(encoder.encode_queries(texts), DEPTH), own)
    signals = Signals(
        {
            "whole": Signal(per_character(whole, texts)),
            "pieces": Signal(per_character(best, texts)),
            "dense": Signal(dense),
        },
        np.zeros((len(asked), 0)),
    )
    gold = [labels[row["id"]] for row in asked]
    learn = np.flatnonzero([sets[row["id"]] == "valid" for row in asked])
    test = np.flatnonzero([sets[row["id"]] == "test" for row in asked])
    wanted = [gold[n] for n in test]
    hits = {"BM25": whole, "BM25 pieces": best, "retriever": dense}
    systems = {name: ndcg_at_10([found[n] for n in test], wanted) for name, found in hits.items()}
    systems["learnt"] = ndcg_at_10(signals.ranking(learn, test, gold, np.ones(len(asked))), wanted)
    show("issue → cited decisions", systems, [group[asked[n]["id"]] for n in test])


def _best_piece(found: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    best: dict[str, float] = {}
    for piece, score in found:
        best.setdefault(piece.split("#")[0], score)
    return ranked(best.items())


# ----------------------------------------------------------------------------------------------------------- delegation


def delegation(shared: Path, encoder: BiEncoder) -> None:
    """Decree article → the act article it implements; weights from other families (five folds)."""
    folder = shared / "bench" / "delegation"
    documents, labels = list(read_lines(folder / "articles.jsonl.gz")), read_qrels(folder / "qrels.tsv")
    asked = [row for row in read_lines(folder / "queries.jsonl.gz") if row["id"] in labels]
    texts, ids = [row["text"] for row in asked], [document["id"] for document in documents]
    searched = [search_text(document["law"], document["text"]) for document in documents]
    lexical = LexicalIndex.build(ids, searched)
    bm25 = lexical.search(texts, DEPTH)
    heads = [text.split(":")[0] for text in texts]
    title = LexicalIndex.build(ids, [d["title"] or d["law"] for d in documents]).search(heads, DEPTH)
    quotes = [" ".join(QUOTED.findall(text)) or head for text, head in zip(texts, heads, strict=True)]
    quoted = lexical.search(quotes, DEPTH)
    dense = DenseIndex(ids, encoder.encode_passages(searched)).search(encoder.encode_queries(texts), DEPTH)
    signals = Signals(
        {
            "bm25": Signal(per_character(bm25, texts)),
            "title": Signal(per_character(title, heads), missing=0.0),
            "quoted": Signal(per_character(quoted, quotes)),
            "dense": Signal(dense),
        },
        np.zeros((len(asked), 0)),
    )
    gold, families = [labels[row["id"]] for row in asked], np.array([row["family"] for row in asked])
    fold = {family: n % 5 for n, family in enumerate(sorted(set(families)))}
    folds = np.array([fold[family] for family in families])
    learnt = np.empty(len(asked))
    for n in range(5):
        inside = np.flatnonzero(folds == n)
        hits = signals.ranking(np.flatnonzero(folds != n), inside, gold, np.ones(len(asked)))
        learnt[inside] = ndcg_at_10(hits, [gold[row] for row in inside])
    systems = {"BM25": ndcg_at_10(bm25, gold), "retriever": ndcg_at_10(dense, gold), "learnt": learnt}
    show("decree → act, unseen families", systems, families.tolist())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="raw documents and benchmarks")
    parser.add_argument("--cache", type=Path, default=Path("data/raw_cache"), help="where archives are unpacked")
    parser.add_argument("--tasks", nargs="+", default=["delegation", "decisions", "articles"])
    arguments = parser.parse_args()
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    encoder = BiEncoder(window_overlap=None)
    if "delegation" in arguments.tasks:
        delegation(arguments.shared, encoder)
    if {"decisions", "articles"} & set(arguments.tasks):
        groups = load_material(arguments.shared / "raw", arguments.cache).groups
        for name, run in (("decisions", decisions), ("articles", articles)):
            if name in arguments.tasks:
                run(arguments.shared, groups, encoder)


if __name__ == "__main__":
    main()
