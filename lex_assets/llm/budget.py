"""What asking costs: an estimate first, then a meter that refuses the request that could exceed the budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from pydantic import BaseModel, ConfigDict, Field

from lex_assets.llm.chat import Chat, Parameters, Reply, as_json, json_schema
from lex_assets.schemas import LexError

_PER_MILLION = 1_000_000
_MESSAGE_OVERHEAD = 16
"""Tokens that chat templates put around a message, at most."""
_ASCII_PER_TOKEN = 4


class Price(BaseModel):
    """Price per million tokens in any currency; None when it is not known."""

    model_config = ConfigDict(frozen=True)

    input: float | None = Field(default=None, ge=0, description="입력 백만 토큰의 값. Per million input tokens.")
    output: float | None = Field(default=None, ge=0, description="출력 백만 토큰의 값. Per million output tokens.")

    @property
    def known(self) -> bool:
        """Whether both prices are given."""
        return self.input is not None and self.output is not None

    def of(self, prompt_tokens: int, completion_tokens: int) -> float:
        """Money for so many tokens; 0 where the price is not known."""
        return ((self.input or 0) * prompt_tokens + (self.output or 0) * completion_tokens) / _PER_MILLION


_PRICE = "백만 토큰의 값, 모르면 비움. Price of a million tokens, null where not known"


class Prices(BaseModel):
    """What the model that writes and the one that judges cost, in one currency."""

    model_config = ConfigDict(frozen=True)

    input_price: float | None = Field(default=None, ge=0, description=f"입력 {_PRICE}: input.")
    output_price: float | None = Field(default=None, ge=0, description=f"출력 {_PRICE}: output.")
    judge_input_price: float | None = Field(default=None, ge=0, description=f"검수 입력 {_PRICE}: judge's input.")
    judge_output_price: float | None = Field(default=None, ge=0, description=f"검수 출력 {_PRICE}: judge's output.")

    @property
    def of_writer(self) -> Price:
        """Of the model that writes."""
        return Price(input=self.input_price, output=self.output_price)

    def of_judge(self, same_model: bool) -> Price:
        """Of the model that judges; the writer's where that judges too and nothing else is said."""
        own = Price(input=self.judge_input_price, output=self.judge_output_price)
        return self.of_writer if same_model and not own.known else own


class Budget(BaseModel):
    """What one run may spend at most; 0 means no bound."""

    model_config = ConfigDict(frozen=True)

    budget_requests: int = Field(default=0, ge=0, description="요청 수의 상한, 0은 없음. Requests; 0 means no bound.")
    budget_tokens: int = Field(default=0, ge=0, description="토큰 수의 상한, 0은 없음. Tokens; 0 means no bound.")
    budget_money: float = Field(
        default=0, ge=0, description="비용의 상한(가격과 같은 통화), 0은 없음. Money, in the prices' currency."
    )


@dataclass(frozen=True)
class Usage:
    """What was spent. cached: answers that cost nothing now; saved: what they cost when they were asked. lost: requests without
    an answer, counted as if they had cost all that they could. reasked: requests that repeat one whose answer could not be
    used."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    money: float = 0.0
    cached: int = 0
    lost: int = 0
    reasked: int = 0
    saved: float = 0.0

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.prompt_tokens + self.completion_tokens

    def __str__(self) -> str:
        money = f", 비용 · cost {self.money:,.4g}" if self.money else ""
        return f"요청 · requests {self.requests:,}, 저장된 답 · cached {self.cached:,}, 토큰 · tokens {self.tokens:,}{money}"


@dataclass(frozen=True)
class Estimate:
    """What asking would cost, roughly: one request each, every answer as long as it may be. cached: answers that are stored."""

    requests: int
    cached: int
    prompt_tokens: int
    completion_tokens: int
    money: float | None

    def __str__(self) -> str:
        money = "가격 모름 · price unknown" if self.money is None else f"{self.money:,.4g}"
        return (
            f"예상 · estimate: 요청 · requests {self.requests:,} (저장된 답 · cached {self.cached:,}), "
            f"토큰 · tokens {self.prompt_tokens:,} + ≤ {self.completion_tokens:,}, 비용 · cost ≤ {money}"
        )


class BudgetSpent(LexError):  # noqa: N818 - an end, not a defect
    """The next request could exceed the budget."""


@dataclass(frozen=True)
class Reserved:
    """What a request may cost at most, held until its answer is there."""

    prompt_tokens: int
    completion_tokens: int
    money: float

    @property
    def tokens(self) -> int:
        """Input and output tokens together."""
        return self.prompt_tokens + self.completion_tokens


class Meter:
    """Counts what a run spends, over one or more models, and keeps it within the budget.

    A request is let through only when everything under way, at its upper bound, still fits: concurrency cannot exceed
    the budget. Raises LexError for a budget of money without a price.
    """

    def __init__(self, budget: Budget | None = None) -> None:
        self.budget = budget or Budget()
        self.usage = Usage()
        self._held = Reserved(0, 0, 0.0)

    def admit(self, price: Price) -> None:
        """Check that a model of this price can be metered."""
        if self.budget.budget_money and not price.known:
            raise LexError(
                "a budget of money needs the price of a million input and output tokens; give both, or set 0"
            )

    def reserve(self, chat: Chat, parameters: Parameters, price: Price) -> Reserved:
        """Hold what `chat` may cost at most. Raises BudgetSpent when that does not fit any more; counts a request."""
        prompt, completion = most_tokens(chat), parameters.max_tokens
        wanted = Reserved(prompt, completion, price.of(prompt, completion))
        usage, held, budget = self.usage, self._held, self.budget
        for name, spent, limit in (
            ("requests", usage.requests + 1, budget.budget_requests),
            ("tokens", usage.tokens + held.tokens + wanted.tokens, budget.budget_tokens),
            ("money", usage.money + held.money + wanted.money, budget.budget_money),
        ):
            if limit and spent > limit:
                raise BudgetSpent(f"the budget of {limit:,g} {name} is used up; raise budget_{name} and run again")
        self._hold(wanted, 1)
        self.usage = replace(usage, requests=usage.requests + 1)
        return wanted

    def settle(self, reserved: Reserved, reply: Reply, price: Price) -> None:
        """An answer came: what it cost takes the place of what was held."""
        self._hold(reserved, -1)
        self._spend(
            reply.prompt_tokens, reply.completion_tokens, price.of(reply.prompt_tokens, reply.completion_tokens)
        )

    def give_back(self, reserved: Reserved, lost: bool) -> None:
        """No answer came. lost: the endpoint may have worked and billed, which counts in full."""
        self._hold(reserved, -1)
        if lost:
            self.usage = replace(self.usage, lost=self.usage.lost + 1)
            self._spend(reserved.prompt_tokens, reserved.completion_tokens, reserved.money)

    def found(self, reply: Reply, price: Price) -> None:
        """An answer was stored already."""
        saved = price.of(reply.prompt_tokens, reply.completion_tokens)
        self.usage = replace(self.usage, cached=self.usage.cached + 1, saved=self.usage.saved + saved)

    def reasked(self) -> None:
        """A request repeats one whose answer could not be used."""
        self.usage = replace(self.usage, reasked=self.usage.reasked + 1)

    def _hold(self, reserved: Reserved, sign: int) -> None:
        held = self._held
        self._held = Reserved(
            held.prompt_tokens + sign * reserved.prompt_tokens,
            held.completion_tokens + sign * reserved.completion_tokens,
            held.money + sign * reserved.money,
        )

    def _spend(self, prompt: int, completion: int, money: float) -> None:
        usage = self.usage
        self.usage = replace(
            usage,
            prompt_tokens=usage.prompt_tokens + prompt,
            completion_tokens=usage.completion_tokens + completion,
            money=usage.money + money,
        )


def about_tokens(text: str) -> int:
    """Tokens of a text, roughly: one for a Korean character, one for four ASCII characters."""
    ascii_characters = sum(map(str.isascii, text))
    return len(text) - ascii_characters + -(-ascii_characters // _ASCII_PER_TOKEN)


def most_tokens(chat: Chat) -> int:
    """Tokens of a request at most: a token holds at least one byte."""
    schema = _schema_bytes(chat.answer)
    return schema + sum(len(text.encode("utf-8", "replace")) + _MESSAGE_OVERHEAD for _, text in chat.messages)


@lru_cache(maxsize=16)
def _schema_bytes(answer: type[BaseModel]) -> int:
    return len(as_json(json_schema(answer)).encode())
