"""What both trainings do at their ends: a first-stage search when none was given, and the finished folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lex_assets.retrieval.types import LexicalSearch
from lex_assets.training.artefact import TrainingResult, training_facts, write_adapter
from lex_assets.training.backbone import Backbone
from lex_assets.training.config import TrainingConfig
from lex_assets.training.data import TrainingData
from lex_assets.training.loop import Fit


def lexical_over(data: TrainingData) -> LexicalSearch:
    """A lexical index over the corpus."""
    from lex_assets.retrieval.lexical import LexicalIndex

    return LexicalIndex.build(list(data.passages), list(data.passages.values()))


def finish(
    target: Path,
    kind: str,
    adapter: Any,
    backbone: Backbone,
    data: TrainingData,
    config: TrainingConfig,
    metric_name: str,
    run: Fit,
) -> TrainingResult:
    """Write the folder and say how the run went."""
    outcome: dict[str, Any] = {
        "steps": run.steps,
        "best_step": run.best_step,
        "chance": run.chance,
        "initial_loss": run.initial_loss,
        "final_loss": run.final_loss,
        "metric_name": metric_name,
        "base_metric": run.base_metric,
        "best_metric": run.best_metric,
        "pattern": run.pattern,
    }
    counts = {
        "hash": data.data_hash,
        "queries": len(data.texts),
        "negatives": sum(map(len, data.negatives.values())),
        "passages": len(data.passages),
        "valid_queries": len(data.valid.query_ids),
    }
    settings = backbone.settings | {"seed": config.seed, "config": config.model_dump()}
    facts = training_facts(kind, _base(backbone), settings, counts, outcome)
    write_adapter(target, adapter, facts, run.history)
    return TrainingResult(target, run.history, data_hash=data.data_hash, seconds=run.seconds, **outcome)


def _base(backbone: Backbone) -> dict[str, str]:
    """The frozen weights by name and content; loading an adapter compares `weights_hash`."""
    base = backbone.base
    licence = backbone.licence or "see the base"
    return {"name": base.name, "revision": base.commit or "", "weights_hash": base.hash, "licence": licence}
