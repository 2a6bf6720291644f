"""The training loop that both trainings share: steps, schedule, validation, early stopping, best checkpoint, resuming."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from lex_assets.schemas import LexError
from lex_assets.training.checkpoint import Checkpoint, Checkpoints
from lex_assets.training.config import TrainingConfig
from lex_assets.training.pace import Pace
from lex_assets.training.processes import Processes
from lex_assets.training.sampling import epoch_batches, steps_per_pass
from lex_assets.training.step import MicroBatches, StepBatch, backward
from lex_assets.training.tuning import GradientCheck, modules_in_training
from lex_assets.training.verdict import Course, TrainingError

log = logging.getLogger(__name__)


TIMES = ("examples_per_s", "elapsed_s", "eta_s")
"""What a report says of the clock; a run's history, which the same inputs give again, leaves it out."""


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
    examples_per_s: float
    elapsed_s: float
    eta_s: float

    @property
    def line(self) -> str:
        """One line for a log."""
        parts = [f"step {self.step}/{self.total_steps} ({self.step / self.total_steps:.0%})"]
        if self.loss is not None:
            parts.append(f"loss {self.loss:.4f} (chance {self.chance:.2f})")
            parts.append(f"lr {self.learning_rate:.1e} · {self.examples_per_s:.3g} examples/s")
        if self.metric is not None:
            parts.append(f"{self.metric_name} {self.metric:.4f}")
        left = f"남은 시간 · ETA {timedelta(seconds=round(self.eta_s))}" if self.step else "시작 · started"
        return " · ".join([*parts, left])


OnStep = Callable[[StepReport], bool | None]
"""Called with every report by the process that reports. What it returns true for ends the run, with a checkpoint."""


class StoppedError(LexError):
    """A run that was asked to stop; the same run goes on from its checkpoint."""


class Task(Protocol):
    """What is trained: a retriever or a reranker."""

    metric_name: str

    @property
    def query_ids(self) -> Sequence[str]:
        """Training queries."""

    @property
    def micro_batches(self) -> MicroBatches:
        """How much goes through the model at once."""

    def batch(self, query_ids: Sequence[str], epoch: int) -> StepBatch:
        """The rows and loss of a batch; a pure function of its arguments and the seed."""

    def forward(self, rows: Sequence[Any]) -> Tensor:
        """Outputs of `rows`: embeddings (n, d) or logits (n,), fp32."""

    def validate(self) -> float:
        """The validation metric; higher is better."""


@dataclass
class Fit:
    """What a run has done so far. `history` holds one row per step and per validation pass, without times.

    stale: validation passes since the best one · micro_tokens, cached: of the micro-batches, as running out of memory left them.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    steps: int = 0
    best_step: int = 0
    best_metric: float = -math.inf
    stale: int = 0
    micro_tokens: int = 0
    cached: bool = False
    seconds: float = 0.0

    @property
    def course(self) -> Course:
        """How it went, once it is complete."""
        return Course.of(self.history)


def fit(
    model: nn.Module,
    task: Task,
    config: TrainingConfig,
    on_step: OnStep | None = None,
    checkpoints: Checkpoints | None = None,
) -> Fit:
    """Train the trainable parameters of `model` on `task` and leave the best validated ones in it.

    With `checkpoints`, goes on from the newest one; the outcome is that of a run without interruption. Raises
    TrainingError for a run that does not learn, StoppedError for one that `on_step` ended, LexError when a single sequence
    does not fit into memory.
    """
    run = _Run(model, task, config, on_step or (lambda report: None), checkpoints)
    try:
        with _own_random_state():
            run.train()
    except torch.OutOfMemoryError as error:
        raise LexError(
            f"training: the optimizer's state does not fit into memory ({str(error).splitlines()[0]}); set tuning to lora"
        ) from error
    except TrainingError as error:
        kept = checkpoints.latest_path() if checkpoints else None
        raise TrainingError(f"{error} (last good checkpoint: {kept})" if kept else str(error)) from error
    return run.result


@contextmanager
def _own_random_state() -> Iterator[None]:
    with torch.random.fork_rng(devices=_cuda_devices()):
        yield


def _cuda_devices() -> list[int]:
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []


class _Run:
    def __init__(
        self, model: nn.Module, task: Task, config: TrainingConfig, on_step: OnStep, checkpoints: Checkpoints | None
    ) -> None:
        self.model, self.task, self.config, self.on_step, self.checkpoints = model, task, config, on_step, checkpoints
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.batches = lru_cache(maxsize=1)(
            lambda number: epoch_batches(task.query_ids, config.batch_size, config.seed, number)
        )
        self.per_pass = steps_per_pass(len(task.query_ids), config)
        self.per_epoch = self.per_pass * config.data_multiply
        self.total = int(min(self.per_epoch * config.epochs, config.max_steps or math.inf))
        self.due = {round(self.total * n / config.evaluations) for n in range(1, config.evaluations + 1)}
        self.optimizer = torch.optim.AdamW(_decayed(self.trained.values(), config.weight_decay))
        self.gradients = GradientCheck(model)
        self.modules = modules_in_training(model)
        self.processes = Processes.current()
        self.result = Fit()
        self.best: dict[str, Tensor] = {}
        self.pace, self.stop = Pace(), False

    def train(self) -> None:
        self.model.eval()
        if not self._resume():
            self._validate(0)
        for step in range(self.result.steps + 1, self.total + 1):
            self._step(step)
            if step in self.due and self._stops_after_validation(step):
                break
            self._keep(step)
        self._load(self.best)
        self.model.eval()
        self.result.course.require_learning(self.task.metric_name, self.config.require_gain)
        self.result.seconds = self.pace.elapsed_s

    def _keep(self, step: int) -> None:
        """Write the checkpoint that is due. Raises StoppedError, with a checkpoint of this step, when that was asked for."""
        stop = self.processes.any(self.stop)
        if self.checkpoints and self.checkpoints.every and (stop or self.checkpoints.due(step)):
            self._save(step)
        if stop:
            kept = self.checkpoints and self.checkpoints.latest_path()
            error = StoppedError(
                f"training: stopped after step {step}; run it again to go on from {kept or 'the start'}"
            )
            if self.processes.first:
                log.warning("%s", error)
            raise error

    def _step(self, step: int) -> None:
        started = time.monotonic()
        for module in self.modules:
            module.train()
        number, batches = self._plan(step)
        loss, chance = self.task.micro_batches.fitting(lambda: self._gradients(step, number, batches))
        norm = float(torch.nn.utils.clip_grad_norm_(list(self.trained.values()), self.config.max_grad_norm))
        self._check(step, loss, chance, norm)
        self.gradients.after_backward(loss)
        rate = self.config.learning_rate * self._rate(step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.result.steps = step
        self.pace.stepped(sum(map(len, batches)), time.monotonic() - started)
        self._report(step, loss=loss, chance=chance, learning_rate=rate, gradient_norm=norm)

    def _plan(self, step: int) -> tuple[int, list[list[str]]]:
        """Number of the pass over the queries, and the step's batches."""
        number, place = divmod(step - 1, self.per_pass)
        return number, self.batches(number)[place :: self.per_pass]

    def _gradients(self, step: int, number: int, batches: list[list[str]]) -> tuple[float, float]:
        """(loss, chance), means over the step's batches, whose mean gradient the parameters then hold."""
        self.optimizer.zero_grad(set_to_none=True)
        losses, chances = [], []
        for place, query_ids in enumerate(batches):
            batch = self.task.batch(query_ids, number).share(len(batches))
            seed = f"{self.config.seed}/{step}/{place}"
            losses.append(float(backward(self.task.forward, batch, self.task.micro_batches, seed)))
            chances.append(batch.chance)
        self.processes.add_gradients(self.trained.values())
        return sum(losses), sum(chances)

    def _check(self, step: int, loss: float, chance: float, norm: float) -> None:
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise TrainingError(
                f"training: NaN in step {step} (loss {loss}, gradient norm {norm}); lower learning_rate or use fp32"
            )
        if step == 1:
            log.info("first loss %.4f, chance %.4f", loss, chance)
        if not chance:
            raise LexError(
                f"training: no candidate is left beside the positives in step {step}; raise batch_size or "
                "negatives_per_query"
            )

    def _rate(self, step: int) -> float:
        """Linear warm-up from a rate above zero (a first step at zero would teach nothing), then linear decay."""
        warmup, done = math.ceil(self.config.warmup_share * self.total), step - 1
        return step / (warmup + 1) if done < warmup else (self.total - done) / max(self.total - warmup, 1)

    def _validate(self, step: int) -> float:
        started = time.monotonic()
        self.model.eval()
        with torch.inference_mode():
            metric = self.task.validate()
        self.pace.validated(time.monotonic() - started)
        self._report(step, metric=metric)
        return metric

    def _stops_after_validation(self, step: int) -> bool:
        metric, result = self._validate(step), self.result
        if metric > result.best_metric:
            result.best_metric, result.best_step, result.stale = metric, step, 0
            self.best = self._weights()
            return False
        result.stale += 1
        return bool(self.config.patience) and result.stale >= self.config.patience

    def _weights(self) -> dict[str, Tensor]:
        return {name: p.detach().to("cpu", copy=True) for name, p in self.trained.items()}

    @torch.no_grad()
    def _load(self, weights: Any) -> None:
        for name, parameter in self.trained.items():
            parameter.copy_(weights[name])

    def _save(self, step: int) -> None:
        if not (self.checkpoints and self.processes.first):
            return
        micro = self.task.micro_batches
        self.result.micro_tokens, self.result.cached = micro.tokens, micro.cached
        random = [torch.get_rng_state(), *(torch.cuda.get_rng_state(n) for n in _cuda_devices())]
        moment = Checkpoint(self._weights(), self.best, self.optimizer.state_dict(), random, asdict(self.result))
        self.checkpoints.save(step, moment)

    def _resume(self) -> bool:
        saved = self.checkpoints.latest() if self.checkpoints else None
        if saved is None:
            return False
        self._load(saved.weights)
        self.best = dict(saved.best)
        self.optimizer.load_state_dict(saved.optimizer)
        torch.set_rng_state(saved.random[0])
        for device, state in zip(_cuda_devices(), saved.random[1:], strict=False):
            torch.cuda.set_rng_state(state, device)
        self.result = Fit(**saved.progress)
        self.gradients.skip(self.result.steps)
        micro = self.task.micro_batches
        micro.tokens, micro.cached = self.result.micro_tokens, self.result.cached
        log.info("going on from step %d", self.result.steps)
        return True

    def _report(self, step: int, **values: float) -> None:
        left = sum(1 for validation in self.due if validation > step)
        report = StepReport(
            step=step,
            total_steps=self.total,
            epoch=max(step - 1, 0) // self.per_epoch,
            loss=values.get("loss"),
            chance=values.get("chance"),
            learning_rate=values.get("learning_rate", 0.0),
            gradient_norm=values.get("gradient_norm"),
            metric=values.get("metric"),
            metric_name=self.task.metric_name,
            examples_per_s=self.pace.examples_per_s,
            elapsed_s=self.pace.elapsed_s,
            eta_s=self.pace.left_s(self.total - step, left),
        )
        self.result.history.append({name: v for name, v in asdict(report).items() if name not in TIMES})
        if self.processes.first:
            self.stop |= bool(self.on_step(report))


def _decayed(parameters: Iterable[Tensor], weight_decay: float) -> list[dict[str, Any]]:
    """Optimizer groups: matrices decay; biases and norms, which have no direction to lose, do not."""
    groups: dict[bool, list[Tensor]] = {True: [], False: []}
    for parameter in parameters:
        groups[parameter.ndim > 1].append(parameter)
    return [{"params": found, "weight_decay": weight_decay * matrix} for matrix, found in groups.items()]
