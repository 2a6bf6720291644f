"""Train the built-in retriever that has seen labels (`builtin-supervised`, what `BiEncoder()` loads): one command, no GPU.

    python benchmarks/train_supervised.py --raw ../shared/raw --bench ../shared/bench/wide
    python benchmarks/train_supervised.py --check      # only prove what the shipped weights have not seen

It learns court issue → cited articles, the holding under an issue → the same articles, and title → article, from the decisions
of the pipeline's training groups: as a bag of pieces with heavy token dropout (thousands of texts a second), which then becomes
a small BERT that gives the same vectors. Decisions of other sets, issues that nearly repeat one of theirs, and issues that cite
a held-out law family are absent from every stage, the tokenizer's included.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from bags import QUERY, Bag, Ids, as_bert, in_parts
from issue_articles import EVALUATION, UNSEEN_LAW, IssueArticles, Question, load, ndcg_at_10
from torch import Tensor, nn
from torch.nn import functional
from train_builtin import Material, load_material, save_retriever, train_tokenizer
from transformers import PreTrainedTokenizerFast

from lex_assets.models.presets import BUILTIN_DIR
from lex_assets.passages.overlap import contained
from lex_assets.queries.split import split_set
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.retrieval.types import Hits
from lex_assets.schemas import content_hash, search_text

log = logging.getLogger("train_supervised")
FOLDER = "retriever_supervised"
HOLDING = re.compile(r"PREC_(\d+)_h(\d+)(_w\d+)?")


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights, next to the data. Lengths in tokens, batch in questions, titles asked beside them;
    `spare` dimensions carry what a layer normalisation wants (equal length, mean 0) and are zero in the vectors."""

    seed: int = 20
    vocabulary: int = 24_000
    hidden: int = 256
    spare: int = 16
    layers: int = 2
    heads: int = 4
    intermediate: int = 512
    query_length: int = 128
    passage_length: int = 192
    temperature: float = 0.06
    query_dropout: float = 0.5
    passage_dropout: float = 0.1
    holding_share: float = 0.3
    batch: int = 512
    random_passages: int = 1000
    titles: int = 128
    mined_depth: int = 20
    mine_every: int = 100
    bag_steps: int = 400
    bag_lr: float = 5e-3


# ------------------------------------------------------------------------------------------------------------- examples


@dataclass(frozen=True)
class Examples:
    """Token ids of what is learnt from. queries: per training question its issue, then pieces of its holding · gold: row
    numbers of `passages` · titles: of each passage · allowed: rows that may be negatives (no held-out law)."""

    queries: list[list[Ids]]
    gold: list[list[int]]
    passages: list[Ids]
    titles: list[Ids]
    allowed: np.ndarray

    @classmethod
    def of(cls, task: IssueArticles, material: Material, tokenizer: PreTrainedTokenizerFast, s: Settings) -> Examples:
        """Tokenized, cut at the lengths of the settings."""

        holdings, place = holdings_by_issue(material), {article.id: n for n, article in enumerate(task.articles)}
        asked = task.asked("train")
        return cls(
            [token_ids(tokenizer, [q.text, *holdings.get(q.id, [])], s.query_length) for q in asked],
            [sorted(place[article] for article in question.gold) for question in asked],
            token_ids(tokenizer, [article.searched for article in task.articles], s.passage_length),
            token_ids(tokenizer, [article.title for article in task.articles], s.query_length),
            np.flatnonzero([not article.held_out for article in task.articles]),
        )


def token_ids(tokenizer: PreTrainedTokenizerFast, texts: Sequence[str], most: int) -> list[Ids]:
    """Cut so that two special tokens fit; a text without a known piece has one unknown."""
    rows = tokenizer(list(texts), add_special_tokens=False)["input_ids"]
    return [row[: most - 2] or [tokenizer.unk_token_id] for row in rows]


def holdings_by_issue(material: Material) -> dict[str, list[str]]:
    """Issue id (decision-number) → the pieces of the holding of the same number; only of documents that may train."""
    found: dict[str, list[str]] = defaultdict(list)
    for passage_id, text in material.passages.select("passage_id", "text").iter_rows():
        match = HOLDING.fullmatch(passage_id)
        if match:
            found[f"{match[1]}-{match[2]}"].append(text)
    return found


class Batches:
    """An endless, seeded stream of batches; negatives are random passages and ones that the model itself confuses."""

    def __init__(self, examples: Examples, settings: Settings) -> None:
        self.examples, self.settings = examples, settings
        self.random = np.random.default_rng(settings.seed)
        self.mined: list[list[int]] = []
        self.order: list[int] = []

    def mine(self, queries: Tensor, passages: Tensor) -> None:
        """Keep every question's nearest wrong passages under the current vectors."""
        barred = torch.ones(len(passages), dtype=torch.bool)
        barred[self.examples.allowed] = False
        self.mined = []
        for start in range(0, len(queries), 2000):
            scores = (queries[start : start + 2000] @ passages.T).masked_fill(barred, -9.0)
            for row, gold in enumerate(self.examples.gold[start : start + 2000]):
                scores[row, gold] = -9.0
            self.mined += scores.topk(self.settings.mined_depth, 1).indices.tolist()

    def draw(self) -> tuple[list[Ids], list[Ids], Tensor, Tensor]:
        """Query ids, passage ids, target column of each query (n,), masked columns (n, m): other right answers."""
        s, examples = self.settings, self.examples
        if len(self.order) < s.batch:
            self.order += self.random.permutation(len(examples.queries)).tolist()
        chosen, self.order = self.order[: s.batch], self.order[s.batch :]
        titled = self.random.choice(examples.allowed, s.titles).tolist()
        right = [int(self.random.choice(examples.gold[n])) for n in chosen] + titled
        wrong = self.random.choice(examples.allowed, s.random_passages).tolist()
        if self.mined:
            wrong += [self.mined[n][int(self.random.integers(s.mined_depth))] for n in chosen]
        column = {row: place for place, row in enumerate(dict.fromkeys(right + wrong))}
        masked = torch.zeros(len(right), len(column), dtype=torch.bool)
        for row, n in enumerate(chosen):
            masked[row, [column[g] for g in examples.gold[n] if g in column and g != right[row]]] = True
        queries = [self._thinned(self._wording(examples.queries[n]), s.query_dropout) for n in chosen]
        queries += [examples.titles[row] for row in titled]
        passages = [self._thinned(examples.passages[row], s.passage_dropout) for row in column]
        return queries, passages, torch.tensor([column[row] for row in right]), masked

    def _wording(self, texts: list[Ids]) -> Ids:
        """The issue, or now and then a piece of its holding."""
        if len(texts) > 1 and self.random.random() < self.settings.holding_share:
            return texts[1 + int(self.random.integers(len(texts) - 1))]
        return texts[0]

    def _thinned(self, ids: Ids, dropout: float) -> Ids:
        """Without a random share of the tokens, so that no single one carries an answer."""
        kept = self.random.random(len(ids)) >= dropout
        return [token for token, keep in zip(ids, kept, strict=True) if keep] or ids[:1]


# ------------------------------------------------------------------------------------------------------------------ bag


def train_bag(examples: Examples, vocabulary: int, s: Settings) -> Bag:
    """Piece vectors (vocabulary, hidden - spare) start near zero: what training never needs stays unimportant."""
    torch.manual_seed(s.seed)
    bag = Bag(
        nn.Parameter(torch.randn(vocabulary, s.hidden - s.spare) * 0.02), nn.Parameter(torch.zeros(s.hidden - s.spare))
    )
    optimiser = torch.optim.Adam([bag.table, bag.lean], lr=s.bag_lr)
    batches, started = Batches(examples, s), time.perf_counter()
    for step in range(s.bag_steps):
        optimiser.param_groups[0]["lr"] = (
            s.bag_lr * min(1, (step + 1) / 20) * (0.03 + 0.485 * (1 + math.cos(math.pi * step / s.bag_steps)))
        )
        if step and step % s.mine_every == 0:
            issues = [texts[0] for texts in examples.queries]
            batches.mine(in_parts(bag.queries, issues), in_parts(bag.passages, examples.passages))
        queries, passages, target, masked = batches.draw()
        scores = bag.queries(queries) @ bag.passages(passages).T / s.temperature
        losses = functional.cross_entropy(scores.masked_fill(masked, -1e4), target, reduction="none")
        optimiser.zero_grad()
        (losses.sum() / s.batch).backward()
        optimiser.step()
        if (step + 1) % 50 == 0:
            eta = (time.perf_counter() - started) / (step + 1) * (s.bag_steps - step - 1)
            log.info(
                "bag step %d/%d loss %.4f chance %.4f ETA %.0f s",
                step + 1,
                s.bag_steps,
                losses[: s.batch].mean().item(),
                math.log(len(passages)),
                eta,
            )
    return Bag(bag.table.detach(), bag.lean.detach())


class BagRetriever:
    """One bag, or several side by side, over the articles of one benchmark."""

    def __init__(
        self, bags: Sequence[Bag], tokenizer: PreTrainedTokenizerFast, ids: Sequence[str], passages: Sequence[Ids]
    ) -> None:
        self.bags, self.tokenizer = bags, tokenizer
        self.index = DenseIndex(list(ids), _side_by_side([in_parts(bag.passages, passages) for bag in bags]))

    def search(self, texts: Sequence[str], k: int = 200) -> Hits:
        """The nearest articles of each text."""
        rows = token_ids(self.tokenizer, texts, Settings.query_length)
        return self.index.search(_side_by_side([in_parts(bag.queries, rows) for bag in self.bags]), k)


def _side_by_side(vectors: Sequence[Tensor]) -> np.ndarray:
    return (torch.cat(list(vectors), 1) / len(vectors) ** 0.5).numpy()


def final_retriever(task: IssueArticles, material: Material, seeds: Sequence[int], kept: Path) -> BagRetriever:
    """For a figure on test questions, not to ship: trained like the one that ships, on all training questions of `task`
    (loaded with the test groups alone kept from training), with its tokenizer; a bag per seed. Weights are kept in the folder
    `kept`."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(BUILTIN_DIR / FOLDER)
    examples = Examples.of(task, material, tokenizer, Settings())
    bags = [_kept_bag(examples, len(tokenizer), Settings(seed=Settings.seed + seed), kept) for seed in seeds]
    return BagRetriever(bags, tokenizer, [article.id for article in task.articles], examples.passages)


def _kept_bag(examples: Examples, vocabulary: int, s: Settings, kept: Path) -> Bag:
    from safetensors.torch import load_file, save_file

    path = kept / f"{content_hash(str(s), str(examples.queries), str(examples.gold))}.safetensors"
    if not path.exists():
        kept.mkdir(parents=True, exist_ok=True)
        save_file(asdict(train_bag(examples, vocabulary, s)), path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)
    return Bag(**load_file(path))


# ----------------------------------------------------------------------------------------------------------- proof, card


def facts(task: IssueArticles, material: Material, tokenizer_texts: int, s: Settings) -> dict[str, object]:
    """training_config.json: settings, hashes of what was learnt from, what was left out."""
    asked = task.asked("train")
    return {
        "kind": "retriever",
        "format": 1,
        "labels": "court issue → cited articles; holding → the articles of its issue; title → article",
        "settings": asdict(s),
        "query_prefix": QUERY,
        "query_max_length": s.query_length,
        "passage_max_length": s.passage_length,
        "split": material.split.model_dump(),
        "data_hash": content_hash(material.data_hash, *(f"{q.id} {q.text} {sorted(q.gold)}" for q in asked)),
        "questions": len(asked),
        "tokenizer_texts": tokenizer_texts,
        "excluded_families": material.excluded_families,
    }


def decision_of(question: Question) -> str:
    """`147367-1` is issue 1 of PREC_147367."""
    return f"PREC_{question.id.rsplit('-', 1)[0]}"


def check(task: IssueArticles, material: Material, folder: Path) -> None:
    """Print what must be 0 for the shipped weights, from the lists beside them; exit 1 unless all are."""
    trained = set((folder / "trained_questions.txt").read_text("utf-8").split())
    documents = set((folder / "trained_documents.txt").read_text("utf-8").split())
    split, groups = material.split, material.groups
    texts = {question.id: question for question in task.questions}
    sets = (split_set(groups.get(d, d), split.seed, split.fractions) for d in documents if d.startswith("PREC_"))
    asked = [question.text for question in task.asked(*EVALUATION)]
    near = contained(asked, [texts[q].text for q in sorted(trained)], split.overlap)
    held = {article.id for article in task.articles if article.held_out}
    found = {
        "decisions of another set than training": sum(name != "train" for name in sets),
        "trained issues that nearly repeat an evaluation issue": near.height,
        "trained issues with a held-out article among their answers": sum(bool(texts[q].gold & held) for q in trained),
    }
    print(f"{len(documents)} documents and {len(trained)} issues seen")
    for what, count in found.items():
        print(f"{count} {what}")
    if any(found.values()):
        raise SystemExit(1)


def card(
    figures: dict[str, float], task: IssueArticles, material: Material, known: dict[str, object], size: int
) -> str:
    """README.md beside the weights."""
    rows = "\n".join(f"| {name} | {value:.4f} |" for name, value in figures.items())
    s = known["settings"]
    return f"""# lex_assets built-in retriever (supervised)

판시사항(쟁점)에서 참조조문을 찾도록 학습한 한국어 법률 검색 모델({size / 1e6:.1f} MB). `BiEncoder()`가 읽는 모델이다.
A small Korean legal retriever, trained from court issues to the articles that they cite. `BiEncoder()` loads it.

- command: `python benchmarks/train_supervised.py` (seed {s["seed"]}, CPU, one thread); proof: the same with `--check`
- data: {known["questions"]} issues and {len(task.articles)} articles, sha256 `{known["data_hash"]}`; decisions and statutes seen:
  `trained_documents.txt`, issues: `trained_questions.txt`
- source: statutes and court decisions of Korea (not protected by copyright, Copyright Act art. 7)
- left out of every stage, the tokenizer included: decisions of the validation, promotion and test groups (split seed
  {material.split.seed}), issues that hold 80 % of the n-grams of one of theirs, issues that cite a held-out law family
- held-out families among the raw documents: {", ".join(material.excluded_families)}
- a question goes in behind `{QUERY}` (`encode_query` of sentence-transformers puts it there), a passage as it is
- licence: Apache-2.0

NDCG@10 on **validation** questions (court issue → specific articles of 306 statutes), on which the settings were chosen:

| | |
|---|---|
{rows}
"""


def validation_figures(task: IssueArticles, folder: Path) -> dict[str, float]:
    """NDCG@10 per regime of the saved model, loaded as a user loads it."""
    from lex_assets.models.bi_encoder import BiEncoder

    encoder = BiEncoder(str(folder), window_overlap=None)
    asked, ids = task.asked("valid"), [article.id for article in task.articles]
    index = DenseIndex(ids, encoder.encode_passages([article.searched for article in task.articles], batch_size=128))
    hits = index.search(encoder.encode_queries([question.text for question in asked]), 10)
    scores = ndcg_at_10(hits, [question.gold for question in asked])
    unseen = np.array([question.regime == UNSEEN_LAW for question in asked])
    return {"unseen query": float(scores[~unseen].mean()), "unseen law": float(scores[unseen].mean())}


def main() -> None:
    """Train, save, measure; or check."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(arguments.threads)
    material = load_material(arguments.raw, arguments.cache)
    task = load(arguments.bench, material.groups, material.split)
    if arguments.check:
        check(task, material, arguments.out)
        return
    s = Settings(seed=arguments.seed)
    log.info("%d articles, questions per set and regime: %s", len(task.articles), dict(task.counts()))
    texts = [search_text(context, text) for context, text in material.passages.select("context", "text").iter_rows()]
    texts += [question.text for question in task.asked("train")]
    tokenizer = train_tokenizer(texts, s.vocabulary, s.seed)
    bag = train_bag(Examples.of(task, material, tokenizer, s), len(tokenizer), s)
    tokenizer.add_special_tokens({"additional_special_tokens": [QUERY]})
    save_retriever(as_bert(bag, tokenizer, s), tokenizer, arguments.out, query_prompt=QUERY)
    write_papers(arguments.out, task, material, len(texts), s)


def write_papers(folder: Path, task: IssueArticles, material: Material, n_texts: int, s: Settings) -> None:
    """What was seen, how, and how good it is, beside the weights."""
    known = facts(task, material, n_texts, s)
    asked = task.asked("train")
    statutes = {f"LAW_{article.id.split(':')[0]}" for article in task.articles if not article.held_out}
    documents = {decision_of(question) for question in asked} | set(material.passages["doc_id"]) | statutes
    (folder / "training_config.json").write_text(json.dumps(known, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    (folder / "trained_documents.txt").write_text("\n".join(sorted(documents)) + "\n")
    (folder / "trained_questions.txt").write_text("\n".join(question.id for question in asked) + "\n")
    figures = validation_figures(task, folder)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    (folder / "README.md").write_text(card(figures, task, material, known, size))
    print(json.dumps(figures, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("../shared/raw"), help="raw documents")
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/wide"), help="issues and articles")
    parser.add_argument("--cache", type=Path, default=Path("data/raw_cache"), help="where archives are unpacked")
    parser.add_argument("--out", type=Path, default=BUILTIN_DIR / FOLDER, help="the model's folder")
    parser.add_argument("--check", action="store_true", help="only prove that the shipped model saw no evaluation text")
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
