"""Devices and memory of dense search reach whatever evaluates: the answers stay, and no more is looked at once than asked for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from lex_assets.assets.ablation import AblationRun
from lex_assets.assets.evaluate import EvaluationRun
from lex_assets.assets.mining import MiningRun
from lex_assets.assets.questions import SyntheticRun
from lex_assets.evaluation.ablation import AblationConfig, ablate
from lex_assets.evaluation.base_and_model import base_and_model
from lex_assets.evaluation.costs import measure
from lex_assets.evaluation.grid import Point, Rankings
from lex_assets.evaluation.guards import domain_guards, score_guards
from lex_assets.evaluation.question_sets import human_questions
from lex_assets.evaluation.systems import Stack, SystemsConfig, rank_systems
from lex_assets.retrieval import shards
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.retrieval.search import Searcher
from lex_assets_tests.commands import done, refused
from lex_assets_tests.evaluation import made_up
from lex_assets_tests.evaluation.stand_ins import WordEncoder, WordReranker

SMALL = DenseConfig(memory_mib=1)
COPIES = 6


def corpus() -> pl.DataFrame:
    """More passages than one MiB is enough for."""
    one = made_up.corpus()
    copies = [one.with_columns(pl.col("passage_id", "parent_id") + f"#{n}") for n in range(1, COPIES)]
    return pl.concat([one, *copies])


PASSAGES = corpus()
ASKED, QRELS = made_up.queries(120)
POINTS = [Point("own", "minmax", 1.0, 40, 0)]


def quiet(stage: str, done: int, total: int) -> None:
    assert done <= total


def systems(dense: DenseConfig) -> Any:
    stack = Stack("base", WordEncoder(), WordReranker())
    return rank_systems(ASKED, QRELS, PASSAGES, [stack], SystemsConfig(valid_queries=4), dense_config=dense).runs


def guards(dense: DenseConfig) -> Any:
    found = domain_guards("finance", ASKED, QRELS, PASSAGES, 20, len(PASSAGES))
    return score_guards(found, [("base", WordEncoder(), WordReranker())], dense_config=dense)


def model(dense: DenseConfig) -> Any:
    test = next(human_questions(ASKED, QRELS, PASSAGES, "law"))
    return base_and_model(test, WordEncoder(), WordEncoder(deaf=0.9), dense_config=dense).scores


def pairs(dense: DenseConfig) -> Any:
    sets = list(human_questions(ASKED, QRELS, PASSAGES, "law", (), "valid"))
    return ablate(
        sets, AblationConfig(), lambda *names: (WordEncoder(), WordReranker()), quiet, dense_config=dense
    ).quality


def grid(dense: DenseConfig) -> Any:
    valid = next(human_questions(ASKED, QRELS, PASSAGES, "law", (), "valid"))
    rankings = Rankings(valid, POINTS, lambda prefix: WordEncoder(), dense_config=dense)
    rankings.find(quiet)
    return rankings.run(POINTS[0])


def costs(dense: DenseConfig) -> Any:
    row = measure("base", WordEncoder(), WordReranker(), ASKED.head(3), PASSAGES, 5, dense_config=dense)
    return row.select("system", "parameters")


def search(dense: DenseConfig) -> Any:
    return Searcher(PASSAGES, WordEncoder(), dense_config=dense).search(ASKED.head(9), "hybrid")


@pytest.fixture
def rows_at_once(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Rows of every block that a device was given."""
    seen: list[int] = []
    made = shards.Block.of

    def counted(vectors: np.ndarray, *rest: Any) -> shards.Block:
        seen.append(len(vectors))
        return made(vectors, *rest)

    monkeypatch.setattr(shards.Block, "of", counted)
    return seen


@pytest.mark.parametrize("evaluate", [systems, guards, model, pairs, grid, costs, search])
def test_less_memory_looks_at_less_at_once_and_answers_the_same(
    evaluate: Callable[[DenseConfig], pl.DataFrame], rows_at_once: list[int]
) -> None:
    usual = evaluate(DenseConfig())
    assert max(rows_at_once) == len(PASSAGES)
    rows_at_once.clear()
    assert evaluate(SMALL).equals(usual)
    assert max(rows_at_once) < len(PASSAGES) <= sum(rows_at_once)


def test_every_stage_that_searches_has_the_same_settings() -> None:
    for run in (MiningRun, EvaluationRun, AblationRun, SyntheticRun):
        given = {name: run.model_fields[name].default for name in DenseConfig.model_fields}
        assert given == DenseConfig().model_dump() | {"devices": ["cpu"]}


def test_the_commands_take_them(tmp_path: Path, rows_at_once: list[int]) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    PASSAGES.select(id="passage_id", text=pl.col("text").str.head(20)).write_ndjson(folder / "corpus.jsonl")
    ASKED.head(4).select(id="query_id", text="text").write_ndjson(folder / "queries.jsonl")
    command = ["search", "--corpus", folder / "corpus.jsonl", "--queries", folder / "queries.jsonl", "--mode", "dense"]
    done(*command, "--out", tmp_path / "usual.trec", "--cache", tmp_path / "cache")
    assert set(rows_at_once) == {len(PASSAGES)}
    rows_at_once.clear()
    small = ("--cache", tmp_path / "cache", "--memory-mib", "1")
    done(*command, "--out", tmp_path / "small.trec", *small, "--dense-devices", "cpu,cpu")
    assert max(rows_at_once) <= len(PASSAGES) // 2
    assert (tmp_path / "small.trec").read_bytes() == (tmp_path / "usual.trec").read_bytes()
    assert "devices" in refused(*command, "--out", tmp_path / "x", "--dense-devices", "")
