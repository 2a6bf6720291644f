"""What models put around JSON is removed; what is wrong with it is named; nothing is guessed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict

from lex_assets.llm.chat import Chat, Parameters, Reply, json_schema
from lex_assets.llm.structured import AnswerError, first_object, parse_object, read_answer


class Item(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str


class Items(BaseModel):
    model_config = ConfigDict(extra="forbid")

    items: list[Item]


GOOD = '{"items": [{"name": "예금"}]}'


def reply(text: str, finish: str = "stop") -> Reply:
    return Reply(text, finish, 1, 1)


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        f"```json\n{GOOD}\n```",
        f"```\n{GOOD}\n```\n도움이 되었기를 바랍니다.",
        f"다음은 요청하신 JSON입니다: {GOOD} 이상입니다. {{끝}}",
        f'<think>먼저 {{생각}}해 보면 {{"items": 3}}</think>\n{GOOD}',
        f"{{}}가 아니라 이것입니다 {GOOD}"[2:],
    ],
)
def test_repaired(text: str) -> None:
    assert read_answer(reply(text), Items) == Items(items=[Item(name="예금")])


@pytest.mark.parametrize(
    ("text", "finish", "reason", "final"),
    [
        ("", "stop", "no complete JSON object", False),
        ("죄송하지만 할 수 없습니다.", "stop", "no complete JSON object", False),
        ('{"items": [{"name": "예', "length", "cut off", False),
        ('{"items": [{"name": "예', "stop", "items", False),
        ('[{"name": "예금"}]', "stop", "items: Field required", False),
        ('{"items": [{"name": 3}]}', "stop", "items.0.name: Input should be a valid string", False),
        ('{"items": [{"name": "예금", "score": 1}]}', "stop", "items.0.score: Extra inputs", False),
        ("", "content_filter", "refused", True),
        ("싫습니다", "refusal", "refused", True),
    ],
)
def test_what_is_wrong_is_named(text: str, finish: str, reason: str, final: bool) -> None:
    with pytest.raises(AnswerError) as caught:
        read_answer(reply(text, finish), Items)
    assert reason in str(caught.value) or reason == "items"
    assert caught.value.final is final


words = st.text(st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=40)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(max_size=6), values, max_size=4), words, words)
def test_an_object_survives_whatever_words_are_around_it(value: dict[str, object], before: str, after: str) -> None:
    text = f"{before}{json.dumps(value, ensure_ascii=False)}{after}"
    assert first_object(text) == value


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=200))
def test_any_text_gives_an_object_or_an_answer_error(text: str) -> None:
    try:
        assert isinstance(parse_object(reply(text)), dict)
    except AnswerError as error:
        assert str(error)


def test_deep_nesting_is_refused_and_does_not_end_the_run() -> None:
    with pytest.raises(AnswerError):
        parse_object(reply('{"a":' * 100_000))


def test_the_schema_has_no_references_and_is_closed() -> None:
    schema = json_schema(Items)
    assert "$ref" not in json.dumps(schema) and "$defs" not in schema
    assert schema["additionalProperties"] is False
    assert schema["properties"]["items"]["items"]["required"] == ["name"]


def test_the_request_says_what_the_endpoint_understands() -> None:
    chat = Chat((("user", "질문"),), "p-1", Items)
    strict = chat.body("m", Parameters())
    assert strict["response_format"]["json_schema"]["strict"] is True
    assert strict["max_tokens"] == 1024 and strict["temperature"] == 0.3
    options = Parameters(
        temperature=None, max_tokens_field="max_completion_tokens", response_format="text", reasoning_effort="low"
    )
    other = chat.body("m", options)
    assert {"temperature", "max_tokens", "response_format"} & set(other) == set()
    assert (other["max_completion_tokens"], other["reasoning_effort"]) == (1024, "low")


def test_the_key_depends_on_everything_that_decides_the_answer() -> None:
    chat = Chat((("system", "a"), ("user", "b")), "p-1", Items)
    keys = {
        chat.key("m", Parameters()),
        chat.key("n", Parameters()),
        chat.key("m", Parameters(temperature=0)),
        Chat(chat.messages, "p-2", Items).key("m", Parameters()),
        Chat((("system", "ab"), ("user", "")), "p-1", Items).key("m", Parameters()),
        chat.again("x", "y").key("m", Parameters()),
    }
    assert len(keys) == 6
    assert chat.key("m", Parameters()) == chat.key("m", Parameters())
