"""What is sent and what comes back: one request with everything that decides its answer, and the reply as it is stored."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from lex_assets.schemas import content_hash

Message = tuple[str, str]
"""(role, text)."""

_SHOWN_AGAIN = 2000


class Parameters(BaseModel):
    """How a model is asked to write."""

    model_config = ConfigDict(frozen=True)

    temperature: float | None = Field(
        default=0.3, ge=0, le=2, description="표집 온도, 비우면 보내지 않음. Sampling temperature; null is not sent."
    )
    max_tokens: int = Field(default=1024, ge=1, description="답의 최대 토큰 수. Longest answer, in tokens.")
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        default="max_tokens",
        description="한도를 보낼 이름(OpenAI 추론 모델은 max_completion_tokens). How the endpoint calls that limit.",
    )
    response_format: Literal["json_schema", "json_object", "text"] = Field(
        default="json_schema",
        description="구조화된 답을 요구하는 방식. How JSON is asked for; the prompt asks for it in any case.",
    )
    reasoning_effort: str = Field(
        default="", description="추론 정도(low 등), 비우면 보내지 않음. Reasoning effort; empty is not sent."
    )

    @cached_property
    def canonical(self) -> str:
        """All of them as JSON, part of every cache key."""
        return self.model_dump_json()

    def without_sampling(self) -> Parameters:
        """These for a model whose answers should not vary; a temperature that is not sent stays so."""
        return self.model_copy(update={"temperature": None if self.temperature is None else 0.0})

    def body(self) -> dict[str, Any]:
        """The request's fields beside model, messages and format."""
        fields: dict[str, Any] = {self.max_tokens_field: self.max_tokens}
        if self.temperature is not None:
            fields["temperature"] = self.temperature
        if self.reasoning_effort:
            fields["reasoning_effort"] = self.reasoning_effort
        return fields


@dataclass(frozen=True)
class Chat:
    """One request. answer: the pydantic class whose JSON is asked for."""

    messages: tuple[Message, ...]
    prompt_version: str
    answer: type[BaseModel]

    def key(self, model: str, parameters: Parameters) -> str:
        """sha256 of everything that decides the answer: model, parameters, prompt version, messages. 64 hex digits."""
        texts = [part for message in self.messages for part in message]
        return content_hash(model, parameters.canonical, self.prompt_version, *texts)

    def body(self, model: str, parameters: Parameters) -> dict[str, Any]:
        """The JSON of the request."""
        messages = [{"role": role, "content": text} for role, text in self.messages]
        fields: dict[str, Any] = {"model": model, "messages": messages} | parameters.body()
        if parameters.response_format == "json_object":
            fields["response_format"] = {"type": "json_object"}
        elif parameters.response_format == "json_schema":
            schema = {"name": self.answer.__name__, "strict": True, "schema": json_schema(self.answer)}
            fields["response_format"] = {"type": "json_schema", "json_schema": schema}
        return fields

    def again(self, text: str, error: str) -> Chat:
        """The same request after an answer that could not be used, with what was wrong with it."""
        complaint = f"앞의 답을 쓸 수 없습니다: {error}. 설명 없이, 처음에 정한 형식의 JSON만 다시 쓰십시오."
        return replace(
            self, messages=(*self.messages, ("assistant", text[:_SHOWN_AGAIN] or "(빈 답)"), ("user", complaint))
        )


@dataclass(frozen=True)
class Reply:
    """An answer as it came. finish_reason: stop, length, content_filter or refusal; tokens as the endpoint counted them."""

    text: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


@lru_cache(maxsize=16)
def json_schema(answer: type[BaseModel]) -> dict[str, Any]:
    """The JSON schema of `answer` without references and titles, which not every endpoint reads."""
    schema = answer.model_json_schema()
    definitions = schema.pop("$defs", {})
    return _inlined(schema, definitions)


def _inlined(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_inlined(part, definitions) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        return _inlined(definitions[node["$ref"].rsplit("/", 1)[-1]], definitions)
    return {
        name: _inlined(part, definitions)
        for name, part in node.items()
        if not (name == "title" and isinstance(part, str))
    }


def as_json(value: Any) -> str:
    """Compact JSON with Korean left as it is."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
