"""How fast training runs on a GPU, and what fits into its memory: `python benchmarks/gpu_training.py`.

Models of the shape of bge-m3 and bge-reranker-v2-m3 (568 M parameters) with random weights, sequences of 512 tokens, the
training step of `lex_assets.training` itself: token rows in, the loss over the batch, clipping and AdamW. It prints

- the rate of a bf16 matrix product of 8,192 x 8,192 x 8,192 on this device, the peak that shares refer to
- tokens/s, TFLOP/s, share of that peak and peak memory of LoRA, QLoRA (NF4) and full training, of both kinds of model
- under a cap of 32 GB (RTX 5090) and of 80 GB (A100): the most pairs of 512 tokens that a reranker trains in one pass, and
  whether a batch of 32 queries x 8 passages does (wanted: both at least 32)

FLOPs are those of the products that the step needs: forward, gradients of the activations, and those of the weights where
these train; what is computed twice to save memory counts once. `--toy` runs everything at a small size, on a CPU too, where
memory is not measured: it proves that the script works, not how fast anything is.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}

import torch
from rich.console import Console
from rich.table import Table

from lex_assets.training.backbone import Backbone, Row, open_reranker, open_retriever
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig
from lex_assets.training.losses import Contrast, group_loss
from lex_assets.training.step import StepBatch, backward
from lex_assets.training.tuning import modules_in_training, tuned

GIB = 2**30
CONTEXT_GIB = 1.0  # of a card's memory, what the CUDA context and the driver take beside the allocator
GROUP = 8  # passages of one query: a positive and seven negatives
CAPS = {"RTX 5090": 32, "A100": 80}
WARM_UP, REPEATS = 2, 5


@dataclass(frozen=True)
class Shape:
    """A transformer encoder. length: tokens of a sequence."""

    width: int
    layers: int
    heads: int
    inner: int
    words: int
    length: int

    def step_flops_per_token(self, tuning: str) -> float:
        """Multiply-adds count two. A frozen weight takes part in the forward and in the gradient of its input; one that
        trains in its own gradient too. Attention multiplies activations, which always have gradients."""
        weights = self.layers * (4 * self.width**2 + 2 * self.width * self.inner)
        passes = 3 if tuning == "full" else 2
        return 2 * weights * passes + 3 * 4 * self.layers * self.width * self.length


BGE_M3 = Shape(1024, 24, 16, 4096, 250_002, 512)
TOY = Shape(64, 2, 2, 128, 1_000, 32)


# ------------------------------------------------------------------------------------------------------------- material


def write_bases(shape: Shape, folder: Path) -> dict[str, Path]:
    """A retriever and a reranker of this shape with random weights, in the formats that the presets have."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import XLMRobertaConfig, XLMRobertaForSequenceClassification, XLMRobertaModel

    config = XLMRobertaConfig(
        vocab_size=shape.words,
        hidden_size=shape.width,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        intermediate_size=shape.inner,
        max_position_embeddings=shape.length + 2,
        type_vocab_size=1,
        num_labels=1,
    )
    torch.manual_seed(0)
    encoder, scorer = folder / "encoder", folder / "reranker"
    XLMRobertaModel(config).save_pretrained(encoder)
    XLMRobertaForSequenceClassification(config).save_pretrained(scorer)
    for target in (encoder, scorer):
        _tokenizer(shape).save_pretrained(target)
    transformer = Transformer(str(encoder), max_seq_length=shape.length)
    pooling = Pooling(transformer.get_embedding_dimension(), pooling_mode="cls")
    retriever = folder / "retriever"
    SentenceTransformer(modules=[transformer, pooling], device="cpu").save(str(retriever), create_model_card=False)
    return {"retriever": retriever, "reranker": scorer}


def _tokenizer(shape: Shape):
    """Any tokenizer: the rows of a measurement are made of ids."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    special = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    words = Tokenizer(WordLevel({word: n for n, word in enumerate(special.values())}, unk_token="<unk>"))
    return PreTrainedTokenizerFast(tokenizer_object=words, model_max_length=shape.length, **special)


def rows_of(shape: Shape, count: int) -> list[Row]:
    """Full-length sequences of random words."""
    ids = torch.randint(4, shape.words, (count, shape.length), generator=torch.Generator().manual_seed(0))
    return [{"input_ids": row, "attention_mask": [1] * shape.length} for row in ids.tolist()]


# ---------------------------------------------------------------------------------------------------------------- steps


class Training:
    """A model in training, and its step over `rows` sequences, `micro` of them at once.

    All of them keep their activations unless `cached`.
    """

    def __init__(
        self, kind: str, base: Path, device: str, shape: Shape, tuning: str, rows: int, micro: int, cached: bool = False
    ) -> None:
        settings = {
            "tuning": "full" if tuning == "full" else "lora",
            "quantization": "nf4" if tuning == "qlora" else "none",
            "precision": "bf16",
            "micro_batch": micro,
            "cached_gradients": cached,
            "learning_rate": 1e-5,
        }
        length = shape.length
        self.backbone: Backbone = (
            open_retriever(
                str(base),
                RetrieverTrainingConfig(query_max_length=length, passage_max_length=length, **settings),
                device,
            )
            if kind == "retriever"
            else open_reranker(str(base), RerankerTrainingConfig(max_length=length, **settings), device)
        )
        config = RetrieverTrainingConfig(**settings) if kind == "retriever" else RerankerTrainingConfig(**settings)
        self.model = tuned(self.backbone, config, head=kind == "reranker")
        self.trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=1e-5)
        loss = _contrast(rows) if kind == "retriever" else _listwise(rows)
        self.batch = StepBatch(rows_of(shape, rows), [length] * rows, loss, 1.0)
        for module in modules_in_training(self.model):
            module.train()

    def step(self) -> None:
        """Gradients of the batch, clipping, AdamW. Raises OutOfMemoryError where `micro` is too much."""
        self.optimizer.zero_grad(set_to_none=True)
        backward(self.backbone.forward, self.batch, self.backbone.micro_batches, "seed")
        torch.nn.utils.clip_grad_norm_(self.trained, 1.0)
        self.optimizer.step()


def _contrast(rows: int) -> Contrast:
    """The first half of the rows are queries, the second their positives."""
    queries = rows // 2
    masked = torch.zeros(queries, rows - queries, dtype=torch.bool)
    return Contrast(torch.arange(queries), masked, 0.02)


def _listwise(rows: int) -> Callable[[torch.Tensor], torch.Tensor]:
    loss, grades = group_loss("listwise", 1.0), torch.tensor([1] + [0] * (GROUP - 1))

    def mean(logits: torch.Tensor) -> torch.Tensor:
        groups = logits.split(GROUP)
        return torch.stack([loss(group, grades[: len(group)].to(group.device)) for group in groups]).mean()

    assert rows % GROUP == 0
    return mean


# --------------------------------------------------------------------------------------------------------- measurements


def synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def median_s(work: Callable[[], object], device: str) -> float:
    """Seconds of `work`, after a warm-up."""
    seconds = []
    for n in range(WARM_UP + REPEATS):
        synchronize(device)
        started = time.perf_counter()
        work()
        synchronize(device)
        if n >= WARM_UP:
            seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def product_flops_per_s(size: int, device: str) -> float:
    """Of a square bf16 matrix product."""
    a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
    return 2 * size**3 / median_s(lambda: a @ b, device)


@contextmanager
def clean_memory(device: str) -> Iterator[None]:
    """Peak memory counted from here, and what the body left given back."""
    import gc

    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    yield
    gc.collect()
    if device != "cpu":
        torch.cuda.empty_cache()


def peak_gib(device: str) -> float:
    return math.nan if device == "cpu" else torch.cuda.max_memory_reserved() / GIB


def speed_table(shape: Shape, bases: dict[str, Path], device: str, peak: float, rows: int, micro: int) -> Table:
    table = Table(title=f"{rows} x {shape.length} tokens a step, {micro} sequences at once, bf16")
    for name in ("model", "tuning", "tokens/s", "TFLOP/s", "share of peak", "peak GiB"):
        table.add_column(name, justify="left" if name in ("model", "tuning") else "right")
    for kind in ("retriever", "reranker"):
        for tuning in ("lora", "qlora", "full"):
            with clean_memory(device):
                table.add_row(kind, tuning, *_speed(kind, bases[kind], device, shape, tuning, rows, micro, peak))
    return table


def _speed(
    kind: str, base: Path, device: str, shape: Shape, tuning: str, rows: int, micro: int, peak: float
) -> tuple[str, ...]:
    try:
        training = Training(kind, base, device, shape, tuning, rows, micro, cached=rows > micro)
        seconds = median_s(training.step, device)
    except torch.OutOfMemoryError:
        return ("out of memory", "-", "-", "-")
    rate = rows * shape.length / seconds
    flops = rate * shape.step_flops_per_token(tuning)
    return f"{rate:,.0f}", f"{flops / 1e12:.1f}", f"{flops / peak:.0%}", f"{peak_gib(device):.1f}"


def capacity_table(shape: Shape, base: Path, device: str) -> Table:
    """Rerankers under the caps; a cap that this device does not reach is left out."""
    table = Table(title=f"reranker at {shape.length} tokens under a cap")
    for name in ("cap", "tuning", "most pairs in one pass", "32 queries x 8 in one step", "GiB of that step"):
        table.add_column(name, justify="right")
    total = torch.cuda.get_device_properties(0).total_memory / GIB if device != "cpu" else math.inf
    for card, cap in CAPS.items():
        if total < cap - CONTEXT_GIB:
            table.add_row(f"{cap} GB ({card})", f"this device has {total:.0f} GiB", "-", "-", "-")
            continue
        if device != "cpu":
            torch.cuda.set_per_process_memory_fraction((cap - CONTEXT_GIB) / total)
        for tuning in ("lora", "qlora"):
            most = most_pairs(shape, base, device, tuning)
            done, gib = _recipe_step(shape, base, device, tuning, micro=min(most, 32))
            table.add_row(f"{cap} GB ({card})", tuning, f"{most:,}", "fits" if done else "does not fit", f"{gib:.1f}")
    return table


def most_pairs(shape: Shape, base: Path, device: str, tuning: str, at_most: int = 1024) -> int:
    """Pairs that train in one pass, in multiples of GROUP, by doubling and halving; on a CPU the first multiple."""
    if device == "cpu":
        return GROUP
    fits, fails = 0, at_most + GROUP
    while fails - fits > GROUP:
        tried = min(max(2 * fits, 32), (fits + fails) // 2 // GROUP * GROUP)
        with clean_memory(device):
            done = _steps(shape, base, device, tuning, tried, tried, cached=False)
        fits, fails = (tried, fails) if done else (fits, tried)
    return fits


def _recipe_step(shape: Shape, base: Path, device: str, tuning: str, micro: int) -> tuple[bool, float]:
    """Whether a batch of 32 queries trains with cached gradients, and the memory that it takes."""
    with clean_memory(device):
        done = _steps(shape, base, device, tuning, 32 * GROUP, max(micro, 1), cached=True)
        return done, peak_gib(device)


def _steps(shape: Shape, base: Path, device: str, tuning: str, rows: int, micro: int, cached: bool) -> bool:
    """Two steps: the optimizer's state is there from the second on."""
    try:
        training = Training("reranker", base, device, shape, tuning, rows, micro, cached)
        training.step()
        training.step()
    except torch.OutOfMemoryError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--toy", action="store_true", help="a small size, on any device")
    parser.add_argument("--rows", type=int, default=128, help="sequences of a step")
    parser.add_argument("--micro", type=int, default=32, help="sequences at once")
    arguments = parser.parse_args()
    console, on_gpu = Console(width=110), torch.cuda.is_available()
    if not on_gpu and not arguments.toy:
        parser.error("there is no GPU here; add --toy to see that the script works")
    device, shape = "cuda:0" if on_gpu else "cpu", TOY if arguments.toy else BGE_M3
    rows, micro = (16, 8) if arguments.toy else (arguments.rows, arguments.micro)
    peak = product_flops_per_s(256 if arguments.toy else 8192, device)
    console.print(f"{torch.cuda.get_device_name(0) if on_gpu else 'CPU'}: bf16 product {peak / 1e12:.1f} TFLOP/s")
    with tempfile.TemporaryDirectory() as folder:
        bases = write_bases(shape, Path(folder))
        console.print(speed_table(shape, bases, device, peak, rows, micro))
        console.print(capacity_table(shape, bases["reranker"], device))


if __name__ == "__main__":
    main()
