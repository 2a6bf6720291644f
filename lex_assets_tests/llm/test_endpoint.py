"""Which endpoint is asked: from the environment, with a remedy for what is missing, and the key to its own host only."""

from __future__ import annotations

import pytest

from lex_assets.llm.endpoint import Endpoint, endpoint
from lex_assets.schemas import LexError

GENERAL = {
    "LEX_LLM_BASE_URL": "https://api.upstage.ai/v1/",
    "LEX_LLM_MODEL": "solar-pro2",
    "LEX_LLM_API_KEY": " up_secret-123 \n",
}


def test_from_the_environment_and_roles_fall_back_on_the_questions() -> None:
    found = Endpoint.from_environment("question", GENERAL)
    assert (found.base_url, found.model, found.key.value) == (
        "https://api.upstage.ai/v1",
        "solar-pro2",
        "up_secret-123",
    )
    judge = Endpoint.from_environment("judge", GENERAL | {"LEX_LLM_JUDGE_MODEL": "solar-mini"})
    assert (judge.base_url, judge.model, judge.key.value) == (found.base_url, "solar-mini", "up_secret-123")


JUDGE = "LEX_LLM_JUDGE_API_KEY"


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        ({}, "LEX_LLM_API_KEY"),
        ({"LEX_LLM_JUDGE_BASE_URL": "https://api.upstage.ai/v1"}, "LEX_LLM_API_KEY"),
        ({JUDGE: "up_other-456"}, JUDGE),
        ({"LEX_LLM_JUDGE_BASE_URL": "http://127.0.0.1:8000/v1"}, JUDGE),
        ({"LEX_LLM_BASE_URL": "http://127.0.0.1:8000/v1", "LEX_LLM_API_KEY": ""}, f"{JUDGE} or LEX_LLM_API_KEY"),
    ],
)
def test_errors_name_the_variable_that_the_key_came_from(changed: dict[str, str], name: str) -> None:
    assert Endpoint.from_environment("judge", GENERAL | changed).variables[2] == name


def test_the_key_of_the_questions_goes_to_no_other_host() -> None:
    elsewhere = {"LEX_LLM_HYDE_BASE_URL": "https://api.openai.com/v1", "LEX_LLM_HYDE_MODEL": "gpt"}
    with pytest.raises(LexError, match=r"no key for api\.openai\.com; set LEX_LLM_HYDE_API_KEY"):
        Endpoint.from_environment("hyde", GENERAL | elsewhere)
    local = Endpoint.from_environment(
        "hyde", GENERAL | elsewhere | {"LEX_LLM_HYDE_BASE_URL": "http://127.0.0.1:8000/v1"}
    )
    assert local.key.value == ""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"LEX_LLM_BASE_URL": ""}, "set LEX_LLM_BASE_URL"),
        ({"LEX_LLM_BASE_URL": "api.upstage.ai"}, "set LEX_LLM_BASE_URL"),
        ({"LEX_LLM_BASE_URL": "https://me:up_secret-123@api.upstage.ai/v1"}, "must not hold credentials"),
        ({"LEX_LLM_BASE_URL": "https://api.upstage.ai/v1?key=up_secret-123"}, "must not hold credentials"),
        ({"LEX_LLM_MODEL": ""}, "set LEX_LLM_MODEL"),
        ({"LEX_LLM_API_KEY": ""}, "no key for api.upstage.ai; set LEX_LLM_API_KEY"),
        ({"LEX_LLM_API_KEY": "up_secret\n-123"}, "LEX_LLM_API_KEY holds characters"),
    ],
)
def test_what_is_missing_is_named_without_the_key(changed: dict[str, str], message: str) -> None:
    with pytest.raises(LexError, match=message) as caught:
        Endpoint.from_environment("question", GENERAL | changed)
    assert "secret" not in str(caught.value)


def test_the_key_is_in_no_representation_and_hidden_in_words() -> None:
    found = endpoint("question", "https://h/v1", "m", "up_secret-123")
    assert "secret" not in repr(found) + str(found)
    assert found.hide("Incorrect key: up_secret-123") == "Incorrect key: ***"
    assert endpoint("question", "http://h/v1", "m", "").hide("ab") == "ab"


def test_an_unknown_role_is_refused() -> None:
    with pytest.raises(LexError, match="role 'poet'"):
        Endpoint.from_environment("poet", GENERAL)
