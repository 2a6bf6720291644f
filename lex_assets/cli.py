"""`lex-assets`: the pipeline's tools for whoever serves the model, without Dagster.

Commands parse options, call one core function and print. Heavy libraries are imported by the command that needs them.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer
from pydantic import BaseModel, ValidationError
from rich.table import Table

from lex_assets.cli_choosing import ablation, grid
from lex_assets.cli_evaluation import champion, compare, evaluate, leaderboard
from lex_assets.cli_export import export
from lex_assets.cli_judging import judge
from lex_assets.cli_mining import mine
from lex_assets.cli_options import DEVICES, MEMORY_MIB, DenseDevices, Engine, MemoryMib, dense_search, keyword_index
from lex_assets.cli_questions import Cache, Expansion, Requests, expanded, questions
from lex_assets.cli_training import merge, models, prepare, train
from lex_assets.console import TimeLeft, errors, failing_in_one_line, out, writing
from lex_assets.passages.stored import TEXT_ROW, published, read_corpus, read_documents, read_parquet, read_queries
from lex_assets.schemas import DOCUMENTS, DOMAINS, PASSAGES, SETS, Document, LexError
from lex_assets.sources.lines import read_objects

if TYPE_CHECKING:
    from lex_assets.sources.download import Downloaded

app = typer.Typer(
    name="lex-assets",
    help="한국어 법률·금융 검색: 원문에서 검색기와 재순위기까지. Korean legal and finance retrieval, from documents to models.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(train, name="train")
for command in (questions, prepare, merge, models, export, mine):
    app.command()(command)
for command in (evaluate, compare, leaderboard, grid, ablation):
    app.command()(command)
app.add_typer(champion)
app.add_typer(judge)


class Mode(StrEnum):
    """How to search."""

    lexical = "lexical"
    dense = "dense"
    hybrid = "hybrid"


class SplitBy(StrEnum):
    """What decides the set of a split group."""

    group = "group"
    time = "time"


class Kind(StrEnum):
    """What a text is to the retriever."""

    query = "query"
    passage = "passage"


class Source(StrEnum):
    """What to download."""

    law = "law"
    admin_rule = "admin_rule"
    precedent = "precedent"
    interpretation = "interpretation"
    constitutional = "constitutional"
    tribunal = "tribunal"


@app.callback()
def main(verbose: Annotated[bool, typer.Option("--verbose", "-v", help="진행 로그 · progress log")] = False) -> None:
    """Options before the command."""
    level = logging.INFO if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)  # on the handler: bm25s sets its own logger to DEBUG
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler])


@app.command()
@failing_in_one_line
def download(
    target: Annotated[Source, typer.Option(help="받을 종류 · what to download")],
    out_dir: Annotated[Path, typer.Option("--out", help="원문 폴더(DIR/종류/ID.json) · folder of raw documents")],
    query: Annotated[str, typer.Option(help="이름으로 찾기(비우면 전체) · search by title, empty for all")] = "",
    since: Annotated[str, typer.Option(help="첫날 YYYYMMDD, 또는 last(지난번 이후) · first day, or last")] = "",
    until: Annotated[str, typer.Option(help="마지막 날 YYYYMMDD · last day")] = "",
    limit: Annotated[
        int | None, typer.Option("--max", min=1, help="새로 받을 최대 건수 · most documents to fetch")
    ] = None,
    delay: Annotated[float, typer.Option(min=0, help="요청 사이 간격(초) · seconds between requests")] = 0.5,
    base_url: Annotated[str, typer.Option(help="API 주소 · address of the API")] = "https://www.law.go.kr/DRF",
) -> None:
    """law.go.kr에서 원문 받기 · Download from the law.go.kr API; run again to resume. The key: LAW_GO_KR_KEY."""
    from lex_assets.sources.download import Wanted
    from lex_assets.sources.download import download as fetch
    from lex_assets.sources.law_go_kr import KEY_PARAMETER, TARGETS, LawApi
    from lex_assets.sources.polite_http import PoliteClient, Secret

    client = PoliteClient(base_url, Secret(KEY_PARAMETER, _law_key()), delay_s=delay)
    api = LawApi(client, TARGETS[target.value])
    try:
        with writing(out_dir, "--out"):
            done = fetch(
                api,
                out_dir,
                Wanted(query, since, until, limit),
                progress=TimeLeft({"list": "목록 · list", "documents": "본문 · documents"}),
            )
    except KeyboardInterrupt:
        errors.print("\n같은 명령을 다시 실행하면 이어받습니다 · run the same command to resume", soft_wrap=True)
        raise
    _print_download(api.target.label, done)


@app.command()
@failing_in_one_line
def ingest(
    raw: Annotated[Path, typer.Argument(help="원문 폴더 · folder of raw documents")],
    store: Annotated[Path, typer.Option(help="결과 폴더 · where documents, corpus and quarantine go")],
    domain_rules: Annotated[Path | None, typer.Option(help="도메인 규칙 YAML · domain rule file")] = None,
    workers: Annotated[int, typer.Option(min=1, help="읽기 프로세스 수 · parsing processes")] = 1,
    as_of: Annotated[
        str, typer.Option(help="기준일 YYYYMMDD: 그날 시행 중인 조문만 · provisions in force on this day")
    ] = "",
    format: Annotated[
        list[str] | None,
        typer.Option(
            help="형식 지정 '경로패턴=형식' (예: 'qa/*.txt=record') · set the format of files, may be repeated"
        ),
    ] = None,
) -> None:
    """원문을 문서와 검색 단위로 · Parse raw files into documents and passages; the unreadable are listed, not lost."""
    from lex_assets.passages.build import PassageConfig, build_passages
    from lex_assets.passages.corpus import build_corpus
    from lex_assets.passages.in_force import statutes_left_out
    from lex_assets.sources.domains import DomainRules
    from lex_assets.sources.read import ingest as read

    config = _settings(PassageConfig, as_of=as_of)
    found = read(raw, DomainRules.load(domain_rules).with_formats(format or ()), workers=workers)
    corpus = build_corpus([build_passages(found.documents, config)])
    tables = {"documents": found.documents, "corpus": corpus, "quarantine": found.quarantine}
    _write_store(store, tables)
    out.print(f"문서 · documents {found.documents.height:,}  검색 단위 · passages {corpus.height:,}  → {store}")
    if left := statutes_left_out(found.documents, corpus, config.as_of):
        errors.print(
            f"{config.as_of}에 시행 전인 법령 {len(left)}건 제외, 그날의 판을 받으십시오 · {len(left)} statutes took effect later "
            f"and were left out; download the versions of that day: {', '.join(left)}",
            markup=False,
            soft_wrap=True,
        )
    for row in found.quarantine.iter_rows(named=True):
        errors.print(
            f"격리 · quarantined {row['source_path']} {row['record']}: {row['reason']}", markup=False, soft_wrap=True
        )


@app.command()
@failing_in_one_line
def split(
    store: Annotated[Path, typer.Option(help="ingest가 쓴 폴더 · folder that ingest wrote")],
    by: Annotated[
        SplitBy,
        typer.Option("--by", "--split", help="group: 추첨, time: 최근 판결이 시험 · newest decisions are the test"),
    ] = SplitBy.group,
    seed: Annotated[int | None, typer.Option(help="추첨 시드(비우면 기본) · seed of the draw")] = None,
) -> None:
    """라벨을 만들고 나눔 · Labels from citations, split without leaks: citations, queries, qrels and settings."""
    from lex_assets.citations.resolve import ArticleIndex, graph_of
    from lex_assets.queries.labelled import labelled_from
    from lex_assets.queries.split import SplitConfig, assign_split, split_hash, with_boundaries

    documents, corpus = DOCUMENTS.validate(_stored(store, "documents")), PASSAGES.validate(_stored(store, "corpus"))
    parsed = [Document.from_row(row) for row in documents.iter_rows(named=True)]
    citations = graph_of(parsed, ArticleIndex.build(parsed, corpus))
    queries, qrels = labelled_from(parsed, corpus, citations)
    given = {"by": by.value} | ({} if seed is None else {"seed": seed})
    config = with_boundaries(_settings(SplitConfig, **given), queries)
    queries = assign_split(queries, qrels, corpus, config)
    settings = pl.DataFrame([config.model_dump()])
    _write_store(store, {"citations": citations, "queries": queries, "qrels": qrels, "settings": settings})
    sizes = queries.group_by("domain", "regime", "set").len().sort("domain", "regime", "set")
    table = Table("domain", "regime", *(*SETS, "dropped"))
    for (domain, regime), rows in sizes.group_by(["domain", "regime"], maintain_order=True):
        counts = dict(rows.select("set", "len").iter_rows())
        table.add_row(str(domain), str(regime), *(f"{counts.get(name, 0):,}" for name in (*SETS, "dropped")))
    out.print(table)
    boundaries = f"  경계 · boundaries {' '.join(config.boundaries)}" if any(config.boundaries) else ""
    out.print(f"분할 해시 · split hash {split_hash(queries, qrels)}{boundaries}  → {store}", soft_wrap=True)


@app.command()
@failing_in_one_line
def search(
    corpus: Annotated[Path, typer.Option(help="저장소 폴더 또는 JSONL {id,text,title?,law?} · store folder or JSONL")],
    queries: Annotated[Path, typer.Option(help="JSONL {id,text,exclude?} · queries")],
    out_file: Annotated[
        Path, typer.Option("--out", help="TREC run, .csv이면 대회 제출 파일 · run file, or contest submission if .csv")
    ],
    mode: Annotated[Mode, typer.Option(help="검색 방식 · how to search")] = Mode.lexical,
    retriever: Annotated[str, typer.Option(help="프리셋, 허브 id 또는 폴더 · preset, hub id or folder")] = "builtin",
    adapter: Annotated[Path | None, typer.Option(help="검색 어댑터 폴더 · retriever adapter")] = None,
    reranker: Annotated[str, typer.Option(help="재순위 모델(비우면 안 함) · reranker, empty for none")] = "",
    reranker_adapter: Annotated[Path | None, typer.Option(help="재순위 어댑터 폴더 · reranker adapter")] = None,
    top_k: Annotated[int, typer.Option(min=1, help="질의당 결과 수 · results per query")] = 100,
    rerank_depth: Annotated[int, typer.Option(min=1, help="재순위할 후보 수 · candidates to rerank")] = 50,
    weight: Annotated[float, typer.Option(min=0, max=1, help="hybrid에서 dense의 몫 · share of dense in hybrid")] = 0.5,
    fusion: Annotated[str, typer.Option(help="hybrid의 결합: minmax, zscore, rrf · how hybrid fuses")] = "minmax",
    engine: Engine = "embedded",
    analyzer: Annotated[
        str, typer.Option(help="bigram(기본), kiwi, kiwi-legal, +로 이음 · of keyword search, joined by +")
    ] = "",
    device: Annotated[str, typer.Option(help="torch 장치 · torch device")] = "cpu",
    cache: Annotated[
        Path | None,
        typer.Option(help="벡터, 재순위 점수, 색인의 캐시 폴더 · cache of vectors, reranker scores and indices"),
    ] = None,
    dense_devices: DenseDevices = DEVICES,
    memory_mib: MemoryMib = MEMORY_MIB,
    expand: Annotated[
        Expansion, typer.Option(help="언어 모델로 질의를 늘림(LEX_LLM_…) · longer queries by a language model")
    ] = Expansion.none,
    llm_cache: Cache = None,
    budget_requests: Requests = 0,
) -> None:
    """검색하여 TREC run을 씀 · Search a corpus and write a TREC run; ids pass through unchanged."""
    from lex_assets.evaluation.contest import submission_of, write_submission
    from lex_assets.evaluation.trec import write_run
    from lex_assets.retrieval.search import Searcher, rerank_run

    table, asked = read_corpus(corpus), read_queries(queries)
    longer = asked if expand is Expansion.none else expanded(asked, expand, llm_cache, budget_requests)
    encoder = _encoder(retriever, adapter, device) if mode is not Mode.lexical else None
    exclude = {row["query_id"]: set(row["exclude"]) for row in asked.iter_rows(named=True)}
    keywords = keyword_index(table, engine, cache, analyzer) if mode is not Mode.dense else None
    searcher = Searcher(table, encoder, keywords, cache, dense_search(dense_devices, memory_mib))
    run = searcher.search(longer, mode.value, top_k, exclude, weight, fusion)
    if reranker or reranker_adapter:
        from lex_assets.models.reranker import Reranker

        model = Reranker(reranker or "builtin", peft_adapter_path=_text(reranker_adapter), device=device)
        run = rerank_run(run, asked, table, model, rerank_depth, f"{mode.value}_rerank", cache_dir=cache)
    with writing(out_file, "--out"):
        if out_file.suffix == ".csv":
            write_submission(submission_of(run, asked, table), out_file)
        else:
            write_run(run, out_file)
    out.print(f"{asked.height:,} 질의 · queries × {table.height:,} → {out_file}")


@app.command()
@failing_in_one_line
def cite(
    citation: Annotated[str, typer.Argument(help="인용, 예: '민법 제839조의2' · citation as people write it")],
    store: Annotated[Path, typer.Option(help="저장소 폴더 · store folder with documents and corpus")],
    as_of: Annotated[str, typer.Option(help="기준일 YYYY-MM-DD · the day whose law is asked for")] = "",
) -> None:
    """인용한 조문의 원문 · The text of a cited provision; what cannot be shown is refused with its reason."""
    from lex_assets.citations.provisions import iso, provisions_of

    answer = provisions_of(citation, read_documents(store), read_corpus(store), as_of.replace("-", ""))
    for one in answer.provisions:
        print(f"{one.label} · 시행 · in force {iso(one.effective_date)}\n{one.text}\n")
    if answer.refusals:
        raise LexError("; ".join(answer.refusals))


@app.command()
@failing_in_one_line
def embed(
    model: Annotated[str, typer.Option(help="프리셋, 허브 id 또는 폴더 · preset, hub id or folder")],
    input_file: Annotated[Path, typer.Option("--input", help="JSONL {id,text,title?,law?} · texts")],
    outdir: Annotated[Path, typer.Option(help="결과 폴더 · output folder")],
    prefix: Annotated[str, typer.Option(help="파일 이름 앞부분 · file name prefix")] = "embeddings",
    kind: Annotated[Kind, typer.Option("--type", help="질의 또는 단락 · query or passage")] = Kind.passage,
    batch_size: Annotated[int, typer.Option(min=1, help="배치 크기(글) · texts per batch")] = 64,
    template: Annotated[str, typer.Option(help="접두어: bge, e5, none(비우면 모델 것) · prefixes")] = "",
    adapter: Annotated[Path | None, typer.Option(help="어댑터 폴더 · adapter folder")] = None,
    layout: Annotated[str, typer.Option("--format", help="npz 또는 npy · one npz, or two npy files")] = "npz",
    device: Annotated[str, typer.Option(help="torch 장치 · torch device")] = "cpu",
) -> None:
    """글을 벡터로 · Encode texts: `{prefix}.npz` (ids, embeddings) or `{prefix}_ids.npy` + `{prefix}_embeds.npy`."""
    if layout not in ("npz", "npy"):
        raise LexError(f"format {layout!r} is not known; use npz or npy")
    rows = [row for _, row in read_objects(input_file, TEXT_ROW)]
    if not rows:
        raise LexError(f"{input_file}: holds no text; write one JSON object {{id, text}} per line")
    texts = [_joined(row) for row in rows]
    encoder = _encoder(model, adapter, device, template or None)
    encode = encoder.encode_queries if kind is Kind.query else encoder.encode_passages
    vectors = encode(texts, batch_size=batch_size, show_progress=sys.stderr.isatty())
    written = _write_embeddings(outdir, prefix, layout, [str(row["id"]) for row in rows], vectors)
    out.print(f"{len(rows):,} × {vectors.shape[1]} → {', '.join(map(str, written))}")


@app.command()
@failing_in_one_line
def report(
    store: Annotated[Path, typer.Option(help="파이프라인의 저장소 폴더 · store folder of the pipeline")],
    domain: Annotated[str, typer.Option(help="도메인: finance, law, precedent · domain")],
    open_path: Annotated[bool, typer.Option("--open-path", help="HTML 경로만 출력 · print only its path")] = False,
) -> None:
    """최근 평가 보고서의 요약과 위치 · The domain's latest report: its summary, and where the HTML page is."""
    from lex_assets.evaluation.report import read_report

    folder = latest_report(store, domain)
    page = folder / "report.html"
    if open_path:
        print(page)
        return
    print(read_report(folder).summary())
    print(f"보고서 · report: {page}")


def _law_key() -> str:
    key = os.environ.get("LAW_GO_KR_KEY", "").strip()
    if not key:
        raise LexError(
            "LAW_GO_KR_KEY가 없습니다 · LAW_GO_KR_KEY is not set; apply for a key (OC) at https://open.law.go.kr, then export it"
        )
    return key


def _print_download(label: str, done: Downloaded) -> None:
    out.print(
        f"{label}: 목록 · listed {done.listed:,}  받음 · fetched {done.fetched:,}  이미 있음 · already there {done.already:,}"
        f"  격리 · quarantined {done.quarantined:,} → {done.folder}",
        soft_wrap=True,
    )
    notes = {
        f"격리 목록 · quarantine: {done.folder / '.quarantine.jsonl'}": done.quarantined,
        f"받지 못함, 다음 실행에서 다시 · failed, tried again by the next run: {_some(done.failed)}": done.failed,
        f"목록이 {done.missing:,}건 모자람, 나중에 다시 실행 · the list is short by {done.missing:,}; run again later": done.missing,
        f"목록에 더는 없음(폐지 등) · no longer listed (repealed): {_some(done.unlisted)}": done.unlisted,
        f"목록과 다른 판 {done.other_version:,}건 · came in another version than listed": done.other_version,
        f"여기까지 다 받음 · complete up to {done.complete_to}": done.complete_to,
    }
    for note, holds in notes.items():
        if holds:
            errors.print(note, soft_wrap=True, markup=False, highlight=False)


def _some(names: tuple[str, ...]) -> str:
    return f"{len(names):,} ({', '.join(names[:5])}{', …' if len(names) > 5 else ''})"


def latest_report(store: Path, domain: str) -> Path:
    """Folder of the published report of `domain`. Raises LexError when the pipeline has made none in `store`."""
    if domain not in DOMAINS:
        raise LexError(f"domain {domain!r} is not known; choose from {', '.join(DOMAINS)}")
    for table in published(store / "tables" / "eval_report" / domain, "report"):
        folder = store.resolve() / read_parquet(table).item(0, "path")
        if (folder / "report.html").is_file():
            return folder
    raise LexError(
        f"{store}: holds no report of {domain}; "
        f"run: dagster asset materialize -m lex_assets.definitions --select eval_report --partition {domain}"
    )


def _joined(row: dict[str, Any]) -> str:
    head = " ".join(str(row[k]) for k in ("law", "title") if row.get(k))
    return f"{head}\n{row['text']}" if head else row["text"]


def _stored(store: Path, name: str) -> pl.DataFrame:
    path = store / f"{name}.parquet"
    if not path.is_file():
        raise LexError(f"{store}: holds no {name}; run `lex-assets ingest RAW --store {store}` first")
    return read_parquet(path)


def _settings(kind: type[BaseModel], **values: Any) -> Any:
    """Settings of the core from options. Raises LexError naming the option that is wrong."""
    try:
        return kind(**values)
    except ValidationError as error:
        problem = error.errors()[0]
        name = "--" + "-".join(str(part) for part in problem["loc"]).replace("_", "-")
        raise LexError(f"{name}: {problem['msg'].removeprefix('Value error, ')}") from None


def _write_store(store: Path, tables: dict[str, pl.DataFrame]) -> None:
    """All tables beside, then renamed one after the other: a full disk or Ctrl-C while writing changes nothing."""
    with writing(store, "--store"):
        store.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=store, prefix=".tables.") as beside:
            for name, table in tables.items():
                table.write_parquet(Path(beside, f"{name}.parquet"), compression="zstd")
            for name in tables:
                Path(beside, f"{name}.parquet").replace(store / f"{name}.parquet")


def _encoder(model: str, adapter: Path | None, device: str, template: str | None = None) -> Any:
    from lex_assets.models.bi_encoder import BiEncoder

    return BiEncoder(model, peft_adapter_path=_text(adapter), template=template, device=device)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _write_embeddings(outdir: Path, prefix: str, layout: str, ids: list[str], vectors: Any) -> list[Path]:
    """Pickle-free arrays, beside and renamed: ids as fixed-width text, vectors as (n, dim) float32."""
    import numpy as np

    names = np.array(ids)
    writers: dict[str, Callable[[Any], None]] = {
        f"{prefix}_ids.npy": lambda file: np.save(file, names, allow_pickle=False),
        f"{prefix}_embeds.npy": lambda file: np.save(file, vectors, allow_pickle=False),
    }
    if layout == "npz":
        writers = {f"{prefix}.npz": lambda file: np.savez(file, ids=names, embeddings=vectors)}
    with writing(outdir, "--outdir"):
        outdir.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=outdir, prefix=".embed.") as beside:
            for name, write in writers.items():
                with Path(beside, name).open("wb") as file:
                    write(file)
            for name in writers:
                Path(beside, name).replace(outdir / name)
    return [outdir / name for name in writers]
