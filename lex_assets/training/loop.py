"""The training loop that both trainings share: steps, schedule, validation, early stopping, best checkpoint kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lex_assets.schemas import LexError
from lex_assets.training.config import TrainingConfig
from lex_assets.training.lora import GradientCheck
from lex_assets.training.sampling import epoch_batches

MIN_STEPS_TO_JUDGE = 10
"""A shorter run cannot be told from noise around chance, so that it is not called without convergence."""


class TrainingError(LexError):
    """A run that did not learn; the message names the pattern."""


@dataclass(frozen=True)
class StepReport:
    """Where training stands; `metric` is set after a validation pass (step 0 is the base model)."""

    step: int
    total_steps: int
    epoch: int
    loss: float | None
    chance: float | None
    learning_rate: float
    gradient_norm: float | None
    metric: float | None
    metric_name: str
    elapsed_s: float
    eta_s: float

    @property
    def line(self) -> str:
        """One line for a log."""
        loss = "" if self.loss is None else f" loss {self.loss:.4f} (chance {self.chance:.2f})"
        metric = "" if self.metric is None else f" {self.metric_name} {self.metric:.4f}"
        return f"step {self.step}/{self.total_steps}{loss}{metric} · ETA {self.eta_s:.0f} s"


OnStep = Callable[[StepReport], None]


@dataclass(frozen=True)
class StepBatch:
    """One optimizer step: rows for the model with their lengths, and the loss over their outputs in row order."""

    rows: Sequence[Any]
    lengths: Sequence[int]
    loss: Callable[[Tensor], Tensor]
    chance: float


class Task(Protocol):
    """What is trained: a retriever or a reranker."""

    metric_name: str

    @property
    def query_ids(self) -> Sequence[str]:
        """Training queries."""

    def batch(self, query_ids: Sequence[str], epoch: int) -> StepBatch:
        """The step's rows and loss; a pure function of its arguments and the seed."""

    def forward(self, rows: Sequence[Any]) -> Tensor:
        """Outputs of `rows`: embeddings (n, d) or logits (n,), fp32."""

    def validate(self) -> float:
        """The validation metric; higher is better."""


@dataclass
class Fit:
    """What a run did. `history` holds one row per step and per validation pass, without times."""

    history: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    best_step: int = 0
    base_metric: float = 0.0
    best_metric: float = -math.inf
    initial_loss: float = math.nan
    final_loss: float = math.nan
    chance: float = math.nan
    pattern: str = ""
    seconds: float = 0.0


def fit(model: nn.Module, task: Task, config: TrainingConfig, on_step: OnStep | None = None) -> Fit:
    """Train the trainable parameters of `model` on `task` and leave the best validated ones in it.

    Raises TrainingError on NaN, and when the loss stays at chance while validation does not improve.
    """
    run = _Run(model, task, config, on_step or (lambda report: None))
    with _own_random_state():
        run.train()
    return run.result


@contextmanager
def _own_random_state() -> Iterator[None]:
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        yield


class _Run:
    def __init__(self, model: nn.Module, task: Task, config: TrainingConfig, on_step: OnStep) -> None:
        self.model, self.task, self.config, self.on_step = model, task, config, on_step
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.per_epoch = len(epoch_batches(task.query_ids, config.batch_size, config.seed, 0))
        self.total = min(self.per_epoch * config.epochs, config.max_steps or math.inf)
        self.optimizer = torch.optim.AdamW(self.parameters, lr=config.learning_rate, weight_decay=config.weight_decay)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, self._rate)
        self.gradients = GradientCheck(model)
        names = ("lora_dropout", "modules_to_save")
        self.adapter_modules = [m for name, m in model.named_modules() if any(part in name for part in names)]
        self.result = Fit()
        self.best: list[Tensor] = []
        self.since_best = 0
        self.started = time.monotonic()

    def _rate(self, step: int) -> float:
        """Linear warm-up from a rate above zero (a first step at zero would teach nothing), then linear decay."""
        warmup = math.ceil(self.config.warmup_share * self.total)
        return (step + 1) / (warmup + 1) if step < warmup else (self.total - step) / max(self.total - warmup, 1)

    def train(self) -> None:
        self.model.eval()
        self.result.base_metric = self._validate(0)
        due = {round(self.total * n / self.config.evaluations) for n in range(1, self.config.evaluations + 1)}
        for step, (epoch, query_ids) in enumerate(self._plan(), 1):
            self._step(step, epoch, query_ids)
            if step in due and self._stops_after_validation(step):
                break
        self._restore_best()
        self._judge()
        self.result.seconds = time.monotonic() - self.started

    def _plan(self) -> Iterator[tuple[int, list[str]]]:
        for step in range(int(self.total)):
            epoch, place = divmod(step, self.per_epoch)
            if place == 0:
                batches = epoch_batches(self.task.query_ids, self.config.batch_size, self.config.seed, epoch)
            yield epoch, batches[place]

    def _step(self, step: int, epoch: int, query_ids: list[str]) -> None:
        for module in self.adapter_modules:  # the frozen base keeps to eval mode: its dropout would only add noise
            module.train()
        batch = self.task.batch(query_ids, epoch)
        rate = self.optimizer.param_groups[0]["lr"]
        loss = backward(self.task.forward, batch, self.config, step)
        self.gradients.after_backward(loss)
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, self.config.max_grad_norm))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"training: NaN in step {step} (loss {loss}, gradient norm {norm}); lower learning_rate or use fp32"
            )
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.result.steps = step
        self._report(step, epoch, loss=loss, chance=batch.chance, learning_rate=rate, gradient_norm=norm)

    def _validate(self, step: int) -> float:
        self.model.eval()
        with torch.inference_mode():
            metric = self.task.validate()
        self._report(step, step // self.per_epoch, metric=metric)
        return metric

    def _stops_after_validation(self, step: int) -> bool:
        metric = self._validate(step)
        if metric > self.result.best_metric:
            self.result.best_metric, self.result.best_step, self.since_best = metric, step, 0
            self.best = [p.detach().clone() for p in self.parameters]
            return False
        self.since_best += 1
        return bool(self.config.patience) and self.since_best >= self.config.patience

    @torch.no_grad()
    def _restore_best(self) -> None:
        for parameter, value in zip(self.parameters, self.best, strict=True):
            parameter.copy_(value)
        self.model.eval()

    def _judge(self) -> None:
        """Name the pattern of the run; a run at chance level is an error."""
        result = self.result
        steps = [row for row in result.history if row["loss"] is not None]
        tail = steps[-max(1, len(steps) // 5) :]
        result.initial_loss, result.chance = steps[0]["loss"], _mean(row["chance"] for row in steps)
        result.final_loss = _mean(row["loss"] for row in tail)
        improved = result.best_metric > result.base_metric
        last = [row["metric"] for row in result.history if row["metric"] is not None][-1]
        judged = result.steps >= MIN_STEPS_TO_JUDGE
        if judged and not improved and result.final_loss >= 0.99 * _mean(row["chance"] for row in tail):
            raise TrainingError(
                f"training: no convergence: loss {result.final_loss:.3f} is at chance ({result.chance:.3f}) and "
                f"{self.task.metric_name} did not rise above {result.base_metric:.4f}; raise learning_rate or max_steps"
            )
        overfit = last < 0.95 * result.best_metric
        result.pattern = "overfit" if improved and overfit else "converged" if improved else "loss_only"

    def _report(self, step: int, epoch: int, **values: float) -> None:
        elapsed = time.monotonic() - self.started
        report = StepReport(
            step=step,
            total_steps=int(self.total),
            epoch=epoch,
            loss=values.get("loss"),
            chance=values.get("chance"),
            learning_rate=values.get("learning_rate", 0.0),
            gradient_norm=values.get("gradient_norm"),
            metric=values.get("metric"),
            metric_name=self.task.metric_name,
            elapsed_s=elapsed,
            eta_s=elapsed / step * (self.total - step) if step else 0.0,
        )
        row = {name: value for name, value in asdict(report).items() if name not in ("elapsed_s", "eta_s")}
        self.result.history.append(row)
        self.on_step(report)


def _mean(values: Any) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)


def backward(forward: Callable[[Sequence[Any]], Tensor], batch: StepBatch, config: TrainingConfig, step: int) -> float:
    """Accumulate the gradients of one step, in micro-batches sorted by length; returns the loss.

    With cached gradients (Gao et al. 2021, GradCache) outputs are computed without a graph, the loss gives their
    gradients, and each micro-batch is run again with a graph: memory is that of one micro-batch, the result the same.
    Dropout is seeded per micro-batch, so both passes see the same masks.
    """
    order = sorted(range(len(batch.rows)), key=lambda row: (batch.lengths[row], row))
    parts = [order[at : at + config.micro_batch] for at in range(0, len(order), config.micro_batch)]
    back = torch.tensor(order).argsort()

    def outputs(number: int) -> Tensor:
        torch.manual_seed((config.seed * 1_000_003 + step) * 1_009 + number)
        return forward([batch.rows[row] for row in parts[number]])

    if not config.cached_gradients or len(parts) == 1:
        loss = batch.loss(torch.cat([outputs(number) for number in range(len(parts))])[back])
        loss.backward()
        return loss.item()
    with torch.no_grad():
        cache = torch.cat([outputs(number) for number in range(len(parts))])
    cache.requires_grad_()
    loss = batch.loss(cache[back])
    loss.backward()
    assert cache.grad is not None
    for number, gradient in enumerate(cache.grad.split([len(part) for part in parts])):
        outputs(number).backward(gradient)
    return loss.item()
