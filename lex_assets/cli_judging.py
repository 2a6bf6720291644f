"""`lex-assets judge`: people's judgements, out as a sheet and back as labels."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lex_assets.console import errors, failing_in_one_line, out, writing
from lex_assets.schemas import LexError

if TYPE_CHECKING:
    import polars as pl

    from lex_assets.evaluation.judging import Agreement, Settled

judge = typer.Typer(
    name="judge",
    help="사람의 판정: 판정표를 내보내고 정답으로 읽어 들임. Human judgements: a sheet out, labels back.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@judge.command("export")
@failing_in_one_line
def export_sheet(
    out_file: Annotated[Path, typer.Option("--out", help="판정표(CSV) · sheet to write")],
    store: Annotated[Path | None, typer.Option(help="보고서가 있는 저장소 · store that holds a report")] = None,
    domain: Annotated[str, typer.Option(help="--store의 도메인 · domain in the store")] = "law",
    run: Annotated[
        list[Path] | None, typer.Option(help="run(여러 번), --store 대신 · runs, instead of a store")
    ] = None,
    queries: Annotated[Path | None, typer.Option(help="--run: 질의 JSONL {id,text} · queries")] = None,
    corpus: Annotated[Path | None, typer.Option(help="--run: 저장소 폴더 또는 JSONL · corpus")] = None,
    depth: Annotated[int, typer.Option(min=1, help="체계마다 모을 결과 수 · results pooled per system")] = 10,
    max_queries: Annotated[int, typer.Option(min=0, help="질의 수의 상한, 0은 전부 · most queries, 0 for all")] = 50,
    seed: Annotated[int, typer.Option(help="순서의 시드 · seed of the order")] = 0,
) -> None:
    """모든 체계의 상위 결과를 모아 섞은 판정표 · A blind, shuffled sheet of the best of all systems, to be graded 0, 1 or 2."""
    from lex_assets.evaluation.judging import pooled, sheet, write_sheet

    found, asked, passages = _rankings(store, domain, run, queries, corpus)
    rows = sheet(pooled(found, depth), asked, passages, max_queries, seed)
    with writing(out_file, "--out"):
        write_sheet(rows, out_file)
    out.print(
        f"질의 · queries {rows['query_id'].n_unique():,}, 판정할 단락 · passages to judge {rows.height:,}, "
        f"체계 · systems {found['system'].n_unique()} → {out_file}",
        soft_wrap=True,
        highlight=False,
    )
    out.print(
        "grade: 0 답이 아님 · no answer, 1 일부 · in part, 2 답 · answers; 빈칸은 판정하지 않음 · empty: not judged"
    )


def _rankings(
    store: Path | None, domain: str, runs: list[Path] | None, queries: Path | None, corpus: Path | None
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """(RUN, queries, PASSAGES) of a store's report, or of files."""
    if store and not runs:
        from lex_assets.registry.published import published_rankings

        return published_rankings(store, domain)
    if not (runs and queries and corpus) or store:
        raise LexError("give --store, or all of --run, --queries and --corpus")
    import polars as pl

    from lex_assets.evaluation.trec import read_run
    from lex_assets.passages.stored import read_corpus, read_queries

    return pl.concat([read_run(path, str(path)) for path in runs]), read_queries(queries), read_corpus(corpus)


@judge.command("import")
@failing_in_one_line
def import_sheets(
    sheets: Annotated[list[Path], typer.Argument(help="채운 판정표, 판정자마다 하나 · filled sheets, one per judge")],
    out_file: Annotated[Path, typer.Option("--out", help="정답(TREC qrels) · labels to write")],
    settled: Annotated[
        Path | None, typer.Option(help="합의한 판정표(엇갈린 것만) · sheet of disputes that were talked over")
    ] = None,
) -> None:
    """채운 판정표를 정답으로, 판정자의 일치도(κ)와 함께 · Filled sheets as qrels, with the judges' agreement."""
    from lex_assets.evaluation.judging import agreements, read_sheet, settle
    from lex_assets.evaluation.trec import write_qrels

    judged = {name: read_sheet(path) for name, path in _judges(sheets).items()}
    _print_agreements(agreements(judged))
    found = settle(judged, read_sheet(settled) if settled else None)
    if found.qrels.is_empty():
        raise LexError("nobody found a relevant passage for any query; there is no label to write")
    with writing(out_file, "--out"):
        write_qrels(found.qrels, out_file)
    _say_what_is_open(found, out_file)
    queries, grades = found.qrels["query_id"].n_unique(), dict(sorted(found.qrels["grade"].value_counts().iter_rows()))
    counts = ", ".join(f"{grade}: {count:,}" for grade, count in grades.items())
    out.print(f"질의 · queries {queries:,}, 등급 · grades {{{counts}}} → {out_file}", soft_wrap=True, highlight=False)


def _judges(sheets: list[Path]) -> dict[str, Path]:
    """A judge's name is that of the file."""
    names = [path.stem for path in sheets]
    twice = next((name for n, name in enumerate(names) if name in names[:n]), None)
    if twice:
        raise LexError(f"two sheets are called {twice!r}; rename one after its judge")
    return dict(zip(names, sheets, strict=True))


def _print_agreements(found: list[Agreement]) -> None:
    if not found:
        errors.print("판정자가 하나라 일치도를 잴 수 없음 · one judge: agreement cannot be measured")
        return
    table = Table("판정자 · judges", "쌍 · pairs", "κ", "κ (가중 · weighted)", "κ (정답인가 · relevant)")
    for one in found:
        values = ("-" if value is None else f"{value:.3f}" for value in (one.kappa, one.weighted, one.relevant))
        table.add_row(f"{one.first} × {one.second}", f"{one.pairs:,}", *values)
    out.print(table)


def _say_what_is_open(found: Settled, out_file: Path) -> None:
    """Queries without an answer on stderr; disputes as a sheet beside the labels."""
    from lex_assets.evaluation.judging import write_sheet

    if found.without_answer:
        errors.print(
            f"정답이 없는 질의 {len(found.without_answer):,}개는 뺌 · {len(found.without_answer):,} queries without a relevant "
            f"passage left out: {', '.join(found.without_answer)}",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )
    if len(found.disputed):
        path = out_file.with_name(f"{out_file.name}.disputed.csv")
        write_sheet(found.disputed, path)
        errors.print(
            f"엇갈린 판정 {found.disputed.height:,}개(지금은 낮은 쪽) → {path}; 합의해 채운 뒤 --settled로 · "
            f"{found.disputed.height:,} disputed, the lower median for now: fill it together and give it as --settled",
            soft_wrap=True,
            markup=False,
            highlight=False,
        )
