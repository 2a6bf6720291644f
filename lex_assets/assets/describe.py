"""What a user sees of a table in the Dagster UI: rows, columns, a preview, a plot. Presentation only."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl

from lex_assets.plots import svg_data_uri_markdown
from lex_assets.registry.stages import StageResult
from lex_assets.schemas import TableSchema, frame_hash

PREVIEW_ROWS = 5
PREVIEW_CHARACTERS = 80
_DAGSTER_TYPES = {pl.String: "string", pl.Int32: "int", pl.Float32: "float"}


def column_schema(schema: TableSchema) -> dg.TableSchema:
    """Dagster's column schema of a table, from the same object that validates it."""
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                name,
                _DAGSTER_TYPES.get(column.dtype, str(column.dtype)),
                column.description,
                dg.TableColumnConstraints(nullable=column.nullable, unique=schema.key == (name,)),
            )
            for name, column in schema.columns.items()
        ]
    )


def column_lineage(columns: Mapping[str, Sequence[tuple[str, str]]]) -> dg.TableColumnLineage:
    """Column lineage from `{column: [(upstream asset, upstream column), …]}`."""
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(asset_key=dg.AssetKey(asset), column_name=name) for asset, name in sources]
            for column, sources in columns.items()
        }
    )


def table_metadata(schema: TableSchema, frame: pl.DataFrame, partitioned: bool) -> dict[str, Any]:
    """Rows, column schema and the first rows of a stage's main table."""
    rows = "dagster/partition_row_count" if partitioned else "dagster/row_count"
    return {rows: frame.height, "dagster/column_schema": column_schema(schema), "미리보기 · preview": preview(frame)}


def preview(frame: pl.DataFrame, rows: int = PREVIEW_ROWS) -> dg.MetadataValue:
    """The first rows as a Markdown table, long cells cut."""
    return markdown_table(frame.columns, frame.head(rows).rows())


def counts(frame: pl.DataFrame, column: str) -> dg.MetadataValue:
    """Rows by value of `column`, most frequent first."""
    table = frame.group_by(column).len().sort(["len", column], descending=[True, False])
    return markdown_table([column, "건수 · rows"], table.rows())


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> dg.MetadataValue:
    """A Markdown table; cells are one line and at most `PREVIEW_CHARACTERS` long."""
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return dg.MetadataValue.md("\n".join(lines))


def plot(svg: str) -> dg.MetadataValue:
    """An SVG that the UI shows inline."""
    return dg.MetadataValue.md(svg_data_uri_markdown(svg))


def titled_plots(plots: Iterable[tuple[str, str]]) -> dg.MetadataValue:
    """(title, SVG) pairs below one another, each under its title."""
    return dg.MetadataValue.md(
        "\n\n".join(f"**{title}**\n\n{svg_data_uri_markdown(svg, title)}" for title, svg in plots)
    )


def data_version(tables: Mapping[str, pl.DataFrame]) -> dg.DataVersion:
    """A data version that is a function of the contents alone."""
    return dg.DataVersion(frame_hash(*(tables[name] for name in sorted(tables)))[:16])


def _cell(value: Any) -> str:
    text = f"{value:.4f}" if isinstance(value, float) else str(value)
    text = " ".join(text.split()).replace("|", "\\|")
    return text if len(text) <= PREVIEW_CHARACTERS else text[: PREVIEW_CHARACTERS - 1] + "…"


def stage_metadata(stage: StageResult, store: Path) -> dict[str, Any]:
    """Whether an expensive stage was computed or found, and where its folder is below the store."""
    return {
        "상태 · status": "reused" if stage.reused else "computed",
        "단계 키 · stage key": stage.key,
        "폴더 · folder": str(stage.path.relative_to(store)),
    }
