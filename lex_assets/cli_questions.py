"""`lex-assets questions` and what `search --expand` needs: questions and queries by rule or by a language model.

Which endpoint is asked comes from the environment (LEX_LLM_BASE_URL, LEX_LLM_MODEL, LEX_LLM_API_KEY), the key never from
an option: options are seen by everybody on the machine.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import polars as pl
import typer

from lex_assets.console import errors, failing_in_one_line, out, writing

if TYPE_CHECKING:
    from lex_assets.llm.budget import Usage
    from lex_assets.llm.client import LlmClient
    from lex_assets.queries.questions import QuestionGenerator
    from lex_assets.queries.synthetic import Synthetic

REPORT_EVERY_S = 5.0


class Writer(StrEnum):
    """Who writes questions."""

    rules = "rules"
    llm = "llm"


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


@failing_in_one_line
def questions(
    corpus: Annotated[Path, typer.Option(help="저장소 폴더 또는 JSONL {id,text,title?,law?} · store folder or JSONL")],
    out_file: Annotated[Path, typer.Option("--out", help="질문 파일(JSONL {id(단락),text,…}) · file to write")],
    generator: Annotated[Writer, typer.Option(help="rules(모델 없이) 또는 llm · who writes")] = Writer.rules,
    domain: Annotated[str, typer.Option(help="이 도메인의 단락만 · passages of this domain only")] = "",
    per_passage: Annotated[int, typer.Option(min=1, help="단락당 질문 수 · questions per passage")] = 3,
    max_passages: Annotated[int, typer.Option(min=0, help="단락 수의 상한, 0은 전부 · most passages, 0 for all")] = 0,
    kind: Annotated[list[str] | None, typer.Option(help="llm의 질문 종류(여러 번) · kinds asked for")] = None,
    window: Annotated[int, typer.Option(min=100, help="모델에 보일 글자 수 · characters shown")] = 1000,
    dry_run: Annotated[bool, typer.Option(help="비용만 셈함 · estimate the cost, ask nothing")] = False,
    cache: Cache = None,
    budget_requests: Requests = 0,
    budget_tokens: Annotated[
        int, typer.Option(min=0, help="토큰 수의 상한, 0은 없음 · most tokens, 0 for no bound")
    ] = 0,
    budget_money: Annotated[float, typer.Option(min=0, help="비용의 상한, 0은 없음 · most money, 0 for no bound")] = 0,
    input_price: Annotated[float | None, typer.Option(help="입력 백만 토큰의 값 · per million input tokens")] = None,
    output_price: Annotated[float | None, typer.Option(help="출력 백만 토큰의 값 · per million output tokens")] = None,
    requests_per_minute: Annotated[int, typer.Option(min=0, help="분당 요청 수, 0은 제한 없음 · 0 for no limit")] = 0,
    concurrency: Annotated[int, typer.Option(min=1, help="동시에 보내는 요청 수 · requests at once")] = 8,
) -> None:
    """단락에서 질문을 만듦(`prepare --questions`가 읽음) · Questions about passages, filtered, for `prepare --questions`."""
    from lex_assets.llm.budget import Budget, Price
    from lex_assets.llm.client import ClientConfig
    from lex_assets.passages.stored import read_corpus
    from lex_assets.queries.filters import SyntheticConfig
    from lex_assets.queries.inherit import SourceSets
    from lex_assets.queries.llm_questions import LlmGenerator, QuestionConfig
    from lex_assets.queries.rules import RuleGenerator
    from lex_assets.queries.synthetic import asked_passages, synthetic_queries
    from lex_assets.settings import checked

    passages = read_corpus(corpus)
    passages = passages.filter(pl.col("domain") == domain) if domain else passages
    config = SyntheticConfig(per_passage=per_passage, max_passages=max_passages)
    writer: QuestionGenerator = RuleGenerator()
    if generator is Writer.llm:
        asked = checked(QuestionConfig, {"kinds": tuple(kind or ()), "window": window}, "questions")
        client = language_model(
            "question",
            cache,
            ClientConfig(requests_per_minute=requests_per_minute, concurrency=concurrency),
            Budget(budget_requests=budget_requests, budget_tokens=budget_tokens, budget_money=budget_money),
            Price(input=input_price, output=output_price),
        )
        writer = LlmGenerator(client, asked, per_passage, progress=Spending())
        errors.print(str(writer.estimate(asked_passages(passages, config, SourceSets()))), soft_wrap=True)
        if dry_run:
            return
    made = synthetic_queries(passages, writer, config)
    _write(made, out_file)
    counts = ", ".join(f"{name} {number:,}" for name, number in made.report.counts.items())
    out.print(f"{made.report.passages:,} 단락 · passages: {counts} → {out_file}", soft_wrap=True, highlight=False)


def language_model(
    role: str, cache: Path | None, config: Any = None, budget: Any = None, price: Any = None
) -> LlmClient:
    """The client of a role, configured by the environment. Raises LexError naming the variable that is missing."""
    from lex_assets.llm.budget import Meter
    from lex_assets.llm.cache import ReplyCache
    from lex_assets.llm.client import LlmClient
    from lex_assets.llm.endpoint import Endpoint

    store = Path(os.environ.get("LEX_STORE", "data/store"))
    replies = ReplyCache(cache or store / "cache" / "llm" / "replies.sqlite")
    return LlmClient(Endpoint.from_environment(role), replies, config, price=price, meter=Meter(budget))


def expanded(queries: pl.DataFrame, how: Expansion, cache: Path | None, budget_requests: int) -> pl.DataFrame:
    """`queries` made longer by a language model; those that stay as they were are named on stderr."""
    from lex_assets.llm.budget import Budget
    from lex_assets.retrieval.expand import expand_queries

    client = language_model("hyde", cache, budget=Budget(budget_requests=budget_requests))
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
