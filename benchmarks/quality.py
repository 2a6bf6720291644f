"""How well the built-in models find what courts and decrees cite: BM25, the retriever, and a ranking learnt over all signals.

    python benchmarks/quality.py --shared ../shared [--tasks articles decisions delegation]

articles: issue → specific articles of 306 statutes (`bench/wide`) · decisions: issue → decisions it cites
(`bench/precedent`) · delegation: decree article → act article (`bench/delegation`). NDCG@10, the mean of three seeds; intervals:
95 %, bootstrap by split group or family, of the difference to BM25.

Where the learnt ranking is learnt: on validation and promotion questions (articles), on training questions (decisions, and
articles by wording), or on the other law families (delegation, five folds); a question that is itself among the known ones is
answered as if its own group were not known. "shipped" is `builtin-supervised`, which has seen the training groups alone.
"retriever" is trained as it is, but on all groups other than those of test, and so are the known questions: what is chosen on
validation may learn from it before it is tested. "retrievers" are those of all seeds side by side. `--on valid` is what settings
were chosen by (articles: by five folds of the validation and promotion questions; reported are the validation questions).

Seen on test (BM25 · retriever · learnt): articles, unseen query .369 · .686 (three side by side .704, shipped .661, known
questions alone .701) · .757 [+.362, +.413]; articles, unseen law .541 · .285 · .570, +.029 [-.034, +.094], by wording .587, +.046
[+.010, +.078]; decisions .666 · .656 · .755 [+.063, +.114]; delegation .685 · .583 · .743 [+.037, +.070]. These test questions
were looked at with earlier versions of the retriever and the ranking too (retriever .673; learnt .755, unseen law .594).

On validation, by which the retriever's settings were chosen, trained on all groups but those of validation: questions' own
vector +.011, titles as questions +.004 (unseen law +.03), a tenth of the passages' pieces dropped where it was half +.009,
temperature .06 where it was .08 +.002 (unseen law +.05); .673 → .692 together. Not kept: distillation from two retrievers (+.005 alone),
a correction for how often a passage is drawn (worse), 3,000 or 500 random passages, passages cut in two, a vector for passages.
"""

from __future__ import annotations

import argparse
import logging
import math
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np
from issue_articles import UNSEEN_LAW, IssueArticles, Question, load, ndcg_at_10, read_lines, read_qrels
from train_builtin import Material, load_material
from train_supervised import BagRetriever, final_retriever

from lex_assets.evaluation.significance import bootstrap_interval
from lex_assets.models.bi_encoder import BiEncoder
from lex_assets.queries.split import SplitConfig, split_set
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.retrieval.known import KnownQuestions, Likenesses, popularity
from lex_assets.retrieval.learned import Learning, Signal, candidates, group_scores, learn_ranking
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.retrieval.named import NamedLaws, in_named_laws
from lex_assets.retrieval.types import Hits, ranked
from lex_assets.schemas import content_hash, search_text

QUOTED = re.compile(r'["“]([^"”]{4,80})["”]')
DEPTH = 200
UNSEEN_LAW_IMPORTANCE = 10.0
"""Weight of a validation question on an unseen law: there are fifteen times fewer of them."""
LEARN = ("valid", "promotion")
"""Sets whose questions the ranking is learnt from: the retriever that ships has not seen them."""
LAW_DEPTH = 50
WORDING_STEP = 3
"""Every third training question is enough for the few weights over words."""
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

    def ranking(
        self, learn: np.ndarray, apply: np.ndarray, gold: Gold, importance: np.ndarray, seed: int = Learning.seed
    ) -> Hits:
        """Learnt on the questions `learn`, applied to the questions `apply` (row numbers)."""
        found = candidates(self.by_name, self.context)
        learnt = learn_ranking(
            list(self.by_name),
            [found[n] for n in learn],
            [gold[n] for n in learn],
            importance[learn],
            Learning(seed=seed),
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


class Wording:
    """Systems that go by words alone, and one ranking learnt over them from training questions. It knows nothing of single
    articles, so that it holds on laws that no question was asked about."""

    def __init__(self, bench: IssueArticles) -> None:
        self.ids = [article.id for article in bench.articles]
        self.articles = LexicalIndex.build(self.ids, [article.searched for article in bench.articles])
        self.titles = LexicalIndex.build(self.ids, [article.title or article.law for article in bench.articles])
        self.of_law: dict[str, list[str]] = defaultdict(list)
        for article in bench.articles:
            self.of_law[article.law].append(article.id)
        self.names = NamedLaws(self.of_law)

    def signals(self, texts: Sequence[str]) -> Signals:
        """context: whether a question names a law."""
        bm25, named = self.articles.search(texts, DEPTH), [self.names.in_text(text) for text in texts]
        title = per_character(self.titles.search(texts, DEPTH), texts)
        return Signals(
            {
                "bm25": Signal(per_character(bm25, texts)),
                "title": Signal(title, missing=0.0),
                "named_law": Signal(in_named_laws(named, self.of_law, bm25), missing=0.0),
            },
            np.array([[float(bool(laws))] for laws in named]),
        )

    def ranking(self, train: Sequence[Question], asked: Signals) -> Hits:
        """Of the questions `asked`, by weights learnt on `train`."""
        known = self.signals([question.text for question in train])
        found = candidates(known.by_name, known.context)
        learnt = learn_ranking(list(known.by_name), found, [question.gold for question in train])
        return learnt.rank(candidates(asked.by_name, asked.context))


def known_questions(bench: IssueArticles, final: IssueArticles) -> list[Question]:
    """Answered questions that may be remembered when a test question is asked: those of all other groups, but no unseen law
    and no near repetition of a test question (`final`), nor of a validation question among those of training."""
    allowed = {question.id for question in final.asked("train")}
    return [question for question in bench.asked("train", *LEARN) if question.id in allowed]


def answered(
    known: Sequence[Question], asked: Sequence[Question], encoder: BiEncoder | None
) -> tuple[Hits, np.ndarray]:
    """What the known questions say, and the likeness of the nearest; to a known one as if its group had not been known."""
    texts = [question.text for question in known]
    vectors = encoder.encode_queries(texts) if encoder else None
    memory = KnownQuestions(texts, [q.gold for q in known], [q.group for q in known], vectors)
    others, row = [q.text for q in asked], {question.id: n for n, question in enumerate(known)}
    hits, near = memory.answer(others, encoder.encode_queries(others) if encoder else None)
    own_hits, own_near = memory.answer_known()
    for n, question in enumerate(asked):
        if question.id in row:
            hits[n], near[n] = own_hits[row[question.id]], own_near[row[question.id]]
    return hits, near


def article_signals(
    bench: IssueArticles, known: Sequence[Question], asked: Sequence[Question], encoder: BiEncoder
) -> Signals:
    """Everything that the ranking of articles reads; context: whether a law is named, the nearest known question, length."""
    texts, wording = [question.text for question in asked], Wording(bench)
    signals, law_of = wording.signals(texts), {article.id: article.law for article in bench.articles}
    index = DenseIndex(wording.ids, encoder.encode_passages([article.searched for article in bench.articles]))
    cited, near = answered(known, asked, encoder)
    signals.by_name |= {
        "wording": Signal(wording.ranking(bench.asked("train")[::WORDING_STEP], signals)),
        "dense": Signal(index.search(encoder.encode_queries(texts), DEPTH)),
        "known": Signal(cited, missing=0.0),
        "known_words": Signal(answered(known, asked, None)[0], missing=0.0),
    }
    proposed = [{i for s in signals.by_name.values() for i, _ in s.hits[n][:DEPTH]} for n in range(len(asked))]
    prior = popularity(proposed, [q.group for q in asked], [q.gold for q in known], [q.group for q in known])
    best = [hits[:LAW_DEPTH] for hits in signals.by_name["bm25"].hits]
    length = {article.id: math.log1p(len(article.text)) for article in bench.articles}
    signals.by_name |= {
        "popularity": Signal(prior, missing=0.0, proposes=False),
        "known_law": Signal(group_scores(cited, proposed, law_of), missing=0.0, proposes=False),
        "bm25_law": Signal(group_scores(best, proposed, law_of, max), missing=0.0, proposes=False),
        "length": Signal([ranked([(i, length[i]) for i in found]) for found in proposed], missing=0.0, proposes=False),
    }
    lengths = np.array([[math.log1p(len(text))] for text in texts])
    signals.context = np.concatenate([signals.context, near[:, None], lengths], axis=1)
    return signals


@dataclass(frozen=True)
class AskedArticles:
    """Questions with what every system found. learn: how many of them, the first, the ranking is learnt from."""

    questions: list[Question]
    signals: Signals
    learn: int

    @property
    def gold(self) -> Gold:
        """Right articles of each question."""
        return [question.gold for question in self.questions]

    @property
    def unseen(self) -> np.ndarray:
        """(n,) whether a question is of an unseen law."""
        return np.array([question.regime == UNSEEN_LAW for question in self.questions])

    @property
    def importance(self) -> np.ndarray:
        """(n,) weight of each question in learning."""
        return np.where(self.unseen, UNSEEN_LAW_IMPORTANCE, 1.0)

    def by_folds(self) -> np.ndarray:
        """(n,) NDCG@10 of the ranking, learnt without the question's own fifth of the groups."""
        fold = np.array([int(content_hash(question.group), 16) % 5 for question in self.questions])
        learnt = np.empty(len(self.questions))
        for n in range(5):
            rows = np.flatnonzero(fold == n)
            hits = self.signals.ranking(np.flatnonzero(fold != n), rows, self.gold, self.importance)
            learnt[rows] = ndcg_at_10(hits, [self.gold[row] for row in rows])
        return learnt

    def by_seed(self, retriever: BagRetriever, seed: int) -> dict[str, np.ndarray]:
        """(n - learn,) NDCG@10 of the retriever and of the ranking with it, on the questions behind the first `learn`."""
        rows = np.arange(self.learn, len(self.questions))
        dense = retriever.search([self.questions[row].text for row in rows])
        hits = [*self.signals.by_name["dense"].hits[: self.learn], *dense]
        signals = Signals(self.signals.by_name | {"dense": Signal(hits)}, self.signals.context)
        ranking = signals.ranking(np.arange(self.learn), rows, self.gold, self.importance, seed)
        gold = self.gold[self.learn :]
        return {"retriever": ndcg_at_10(dense, gold), "learnt": ndcg_at_10(ranking, gold)}


def articles(shared: Path, material: Material, encoder: BiEncoder, arguments: argparse.Namespace) -> None:
    """Issue → articles, both regimes from one ranking."""
    folder, groups, split = shared / "bench" / "wide", material.groups, material.split
    bench, final = load(folder, groups, split), load(folder, groups, split, ("test",))
    learn = bench.asked(*LEARN)
    questions = learn if arguments.on == "valid" else learn + bench.asked("test")
    signals = article_signals(bench, known_questions(bench, final), questions, encoder)
    asked = AskedArticles(questions, signals, len(learn))
    tested = np.array([question.set == arguments.on for question in questions])
    reported = [question for question in questions if question.set == arguments.on]
    shown = {"BM25": "bm25", "wording": "wording", "shipped": "dense", "known": "known"}
    systems = {name: ndcg_at_10(signals.by_name[of].hits, asked.gold)[tested] for name, of in shown.items()}
    if arguments.on == "valid":
        systems["learnt"] = asked.by_folds()[tested]
    else:
        seeds = range(arguments.seeds)
        every = [asked.by_seed(final_retriever(final, material, [n], arguments.retrievers), n) for n in seeds]
        systems |= {name: np.mean([found[name] for found in every], axis=0) for name in every[0]}
        beside = final_retriever(final, material, seeds, arguments.retrievers)
        systems["retrievers"] = ndcg_at_10(beside.search([q.text for q in reported]), [q.gold for q in reported])
        show_seeds(every, asked.unseen[tested])
    for regime, chosen in (("unseen query", ~asked.unseen[tested]), ("unseen law", asked.unseen[tested])):
        names = [question.group for question, taken in zip(reported, chosen, strict=True) if taken]
        show(f"issue → article, {regime}", {name: scores[chosen] for name, scores in systems.items()}, names)


def show_seeds(every: Sequence[Mapping[str, np.ndarray]], unseen: np.ndarray) -> None:
    """One line a system and regime: the figure of each seed."""
    for name in every[0]:
        for regime, chosen in (("unseen query", ~unseen), ("unseen law", unseen)):
            figures = " ".join(f"{found[name][chosen].mean():.4f}" for found in every)
            print(f"issue → article, {regime}, {name}, by seed: {figures}", flush=True)


# ------------------------------------------------------------------------------------------------------------ decisions


@dataclass(frozen=True)
class Decisions:
    """`bench/precedent` in the pipeline's sets. own: decisions that may not answer a question, its own among them."""

    documents: list[dict[str, str]]
    ids: list[str]
    texts: list[str]
    groups: list[str]
    sets: np.ndarray
    own: list[set[str]]
    gold: list[set[str]]

    @classmethod
    def load(cls, folder: Path, groups: Mapping[str, str]) -> Decisions:
        """groups: decision → split group of the pipeline."""
        labels, split = read_qrels(folder / "qrels.tsv"), SplitConfig()
        rows = [row for row in read_lines(folder / "queries.jsonl.gz") if row["id"] in labels]
        decided = [f"PREC_{row['precedent_id']}" for row in rows]
        group = [groups.get(decision, decision) for decision in decided]
        return cls(
            list(read_lines(folder / "precedents.jsonl.gz")),
            [row["id"] for row in rows],
            [row["text"] for row in rows],
            group,
            np.array([split_set(name, split.seed, split.fractions) for name in group]),
            [set(row["exclude"]) for row in rows],
            [labels[row["id"]] for row in rows],
        )

    def search(self, encoder: BiEncoder) -> dict[str, Hits]:
        """Whole decisions by words; their issues and holdings one by one by words, by likeness and by vectors."""
        ids = [document["id"] for document in self.documents]
        whole = LexicalIndex.build(ids, [document["text"] for document in self.documents]).search(self.texts, DEPTH)
        lines = [[line for line in document["text"].splitlines() if line.strip()] for document in self.documents]
        names = [f"{i}#{n}" for i, pieces in zip(ids, lines, strict=True) for n in range(len(pieces))]
        pieces = [piece for some in lines for piece in some]
        words = LexicalIndex.build(names, pieces).search(self.texts, 3 * DEPTH)
        alike = Likenesses(pieces).nearest(names, self.texts, 3 * DEPTH)
        dense = DenseIndex(ids, encoder.encode_passages(pieces), [len(some) for some in lines])
        found = {
            "whole": per_character(whole, self.texts),
            "pieces": per_character([_best_piece(hits) for hits in words], self.texts),
            "alike": [_best_piece(hits) for hits in alike],
            "dense": dense.search(encoder.encode_queries(self.texts), DEPTH),
        }
        return {name: without(hits, self.own) for name, hits in found.items()}


def decisions(shared: Path, groups: Mapping[str, str], encoder: BiEncoder, on: str, seeds: int) -> None:
    """Issue → decisions it cites. The weights come from the training issues, each as if its own group had not been known."""
    task = Decisions.load(shared / "bench" / "precedent", groups)
    found = task.search(encoder)
    learn, asked = np.flatnonzero(task.sets == "train"), np.flatnonzero(task.sets == on)
    answers, own = [task.gold[n] for n in learn], [task.groups[n] for n in learn]
    known = KnownQuestions([task.texts[n] for n in learn], answers, own)
    cited = known.answer(task.texts)[0]
    for n, hits in zip(learn, known.answer_known()[0], strict=True):
        cited[n] = hits
    found["cited"] = without(cited, task.own)
    proposed = [{i for hits in found.values() for i, _ in hits[n][:DEPTH]} for n in range(len(task.texts))]
    prior = Signal(popularity(proposed, task.groups, answers, own), missing=0.0, proposes=False)
    signals = Signals(
        {name: Signal(hits, 0.0 if name == "cited" else None) for name, hits in found.items()} | {"popularity": prior},
        np.zeros((len(task.texts), 0)),
    )
    wanted = [task.gold[n] for n in asked]
    shown = {"whole": "BM25", "pieces": "BM25 pieces", "dense": "retriever"}
    systems = {shown[name]: ndcg_at_10([found[name][n] for n in asked], wanted) for name in shown}
    same = np.ones(len(task.texts))
    every = [ndcg_at_10(signals.ranking(learn, asked, task.gold, same, seed), wanted) for seed in range(seeds)]
    systems["learnt"] = np.mean(every, axis=0)
    show("issue → cited decisions", systems, [task.groups[n] for n in asked])


def _best_piece(found: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    best: dict[str, float] = {}
    for piece, score in found:
        best.setdefault(piece.split("#")[0], score)
    return ranked(best.items())


# ----------------------------------------------------------------------------------------------------------- delegation


def delegation(shared: Path, encoder: BiEncoder, seeds: int) -> None:
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
    learnt = np.zeros(len(asked))
    for n, seed in product(range(5), range(seeds)):
        inside = np.flatnonzero(folds == n)
        hits = signals.ranking(np.flatnonzero(folds != n), inside, gold, np.ones(len(asked)), seed)
        learnt[inside] += ndcg_at_10(hits, [gold[row] for row in inside]) / seeds
    systems = {"BM25": ndcg_at_10(bm25, gold), "retriever": ndcg_at_10(dense, gold), "learnt": learnt}
    show("decree → act, unseen families", systems, families.tolist())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"), help="raw documents and benchmarks")
    parser.add_argument("--cache", type=Path, default=Path("data/raw_cache"), help="where archives are unpacked")
    parser.add_argument("--on", choices=["valid", "test"], default="test", help="questions to report")
    parser.add_argument("--retrievers", type=Path, default=Path("data/retrievers"), help="where retrievers are kept")
    parser.add_argument("--seeds", type=int, default=3, help="of learnt rankings; retrievers for test questions too")
    parser.add_argument("--tasks", nargs="+", default=["delegation", "decisions", "articles"])
    arguments = parser.parse_args()
    logging.getLogger("bm25s").setLevel(logging.WARNING)
    encoder = BiEncoder(window_overlap=None)
    if "delegation" in arguments.tasks:
        delegation(arguments.shared, encoder, arguments.seeds)
    if {"decisions", "articles"} & set(arguments.tasks):
        material = load_material(arguments.shared / "raw", arguments.cache)
        if "decisions" in arguments.tasks:
            decisions(arguments.shared, material.groups, encoder, arguments.on, arguments.seeds)
        if "articles" in arguments.tasks:
            articles(arguments.shared, material, encoder, arguments)


if __name__ == "__main__":
    main()
