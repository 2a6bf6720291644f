"""The adapter store: content addresses, damage, and folders that are no adapters."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lex_assets.registry.adapters import AdapterStore, folder_hash
from lex_assets.schemas import LexError


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    folder = tmp_path / "trained"
    folder.mkdir()
    (folder / "adapter_config.json").write_text("{}")
    (folder / "adapter_model.safetensors").write_bytes(b"weights")
    return folder


@pytest.mark.smoke
def test_what_is_added_comes_back_and_is_kept_once(tmp_path: Path, adapter: Path) -> None:
    store = AdapterStore(tmp_path / "store")
    record = store.add(adapter, "retriever", "law", "builtin", {"seed": 13})
    assert record.content_hash == folder_hash(adapter) and record.meta == {"seed": 13} and record.size_bytes == 9
    assert (store.path(record.adapter_id) / "adapter_model.safetensors").read_bytes() == b"weights"
    shutil.copytree(adapter, tmp_path / "copy")
    assert store.add(tmp_path / "copy", "retriever", "law", "builtin") == record
    assert store.list() == [record] and not list((tmp_path / "store").glob(".*"))


def test_any_changed_byte_or_name_is_another_adapter(tmp_path: Path, adapter: Path) -> None:
    store = AdapterStore(tmp_path / "store")
    first = store.add(adapter, "retriever", "law", "builtin")
    (adapter / "adapter_model.safetensors").write_bytes(b"weightz")
    second = store.add(adapter, "retriever", "law", "builtin")
    (adapter / "adapter_model.safetensors").rename(adapter / "model.safetensors")
    third = store.add(adapter, "retriever", "law", "builtin")
    assert len({first.adapter_id, second.adapter_id, third.adapter_id}) == 3


def test_damage_in_the_store_is_noticed(tmp_path: Path, adapter: Path) -> None:
    store = AdapterStore(tmp_path / "store")
    record = store.add(adapter, "reranker", "law", "builtin")
    (store.path(record.adapter_id) / "adapter_model.safetensors").write_bytes(b"")
    with pytest.raises(LexError, match="changed since it was stored"):
        store.path(record.adapter_id)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "adapter_config.json").unlink(), "adapter_config.json is missing"),
        (lambda folder: (folder / "adapter_model.safetensors").unlink(), "holds no weights"),
        (lambda folder: (folder / "extra").symlink_to("/etc/hostname"), "a link"),
    ],
)
def test_other_folders_are_refused(tmp_path: Path, adapter: Path, spoil, message: str) -> None:
    spoil(adapter)
    with pytest.raises(LexError, match=message):
        AdapterStore(tmp_path / "store").add(adapter, "retriever", "law", "builtin")
    assert not (tmp_path / "store").exists()


def test_an_unknown_adapter_is_named(tmp_path: Path) -> None:
    with pytest.raises(LexError, match="adapter abc is not stored"):
        AdapterStore(tmp_path).path("abc")
