from __future__ import annotations

import re

import pytest

from lex_assets.assets.declare import core_settings, run_config
from lex_assets.models.devices import PROFILES
from lex_assets.schemas import LexError
from lex_assets.training.config import RerankerTrainingConfig, RetrieverTrainingConfig

CONFIGS = [RetrieverTrainingConfig, RerankerTrainingConfig]


@pytest.mark.parametrize("config", CONFIGS)
def test_every_setting_is_described_in_both_languages(config) -> None:
    for name, field in config.model_fields.items():
        assert re.match(r"[^.]*[가-힣][^.]*\. .*[a-z]", field.description or ""), name


@pytest.mark.parametrize("config", CONFIGS)
def test_dagster_s_run_config_is_the_same_schema(config) -> None:
    run = run_config(config)()
    assert core_settings(run, config) == config()


def test_a_wrong_value_is_refused_by_name() -> None:
    run = run_config(RetrieverTrainingConfig)
    with pytest.raises(LexError, match="one weight for each of matryoshka_dims"):
        core_settings(run(matryoshka_dims=[64, 32], matryoshka_weights=[1.0]), RetrieverTrainingConfig)
    with pytest.raises(LexError, match="tuning"):
        core_settings(run(tuning="qlora"), RetrieverTrainingConfig)


def test_the_device_fills_what_is_left_open_and_nothing_else() -> None:
    assert (PROFILES["h200"].precision, PROFILES["cpu"].precision) == ("bf16", "fp32")
    open_config = RetrieverTrainingConfig().on_device("bf16", 128)
    assert (open_config.precision, open_config.micro_batch) == ("bf16", 128)
    given = RetrieverTrainingConfig(precision="fp32", micro_batch=4).on_device("bf16", 128)
    assert (given.precision, given.micro_batch) == ("fp32", 4)
    assert open_config.on_device() == open_config


def test_checkpoints_do_not_decide_what_is_learnt() -> None:
    often = RerankerTrainingConfig(checkpoint_steps=1, keep_checkpoints=9)
    assert often.decisive() == RerankerTrainingConfig().decisive() != RerankerTrainingConfig(seed=1).decisive()
