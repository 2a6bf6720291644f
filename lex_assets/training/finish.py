"""What both trainings do at their ends: a first-stage search when none was given, and the finished folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lex_assets.retrieval.types import LexicalSearch
from lex_assets.schemas import content_hash
from lex_assets.training.artefact import TrainingResult, require_own_folder, training_facts, write_model
from lex_assets.training.backbone import Backbone
from lex_assets.training.checkpoint import Checkpoints
from lex_assets.training.config import TrainingConfig
from lex_assets.training.data import TrainingData
from lex_assets.training.loop import Fit, OnStep, Task, fit
from lex_assets.training.processes import Processes
from lex_assets.training.tuning import save_tuned, tuned

RERANKER = "reranker"


def lexical_over(data: TrainingData) -> LexicalSearch:
    """A lexical index over the corpus."""
    from lex_assets.retrieval.lexical import LexicalIndex

    return LexicalIndex.build(list(data.passages), list(data.passages.values()))


@dataclass(frozen=True)
class Destination:
    """Folders of the finished model and of the checkpoints on the way to it."""

    model: Path
    checkpoints: Path

    @classmethod
    def of(cls, out_dir: Path | str, checkpoint_dir: Path | str | None) -> Destination:
        """Checkpoints lie beside the model unless told otherwise."""
        model = Path(out_dir)
        return cls(model, Path(checkpoint_dir) if checkpoint_dir else model.with_name(f"{model.name}.checkpoints"))


def train_and_finish(
    kind: str,
    backbone: Backbone,
    task: Task,
    data: TrainingData,
    config: TrainingConfig,
    destination: Destination,
    on_step: OnStep | None,
) -> TrainingResult:
    """Train, or go on training, and write the folder; the checkpoints go when it is there."""
    require_own_folder(destination.model)
    model = tuned(backbone, config, head=kind == RERANKER)
    identity = content_hash(kind, data.data_hash, backbone.base.hash, repr(sorted(config.decisive().items())))
    checkpoints = Checkpoints(destination.checkpoints, config.checkpoint_steps, config.keep_checkpoints, identity)
    run = fit(model, task, config, on_step, checkpoints)
    result = _finish(destination.model, kind, model, backbone, task.metric_name, data, config, run)
    if Processes.current().first:
        checkpoints.remove()
    return result


def _finish(
    target: Path,
    kind: str,
    model: Any,
    backbone: Backbone,
    metric_name: str,
    data: TrainingData,
    config: TrainingConfig,
    run: Fit,
) -> TrainingResult:
    course = run.course
    outcome: dict[str, Any] = {
        "steps": run.steps,
        "best_step": run.best_step,
        "chance": course.chance,
        "initial_loss": course.initial_loss,
        "final_loss": course.final_loss,
        "metric_name": metric_name,
        "base_metric": course.base_metric,
        "best_metric": course.best_metric,
        "pattern": course.pattern,
    }
    counts = {
        "hash": data.data_hash,
        "hashes": data.hashes,
        "licences": data.licences,
        "queries": len(data.texts),
        "negatives": sum(map(len, data.negatives.values())),
        "passages": len(data.passages),
        "valid_queries": len(data.valid.query_ids),
    }
    settings = backbone.settings | {"seed": config.seed, "config": config.model_dump()}
    facts = training_facts(kind, _base(backbone), settings, counts, outcome, backbone.device_name)
    if Processes.current().first:
        write_model(target, lambda folder: save_tuned(model, backbone, config, folder), facts, run.history)
    return TrainingResult(target, run.history, data_hash=data.data_hash, seconds=run.seconds, **outcome)


def _base(backbone: Backbone) -> dict[str, str]:
    """The frozen weights by name and content; loading an adapter compares `weights_hash`."""
    base = backbone.base
    return {
        "name": base.name,
        "hub_id": "" if backbone.is_local else base.source,
        "revision": base.commit or "",
        "weights_hash": base.hash,
        "licence": backbone.licence or "not stated",
    }
