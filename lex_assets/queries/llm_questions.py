"""Questions written by a language model: one request per passage, one per pair of passages that cite each other.

The passage is data, whatever it says: the prompt says so, the schema leaves no room for anything else, and the filters
ask for a quotation. Here: prompts filled in and answers read. Not here: the client (`llm`), the filters (`filters`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from lex_assets.llm.budget import Estimate
from lex_assets.llm.chat import Chat, Reply
from lex_assets.llm.client import Ask, LlmClient, Progress, Unanswered
from lex_assets.llm.prompts import Prompt, load_prompt
from lex_assets.llm.structured import AnswerError, first_problem, parse_object
from lex_assets.queries.questions import (
    DOMAIN_KINDS,
    LLM_KINDS,
    Difficulty,
    Kind,
    Made,
    Rejected,
    Row,
    SyntheticQuestion,
)
from lex_assets.schemas import content_hash

COMPARISON = "comparison"
PassagePair = tuple[Row, Row]


class Question(BaseModel):
    """A question as the model writes it."""

    model_config = ConfigDict(extra="forbid")

    kind: Kind
    difficulty: Difficulty
    question: str
    answer: str
    evidence: list[str]

    @field_validator("question", "answer")
    @classmethod
    def _not_empty(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("is empty")
        return " ".join(text.split())

    @field_validator("evidence")
    @classmethod
    def _quoted(cls, quotes: list[str]) -> list[str]:
        quotes = [" ".join(quote.split()) for quote in quotes if quote.strip()]
        if not quotes:
            raise ValueError("holds no quotation")
        return quotes


class Questions(BaseModel):
    """The model's whole answer."""

    model_config = ConfigDict(extra="forbid")

    questions: list[Question]


class QuestionConfig(BaseModel):
    """What a language model is asked for."""

    model_config = ConfigDict(frozen=True)

    kinds: tuple[str, ...] = Field(
        default=(), description=f"질문의 종류, 비우면 도메인별 기본: {', '.join(LLM_KINDS)}. Kinds; empty: by domain."
    )
    window: int = Field(
        default=1000, ge=100, description="모델에 보일 글자 수(단락의 앞부터). Characters of a passage that are shown."
    )
    max_comparisons: int = Field(
        default=0,
        ge=0,
        description="두 단락을 함께 물을 쌍의 상한, 0은 묻지 않음; rules는 인용한 말로 인용된 단락을 물음. Pairs of passages "
        "asked about together, 0 asks none; rules ask for the cited passage in the words that cite it.",
    )

    @field_validator("kinds")
    @classmethod
    def _known_kinds(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in LLM_KINDS]
        if unknown:
            raise ValueError(f"kind {unknown[0]!r} is not known; choose from {', '.join(LLM_KINDS)}")
        return names

    def of_domain(self, domain: str) -> tuple[str, ...]:
        """The kinds asked for in a domain."""
        return self.kinds or DOMAIN_KINDS.get(domain, LLM_KINDS)


@dataclass(frozen=True)
class _Source:
    """What a request is about: one passage or two, and the prompt that asks."""

    rows: tuple[Row, ...]
    prompt: Prompt
    messages: tuple[tuple[str, str], ...]

    @property
    def passage_id(self) -> str:
        return self.rows[0]["passage_id"]


class LlmGenerator:
    """Questions by a language model behind `client`.

    pairs: passages to compare, see `pairs.comparison_pairs` · licence: the terms of the model's output; they stay with
    each question. Passages are asked about in the order of their hashes, so that a budget that ends early leaves a fair
    sample.
    """

    name = "llm-1"

    def __init__(
        self,
        client: LlmClient,
        config: QuestionConfig | None = None,
        per_passage: int = 3,
        pairs: Sequence[PassagePair] = (),
        licence: str = "",
        progress: Progress | None = None,
    ) -> None:
        self.client, self.config, self.per_passage = client, config or QuestionConfig(), per_passage
        self.pairs, self.progress = pairs, progress
        self.licence = licence or f"output of {client.model}: terms of its provider"

    def estimate(self, passages: Iterable[Row]) -> Estimate:
        """What `generate` would cost; nothing is sent."""
        return self.client.estimate(self._chat(source) for source in self._sources(passages))

    def generate(self, passages: Iterable[Row]) -> list[Made]:
        """Questions for rows of a PASSAGES frame and for the pairs; what brought none is rejected with the reason.

        Raises StoppedError when the endpoint refuses or is down; what it answered is kept and not paid for again.
        """
        sources = list(self._sources(passages))
        asks = [Ask(self._chat(source), partial(self._read, source)) for source in sources]
        answers = self.client.ask_all(asks, self.progress)
        return [one for source, answer in zip(sources, answers, strict=True) for one in _made(source, answer)]

    def _sources(self, passages: Iterable[Row]) -> Iterator[_Source]:
        for row in sorted(passages, key=lambda row: content_hash(row["passage_id"])):
            if kinds := [kind for kind in self.config.of_domain(row["domain"]) if kind != COMPARISON]:
                yield self._about_one(row, kinds)
        for first, second in self.pairs:
            if COMPARISON in self.config.of_domain(first["domain"]):
                yield self._about_two(first, second)

    def _about_one(self, row: Row, kinds: list[str]) -> _Source:
        """Each passage has another kind first: a model that likes one kind does not decide the mixture alone."""
        first = zlib.crc32(row["passage_id"].encode("utf-8", "replace")) % len(kinds)
        order = ", ".join(kinds[first:] + kinds[:first])
        prompt = load_prompt("question")
        values = {"count": str(self.per_passage), "kinds": order, "context": row["context"], "text": self._shown(row)}
        return _Source((row,), prompt, prompt.fill(values))

    def _about_two(self, first: Row, second: Row) -> _Source:
        prompt = load_prompt("comparison")
        values = {"count": "1", "context": first["context"], "text": self._shown(first)}
        values |= {"other_context": second["context"], "other_text": self._shown(second)}
        return _Source((first, second), prompt, prompt.fill(values))

    def _shown(self, row: Row) -> str:
        return row["text"][: self.config.window]

    def _chat(self, source: _Source) -> Chat:
        return Chat(source.messages, source.prompt.version, Questions)

    def _read(self, source: _Source, reply: Reply) -> list[Made]:
        """The usable questions of an answer; the others are rejected one by one, unless all of them are unusable."""
        items = parse_object(reply).get("questions")
        if not isinstance(items, list):
            raise AnswerError("questions: a list of objects is missing")
        made = [self._question(source, item) for item in items]
        complaints = [one.detail for one in made if isinstance(one, Rejected)]
        if made and len(complaints) == len(made):
            raise AnswerError(complaints[0])
        return made

    def _question(self, source: _Source, item: object) -> Made:
        try:
            question = Question.model_validate(item)
        except ValidationError as error:
            return Rejected(source.passage_id, "schema", first_problem(error), text=str(item)[:200])
        if (question.kind == COMPARISON) != (len(source.rows) == 2):
            return Rejected(source.passage_id, "schema", "kind: not asked for", question.kind, question.question)
        return SyntheticQuestion(
            source.passage_id,
            question.question,
            question.kind,
            self.name,
            self.licence,
            question.difficulty,
            question.answer,
            tuple(question.evidence),
            tuple(row["passage_id"] for row in source.rows[1:]),
            self.client.model,
            source.prompt.version,
        )


def _made(source: _Source, answer: list[Made] | Unanswered) -> list[Made]:
    if isinstance(answer, Unanswered):
        return [Rejected(source.passage_id, answer.kind, answer.reason)]
    return answer or [Rejected(source.passage_id, "no_question", "the model found nothing to ask")]
