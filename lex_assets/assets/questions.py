"""Questions, per domain: generated ones, and the selection that trains."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import dagster as dg
import polars as pl

from lex_assets.assets.assemble import SPLIT_HASH, split_hash_of, split_settings
from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import counts, data_version, markdown_table, table_metadata, titled_plots
from lex_assets.assets.progress import spending_log
from lex_assets.llm.budget import Usage
from lex_assets.plots import bars
from lex_assets.queries.filters import Search, SyntheticConfig
from lex_assets.queries.inherit import SourceSets
from lex_assets.queries.llm_questions import QuestionConfig
from lex_assets.queries.questions import QuestionGenerator
from lex_assets.queries.synthetic import Synthetic, Yield
from lex_assets.queries.training import TrainingConfig as QuerySelection
from lex_assets.queries.training import training_queries as select_queries
from lex_assets.queries.writing import LanguageModels, QuestionWriting, WritingConfig
from lex_assets.resources.gpu import GpuResource
from lex_assets.resources.lexical import LexicalSearchResource
from lex_assets.resources.llm import LlmResource
from lex_assets.resources.models import BaseModelsResource
from lex_assets.resources.store import StoreResource
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.schemas import PASSAGES, QRELS, QUERIES, LexError

EXAMPLES = 12
EXAMPLES_PER_FILTER = 3

QuerySelectionRun = run_config(QuerySelection)
SyntheticRun = run_config(WritingConfig, SyntheticConfig, QuestionConfig, DenseConfig)


@stage_asset(group="train", kinds={"polars"}, code_version="4")
def synthetic_qa(
    context: dg.AssetExecutionContext,
    config: SyntheticRun,
    store: StoreResource,
    models: BaseModelsResource,
    gpu: GpuResource,
    lexical: LexicalSearchResource,
    llm: LlmResource,
    passages: dict[str, Any],
    split: dict[str, Any],
    citation_graph: dict[str, Any],
) -> dg.MaterializeResult:
    """문서에서 만든 질문(규칙 또는 언어 모델). Questions made from passages; each inherits its source's split set."""
    table = PASSAGES.validate(passages["passages"].collect())
    labelled, qrels = QUERIES.validate(split["queries"].collect()), QRELS.validate(split["qrels"].collect())
    meter = llm.meter()
    progress = partial(spending_log, context.log)
    run = QuestionWriting(
        table,
        SourceSets(split_settings(split), labelled, qrels),
        core_settings(config, WritingConfig),
        core_settings(config, SyntheticConfig),
        core_settings(config, QuestionConfig),
        LanguageModels(partial(llm.writer, meter), partial(llm.judging, meter), progress, llm.licence),
        _searches(table, models, gpu, lexical, context.partition_key, store, core_settings(config, DenseConfig)),
        lambda: citation_graph["citations"].collect(),
    )
    context.log.info(estimate := run.estimate())
    if run.config.dry_run:
        raise LexError(f"{estimate}; nothing was asked: set dry_run to false to ask")
    made = run.made()
    tables = {"queries": made.queries, "qrels": made.qrels, "rejected": made.report.rejected}
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(QUERIES, made.queries, partitioned=True)
        | {SPLIT_HASH: split_hash_of(split)}
        | _yield_metadata(made, meter.usage, run.generator),
    )


def _searches(
    passages: pl.DataFrame,
    models: BaseModelsResource,
    gpu: GpuResource,
    lexical: LexicalSearchResource,
    domain: str,
    store: StoreResource,
    dense_config: DenseConfig,
) -> Callable[[str], Search]:
    """Mode → search for the passages, with the base where it is hybrid."""

    def search(mode: str, questions: list[str], k: int) -> list[list[str]]:
        from lex_assets.retrieval.search import Searcher

        keywords = lexical.over(passages, domain, store.terms)
        with gpu.held() if mode == "hybrid" else nullcontext() as device:
            encoder = models.load(device)[0] if device else None
            return Searcher(passages, encoder, keywords, store.embeddings, dense_config).ids(questions, mode, k)

    return lambda mode: partial(search, mode)


def _yield_metadata(made: Synthetic, usage: Usage, generator: QuestionGenerator) -> dict[str, Any]:
    """What was asked, what it cost, what was kept, and what each filter dropped, with examples."""
    report = made.report
    meta = made.queries.select(pl.col("meta").str.json_decode(_META).struct.unnest())
    return {
        "비용과 수율 · cost and yield": _cost_table(report, usage, generator),
        "필터를 지나며 · through the filters": markdown_table(
            ["필터 · filter", "탈락 · rejected", "남음 · left"], [("만든 질문 · made", 0, report.made), *report.steps]
        ),
        "그림 · plots": titled_plots(
            [("필터를 지나고 남은 질문 · questions left after each filter", _left_plot(report))]
        ),
        "필터별 탈락 · rejected by filter": _rejected_table(report),
        "분할 · sets": counts(made.queries, "set"),
        "종류별 · by kind": counts(meta, "kind"),
        "난이도별 · by difficulty": counts(meta, "difficulty"),
        "예시 · examples": markdown_table(
            ["질문 · question", "단락 · passage"],
            zip(made.queries["text"].head(EXAMPLES), meta["passage_id"].head(EXAMPLES), strict=True),
        ),
    }


_META = pl.Struct({"kind": pl.String, "difficulty": pl.String, "passage_id": pl.String})


def _cost_table(report: Yield, usage: Usage, generator: QuestionGenerator) -> dg.MetadataValue:
    judged = report.judged
    per_question = (usage.money + usage.saved) / max(1, report.kept)
    rows: list[tuple[str, Any]] = [
        ("생성기 · generator", generator.name),
        ("단락 · passages", f"{report.passages:,}"),
        ("요청 · requests", f"{usage.requests:,}"),
        ("저장된 답 · cached", f"{usage.cached:,}"),
        ("다시 물음 · asked again", f"{usage.reasked:,}"),
        ("답을 잃은 요청 · lost", f"{usage.lost:,}"),
        ("입력 토큰 · prompt tokens", f"{usage.prompt_tokens:,}"),
        ("출력 토큰 · completion tokens", f"{usage.completion_tokens:,}"),
        ("비용 · money", usage.money),
        ("만든 질문 · made", f"{report.made:,}"),
        ("남은 질문 · kept", f"{report.kept:,}"),
        ("저장된 답에 예전에 낸 비용 · paid before for cached answers", usage.saved),
        ("질문당 비용(예전 것 포함) · money per kept question, paid before included", per_question),
    ]
    if judged and judged.agreement is not None:
        rows.append((f"검수의 일치(κ, {judged.sample}문항) · judge's agreement", judged.agreement))
    return markdown_table(["항목 · item", "값 · value"], rows)


def _left_plot(report: Yield) -> str:
    """What is left after each filter, as bars from all that was made to what was kept."""
    return bars({"만든 질문 · made": report.made} | {name: left for name, _, left in report.steps})


def _rejected_table(report: Yield) -> dg.MetadataValue:
    numbers = report.counts
    rows = [
        (name, numbers[name], text or passage_id, detail)
        for name in report.rejected["filter"].unique(maintain_order=True)
        for text, passage_id, detail in report.rejected.filter(pl.col("filter") == name)
        .head(EXAMPLES_PER_FILTER)
        .select("text", "passage_id", "detail")
        .iter_rows()
    ]
    return markdown_table(["필터 · filter", "건수 · questions", "예 · example", "까닭 · why"], rows)


@stage_asset(group="train", kinds={"polars"}, code_version="1")
def training_queries(
    context: dg.AssetExecutionContext, config: QuerySelectionRun, split: dict[str, Any], synthetic_qa: dict[str, Any]
) -> dg.MaterializeResult:
    """학습·검증에 쓰는 질문. The domain's labelled and synthetic queries of the sets train and valid."""
    queries, qrels = select_queries(
        QUERIES.validate(split["queries"].collect()),
        QRELS.validate(split["qrels"].collect()),
        QUERIES.validate(synthetic_qa["queries"].collect()),
        QRELS.validate(synthetic_qa["qrels"].collect()),
        context.partition_key,
        core_settings(config, QuerySelection),
    )
    tables = {"queries": queries, "qrels": qrels}
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(QUERIES, queries, partitioned=True)
        | {
            "출처별 · by origin": counts(queries, "origin"),
            "분할 · sets": counts(queries, "set"),
            SPLIT_HASH: split_hash_of(split),
        },
    )
