"""The client against a server that misbehaves: what is retried, what stops, what is stored, what it may cost."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lex_assets.llm.budget import Budget, Meter, Price
from lex_assets.llm.client import StoppedError, Unanswered
from lex_assets.schemas import LexError
from lex_assets_tests.llm.asking import FastClock, Value, ask, client
from lex_assets_tests.llm.server import KEY, Answer, Behaviour, Broken, LlmServer, Status, error

GOOD = Answer('{"value": 7}')


def in_turn(*behaviours: Behaviour) -> Callable[[dict[str, Any]], Behaviour]:
    """These answers, then good ones."""
    left = iter(behaviours)
    return lambda body: next(left, GOOD)


@pytest.mark.parametrize(
    "fault",
    [
        error(429, "slow down", Retry_After="2"),
        error(500, "internal"),
        error(503, "overloaded"),
        error(408),
        Status(502, b"<html>bad gateway</html>"),
        Status(200, b"<html>maintenance</html>"),
        Status(200, b'{"error": {"message": "provider error"}}'),
        Status(200, b'{"choices": [{"message": {"content": [1]}}]}'),
        Broken("drop"),
        Broken("cut"),
        Broken("slow"),
    ],
)
def test_a_fault_that_passes_is_retried(fault: Behaviour, tmp_path: Path) -> None:
    with LlmServer(in_turn(fault, fault)) as server:
        config = {"timeout_s": 0.3} if fault == Broken("slow") else {}
        asked = client(server, tmp_path, config)
        assert asked.ask_all([ask(1)]) == [Value(value=7)]
    assert len(server.seen) == 3 and asked.meter.usage.requests == 3


def test_the_server_says_how_long_to_wait(tmp_path: Path) -> None:
    clock = FastClock()
    with LlmServer(in_turn(error(429, Retry_After="17"), error(500), error(500)), clock.monotonic) as server:
        client(server, tmp_path, clock=clock.clock()).ask_all([ask(1)])
    gaps = [b.at - a.at for a, b in zip(server.seen, server.seen[1:], strict=False)]
    assert gaps[0] >= 17 and 1 <= gaps[1] <= 3 and 2 <= gaps[2] <= 6


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (error(401, f"Incorrect API key provided: {KEY}"), "HTTP 401; check LEX_LLM_API_KEY"),
        (error(403), "HTTP 403; check LEX_LLM_API_KEY"),
        (error(402), "no credit left"),
        (error(429, "insufficient_quota"), "no credit left"),
        (error(404, "The model solar-pro9 does not exist"), r"check LEX_LLM_MODEL \(solar-pro2\)"),
        (error(429, Retry_After="4000"), "asks to wait 4,000 s"),
        (Status(302, headers=(("Location", "http://127.0.0.1:1/"),)), "the key goes nowhere else"),
    ],
)
def test_what_no_retry_mends_stops_at_the_first_request(fault: Behaviour, message: str, tmp_path: Path) -> None:
    with LlmServer(lambda body: fault) as server:
        with pytest.raises(StoppedError, match=message):
            client(server, tmp_path).ask_all([ask(n) for n in range(40)])
        assert len(server.seen) == 1


def test_an_endpoint_that_is_down_is_named_with_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/v1"
        with pytest.raises(StoppedError, match="check LEX_LLM_BASE_URL and the endpoint, then run again"):
            client(url, tmp_path).ask_all([ask(n) for n in range(40)])


def test_an_endpoint_that_goes_down_stops_the_run_and_keeps_what_it_gave(tmp_path: Path) -> None:
    asks = [ask(n) for n in range(60)]
    with LlmServer(in_turn(*[GOOD] * 20, *[error(500)] * 9000)) as server:
        with pytest.raises(StoppedError, match="in a row"):
            client(server, tmp_path).ask_all(asks)
        server.behave = lambda body: GOOD
        again = client(server, tmp_path)
        assert again.ask_all(asks) == [Value(value=7)] * 60
    assert again.meter.usage.cached == 20 and again.meter.usage.requests == 40


def test_one_request_that_is_refused_does_not_stop_the_others(tmp_path: Path) -> None:
    def behave(body: dict[str, Any]) -> Behaviour:
        return error(400, "too long for the model") if "표지 5 " in body["messages"][0]["content"] else GOOD

    with LlmServer(behave) as server:
        found = client(server, tmp_path).ask_all([ask(n) for n in range(20)])
    assert found[5] == Unanswered("endpoint", f"127.0.0.1:{server.port}: HTTP 400 too long for the model")
    assert found.count(Value(value=7)) == 19
    assert sum("표지 5 " in seen.prompt for seen in server.seen) == 1


def test_a_bad_answer_is_asked_again_with_what_was_wrong(tmp_path: Path) -> None:
    with LlmServer(in_turn(Answer('{"value": "일곱"}'))) as server:
        asked = client(server, tmp_path)
        assert asked.ask_all([ask(1)]) == [Value(value=7)]
    first, second = server.seen
    assert second.body["messages"][:1] == first.body["messages"]
    assert second.body["messages"][1] == {"role": "assistant", "content": '{"value": "일곱"}'}
    assert "value: Input should be a valid integer" in second.body["messages"][2]["content"]
    assert asked.meter.usage.reasked == 1


def test_bad_answers_are_bounded_and_not_paid_for_again(tmp_path: Path) -> None:
    with LlmServer(lambda body: Answer("모르겠습니다")) as server:
        asks = [ask(n) for n in range(10)]
        found = client(server, tmp_path).ask_all(asks)
        assert found == [Unanswered("answer", "no complete JSON object in the answer")] * 10
        assert len(server.seen) == 30
        again = client(server, tmp_path)
        assert again.ask_all(asks) == found and len(server.seen) == 30
    assert again.meter.usage.requests == 0


def test_a_refusal_is_not_asked_again(tmp_path: Path) -> None:
    with LlmServer(lambda body: Answer("", "content_filter")) as server:
        assert client(server, tmp_path).ask_all([ask(1)])[0].kind == "answer"
        assert len(server.seen) == 1


def test_concurrency_is_kept_and_progress_told(tmp_path: Path) -> None:
    told: list[tuple[int, int, int]] = []
    with LlmServer(lambda body: GOOD) as server:
        asked = client(server, tmp_path, {"concurrency": 3})
        asked.ask_all([ask(n) for n in range(12)], lambda done, total, usage: told.append((done, total, usage.tokens)))
    assert [done for done, _, _ in told] == list(range(1, 13))
    assert told[-1] == (12, 12, 12 * 120)


def test_equal_requests_have_equal_keys_and_the_endpoint_is_told(tmp_path: Path) -> None:
    with LlmServer(in_turn(error(500))) as server:
        client(server, tmp_path).ask_all([ask(1)])
    first, second = server.seen
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]
    assert first.headers["authorization"] == f"Bearer {KEY}"


PRICE = Price(input=2, output=8)


@pytest.mark.parametrize(
    ("budget", "name"),
    [
        (Budget(budget_requests=5), "requests"),
        (Budget(budget_tokens=6_000), "tokens"),
        (Budget(budget_money=0.03), "money"),
    ],
)
def test_a_budget_is_never_exceeded_and_what_it_bought_stays(budget: Budget, name: str, tmp_path: Path) -> None:
    asks = [ask(n) for n in range(50)]
    with LlmServer(lambda body: Answer('{"value": 7}', usage=(900, 100))) as server:
        meter = Meter(budget)
        found = client(server, tmp_path, meter=meter, price=PRICE).ask_all(asks)
        usage, bought = meter.usage, found.count(Value(value=7))
        assert 0 < bought == usage.requests == len(server.seen) < 50
        assert usage.requests <= (budget.budget_requests or 99)
        assert usage.tokens <= (budget.budget_tokens or 99_999)
        assert usage.money <= (budget.budget_money or 99) and usage.money == pytest.approx(bought * 0.0026)
        rest = [one for one in found if isinstance(one, Unanswered)]
        assert {one.kind for one in rest} == {"budget"} and name in rest[0].reason
        client(server, tmp_path).ask_all(asks)
    assert len(server.seen) == 50


def test_a_lost_answer_counts_as_if_it_had_cost_all_it_could(tmp_path: Path) -> None:
    with LlmServer(lambda body: Broken("drop")) as server:
        meter = Meter(Budget(budget_tokens=4_000))
        assert client(server, tmp_path, meter=meter).ask_all([ask(1)])[0].kind == "budget"
        assert len(server.seen) == meter.usage.lost == 3
    assert meter.usage.tokens <= 4_000


def test_a_budget_of_money_needs_a_price(tmp_path: Path) -> None:
    with pytest.raises(LexError, match="needs the price"):
        client("http://127.0.0.1:1/v1", tmp_path, meter=Meter(Budget(budget_money=1)), price=Price(input=2))


def test_the_estimate_counts_what_is_not_stored_and_asks_nothing(tmp_path: Path) -> None:
    with LlmServer(lambda body: GOOD) as server:
        asked = client(server, tmp_path, price=PRICE)
        asked.ask_all([ask(n) for n in range(4)])
        estimate = asked.estimate([ask(n).chat for n in range(10)])
        assert (estimate.requests, estimate.cached, len(server.seen)) == (6, 4, 4)
    assert estimate.completion_tokens == 6 * 1024
    assert estimate.money == pytest.approx((2 * estimate.prompt_tokens + 8 * 6 * 1024) / 1e6)
    assert "가격 모름" in str(client(server, tmp_path).estimate([ask(11).chat]))


def test_an_endpoint_that_does_not_count_is_counted_for(tmp_path: Path) -> None:
    with LlmServer(lambda body: Answer('{"value": 7}', usage=None)) as server:
        asked = client(server, tmp_path)
        asked.ask_all([ask(1)])
    assert (asked.meter.usage.prompt_tokens, asked.meter.usage.completion_tokens) == (5, 3)


def test_the_key_is_nowhere(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server that repeats the key in answers, in errors and in headers of every kind."""
    caplog.set_level(logging.DEBUG)
    echo = f"Authorization: Bearer {KEY}"
    words: list[str] = []
    behaviours = (Status(500, echo.encode()), error(429, echo), Status(200, echo.encode()), Answer(f"{echo} {{}}"))
    with LlmServer(in_turn(*behaviours)) as server:
        asked = client(server, tmp_path)
        words += map(repr, asked.ask_all([ask(1)]))
        server.behave = lambda body: error(400, echo)
        words += map(repr, asked.ask_all([ask(2)]))
        for code in (401, 404, 418):
            server.behave = lambda body, code=code: error(code, echo)
            try:
                words += map(repr, client(server, tmp_path).ask_all([ask(n) for n in range(10, 20)]))
            except LexError as caught:
                words += [repr(caught), repr(caught.__cause__), repr(caught.__context__)]
        asked.cache.close()
    assert any("418" in word for word in words)
    written = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) >= 1 and sum(map(len, written)) > 1000
    assert not [word for word in [*words, caplog.text, repr(vars(asked))] if KEY in word]
    assert not [content for content in written if KEY.encode() in content]
