"""From a model's text to JSON: what models put around it is removed, what is wrong with it is named.

Repaired: reasoning before the answer, code fences, words before and after the object. Not repaired: the object itself,
because a guess about what a model meant is no label.
"""

from __future__ import annotations

import json
import re
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from lex_assets.llm.chat import Reply

Answer = TypeVar("Answer", bound=BaseModel)
_REASONING = re.compile(r"^\s*<think>.*?</think>", re.DOTALL)
_STARTS_TRIED = 20
_REFUSALS = ("content_filter", "refusal")


class AnswerError(Exception):
    """An answer that cannot be used. final: asking again would not help."""

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


def parse_object(reply: Reply) -> dict[str, Any]:
    """The JSON object in a reply. Raises AnswerError naming what is wrong."""
    if reply.finish_reason in _REFUSALS:
        raise AnswerError(f"the model refused ({reply.finish_reason})", final=True)
    value = first_object(_REASONING.sub("", reply.text))
    if value is None and reply.finish_reason == "length":
        raise AnswerError("the answer was cut off at the limit of tokens; write less")
    if value is None:
        raise AnswerError("no complete JSON object in the answer")
    return value


def first_object(text: str) -> dict[str, Any] | None:
    """The first complete JSON object in `text`, or None.

    >>> first_object('```json\\n{"a": 1}\\n``` 이상입니다.')
    {'a': 1}
    """
    decoder = json.JSONDecoder()
    for start in [match.start() for match in re.finditer(r"\{", text)][:_STARTS_TRIED]:
        try:
            value, _ = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            return value
    return None


def read_answer(reply: Reply, answer: type[Answer]) -> Answer:
    """The reply as an `answer`. Raises AnswerError naming the first field that is wrong."""
    try:
        return answer.model_validate(parse_object(reply))
    except ValidationError as error:
        raise AnswerError(first_problem(error)) from None


def first_problem(error: ValidationError) -> str:
    """The first field of a validation error and what is wrong with it, in one line."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'answer'}: {problem['msg']}"
