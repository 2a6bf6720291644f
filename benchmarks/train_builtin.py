"""Train the retriever and the reranker that ship in the package: no labels, no GPU, one command.

    python benchmarks/train_builtin.py --raw ../shared/raw --bench ../shared/bench/core

What they learn from is text alone: an article's heading and its body, a passage and a piece cut out of it, neighbouring
paragraphs of one article, two parts of one holding or issue. No citation, no issue-to-holding alignment, no delegation:
adapters that are trained on those labels can then be measured against this base. Decisions outside the training set,
their near-duplicates and held-out law families are left out of every stage, the tokenizer's included.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from issue_articles import ndcg_at_10, read_lines, read_qrels
from torch import nn
from torch.nn import functional
from transformers import BertConfig, BertForSequenceClassification, BertModel, PreTrainedTokenizerFast

from lex_assets.citations.resolve import citation_graph
from lex_assets.models.presets import BUILTIN_DIR, RERANKERS, RETRIEVERS
from lex_assets.passages.build import build_passages
from lex_assets.passages.corpus import build_corpus
from lex_assets.passages.overlap import contained
from lex_assets.queries.labelled import labelled_queries
from lex_assets.queries.split import (
    LAW_TYPES,
    SplitConfig,
    assign_split,
    family_is_held_out,
    is_training_document,
    split_groups,
    split_set,
)
from lex_assets.retrieval.fusion import fuse, learn_weight
from lex_assets.retrieval.lexical import LexicalIndex
from lex_assets.retrieval.types import ranked
from lex_assets.schemas import DECISION_TYPES, Document, content_hash, search_text
from lex_assets.sources.archives import unpacked
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.read import ingest

log = logging.getLogger("train_builtin")
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SHARD_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights, next to the data. lengths: tokens of a query and of a passage; batch in pairs."""

    seed: int = 20
    vocabulary: int = 10_000
    hidden: int = 256
    layers: int = 2
    heads: int = 4
    intermediate: int = 512
    temperature: float = 0.05
    bag_steps: int = 1500
    bag_batch: int = 512
    bag_lr: float = 2e-3
    bag_lengths: tuple[int, int] = (48, 128)
    full_steps: int = 80
    full_batch: int = 64
    full_lr: float = 2e-4
    full_lengths: tuple[int, int] = (48, 128)
    rerank_steps: int = 200
    rerank_queries: int = 12
    rerank_negatives: int = 7
    rerank_lengths: tuple[int, int] = (32, 64)
    rerank_lr: float = 5e-4
    rerank_passages: int = 20_000


# ---------------------------------------------------------------------------------------------------------- material


@dataclass(frozen=True)
class Material:
    """Passages that may be learnt from, and what says so. groups: decision → split group."""

    passages: pl.DataFrame
    groups: dict[str, str]
    split: SplitConfig
    excluded_families: list[str]
    excluded_documents: list[str]

    @property
    def data_hash(self) -> str:
        """sha256 over ids and contents of the passages, in order."""
        return content_hash(*self.passages["passage_id"].to_list(), *self.passages["content_hash"].to_list())


def load_material(raw: Path, cache: Path) -> Material:
    """Parse, split exactly as the pipeline does, and keep what training may see."""
    split = SplitConfig()
    documents = ingest(unpacked(raw, cache, ("partitions.json",), log.info), DomainRules.load(None)).documents
    corpus = build_corpus([build_passages(documents)])
    queries, qrels = labelled_queries(documents, corpus, citation_graph(documents, corpus))
    queries = assign_split(queries, qrels, corpus, split)
    groups = split_groups(queries)
    law_families = documents.filter(pl.col("source_type").is_in(LAW_TYPES))["family"].unique().sort().to_list()
    held = [family for family in law_families if family_is_held_out(family, split.seed, split.held_out)]
    barred = _barred_documents(documents, queries, groups, split)
    barred |= _near_copies(corpus, barred)
    kept = corpus.filter(~pl.col("doc_id").is_in(sorted(barred)) & (pl.col("unit") != "별표"))
    return Material(kept.sort("passage_id"), groups, split, held, sorted(barred))


def _barred_documents(
    documents: pl.DataFrame, queries: pl.DataFrame, groups: dict[str, str], split: SplitConfig
) -> set[str]:
    """Held-out families, documents of another set than train, decisions with a query that is not for training."""
    rows = documents.iter_rows(named=True)
    barred = {row["doc_id"] for row in rows if not is_training_document(Document.from_row(row), split, groups)}
    asked = queries.filter((pl.col("origin") != "delegation") & (pl.col("set") != "train"))
    return barred | set(asked["doc_id"])


def _near_copies(corpus: pl.DataFrame, barred: set[str]) -> set[str]:
    """Decisions that share an issue or holding, up to a few words, with a barred one."""
    decisions = corpus.filter(pl.col("source_type").is_in(DECISION_TYPES))
    owners = decisions["doc_id"].to_list()
    texts = decisions["text"].to_list()
    pairs = contained(texts, texts, 0.8).select("text", "within").iter_rows()
    linked = [(owners[text], owners[within]) for text, within in pairs]
    return {b for a, b in linked if a in barred} | {a for a, b in linked if b in barred}


# ------------------------------------------------------------------------------------------------------------- pairs


Ids = list[int]


@dataclass(frozen=True)
class Pair:
    """Token ids of a text and of the passage it belongs to. Pairs of equal `group` are never each other's negatives."""

    query: Ids
    passage: Ids
    group: int


@dataclass(frozen=True)
class Tokenized:
    """A passage as token ids without special tokens. heading: its title, with and without the law's name."""

    headings: tuple[Ids, Ids]
    context: Ids
    text: Ids
    group: int
    is_decision: bool


class PairSource:
    """An endless, seeded stream of pairs from passages."""

    def __init__(self, passages: pl.DataFrame, tokenizer: PreTrainedTokenizerFast, seed: int) -> None:
        self.random = random.Random(seed)
        self.rows = _tokenized(passages, tokenizer)
        self.members: dict[int, list[int]] = {}
        for n, row in enumerate(self.rows):
            self.members.setdefault(row.group, []).append(n)
        self.order: list[int] = []

    def batch(self, size: int, lengths: tuple[int, int]) -> list[Pair]:
        """The next `size` pairs, cut at (query, passage) tokens; every passage once before any comes again."""
        while len(self.order) < size:
            more = list(range(len(self.rows)))
            self.random.shuffle(more)
            self.order += more
        chosen, self.order = self.order[:size], self.order[size:]
        return [self.pair(self.rows[n], lengths) for n in chosen]

    def pair(self, row: Tokenized, lengths: tuple[int, int]) -> Pair:
        """A piece cut out of the passage, its heading, or a neighbour in its article asks for it."""
        way = self.random.random()
        if row.is_decision or way < 0.5:
            query, passage = self._cloze(row, lengths[0])
        elif way < 0.75:
            query, passage = row.headings[self.random.random() < 0.5], row.context + row.text
        else:
            other = self.rows[self.random.choice(self.members[row.group])]
            query, passage = self._cloze(row, lengths[0])
            if other is not row:
                passage = other.context + other.text
        return Pair(query[: lengths[0] - 2], passage[: lengths[1] - 2], row.group)

    def _cloze(self, row: Tokenized, most: int) -> tuple[Ids, Ids]:
        """A run of 10-60 % of the tokens asks for the rest; one time in five it also stays in the passage."""
        length = min(most - 2, len(row.text), max(6, int(len(row.text) * self.random.uniform(0.1, 0.6))))
        at = self.random.randint(0, len(row.text) - length)
        rest = row.text if self.random.random() < 0.2 else row.text[:at] + row.text[at + length :]
        return row.text[at : at + length], row.context + rest


def _tokenized(passages: pl.DataFrame, tokenizer: PreTrainedTokenizerFast) -> list[Tokenized]:
    def ids_of(texts: Sequence[str]) -> list[Ids]:
        return tokenizer(list(texts), add_special_tokens=False)["input_ids"]

    contexts, texts, parents, kinds = (passages[c].to_list() for c in ("context", "text", "parent_id", "source_type"))
    unique = list(dict.fromkeys(contexts))
    short, long = zip(*map(_headings, unique), strict=True)
    known = dict(zip(unique, zip(ids_of(short), ids_of(long), ids_of(unique), strict=True), strict=True))
    groups = {parent: n for n, parent in enumerate(dict.fromkeys(parents))}
    rows = zip(contexts, ids_of(texts), parents, kinds, strict=True)
    return [
        Tokenized(known[context][:2], known[context][2], ids, groups[parent], kind in DECISION_TYPES)
        for context, ids, parent, kind in rows
        if len(ids) >= 8
    ]


def _headings(context: str) -> tuple[str, str]:
    """The article's title alone and after the law's name; article numbers left out."""
    parts = [re.sub(r"\(?제\d+(-\d+)?조(의\d+)?\)?", "", part).strip() for part in context.split(">")]
    parts = [part for part in parts if part] or [context]
    return parts[-1], f"{parts[0]} {parts[-1]}"


# --------------------------------------------------------------------------------------------------------- tokenizer


def train_tokenizer(texts: Sequence[str], size: int, seed: int) -> PreTrainedTokenizerFast:
    """Unigram pieces for Korean legal text. No NFKC: ① stays ①; ㆍ is a piece of its own, as are digits.

    Pieces carry no word-start mark: 배상 in 손해배상 and at the start of a word is the same piece.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    words = pre_tokenizers.Split(Regex(r"[가-힣]+|[a-z]+|\d|[^\s가-힣a-z\d]"), "removed", invert=True)
    tokenizer.pre_tokenizer = words
    trainer = trainers.UnigramTrainer(
        vocab_size=size, special_tokens=SPECIAL, unk_token="[UNK]", show_progress=False, max_piece_length=8
    )
    tokenizer.train_from_iterator(_tokenizer_sample(texts, seed), trainer)
    ids = [(name, tokenizer.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", ids)
    names = {f"{name.strip('[]').lower()}_token": name for name in SPECIAL}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=512,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **names,
    )


def _tokenizer_sample(texts: Sequence[str], seed: int, most: int = 40_000) -> Iterator[str]:
    """A sample in which characters that occur fewer than 20 times (rare hanja) are blanked, so that they take no piece."""
    chosen = random.Random(seed).sample(list(texts), min(most, len(texts)))
    counts: dict[str, int] = {}
    for text in chosen:
        for character in text:
            counts[character] = counts.get(character, 0) + 1
    rare = {ord(character): " " for character, count in counts.items() if count < 20}
    return (text.translate(rare) for text in chosen)


# --------------------------------------------------------------------------------------------------------- retriever


def bert_config(settings: Any, tokenizer: PreTrainedTokenizerFast, **extra: object) -> BertConfig:
    """The architecture of all built-in models; settings: hidden, layers, heads, intermediate."""
    return BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        intermediate_size=settings.intermediate,
        max_position_embeddings=512,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        pad_token_id=tokenizer.pad_token_id,
        **extra,
    )


def start_from_bag(model: BertModel, share: float) -> None:
    """Make the untrained model a bag of embeddings: positions at zero, what each block adds scaled to `share`."""
    with torch.no_grad():
        model.embeddings.position_embeddings.weight.zero_()
        model.embeddings.token_type_embeddings.weight.zero_()
        for layer in model.encoder.layer:
            layer.attention.output.dense.weight.mul_(share)
            layer.output.dense.weight.mul_(share)


def mean_pool(states: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Unit vectors (n, d) of token states (n, t, d)."""
    weights = mask.unsqueeze(-1).to(states.dtype)
    return functional.normalize((states * weights).sum(1) / weights.sum(1).clamp(min=1), dim=-1)


def padded(rows: Sequence[Ids], tokenizer: PreTrainedTokenizerFast) -> dict[str, torch.Tensor]:
    """Ids with [CLS] and [SEP] around them as tensors (n, t) with their mask."""
    wrapped = [[tokenizer.cls_token_id, *ids, tokenizer.sep_token_id] for ids in rows]
    return dict(tokenizer.pad({"input_ids": wrapped}, return_tensors="pt"))


def bag_of_embeddings(model: BertModel, rows: Sequence[Ids], tokenizer: PreTrainedTokenizerFast) -> torch.Tensor:
    """What the model gives while its blocks add nothing: one vector per piece, the mean of which is the text's.

    Between the embeddings and the last block's normalisation the others have nothing to do. Leaving that last one out
    teaches the pieces lengths (unimportant ones short) that the encoder then normalises away.
    """
    table = model.encoder.layer[-1].output.LayerNorm(
        model.embeddings.LayerNorm(model.embeddings.word_embeddings.weight)
    )
    wrapped = [[tokenizer.cls_token_id, *ids, tokenizer.sep_token_id] for ids in rows]
    flat = torch.tensor([token for ids in wrapped for token in ids])
    starts = torch.tensor([0, *np.cumsum([len(ids) for ids in wrapped])[:-1].tolist()])
    return functional.normalize(functional.embedding_bag(flat, table, starts, mode="mean"), dim=-1)


def contrastive_loss(queries: torch.Tensor, passages: torch.Tensor, groups: torch.Tensor, tau: float) -> torch.Tensor:
    """InfoNCE in both directions; other pairs of the same group are masked."""
    scores = queries @ passages.T / tau
    same = (groups[:, None] == groups[None, :]) & ~torch.eye(len(groups), dtype=torch.bool)
    scores = scores.masked_fill(same, -1e4)
    target = torch.arange(len(groups))
    return (functional.cross_entropy(scores, target) + functional.cross_entropy(scores.T, target)) / 2


def train_retriever(
    model: BertModel, tokenizer: PreTrainedTokenizerFast, source: PairSource, settings: Settings
) -> None:
    """First the embeddings alone (thousands of pairs a second), then the whole encoder."""

    def bag(rows: Sequence[Ids]) -> torch.Tensor:
        return bag_of_embeddings(model, rows, tokenizer)

    def full(rows: Sequence[Ids]) -> torch.Tensor:
        batch = padded(rows, tokenizer)
        return mean_pool(model(**batch).last_hidden_state, batch["attention_mask"])

    def step(embed: Callable[[Sequence[Ids]], torch.Tensor], size: int, lengths: tuple[int, int]) -> torch.Tensor:
        pairs = source.batch(size, lengths)
        queries, passages = embed([pair.query for pair in pairs]), embed([pair.passage for pair in pairs])
        return contrastive_loss(queries, passages, torch.tensor([pair.group for pair in pairs]), s.temperature)

    s = settings
    parts = nn.ModuleList([model.embeddings, model.encoder.layer[-1].output.LayerNorm])
    optimise("bag", parts, lambda: step(bag, s.bag_batch, s.bag_lengths), s.bag_steps, s.bag_lr)
    model.embeddings.requires_grad_(False)  # small batches would undo what large ones have taught them
    optimise("full", model, lambda: step(full, s.full_batch, s.full_lengths), s.full_steps, s.full_lr)


def optimise(name: str, module: nn.Module, step: Callable[[], torch.Tensor], steps: int, lr: float) -> None:
    """AdamW with 5 % warm-up and linear decay."""
    optimiser = torch.optim.AdamW(module.parameters(), lr=lr, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda n: min((n + 1) / max(1, steps // 20), max(0.02, 1 - n / steps))
    )
    started, recent = time.perf_counter(), []
    for n in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss = step()
        loss.backward()
        nn.utils.clip_grad_norm_(module.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        recent.append(loss.item())
        if (n + 1) % max(1, steps // 10) == 0:
            mean, recent = sum(recent) / len(recent), []
            log.info("%s step %d/%d loss %.4f (%.0f s)", name, n + 1, steps, mean, time.perf_counter() - started)


# ---------------------------------------------------------------------------------------------------------- reranker


def start_from_matching(model: BertForSequenceClassification, retriever: BertModel, seed: int) -> None:
    """Start the cross-encoder where equal and related tokens of the two texts already attend to each other.

    Embeddings come from the retriever. In the first block queries and keys are the same random projection of them, with
    the direction that tells the two texts apart reversed in the keys: a token looks for its like in the other text. From
    random weights, minutes of training do not find this.
    """
    bert, hidden = model.bert, model.config.hidden_size
    bert.embeddings.load_state_dict(retriever.embeddings.state_dict())
    generator = torch.Generator().manual_seed(seed)
    side = functional.normalize(torch.randn(hidden, generator=generator), dim=0)
    basis, _ = torch.linalg.qr(torch.randn(hidden, hidden, generator=generator))
    attention = bert.encoder.layer[0].attention.self
    with torch.no_grad():
        bert.embeddings.token_type_embeddings.weight.copy_(torch.stack([side, -side]) * 0.3)
        attention.query.weight.copy_(basis)
        attention.key.weight.copy_(basis - 2 * torch.outer(basis @ side, side))


@dataclass(frozen=True)
class Candidates:
    """Token ids of a question and of passages, of which the first is the right one."""

    query: Ids
    passages: list[Ids]


class CandidateSource:
    """Pairs with negatives: passages of other articles among BM25's best 30, over the model's own pieces."""

    def __init__(self, passages: pl.DataFrame, tokenizer: PreTrainedTokenizerFast, settings: Settings) -> None:
        import bm25s

        sample = passages.sample(min(settings.rerank_passages, passages.height), seed=settings.seed)
        self.pairs = PairSource(sample, tokenizer, settings.seed)
        self.settings = settings
        self.groups = np.array([row.group for row in self.pairs.rows])
        self.bm25 = bm25s.BM25()
        self.bm25.index(
            ([row.context + row.text for row in self.pairs.rows], tokenizer.get_vocab()), show_progress=False
        )

    def batch(self) -> list[Candidates]:
        """The next questions with their candidates."""
        pairs = self.pairs.batch(self.settings.rerank_queries, self.settings.rerank_lengths)
        return [Candidates(pair.query, [pair.passage, *self._negatives(pair)]) for pair in pairs]

    def _negatives(self, pair: Pair) -> list[Ids]:
        scores = self.bm25.get_scores_from_ids(pair.query)
        scores[self.groups == pair.group] = -1
        best = np.argpartition(-scores, 30)[:30].tolist()
        rows = [self.pairs.rows[n] for n in sorted(self.pairs.random.sample(best, self.settings.rerank_negatives))]
        return [(row.context + row.text)[: self.settings.rerank_lengths[1] - 2] for row in rows]


def train_reranker(
    model: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    source: CandidateSource,
    settings: Settings,
) -> None:
    """Listwise softmax: the right passage against its negatives. Word embeddings stay those of the retriever."""
    model.bert.embeddings.word_embeddings.weight.requires_grad_(False)

    def loss() -> torch.Tensor:
        batch = source.batch()
        logits = model(**paired([(c.query, p) for c in batch for p in c.passages], tokenizer)).logits
        return functional.cross_entropy(logits.view(len(batch), -1), torch.zeros(len(batch), dtype=torch.long))

    optimise("rerank", model, loss, settings.rerank_steps, settings.rerank_lr)


def paired(rows: Sequence[tuple[Ids, Ids]], tokenizer: PreTrainedTokenizerFast) -> dict[str, torch.Tensor]:
    """[CLS] question [SEP] passage [SEP] as tensors, with the two texts told apart by their type."""
    start, end = tokenizer.cls_token_id, tokenizer.sep_token_id
    ids = [[start, *query, end, *passage, end] for query, passage in rows]
    types = [[0] * (len(query) + 2) + [1] * (len(passage) + 1) for query, passage in rows]
    return dict(tokenizer.pad({"input_ids": ids, "token_type_ids": types}, return_tensors="pt"))


# -------------------------------------------------------------------------------------------------------- evaluation


@dataclass(frozen=True)
class Bench:
    """Validation questions of the bench: boilerplate articles are out of the documents and of the gold."""

    doc_ids: list[str]
    doc_texts: list[str]
    queries: dict[str, str]
    gold: dict[str, set[str]]


def load_bench(folder: Path, material: Material) -> Bench:
    """Issue → specific articles, for the decisions whose split group is in the validation set."""
    everything, specific = (read_qrels(folder / f"{name}.tsv") for name in ("qrels", "qrels_specific"))
    boilerplate = set().union(*everything.values()) - set().union(*specific.values())
    rows = [row for row in read_lines(folder / "articles.jsonl.gz") if row["id"] not in boilerplate]
    texts = {row["id"]: row["text"] for row in read_lines(folder / "queries.jsonl.gz")}
    chosen = sorted(query for query in specific if _set_of(query, material) == "valid")
    return Bench(
        [row["id"] for row in rows],
        [search_text(row["law"], row["text"]) for row in rows],
        {query: texts[query] for query in chosen},
        {query: specific[query] for query in chosen},
    )


def _set_of(query_id: str, material: Material) -> str:
    document = f"PREC_{query_id.rsplit('-', 1)[0]}"
    return split_set(material.groups.get(document, document), material.split.seed, material.split.fractions)


def evaluate(bench: Bench, folder: Path) -> dict[str, float]:
    """NDCG@10 of BM25 and of the saved models as a user gets them: loaded from their folders, by the package's classes."""
    from lex_assets.models.bi_encoder import BiEncoder
    from lex_assets.models.reranker import Reranker
    from lex_assets.retrieval.dense import DenseIndex

    preset, questions, gold = RETRIEVERS["builtin"], list(bench.queries.values()), list(bench.gold.values())
    encoder = BiEncoder(
        str(folder / "retriever"),
        query_max_seq_length=preset.query_max_length,
        passage_max_seq_length=preset.passage_max_length,
    )
    lexical = LexicalIndex.build(bench.doc_ids, bench.doc_texts).search(questions, 100)
    dense = DenseIndex(bench.doc_ids, encoder.encode_passages(bench.doc_texts)).search(
        encoder.encode_queries(questions), 100
    )
    learnt = learn_weight(lexical, dense, lambda hits: ndcg_at_10(hits, gold))
    hybrid = fuse(lexical, dense, learnt.weight, 20, learnt.method)
    texts = dict(zip(bench.doc_ids, bench.doc_texts, strict=True))
    pairs = [(q, texts[document]) for q, hits in zip(questions, hybrid, strict=True) for document, _ in hits]
    scores = iter(
        Reranker(str(folder / "reranker"), max_seq_length=RERANKERS["builtin"].max_length).score(pairs).tolist()
    )
    reranked = [ranked([(document, next(scores)) for document, _ in hits]) for hits in hybrid]
    mixed = learn_weight(hybrid, reranked, lambda hits: ndcg_at_10(hits, gold), k=20)
    return {
        "questions": len(questions),
        "bm25": learnt.lexical_score,
        "dense": learnt.dense_score,
        "hybrid": learnt.score,
        "hybrid_weight": learnt.weight,
        "reranked": float(ndcg_at_10(reranked, gold).mean()),
        "hybrid_and_reranker": mixed.score,
    }


# ------------------------------------------------------------------------------------------------------------ saving


def save_retriever(model: BertModel, tokenizer: PreTrainedTokenizerFast, folder: Path, query_prompt: str = "") -> None:
    """A sentence-transformers folder, float16, in files of 5 MiB or one tensor; `query_prompt` goes before questions."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    plain = folder.with_name(f"{folder.name}.plain")
    _save_plain(model, tokenizer, plain)
    transformer = Transformer(str(plain), model_kwargs={"dtype": torch.float16}, max_seq_length=512)
    modules = [transformer, Pooling(model.config.hidden_size, "mean")]
    prompts = {"query": query_prompt, "document": ""}
    SentenceTransformer(modules=modules, prompts=prompts, device="cpu").save(str(folder), create_model_card=False)
    for path in folder.glob("model*.safetensors*"):
        path.unlink()
    for path in plain.glob("model*.safetensors*"):
        shutil.copy2(path, folder)
    shutil.rmtree(plain)
    _readable(folder)


def _save_plain(model: nn.Module, tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    model.half().save_pretrained(folder, max_shard_size=SHARD_BYTES)
    tokenizer.save_pretrained(folder)
    _readable(folder)


def _readable(folder: Path) -> None:
    """safetensors writes files that only their owner may read; a package is installed for others."""
    for path in folder.rglob("*.safetensors"):
        path.chmod(0o644)


def write_facts(folder: Path, kind: str, material: Material, settings: Settings) -> None:
    """What the weights were made from: settings, data hash, documents seen, families and documents left out."""
    seen = material.passages["doc_id"].unique().sort().to_list()
    facts = {
        "kind": kind,
        "format": 1,
        "labels": "none",
        "settings": asdict(settings),
        "split": material.split.model_dump(),
        "data_hash": material.data_hash,
        "passages": material.passages.height,
        "excluded_families": material.excluded_families,
        "excluded_documents": len(material.excluded_documents),
        "excluded_documents_hash": content_hash(*material.excluded_documents),
    }
    (folder / "training_config.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1, sort_keys=True) + "\n")
    (folder / "trained_documents.txt").write_text("\n".join(seen) + "\n")


def card(kind: str, material: Material, settings: Settings, figures: dict[str, float], folder: Path) -> str:
    """README.md beside the weights."""
    families = ", ".join(material.excluded_families)
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    rows = "\n".join(f"| {name} | {value:.4g} |" for name, value in figures.items())
    return f"""# lex_assets built-in {kind}

한국어 법률·금융 문서용 소형 모델. 라벨(참조조문, 판시사항-판결요지 대응) 없이 본문만으로 학습했다.
A small Korean legal model ({settings.layers} layers × {settings.hidden}, {size / 1e6:.1f} MB), trained on text alone: no
citations, no issue-to-holding alignment, no delegation links. Meant as the frozen base of the demo's adapters.

- command: `python benchmarks/train_builtin.py` (seed {settings.seed}, CPU, one thread)
- data: {material.passages.height} passages, sha256 `{material.data_hash}`; documents seen: `trained_documents.txt`
- source: statutes, administrative rules and court decisions of Korea (not protected by copyright, Copyright Act art. 7)
- left out of every stage, the tokenizer included: {len(material.excluded_documents)} documents (sha256 of the ids
  `{content_hash(*material.excluded_documents)}`): decisions whose split group is not in training, their near-duplicates,
  and the held-out families (split seed {material.split.seed}, share {material.split.held_out})
- held-out families: {families}
- licence: Apache-2.0

NDCG@10 on validation questions (court issue → specific articles of 49 laws). The fusion weights were chosen on the same
questions; these are not test results.

| | |
|---|---|
{rows}
"""


def main() -> None:
    """Train, save, measure."""
    arguments = _arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    torch.set_num_threads(arguments.threads)
    settings, cpu = Settings(seed=arguments.seed), time.process_time()
    material = load_material(arguments.raw, arguments.cache)
    log.info("%d passages, data %s", material.passages.height, material.data_hash[:16])
    if arguments.check:
        check(material, arguments.out)
        return
    texts = [search_text(context, text) for context, text in material.passages.select("context", "text").iter_rows()]
    tokenizer = train_tokenizer(texts, settings.vocabulary, settings.seed)
    retriever, reranker = train(material, tokenizer, settings)
    log.info("CPU: %.0f s", time.process_time() - cpu)
    publish(retriever, reranker, tokenizer, material, settings, arguments)


def check(material: Material, out: Path) -> None:
    """Print how many documents that the shipped models saw are outside of training today; exit 1 unless none."""
    barred = set(material.excluded_documents)
    for kind in ("retriever", "reranker"):
        seen = set((out / kind / "trained_documents.txt").read_text("utf-8").split())
        facts = json.loads((out / kind / "training_config.json").read_text("utf-8"))
        same = facts["data_hash"] == material.data_hash
        print(f"{kind}: {len(seen)} documents seen, {len(seen & barred)} of them outside training; data equal: {same}")
        if seen & barred:
            raise SystemExit(1)


def train(
    material: Material, tokenizer: PreTrainedTokenizerFast, settings: Settings
) -> tuple[BertModel, BertForSequenceClassification]:
    """Both models, in this order: the reranker starts from the retriever's embeddings."""
    torch.manual_seed(settings.seed)
    retriever = BertModel(bert_config(settings, tokenizer))
    start_from_bag(retriever, 0.0)
    train_retriever(retriever, tokenizer, PairSource(material.passages, tokenizer, settings.seed), settings)
    reranker = BertForSequenceClassification(bert_config(settings, tokenizer, num_labels=1))
    start_from_bag(reranker.bert, 0.2)
    start_from_matching(reranker, retriever, settings.seed)
    train_reranker(reranker, tokenizer, CandidateSource(material.passages, tokenizer, settings), settings)
    return retriever, reranker


def publish(
    retriever: BertModel,
    reranker: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerFast,
    material: Material,
    settings: Settings,
    arguments: argparse.Namespace,
) -> None:
    """Write both folders, measure what was written, then write the cards."""
    save_retriever(retriever, tokenizer, arguments.out / "retriever")
    _save_plain(reranker, tokenizer, arguments.out / "reranker")
    figures = evaluate(load_bench(arguments.bench, material), arguments.out)
    for kind in ("retriever", "reranker"):
        folder = arguments.out / kind
        write_facts(folder, kind, material, settings)
        (folder / "README.md").write_text(card(kind, material, settings, figures, folder))
    print(json.dumps(figures, indent=1))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path("../shared/raw"), help="raw documents")
    parser.add_argument("--bench", type=Path, default=Path("../shared/bench/core"), help="questions to measure with")
    parser.add_argument("--cache", type=Path, default=Path("data/raw_cache"), help="where archives are unpacked")
    parser.add_argument("--out", type=Path, default=BUILTIN_DIR, help="where the two model folders go")
    parser.add_argument("--check", action="store_true", help="only prove that the shipped models saw no held-out text")
    parser.add_argument("--seed", type=int, default=Settings.seed)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
