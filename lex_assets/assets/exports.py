"""What was mined and labelled, as files that other tools read: per domain, with what each folder holds."""

import json
from itertools import islice
from typing import Any

import dagster as dg
import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import data_version, markdown_table
from lex_assets.exports.export import FORMATS, prepare_export
from lex_assets.exports.folder import FILES, Exported, write_export
from lex_assets.exports.training_files import Scores
from lex_assets.registry.stages import stage_key
from lex_assets.resources.store import StoreResource
from lex_assets.schemas import SETS

PREVIEW_LINES, PREVIEW_ITEMS, PREVIEW_CHARACTERS = 2, 2, 40


class ExportConfig(BaseModel):
    """Which formats are written."""

    model_config = ConfigDict(frozen=True)

    formats: tuple[str, ...] = Field(
        default=FORMATS, description=f"형식: {', '.join(FORMATS)}. Formats, each in a folder of its own."
    )
    scores: Scores = Field(
        default="rerank",
        description="flagembedding의 점수: rerank, dense, none. Scores that FlagEmbedding distils from.",
    )
    sets: tuple[str, ...] = Field(
        default=("valid", "test"), description=f"beir와 trec의 집합: {', '.join(SETS)}. Split sets of beir and trec."
    )


ExportRun = run_config(ExportConfig)


@stage_asset(
    group="export",
    kinds={"json"},
    code_version="1",
    automatic=False,
    deps=["hard_negative_triplets", "training_queries", "corpus", "split"],
)
def exports(context: dg.AssetExecutionContext, config: ExportRun, store: StoreResource) -> dg.MaterializeResult:
    """FlagEmbedding, sentence-transformers, LexDPR, 재순위 행, BEIR, TREC. Folders that other tools read as they are."""
    settings = core_settings(config, ExportConfig)
    done = [_written(name, settings, store, context.partition_key) for name in dict.fromkeys(settings.formats)]
    files = pl.concat([pl.DataFrame(schema=FILES), *(one.files for one in done)])
    folders = {one.manifest["format"]: str(one.folder.relative_to(store.path)) for one in done}
    tables = {"files": files, "folders": pl.DataFrame({"format": list(folders), "path": list(folders.values())})}
    licences = sorted({licence for one in done for licence in one.manifest["licences"]})
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata={
            "dagster/partition_row_count": int(files["rows"].sum()),
            "파일 · files": _file_table(files),
            "폴더 · folders": markdown_table(["format", "folder"], folders.items()),
            "미리보기 · preview": dg.MetadataValue.md("\n\n".join(map(_preview, done))),
            "뺀 것 · left out": markdown_table(
                ["format", "reason", "rows"],
                [(one.manifest["format"], *item) for one in done for item in one.manifest["left_out"].items()],
            ),
            "사용 허락 · licences": markdown_table(["licence"], [(licence,) for licence in licences]),
        },
    )


def _written(name: str, settings: ExportConfig, store: StoreResource, domain: str) -> Exported:
    export = prepare_export(name, store.path, domain, settings.scores, settings.sets)
    key = stage_key("1", {"scores": settings.scores, "sets": settings.sets}, export.hashes)
    return write_export(export, store.path / "exports" / domain / name / key)


def _file_table(files: pl.DataFrame) -> dg.MetadataValue:
    rows = [(form, name, f"{rows:,}", f"{size:,}", digest[:16]) for form, name, rows, size, digest in files.iter_rows()]
    return markdown_table(["format", "file", "rows", "bytes", "sha256"], rows)


def _preview(one: Exported) -> str:
    """The first lines of the first training file, or of the first file of an evaluation format, values cut."""
    rows = [name for name, file in one.manifest["files"].items() if file["rows"]]
    name = next((name for name in rows if "train" in name), rows[0])
    with (one.folder / name).open(encoding="utf-8") as file:
        lines = [_line(line) for line in islice(file, PREVIEW_LINES)]
    return "\n".join([f"**{one.manifest['format']}/{name}**", "", "```", *lines, "```"])


def _line(line: str) -> str:
    if not line.startswith("{"):
        return line.rstrip("\n")
    return json.dumps(_cut(json.loads(line)), ensure_ascii=False)


def _cut(value: Any) -> Any:
    """`value` with long texts and lists cut: the shape of a row at a glance."""
    if isinstance(value, dict):
        return {name: _cut(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_cut(one) for one in value[:PREVIEW_ITEMS]] + ["…"] * (len(value) > PREVIEW_ITEMS)
    if isinstance(value, str) and len(value) > PREVIEW_CHARACTERS:
        return f"{value[:PREVIEW_CHARACTERS]}…"
    return value
