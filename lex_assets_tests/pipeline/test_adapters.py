"""What the device profile and the store give to training."""

from __future__ import annotations

import json
import logging
from types import SimpleNamespace
from typing import Any

import pytest

from lex_assets.assets import adapters
from lex_assets.assets.evaluate import seed_folders
from lex_assets.models.devices import PROFILES
from lex_assets.resources.gpu import GpuResource
from lex_assets.schemas import ADAPTERS, LexError
from lex_assets.training.config import RetrieverTrainingConfig
from lex_assets.training.files import TrainingTables
from lex_assets_tests.training.conftest import Toy


class Training:
    """A training process that only notes its job."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.job: Any = None
        monkeypatch.setattr(adapters, "train_in_process", self)

    def __call__(self, context, job, on_report):
        self.job = job
        assert TrainingTables.read(job.tables).hashes() == TrainingTables(**Toy().tables).hashes()
        (job.out / "result.json").write_text("{}")


def trained(tmp_path, gpu: GpuResource, settings: RetrieverTrainingConfig):
    return next(iter(trained_seeds(tmp_path, gpu, settings, 0).values()))


def trained_seeds(tmp_path, gpu: GpuResource, settings: RetrieverTrainingConfig, more: int):
    store = SimpleNamespace(path=tmp_path, stages=tmp_path / "stages", checkpoints=tmp_path / "checkpoints")
    models = SimpleNamespace(retriever="builtin", identities=lambda: {"retriever": "x"}, trust_remote_code=True)
    context = SimpleNamespace(log=logging.getLogger())
    return adapters._trained_seeds(
        "retriever", models, TrainingTables(**Toy().tables), settings, more, store, gpu, context
    )


def test_precision_and_micro_batch_come_from_the_profile_unless_given(tmp_path, monkeypatch) -> None:
    training = Training(monkeypatch)
    trained(tmp_path, GpuResource(profile="h200"), RetrieverTrainingConfig())
    assert (training.job.settings.precision, training.job.settings.micro_batch) == ("bf16", 128)
    trained(tmp_path, GpuResource(profile="h200"), RetrieverTrainingConfig(precision="fp32", micro_batch=8))
    assert (training.job.settings.precision, training.job.settings.micro_batch) == ("fp32", 8)
    trained(tmp_path, GpuResource(profile="cpu"), RetrieverTrainingConfig())
    assert (training.job.settings.precision, training.job.settings.micro_batch) == ("fp32", 32)


def test_checkpoints_lie_where_the_next_run_with_the_same_inputs_finds_them(tmp_path, monkeypatch) -> None:
    training, gpu = Training(monkeypatch), GpuResource(profile="cpu")
    stage = trained(tmp_path, gpu, RetrieverTrainingConfig(checkpoint_steps=7))
    assert training.job.checkpoints == tmp_path / "checkpoints" / f"retriever-{stage.key}"
    assert [path.name for path in stage.path.iterdir()] == ["result.json"]
    assert trained(tmp_path, gpu, RetrieverTrainingConfig(checkpoint_steps=9)).reused


def test_the_job_names_the_devices_and_says_whether_foreign_code_may_run(tmp_path, monkeypatch) -> None:
    training = Training(monkeypatch)
    trained(tmp_path, GpuResource(profile="a100", index=2, count=4), RetrieverTrainingConfig())
    assert (training.job.profile, training.job.index, training.job.count) == (PROFILES["a100"].name, 2, 4)
    assert training.job.trust_remote_code
    assert type(training.job).model_validate_json(json.dumps(training.job.model_dump(mode="json"))) == training.job


def test_whole_models_are_not_for_the_pipeline(tmp_path) -> None:
    with pytest.raises(LexError, match=r"the pipeline registers adapters; set tuning to lora"):
        trained(tmp_path, GpuResource(profile="cpu"), RetrieverTrainingConfig(tuning="full"))


def test_further_seeds_are_trained_as_the_adapter_is(tmp_path, monkeypatch) -> None:
    training = Training(monkeypatch)
    settings, gpu = RetrieverTrainingConfig(seed=5), GpuResource(profile="cpu")
    alone = trained(tmp_path, gpu, settings)
    stages = trained_seeds(tmp_path, gpu, settings, 2)
    assert list(stages) == [5, 6, 7] and stages[5].key == alone.key and stages[5].reused
    assert len({stage.key for stage in stages.values()}) == 3
    assert training.job.settings == settings.model_copy(update={"seed": 7}).on_device("fp32", 32)


def test_seeds_are_compared_as_pairs_and_the_adapter_stands_in_where_one_is_missing(tmp_path) -> None:
    def published(kind: str, *seeds: int) -> dict[str, Any]:
        about = {"domain": "law", "base": "builtin", "weights_hash": "0", "steps": 1, "metric_name": "ndcg@10"}
        rows = [about | {"kind": kind, "seed": seed, "path": f"{kind}/{seed}"} for seed in seeds]
        return {"adapter": ADAPTERS.frame(row | {"base_metric": 0.1, "best_metric": 0.2} for row in rows).lazy()}

    found = {"retriever": published("retriever", 42, 43, 44), "reranker": published("reranker", 42, 43)}
    assert seed_folders(SimpleNamespace(path=tmp_path), found) == {
        "seed2": (tmp_path / "retriever/43", tmp_path / "reranker/43"),
        "seed3": (tmp_path / "retriever/44", tmp_path / "reranker/42"),
    }
