"""How fast a retriever trains beside sentence-transformers: `python benchmarks/training_speed.py --shared ../shared`.

The same model, data, batch, loss, gradient cache, micro-batch and optimizer, in one process, in interleaved rounds:

- ours: batches drawn at random, micro-batches by length under a token budget
- sentence-transformers: its trainer's defaults
- … group_by_length: with `train_sampling_strategy="group_by_length"` as documented
- … length-grouped batches: with batches that are really grouped by length (LengthGroupedSampler as batch sampler), because
  6.2.0 draws its batches itself and does not ask that option

Expected: ours >= 1.3 x the defaults and >= 1.0 x either grouping, in pairs per CPU second, at equal NDCG@10. Seen on one
thread (`--rounds 3 --steps 10`): 1.77 x, 1.83 x and 1.43 x; NDCG@10 .582 against .583, .583 and .572, +- .005.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

import datasets
import numpy as np
import torch
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainer, SentenceTransformerTrainingArguments
from sentence_transformers.base.sampler import DefaultBatchSampler
from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
from transformers import PrinterCallback, TrainerCallback
from transformers.trainer_pt_utils import LengthGroupedSampler

from lex_assets.models.presets import BUILTIN, RETRIEVERS
from lex_assets.training.backbone import RetrieverBackbone, open_retriever
from lex_assets.training.config import RetrieverTrainingConfig
from lex_assets.training.data import TrainingData, ValidationSet
from lex_assets.training.loop import StepReport, fit
from lex_assets.training.retriever import RetrieverTask
from lex_assets.training.tuning import tuned

MICRO_BATCH = 32
WARM_UP_STEPS = 2
POOL = 500
VALID = 120


@dataclass(frozen=True)
class Settings:
    """Sizes of a measurement. length: tokens of a text, at most · batch: queries."""

    steps: int
    batch: int
    negatives: int
    length: int
    learning_rate: float = 2e-4
    temperature: float = 0.05


# ------------------------------------------------------------------------------------------------------------- material


def load_data(shared: Path, settings: Settings) -> TrainingData:
    """Court issues → cited articles; other articles of the same law as negatives. The last queries are for validation."""
    folder = shared / "bench" / "core"
    texts = {row["id"]: row["text"] for row in _rows(folder / "queries.jsonl.gz")}
    articles = {
        row["id"]: (row["law_id"], f"{row['law']}\n{row['text']}") for row in _rows(folder / "articles.jsonl.gz")
    }
    relevant: dict[str, list[str]] = {}
    for line in (folder / "qrels_specific.tsv").read_text("utf-8").splitlines():
        query, _, article, _ = line.split("\t")
        relevant.setdefault(query, []).append(article)
    chosen = sorted(query for query in relevant if query in texts)
    random.Random(0).shuffle(chosen)
    needed = settings.steps * settings.batch
    train, valid = chosen[: min(needed, len(chosen) - VALID)], chosen[-VALID:]
    by_law: dict[str, list[str]] = {}
    for article, (law, _) in sorted(articles.items()):
        by_law.setdefault(law, []).append(article)
    passages = {article: text for article, (_, text) in articles.items()}
    positives = {query: [random.Random(query).choice(relevant[query])] for query in train}
    return TrainingData(
        texts={query: texts[query] for query in train},
        positives=positives,
        grades={query: dict.fromkeys(positives[query], 1) for query in train},
        negatives={q: _siblings(q, positives[q][0], by_law[articles[positives[q][0]][0]], settings) for q in train},
        unfit={query: frozenset(positives[query]) for query in train},  # the same contrast as without a mask
        passages=passages,
        parents={article: article for article in passages},
        valid=_valid(valid, texts, relevant),
        hashes={},
        licences=[],
    )


def _siblings(query: str, positive: str, law: Sequence[str], settings: Settings) -> list[str]:
    others = [article for article in law if article != positive]
    return random.Random(f"{query}/negatives").sample(others, settings.negatives)


def _valid(queries: Sequence[str], texts: dict[str, str], relevant: dict[str, list[str]]) -> ValidationSet:
    return ValidationSet(
        query_ids=list(queries),
        texts=[texts[query] for query in queries],
        relevant={query: frozenset(relevant[query]) for query in queries},
        gains={query: dict.fromkeys(relevant[query], 1) for query in queries},
        unfit=dict.fromkeys(queries, frozenset()),
    )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def validation_pool(data: TrainingData) -> list[str]:
    """The relevant articles of the validation queries and a sample of the others."""
    relevant = {article for articles in data.valid.relevant.values() for article in articles}
    others = [article for article in data.passage_ids if article not in relevant]
    return sorted(relevant | set(random.Random(1).sample(others, max(POOL - len(relevant), 0))))


# ------------------------------------------------------------------------------------------------------------ trainings


@dataclass(frozen=True)
class Outcome:
    """What a training took and gave. pairs_per_s: queries per CPU second, warm-up steps left out · loss: mean of the last
    third of the steps."""

    pairs_per_s: float
    loss: float
    ndcg: float


class Clock:
    """CPU time at the end of every step, and its loss."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.losses: list[float] = []

    def tick(self, loss: float) -> None:
        self.times.append(time.process_time())
        self.losses.append(loss)

    def outcome(self, settings: Settings, ndcg: float) -> Outcome:
        seconds = self.times[-1] - self.times[WARM_UP_STEPS - 1]
        steps = len(self.times) - WARM_UP_STEPS
        tail = self.losses[-max(len(self.losses) // 3, 1) :]
        return Outcome(steps * settings.batch / seconds, statistics.fmean(tail), ndcg)


def opened(data: TrainingData, settings: Settings, seed: int) -> tuple[RetrieverBackbone, RetrieverTask]:
    """The built-in retriever with all its weights to be trained."""
    config = RetrieverTrainingConfig(
        seed=seed,
        tuning="full",
        batch_size=settings.batch,
        max_steps=settings.steps,
        epochs=1000,
        learning_rate=settings.learning_rate,
        temperature=settings.temperature,
        negatives_per_query=settings.negatives,
        cached_gradients=True,
        micro_batch=MICRO_BATCH,
        query_max_length=settings.length,
        passage_max_length=settings.length,
        evaluations=1,
        require_gain=False,
    ).on_device()
    backbone = open_retriever(BUILTIN, config, "cpu")
    return backbone, RetrieverTask(backbone, data, validation_pool(data), config)


@torch.inference_mode()
def ndcg_of(task: RetrieverTask) -> float:
    """NDCG@10 of the validation queries with the weights as they are."""
    task.backbone.model.eval()
    return task.validate()


def train_ours(data: TrainingData, settings: Settings, seed: int) -> Outcome:
    """One training with lex_assets."""
    backbone, task = opened(data, settings, seed)
    clock = Clock()

    def on_step(report: StepReport) -> None:
        if report.loss is not None:
            clock.tick(report.loss)

    run = fit(tuned(backbone, task.config, head=False), task, task.config, on_step)
    return clock.outcome(settings, run.course.last_metric)


class Ticks(TrainerCallback):
    """Feeds a clock; the trainer's own log has the losses."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_log(self, args, state, control, logs=None, **kwargs) -> None:
        if "loss" in (logs or {}):
            self.clock.tick(logs["loss"])


class LengthGroupedBatches(DefaultBatchSampler):
    """Batches of rows of similar total length, in random order."""

    def __init__(self, dataset, batch_size, drop_last, valid_label_columns=None, generator=None, seed=0) -> None:
        lengths = [sum(len(text) for text in row.values()) for row in dataset]
        super().__init__(LengthGroupedSampler(batch_size, lengths=lengths), batch_size, drop_last)


def train_sentence_transformers(data: TrainingData, settings: Settings, seed: int, **options: object) -> Outcome:
    """One training with its trainer; `options` are training arguments."""
    model = SentenceTransformer(RETRIEVERS[BUILTIN].hub_id, device="cpu", model_kwargs={"dtype": torch.float32})
    model.max_seq_length = settings.length
    columns = {"query": list(data.texts.values()), "positive": [data.passages[p] for (p,) in data.positives.values()]}
    for n in range(settings.negatives):
        columns[f"negative_{n}"] = [data.passages[passages[n]] for passages in data.negatives.values()]
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        arguments = SentenceTransformerTrainingArguments(
            output_dir=folder, use_cpu=True, per_device_train_batch_size=settings.batch, max_steps=settings.steps,
            learning_rate=settings.learning_rate, weight_decay=0.01, warmup_steps=0.1, seed=seed, logging_steps=1,
            save_strategy="no", disable_tqdm=True, dataloader_pin_memory=False, report_to="none", **options,
        )  # fmt: skip
        loss = CachedMultipleNegativesRankingLoss(model, scale=1 / settings.temperature, mini_batch_size=MICRO_BATCH)
        trainer = SentenceTransformerTrainer(
            model, arguments, train_dataset=datasets.Dataset.from_dict(columns), loss=loss, callbacks=[Ticks(clock)]
        )
        trainer.remove_callback(PrinterCallback)
        trainer.train()
    _, task = opened(data, settings, seed)
    task.backbone.transformer.load_state_dict(model[0].model.state_dict())
    return clock.outcome(settings, ndcg_of(task))


Training = Callable[[TrainingData, Settings, int], Outcome]


def grouped_by_option(data: TrainingData, settings: Settings, seed: int) -> Outcome:
    return train_sentence_transformers(data, settings, seed, train_sampling_strategy="group_by_length")


def grouped_for_real(data: TrainingData, settings: Settings, seed: int) -> Outcome:
    return train_sentence_transformers(data, settings, seed, batch_sampler=LengthGroupedBatches)


OURS = "ours"
TARGETS = {"sentence-transformers": 1.3, "… group_by_length": 1.0, "… length-grouped batches": 1.0}
SYSTEMS: dict[str, Training] = {
    OURS: train_ours,
    "sentence-transformers": train_sentence_transformers,
    "… group_by_length": grouped_by_option,
    "… length-grouped batches": grouped_for_real,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--negatives", type=int, default=2)
    parser.add_argument("--length", type=int, default=256)
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings(options.steps, options.batch, options.negatives, options.length)
    data = load_data(options.shared, settings)
    _, task = opened(data, settings, 0)
    print(f"NDCG@10 before training: {ndcg_of(task):.4f}\n")
    outcomes: dict[str, list[Outcome]] = {name: [] for name in SYSTEMS}
    for number in range(options.rounds):
        for name, train in SYSTEMS.items():
            outcomes[name].append(train(data, settings, number))
    report(outcomes)


def report(outcomes: dict[str, list[Outcome]]) -> None:
    """One line per system: medians over the rounds, and ours as a multiple of it, round by round."""
    print(f"{'':26}pairs/cpu-s   loss    NDCG@10   ours is")
    for name, rounds in outcomes.items():
        speed, loss, ndcg = (
            statistics.median(getattr(o, field) for o in rounds) for field in ("pairs_per_s", "loss", "ndcg")
        )
        ratios = [mine.pairs_per_s / its.pairs_per_s for mine, its in zip(outcomes[OURS], rounds, strict=True)]
        spread = f"{statistics.median(ratios):.2f} x (rounds {min(ratios):.2f}-{max(ratios):.2f})"
        target = f", target {TARGETS[name]:.1f} x" if name in TARGETS else ""
        print(f"{name:26}{speed:8.1f}   {loss:6.3f}   {ndcg:7.4f}   {spread}{target}")
    print(
        f"\nNDCG@10, standard deviation over rounds: {np.mean([np.std([o.ndcg for o in r]) for r in outcomes.values()]):.4f}"
    )


if __name__ == "__main__":
    main()
