"""Tables of an asset on disk: zstd parquet, written beside and published by one atomic rename.

`<store>/tables/<asset>[/<partition>]/<version>/<table>.parquet`, with the published version's name in the file `CURRENT`.
A reader always gets lazy frames of one published version; a kill at any moment leaves the previous version readable.
"""

import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from lex_assets.registry.stages import appearing
from lex_assets.resources.store import StoreResource
from lex_assets.schemas import LexError, frame_hash

POINTER = "CURRENT"
KEPT_VERSIONS = 2  # the published one and the one before, which a running reader may still hold open

Tables = Mapping[str, pl.DataFrame]


class ParquetIOManager(dg.ConfigurableIOManager):
    """Stores an asset's tables (a mapping from table name to frame) and loads them as lazy frames.

    An input of a partitioned asset read by an unpartitioned one arrives as `{partition: tables}`; partitions that were
    never materialized are left out, so that the consumer can say which one is missing and what to run.
    """

    store: dg.ResourceDependency[StoreResource]

    def handle_output(self, context: dg.OutputContext, obj: Tables) -> None:
        """Write and publish `obj`. Raises LexError when the store is not writable."""
        partition = context.asset_partition_key if context.has_asset_partitions else None
        folder = self._folder(context.asset_key, partition)
        try:
            write_tables(folder, obj)
        except OSError as error:
            raise LexError(
                f"{folder}: cannot write ({error.strerror}); make the store writable or set LEX_STORE"
            ) from error

    def load_input(self, context: dg.InputContext) -> dict[str, Any]:
        """Lazy frames by table name, or by partition and table name."""
        if not context.has_asset_partitions:
            return self._load_one(context, None)
        keys = list(context.asset_partition_keys)
        if len(keys) == 1 and context.has_partition_key:
            return self._load_one(context, keys[0])
        folders = {key: self._folder(context.asset_key, key) for key in keys}
        return {key: read_tables(folder) for key, folder in folders.items() if (folder / POINTER).exists()}

    def _load_one(self, context: dg.InputContext, partition: str | None) -> dict[str, pl.LazyFrame]:
        folder = self._folder(context.asset_key, partition)
        if not (folder / POINTER).exists():
            raise LexError(missing_message(context.asset_key.to_user_string(), partition))
        return read_tables(folder)

    def _folder(self, key: dg.AssetKey, partition: str | None) -> Path:
        return self.store.tables_folder(key.to_user_string(), partition)


def missing_message(asset: str, partition: str | None) -> str:
    """The one line that says what has to be materialized first, and how."""
    option = f" --partition {partition}" if partition else ""
    where = f"[{partition}]" if partition else ""
    return (
        f"{asset}{where} has not been materialized; "
        f"run: dagster asset materialize -m lex_assets.definitions --select {asset}{option}"
    )


def write_tables(folder: Path, tables: Tables) -> None:
    """Publish `tables` in `folder`: content-addressed, so that rewriting equal tables changes nothing."""
    version = frame_hash(*(tables[name] for name in sorted(tables)))[:16]
    target = folder / version
    if not target.exists():
        with appearing(target) as staging:
            for name, frame in tables.items():
                frame.write_parquet(staging / f"{name}.parquet", compression="zstd")
    _publish(folder, version)
    _prune(folder, keep=version)


def read_tables(folder: Path) -> dict[str, pl.LazyFrame]:
    """Lazy frames of the published version in `folder`, by table name."""
    version = (folder / POINTER).read_text().strip()
    return {path.stem: pl.scan_parquet(path) for path in sorted((folder / version).glob("*.parquet"))}


def _publish(folder: Path, version: str) -> None:
    pointer = folder / f".{POINTER}.{uuid.uuid4().hex[:8]}"
    pointer.write_text(version)
    pointer.replace(folder / POINTER)


def _prune(folder: Path, keep: str) -> None:
    versions = [
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".") and path.name != keep
    ]
    for path in sorted(versions, key=lambda path: path.stat().st_mtime, reverse=True)[KEPT_VERSIONS - 1 :]:
        shutil.rmtree(path, ignore_errors=True)
