"""A recipe carried out without the graph: its tables, how long it will train, and the training."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lex_assets.passages.stored import read_corpus
from lex_assets.schemas import LexError
from lex_assets.training.artefact import TrainingResult
from lex_assets.training.config import TrainingConfig
from lex_assets.training.files import TrainingTables, pair_tables, store_tables
from lex_assets.training.recipe import AnyRecipe, DataFiles
from lex_assets.training.sampling import steps_per_pass
from lex_assets.training.tracking import tracked, tracking


def recipe_tables(data: DataFiles) -> TrainingTables:
    """What the recipe trains on. Raises LexError when its files are missing, or not named."""
    if data.store:
        return store_tables(Path(data.store), data.domain)
    if not data.train or not data.valid:
        raise LexError("no training data is named; set data.train and data.valid, or data.store and data.domain")
    corpus = read_corpus(Path(data.corpus)) if data.corpus else None
    return pair_tables(Path(data.train), Path(data.valid), corpus, data.licence)


def planned_steps(queries: int, config: TrainingConfig) -> int:
    """Optimizer steps of a run that does not stop early."""
    per_epoch = steps_per_pass(queries, config) * config.data_multiply
    return int(min(per_epoch * config.epochs, config.max_steps or math.inf))


def train_recipe(recipe: AnyRecipe, tables: TrainingTables, on_step: Callable[[Any], None]) -> TrainingResult:
    """Train as the recipe says and write `recipe.out`; `on_step` gets the reports. Raises LexError as the trainers do."""
    if not recipe.out:
        raise LexError("no folder to write to is named; set out")
    target, settings = Path(recipe.out), recipe.training
    name = f"{recipe.kind}-{target.name}"
    with tracking(settings.tracker, Path(settings.tracker_dir), name, settings.model_dump()) as tracker:
        return trainer(recipe.kind)(
            recipe.base, tables.triplets, tables.queries, tables.qrels, tables.corpus, settings, target, recipe.device,
            tracked(tracker, on_step), trust_remote_code=recipe.trust_remote_code,
        )  # fmt: skip


def trainer(kind: str) -> Callable[..., TrainingResult]:
    """`train_retriever` or `train_reranker`."""
    if kind == "retriever":
        from lex_assets.training.retriever import train_retriever

        return train_retriever
    from lex_assets.training.reranker import train_reranker

    return train_reranker
