"""`lex-assets questions` and what `search --expand` needs: questions and queries by rule or by a language model.

Which endpoint is asked comes from the environment (LEX_LLM_BASE_URL, LEX_LLM_MODEL, LEX_LLM_API_KEY, for the judge
LEX_LLM_JUDGE_…), the key never from an option: options are seen by everybody on the machine.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import polars as pl
import typer
from pydantic import BaseModel, Field

from lex_assets.cli_options import Engine, keyword_index
from lex_assets.console import errors, failing_in_one_line, out, writing
from lex_assets.llm.budget import Budget, Meter, Price, Prices, Usage
from lex_assets.llm.cache import ReplyCache
from lex_assets.llm.chat import Parameters
from lex_assets.llm.client import ClientConfig, LlmClient
from lex_assets.llm.endpoint import Endpoint
from lex_assets.passages.stored import read_corpus, read_parquet
from lex_assets.queries.filters import SyntheticConfig
from lex_assets.queries.inherit import SourceSets
from lex_assets.queries.llm_questions import QuestionConfig
from lex_assets.queries.writing import LanguageModels, QuestionWriting, WritingConfig
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.schemas import LexError
from lex_assets.training.recipe import load_settings

if TYPE_CHECKING:
    from lex_assets.queries.synthetic import Synthetic

REPORT_EVERY_S = 5.0
P = TypeVar("P", bound=BaseModel)


class Expansion(StrEnum):
    """What is added to a query before the search."""

    none = "none"
    hyde = "hyde"
    rewrite = "rewrite"


Cache = Annotated[
    Path | None,
    typer.Option("--llm-cache", help="답의 캐시(기본 LEX_STORE/cache/llm/replies.sqlite) · cache of answers"),
]
Requests = Annotated[
    int, typer.Option("--budget-requests", min=0, help="요청 수의 상한, 0은 없음 · most requests, 0 for no bound")
]


class QuestionSettings(
    WritingConfig, SyntheticConfig, QuestionConfig, DenseConfig, ClientConfig, Budget, Prices, Parameters
):
    """Who writes questions and how, which are kept, how they are searched, how hard an endpoint is asked, what that may cost."""

    licence: str = Field(
        default="", description="생성물의 이용 조건. Terms of a model's output; kept with each question."
    )

    def part(self, kind: type[P]) -> P:
        """The settings that belong to `kind`."""
        return kind(**self.model_dump(include=set(kind.model_fields)))


@failing_in_one_line
def questions(
    corpus: Annotated[Path, typer.Option(help="저장소 폴더 또는 JSONL {id,text,title?,law?} · store folder or JSONL")],
    out_file: Annotated[Path, typer.Option("--out", help="질문 파일(JSONL {id(단락),text,…}) · file to write")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(help="설정 바꾸기 이름=값, 예: near_duplicate=0.8 judge_sample=100 · overrides, name=value"),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="설정 YAML · settings")] = None,
    generator: Annotated[str | None, typer.Option(help="rules(기본, 모델 없이) 또는 llm · who writes")] = None,
    domain: Annotated[str, typer.Option(help="이 도메인의 단락만 · passages of this domain only")] = "",
    per_passage: Annotated[int | None, typer.Option(help="단락당 질문 수(기본 3) · questions per passage")] = None,
    max_passages: Annotated[
        int | None, typer.Option(help="단락 수의 상한, 0은 전부 · most passages, 0 for all")
    ] = None,
    kind: Annotated[list[str] | None, typer.Option(help="llm의 질문 종류(여러 번) · kinds asked for")] = None,
    window: Annotated[int | None, typer.Option(help="모델에 보일 글자 수(기본 1000) · characters shown")] = None,
    round_trip: Annotated[
        str | None,
        typer.Option(help="되찾기 검사: off(rules의 기본), lexical, hybrid(llm의 기본) · found again"),
    ] = None,
    judge: Annotated[bool, typer.Option("--judge", help="언어 모델 검수(LEX_LLM_JUDGE_…) · judged by a model")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="비용만 셈함 · estimate the cost, ask nothing")] = False,
    cache: Cache = None,
    budget_requests: Requests = 0,
    budget_tokens: Annotated[
        int | None, typer.Option(help="토큰 수의 상한, 0은 없음 · most tokens, 0 for no bound")
    ] = None,
    budget_money: Annotated[
        float | None, typer.Option(help="비용의 상한, 0은 없음 · most money, 0 for no bound")
    ] = None,
    input_price: Annotated[float | None, typer.Option(help="입력 백만 토큰의 값 · per million input tokens")] = None,
    output_price: Annotated[float | None, typer.Option(help="출력 백만 토큰의 값 · per million output tokens")] = None,
    requests_per_minute: Annotated[
        int | None, typer.Option(help="분당 요청 수, 0은 제한 없음 · 0 for no limit")
    ] = None,
    concurrency: Annotated[int | None, typer.Option(help="동시에 보내는 요청 수(기본 8) · requests at once")] = None,
    citations: Annotated[Path | None, typer.Option(help="인용 표 Parquet, max_comparisons에 · citations")] = None,
    retriever: Annotated[
        str, typer.Option(help="되찾기의 프리셋, 허브 id, 폴더 · preset, hub id or folder")
    ] = "builtin",
    engine: Engine = "embedded",
    device: Annotated[str, typer.Option(help="되찾기의 torch 장치 · torch device")] = "cpu",
    vectors: Annotated[
        Path | None, typer.Option("--cache", help="되찾기의 벡터와 색인의 캐시 · cache of vectors and indices")
    ] = None,
) -> None:
    """단락에서 질문을 만듦(`prepare --questions`가 읽음) · Questions about passages, filtered, for `prepare --questions`."""
    given = {
        "generator": generator,
        "per_passage": per_passage,
        "max_passages": max_passages,
        "kinds": f"[{', '.join(kind)}]" if kind else None,
        "window": window,
        "round_trip": round_trip,
        "judge": judge or None,
        "dry_run": dry_run or None,
        "budget_requests": budget_requests or None,
        "budget_tokens": budget_tokens,
        "budget_money": budget_money,
        "input_price": input_price,
        "output_price": output_price,
        "requests_per_minute": requests_per_minute,
        "concurrency": concurrency,
    }
    options = [f"{name}={value}" for name, value in given.items() if value is not None]
    settings = load_settings(QuestionSettings, config, [*options, *(overrides or [])])
    passages = read_corpus(corpus)
    passages = passages.filter(pl.col("domain") == domain) if domain else passages
    run = QuestionWriting(
        passages,
        SourceSets(),
        settings.part(WritingConfig),
        settings.part(SyntheticConfig),
        settings.part(QuestionConfig),
        _language_models(settings, cache),
        lambda mode: partial(_search, mode, passages, retriever, engine, device, vectors, settings.part(DenseConfig)),
        lambda: _citations(citations),
    )
    errors.print(run.estimate(), soft_wrap=True, markup=False, highlight=False)
    if not run.config.dry_run:
        _finish(run.made(), out_file)


def language_model(
    role: str,
    cache: Path | None,
    config: ClientConfig | None = None,
    meter: Meter | None = None,
    price: Price | None = None,
    parameters: Parameters | None = None,
) -> LlmClient:
    """The client of a role, configured by the environment. Raises LexError naming the variable that is missing."""
    store = Path(os.environ.get("LEX_STORE", "data/store"))
    replies = ReplyCache(cache or store / "cache" / "llm" / "replies.sqlite")
    return LlmClient(Endpoint.from_environment(role), replies, config, parameters, price, meter)


def _language_models(settings: QuestionSettings, cache: Path | None) -> LanguageModels:
    """The models that write and that judge, within one budget."""
    made = partial(language_model, cache=cache, config=settings.part(ClientConfig), meter=Meter(settings.part(Budget)))
    prices, parameters = settings.part(Prices), settings.part(Parameters)

    def judge() -> LlmClient:
        same = Endpoint.from_environment("judge").model == Endpoint.from_environment().model
        return made("judge", price=prices.of_judge(same), parameters=parameters.without_sampling())

    return LanguageModels(
        lambda: made("question", price=prices.of_writer, parameters=parameters),
        judge,
        lambda what: Spending(),
        settings.licence,
    )


def _search(
    mode: str,
    passages: pl.DataFrame,
    retriever: str,
    engine: str,
    device: str,
    cache: Path | None,
    dense: DenseConfig,
    questions: list[str],
    k: int,
) -> Sequence[Sequence[str]]:
    """For each question the ids of the passages that are found, best first."""
    from lex_assets.retrieval.search import Searcher

    encoder = None
    if mode == "hybrid":
        from lex_assets.models.bi_encoder import BiEncoder

        encoder = BiEncoder(retriever, device=device)
    keywords = keyword_index(passages, engine, cache)
    return Searcher(passages, encoder, keywords, cache, dense).ids(questions, mode, k)


def _citations(path: Path | None) -> pl.DataFrame:
    """The table of citations. Raises LexError without one: comparisons are asked along them."""
    if path is None:
        raise LexError("max_comparisons needs the passages' citations; name their Parquet file with --citations")
    return read_parquet(path)


def expanded(queries: pl.DataFrame, how: Expansion, cache: Path | None, budget_requests: int) -> pl.DataFrame:
    """`queries` made longer by a language model; those that stay as they were are named on stderr."""
    from lex_assets.retrieval.expand import expand_queries

    client = language_model("hyde", cache, meter=Meter(Budget(budget_requests=budget_requests)))
    found = expand_queries(queries, client, how.value, Spending())
    for query_id, reason in found.unanswered.items():
        line = f"{query_id}: 그대로 검색 · searched as it is: {reason}"
        errors.print(line, markup=False, highlight=False, soft_wrap=True)
    return found.queries


class Spending:
    """Progress on stderr every few seconds, and at the end: how far, the time left, what was spent."""

    def __init__(self) -> None:
        self.began = self.printed = time.monotonic()

    def __call__(self, done: int, total: int, usage: Usage) -> None:
        """One report."""
        now = time.monotonic()
        if done < total and now - self.printed < REPORT_EVERY_S:
            return
        self.printed = now
        left_s = (now - self.began) / max(1, done) * (total - done)
        errors.print(f"{done:,}/{total:,} · 남은 시간 · ETA {left_s:.0f} s · {usage}", soft_wrap=True, highlight=False)


def _finish(made: Synthetic, path: Path) -> None:
    """Write the questions and print what became of the passages, and how far the judge agreed with itself."""
    _write(made, path)
    report = made.report
    counts = ", ".join(f"{name} {number:,}" for name, number in report.counts.items())
    if report.judged and report.judged.agreement is not None:
        agreed = f"κ {report.judged.agreement:.3f} ({report.judged.sample})"
        errors.print(f"검수의 일치 · judge's agreement with itself: {agreed}", soft_wrap=True, highlight=False)
    out.print(f"{report.passages:,} 단락 · passages: {counts} → {path}", soft_wrap=True, highlight=False)


def _write(made: Synthetic, path: Path) -> None:
    """The kept questions, and beside them `<name>.rejected.jsonl`, each beside and renamed."""
    kept = (
        {"id": meta.pop("passage_id"), "text": text} | meta
        for text, meta in zip(made.queries["text"], map(json.loads, made.queries["meta"]), strict=True)
    )
    files: dict[Path, Iterable[dict[str, Any]]] = {
        path: kept,
        path.with_suffix(".rejected.jsonl"): made.report.rejected.iter_rows(named=True),
    }
    with writing(path, "--out"):
        for target, rows in files.items():
            beside = target.with_name(f".{target.name}.tmp")
            lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
            beside.write_text("".join(lines), encoding="utf-8")
            beside.replace(target)
