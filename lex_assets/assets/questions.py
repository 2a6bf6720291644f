"""Questions, per domain: generated ones, and the selection that trains."""

from dataclasses import dataclass
from typing import Any

import dagster as dg
import polars as pl
from pydantic import Field

from lex_assets.assets.assemble import SPLIT_HASH, split_hash_of, split_settings
from lex_assets.assets.declare import core_settings, run_config, stage_asset
from lex_assets.assets.describe import counts, data_version, markdown_table, table_metadata, titled_plots
from lex_assets.assets.progress import spending_log
from lex_assets.llm.budget import Meter, Usage
from lex_assets.plots import bars
from lex_assets.queries.filters import SyntheticConfig
from lex_assets.queries.inherit import SourceSets
from lex_assets.queries.judge import LlmJudge
from lex_assets.queries.llm_questions import LlmGenerator, QuestionConfig
from lex_assets.queries.pairs import comparison_pairs
from lex_assets.queries.questions import QuestionGenerator
from lex_assets.queries.rules import RuleGenerator
from lex_assets.queries.synthetic import Judge, Synthetic, Yield, asked_passages, synthetic_queries
from lex_assets.queries.training import TrainingConfig as QuerySelection
from lex_assets.queries.training import training_queries as select_queries
from lex_assets.resources.gpu import GpuResource
from lex_assets.resources.lexical import LexicalSearchResource
from lex_assets.resources.llm import LlmResource
from lex_assets.resources.models import BaseModelsResource
from lex_assets.resources.store import StoreResource
from lex_assets.schemas import CITATIONS, PASSAGES, QRELS, QUERIES, LexError

EXAMPLES = 12
EXAMPLES_PER_FILTER = 3
GENERATORS = ("rules", "llm")
ROUND_TRIPS = ("", "off", "lexical", "hybrid")

QuerySelectionRun = run_config(QuerySelection)


class SyntheticRun(run_config(SyntheticConfig), run_config(QuestionConfig)):  # type: ignore[misc]
    """Who writes the questions, what is asked for, and which are kept."""

    generator: str = Field(
        default="rules",
        description="질문을 만드는 것: rules(모델 없이) 또는 llm. Who writes: rules, or a language model.",
    )
    round_trip: str = Field(
        default="",
        description="되찾기 검사: off, lexical, hybrid; 비우면 rules는 off, llm은 hybrid. How the passage must be found again.",
    )
    judge: bool = Field(default=False, description="언어 모델 검수. Whether a language model judges each question.")
    judge_sample: int = Field(
        default=50, ge=0, description="두 번 검수할 질문 수. Questions judged twice, for the judge's agreement."
    )
    dry_run: bool = Field(
        default=False, description="비용만 셈하고 멈춤. Estimate the cost, ask nothing, and stop the run."
    )


@dataclass(frozen=True)
class _Run:
    """One materialization: its settings, the tables it reads, and one budget for all that it asks."""

    context: dg.AssetExecutionContext
    config: SyntheticRun
    passages: pl.DataFrame
    sets: SourceSets
    llm: LlmResource
    meter: Meter

    @property
    def filters(self) -> SyntheticConfig:
        return core_settings(self.config, SyntheticConfig)

    def generator(self, citations: pl.LazyFrame) -> QuestionGenerator:
        """Who writes; a language model only after its cost was estimated. Raises LexError for a dry run."""
        if self.config.generator == "rules":
            return RuleGenerator()
        writer = self._writer(citations)
        estimates = self._estimates(writer)
        self.context.log.info(estimates)
        if self.config.dry_run:
            raise LexError(f"{estimates}; nothing was asked: set dry_run to false to ask")
        return writer

    def _estimates(self, writer: LlmGenerator) -> str:
        """What writing would cost, and judging at most."""
        rows = asked_passages(self.passages, self.filters, self.sets)
        lines = [str(writer.estimate(rows))]
        if self.config.judge:
            most = self._judge().estimate(rows, self.config.per_passage, self.filters.max_characters)
            lines.append(f"검수, 많아야 · judging, at most: {most}")
        return "; ".join(lines)

    def _writer(self, citations: pl.LazyFrame) -> LlmGenerator:
        asked = core_settings(self.config, QuestionConfig)
        limit = asked.max_comparisons
        cited = CITATIONS.validate(citations.collect()) if limit else CITATIONS.frame([])
        pairs = comparison_pairs(self.passages, cited, self.sets, limit)
        progress = spending_log(self.context.log, "질문 · questions")
        licence = self.llm.licence
        return LlmGenerator(self.llm.writer(self.meter), asked, self.config.per_passage, pairs, licence, progress)

    def judge(self) -> Judge | None:
        return self._judge() if self.config.judge else None

    def _judge(self) -> LlmJudge:
        progress = spending_log(self.context.log, "검수 · judging")
        return LlmJudge(self.llm.judging(self.meter), self.config.judge_sample, progress)


@stage_asset(group="train", kinds={"polars"}, code_version="3")
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
    _require_known(config)
    table = PASSAGES.validate(passages["passages"].collect())
    labelled, qrels = QUERIES.validate(split["queries"].collect()), QRELS.validate(split["qrels"].collect())
    sets = SourceSets(split_settings(split), labelled, qrels)
    run = _Run(context, config, table, sets, llm, llm.meter())
    generator, mode = run.generator(citation_graph["citations"]), _round_trip(config)

    def search(questions: list[str], k: int) -> list[list[str]]:
        if mode == "lexical":
            return _found(questions, k, table, None, lexical, context.partition_key, store)
        with gpu.held() as device:
            encoder, _ = models.load(device)
            return _found(questions, k, table, encoder, lexical, context.partition_key, store)

    search_again = None if mode == "off" else search
    made = synthetic_queries(table, generator, run.filters, search_again, sets=sets, judge=run.judge())
    tables = {"queries": made.queries, "qrels": made.qrels, "rejected": made.report.rejected}
    return dg.MaterializeResult(
        value=tables,
        data_version=data_version(tables),
        metadata=table_metadata(QUERIES, made.queries, partitioned=True)
        | {SPLIT_HASH: split_hash_of(split)}
        | _yield_metadata(made, run.meter.usage, generator),
    )


def _require_known(config: SyntheticRun) -> None:
    for name, value, known in (
        ("generator", config.generator, GENERATORS),
        ("round_trip", config.round_trip, ROUND_TRIPS),
    ):
        if value not in known:
            raise LexError(f"{name} {value!r} is not known; choose from {', '.join(filter(None, known))}")


def _round_trip(config: SyntheticRun) -> str:
    return config.round_trip or ("hybrid" if config.generator == "llm" else "off")


def _found(
    questions: list[str],
    k: int,
    passages: pl.DataFrame,
    encoder: Any,
    lexical: LexicalSearchResource,
    domain: str,
    store: StoreResource,
) -> list[list[str]]:
    """Passage ids that the base finds: hybrid with an encoder, by keywords without one."""
    from lex_assets.retrieval.search import Searcher

    searcher = Searcher(passages, encoder, lexical.over(passages, domain, store.terms), store.embeddings)
    hits = searcher.hits(questions, "hybrid" if encoder else "lexical", k)
    return [[passage_id for passage_id, _ in found] for found in hits]


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
