"""Where the language models are: from the environment, overridden by config, keys only where they belong."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from lex_assets.resources.llm import LlmResource
from lex_assets.resources.store import StoreResource
from lex_assets.schemas import LexError


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for role in ("", "JUDGE_"):
        for name in ("BASE_URL", "MODEL", "API_KEY"):
            monkeypatch.delenv(f"LEX_LLM_{role}{name}", raising=False)
    monkeypatch.setenv("LEX_LLM_BASE_URL", "https://api.upstage.ai/v1")
    monkeypatch.setenv("LEX_LLM_MODEL", "solar-pro2")
    monkeypatch.setenv("LEX_LLM_API_KEY", "up_secret-123")


def resource(folder: Path, **values: object) -> LlmResource:
    return LlmResource(store=StoreResource(root=str(folder)), **values)


def test_config_overrides_the_environment_field_by_field(tmp_path: Path) -> None:
    llm = resource(tmp_path, judge_model="solar-mini", input_price=1.0, output_price=2.0, max_tokens=300)
    writer, judge = llm.writer(llm.meter()), llm.judging(llm.meter())
    assert (writer.model, judge.model) == ("solar-pro2", "solar-mini")
    assert writer.endpoint.key.value == judge.endpoint.key.value == "up_secret-123"
    assert writer.price.known and not judge.price.known
    assert (writer.parameters.max_tokens, writer.parameters.temperature, judge.parameters.temperature) == (300, 0.3, 0)
    assert writer.cache.path == tmp_path / "cache" / "llm" / "replies.sqlite"


def test_the_judge_is_the_writer_where_it_is_not_named(tmp_path: Path) -> None:
    llm = resource(tmp_path, input_price=1.0, output_price=2.0)
    judge = llm.judging(llm.meter())
    assert judge.model == "solar-pro2" and judge.price.known


def test_a_key_in_the_run_config_is_refused_and_not_repeated(tmp_path: Path) -> None:
    llm = resource(tmp_path, judge_api_key="up_written-9")
    with pytest.raises(LexError, match="judge_api_key of the resource llm is written in its config") as refused:
        llm.judging(llm.meter())
    assert "up_written-9" not in str(refused.value) and "LEX_LLM_JUDGE_API_KEY" in str(refused.value)


def test_the_environments_key_does_not_follow_a_configured_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTHER_KEY", "other-key-9")
    llm = resource(tmp_path, base_url="https://elsewhere.example/v1")
    with pytest.raises(LexError, match=r"no key for elsewhere\.example"):
        llm.writer(llm.meter())
    given = resource(tmp_path, base_url="https://elsewhere.example/v1", api_key="other-key-9")
    assert given.writer(given.meter()).endpoint.key.value == "other-key-9"
    assert "other-key-9" not in repr(given)


def test_a_format_that_is_none_is_named(tmp_path: Path) -> None:
    llm = resource(tmp_path, response_format="xml")
    with pytest.raises(LexError, match="response_format 'xml' of the resource llm is not known"):
        llm.writer(llm.meter())


def test_run_config_that_names_one_field_keeps_the_model(tmp_path: Path) -> None:
    found: list[LlmResource] = []

    @dg.asset
    def looks(llm: LlmResource) -> None:
        found.append(llm)

    config = {"resources": {"llm": {"config": {"budget_requests": 3}}}}
    assert dg.materialize([looks], resources={"llm": resource(tmp_path)}, run_config=config).success
    assert found[0].writer(found[0].meter()).model == "solar-pro2" and found[0].meter().budget.budget_requests == 3
