"""The model's folder: what it says of itself, and that it is complete or absent."""

from __future__ import annotations

import json
import resource
import shutil
import xml.etree.ElementTree as ElementTree

import pytest
import torch

from lex_assets.models.weights import Base
from lex_assets.schemas import LexError
from lex_assets.training.artefact import new_folder
from lex_assets.training.backbone import open_retriever
from lex_assets.training.config import RetrieverTrainingConfig
from lex_assets.training.retriever import train_retriever
from lex_assets.training.tuning import tuned
from lex_assets_tests.training.conftest import Toy

SHORT = {"max_steps": 2, "evaluations": 1, "batch_size": 12, "valid_pool": 36, "require_gain": False} | {
    "learning_rate": 1e-3
}


@pytest.fixture(scope="module")
def trained(bi_encoder_folder, tmp_path_factory):
    out, config = tmp_path_factory.mktemp("trained") / "a", RetrieverTrainingConfig(**SHORT)
    train_retriever(str(bi_encoder_folder), **Toy().tables, config=config, out_dir=out)
    return out


@pytest.fixture
def folder(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "a")


def test_the_folder_says_what_it_is_from_in_both_languages(folder) -> None:
    facts = json.loads((folder / "training_config.json").read_text("utf-8"))
    assert facts["base"]["hub_id"] == "" and len(facts["base"]["weights_hash"]) == 64
    assert set(facts["data"]["hashes"]) == {"triplets", "queries", "qrels", "corpus"}
    assert facts["data"]["licences"] and facts["base"]["licence"]
    assert facts["device"] == "cpu" and facts["versions"]["bitsandbytes"]
    card = (folder / "README.md").read_text("utf-8")
    for needed in ("## 한국어", "## English", "법률 자문", "no legal advice", facts["data"]["hash"][:16], "not stated"):
        assert needed in card, needed
    assert f"{facts['result']['best_metric']:.4f}" in card
    for name in ("loss.svg", "validation.svg"):
        ElementTree.parse(folder / name)
        assert name in card
    assert [row["step"] for row in json.loads((folder / "history.json").read_text())] == [0, 1, 2, 2]


def test_a_base_of_the_hub_is_named_by_id_and_revision(bi_encoder_folder) -> None:
    config = RetrieverTrainingConfig(**SHORT).on_device()
    backbone = open_retriever(str(bi_encoder_folder), config, "cpu")
    backbone.is_local, backbone.base = False, Base("bge-m3", "BAAI/bge-m3", "5617a9f61b028005a4858fdac845db406aefb181")
    written = tuned(backbone, config, head=False).peft_config["default"]
    assert (written.base_model_name_or_path, written.revision) == ("BAAI/bge-m3", backbone.base.commit)


@pytest.fixture
def nearly_full_disk():
    """No file may grow beyond 20 kB: what a full disk does to the real writers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save_with_safetensors(path) -> None:
    from safetensors.torch import save_file

    save_file({"weights": torch.zeros(50_000)}, path / "model.safetensors")


def save_plainly(path) -> None:
    (path / "model.safetensors").write_bytes(bytes(200_000))


@pytest.mark.parametrize("save", [save_with_safetensors, save_plainly])
def test_a_full_disk_leaves_the_old_folder_and_nothing_beside_it(folder, nearly_full_disk, save) -> None:
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with (
        pytest.raises(LexError, match=r"cannot write the model.*free space or choose another folder"),
        new_folder(folder) as staging,
    ):
        save(staging)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_a_run_that_cannot_write_its_checkpoint_says_so(toy, bi_encoder_folder, tmp_path, nearly_full_disk) -> None:
    config = RetrieverTrainingConfig(**SHORT, checkpoint_steps=1)
    with pytest.raises(LexError, match=r"cannot write a checkpoint.*set checkpoint_steps to 0"):
        train_retriever(str(bi_encoder_folder), **toy.tables, config=config, out_dir=tmp_path / "a")
    assert not (tmp_path / "a").exists()
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
