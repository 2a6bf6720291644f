"""`lex-assets export`: the tables of a pipeline's store as files of other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Column, Table

from lex_assets.console import failing_in_one_line, out, writing
from lex_assets.schemas import LexError


@failing_in_one_line
def export(
    format: Annotated[str, typer.Argument(help="flagembedding, sentence-transformers, lexdpr, reranker, beir, trec")],
    store: Annotated[Path, typer.Option(help="파이프라인의 저장소 · store of the pipeline")],
    domain: Annotated[
        str, typer.Option(help="도메인: finance, law, precedent, 학습 형식은 all도 · domain, or all for training rows")
    ],
    out_dir: Annotated[Path, typer.Option("--out", help="결과 폴더 · folder to write")],
    scores: Annotated[
        str, typer.Option(help="flagembedding의 점수: rerank, dense, none · scores to distil from")
    ] = "rerank",
    sets: Annotated[str, typer.Option(help="beir, trec의 집합, 쉼표로 · split sets, by commas")] = "valid,test",
) -> None:
    """다른 도구가 읽는 파일로 · Training rows, BEIR or TREC files with a manifest; test material is in no training file."""
    from lex_assets.exports.export import export_to
    from lex_assets.exports.training_files import SCORES

    kind = next((one for one in SCORES if one == scores), None)
    if kind is None:
        raise LexError(f"scores {scores!r} are not known; choose from {', '.join(SCORES)}")
    wanted = [name.strip() for name in sets.split(",") if name.strip()]
    with writing(out_dir, "--out"):
        done = export_to(out_dir, format, store, domain, kind, wanted)
    table = Table(Column("file", overflow="fold"), "rows", "bytes", "sha256")
    for name, one in done.manifest["files"].items():
        table.add_row(name, f"{one['rows']:,}", f"{one['bytes']:,}", one["sha256"][:16])
    out.print(table)
    for reason, count in done.manifest["left_out"].items():
        out.print(f"뺌 · left out: {count:,} {reason}", highlight=False)
    for licence in done.manifest["licences"]:
        out.print(f"사용 허락 · licence: {licence}", highlight=False, markup=False, soft_wrap=True)
    same = " (이미 같음 · the same was there)" if done.reused else ""
    out.print(f"→ {done.folder}{same}", highlight=False, soft_wrap=True)
