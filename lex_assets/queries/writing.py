"""Questions from passages, whoever writes them: generator, estimate, round trip and judge put together by one configuration.

Here: what the asset and the command share. Not here: where language models, search and citations come from; they are passed
in as callables and called only where they are needed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator

from lex_assets.llm.client import LlmClient, Progress
from lex_assets.queries.filters import Search, SyntheticConfig
from lex_assets.queries.inherit import SourceSets
from lex_assets.queries.judge import LlmJudge
from lex_assets.queries.llm_questions import LlmGenerator, QuestionConfig
from lex_assets.queries.pairs import comparison_pairs
from lex_assets.queries.questions import QuestionGenerator, Row
from lex_assets.queries.rules import RuleGenerator
from lex_assets.queries.synthetic import Synthetic, asked_passages, synthetic_queries
from lex_assets.schemas import CITATIONS

RULES, LLM = GENERATORS = ("rules", "llm")
ROUND_TRIPS = ("off", "lexical", "hybrid")
NOTHING_ASKED = "언어 모델을 부르지 않음 · no language model is asked"


class WritingConfig(BaseModel):
    """Who writes the questions, and who looks at them afterwards."""

    model_config = ConfigDict(frozen=True)

    generator: str = Field(
        default=RULES,
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

    @field_validator("generator")
    @classmethod
    def _known_generator(cls, name: str) -> str:
        return _known("generator", name, GENERATORS)

    @field_validator("round_trip")
    @classmethod
    def _known_round_trip(cls, name: str) -> str:
        return name and _known("round_trip", name, ROUND_TRIPS)

    @property
    def search_mode(self) -> str:
        """How passages are searched for again: lexical, hybrid, or "" for not at all."""
        mode = self.round_trip or ("hybrid" if self.generator == LLM else "off")
        return "" if mode == "off" else mode


def _known(name: str, value: str, known: tuple[str, ...]) -> str:
    if value not in known:
        raise ValueError(f"{name} {value!r} is not known; choose from {', '.join(known)}")
    return value


@dataclass(frozen=True)
class LanguageModels:
    """Makers of the clients that write and that judge, and of their progress by what is being done.

    licence: the terms of what the writer writes, "" where nobody said.
    """

    writer: Callable[[], LlmClient]
    judge: Callable[[], LlmClient]
    progress: Callable[[str], Progress]
    licence: str = ""


@dataclass(frozen=True)
class QuestionWriting:
    """Questions about `passages` (PASSAGES), with the sets that they inherit.

    search: mode (lexical, hybrid) → search over the passages · citations: CITATIONS, read only for comparisons.
    """

    passages: pl.DataFrame
    sets: SourceSets
    config: WritingConfig
    filters: SyntheticConfig
    asked: QuestionConfig
    models: LanguageModels
    search: Callable[[str], Search]
    citations: Callable[[], pl.DataFrame]

    @cached_property
    def generator(self) -> QuestionGenerator:
        """Who writes."""
        if self.config.generator == LLM:
            return self._writer
        return RuleGenerator(
            self.filters.per_passage, statute_share=self.filters.statute_share, pairs=self._comparisons()
        )

    def estimate(self) -> str:
        """What writing would cost, and judging at most; nothing is sent."""
        rows = asked_passages(self.passages, self.filters, self.sets)
        found = [str(self._writer.estimate(rows))] if self.config.generator == LLM else []
        if self.config.judge:
            most = self._judge.estimate(rows, self.filters.per_passage, self.filters.max_characters)
            found.append(f"검수, 많아야 · judging, at most: {most}")
        return "; ".join(found) or NOTHING_ASKED

    def made(self) -> Synthetic:
        """The questions, filtered, found again and judged as configured."""
        mode = self.config.search_mode
        return synthetic_queries(
            self.passages,
            self.generator,
            self.filters,
            self.search(mode) if mode else None,
            sets=self.sets,
            judge=self._judge if self.config.judge else None,
        )

    @cached_property
    def _writer(self) -> LlmGenerator:
        return LlmGenerator(
            self.models.writer(),
            self.asked,
            self.filters.per_passage,
            self._comparisons(),
            self.models.licence,
            self.models.progress("질문 · questions"),
        )

    def _comparisons(self) -> list[tuple[Row, Row]]:
        """Passages to ask about together; citations are read only where that is wanted."""
        limit = self.asked.max_comparisons
        return comparison_pairs(self.passages, CITATIONS.validate(self.citations()), self.sets, limit) if limit else []

    @cached_property
    def _judge(self) -> LlmJudge:
        return LlmJudge(self.models.judge(), self.config.judge_sample, self.models.progress("검수 · judging"))
