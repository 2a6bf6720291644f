"""The transport against a real local server: pauses, retries, and where the secret goes."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.utils import formatdate
from io import BytesIO
from random import Random
from urllib.request import Request

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lex_assets.schemas import LexError
from lex_assets.sources import polite_http
from lex_assets.sources.polite_http import (
    Clock,
    PoliteClient,
    RefusedError,
    Secret,
    UnavailableError,
    retry_after_s,
)
from lex_assets_tests.sources import law_server
from lex_assets_tests.sources.law_server import KEY, Fault, LawServer, serving

LIST = {"target": "prec", "display": "100", "page": "1"}


@dataclass
class FakeTime:
    """A clock that sleeping moves on."""

    now: float = 1_000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds

    @property
    def clock(self) -> Clock:
        return Clock(self.sleep, lambda: self.now, lambda: self.now)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LawServer]:
    monkeypatch.setenv("no_proxy", "*")
    with serving(LawServer()) as running:
        running.fill("precedent", 3)
        yield running


@pytest.fixture
def time() -> FakeTime:
    return FakeTime()


def client(server: LawServer, time: FakeTime, **options: float) -> PoliteClient:
    return PoliteClient(server.url, Secret("OC", KEY), clock=time.clock, jitter=Random(1), **options)  # type: ignore[arg-type]


def get(client: PoliteClient) -> bytes:
    return client.get("lawSearch.do", LIST, lambda body: body)


def test_requests_are_the_delay_apart(server: LawServer, time: FakeTime) -> None:
    polite = client(server, time, delay_s=0.5)
    for _ in range(4):
        get(polite)
    assert time.slept == [0.0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(
    "fault", [law_server.TOO_MANY, law_server.BROKEN, Fault(503), law_server.DROPPED, law_server.CUT_BODY]
)
def test_a_passing_fault_is_retried(server: LawServer, time: FakeTime, fault: Fault) -> None:
    server.faults["list"] = [fault, fault]
    assert b"PrecSearch" in get(client(server, time))
    assert len(server.requests) == 3


def test_retry_after_is_waited_for(server: LawServer, time: FakeTime) -> None:
    server.faults["list"] = [law_server.TOO_MANY]
    get(client(server, time, delay_s=0))
    assert 7 <= max(time.slept) < 8.01


def test_backoff_grows_is_bounded_and_ends(server: LawServer, time: FakeTime) -> None:
    server.faults["list"] = [Fault(500)] * 99
    with pytest.raises(UnavailableError, match=r"HTTP 500.*9 attempts.*later"):
        get(client(server, time, delay_s=0, attempts=9))
    waits = [seconds for seconds in time.slept if seconds]
    assert len(server.requests) == 9 and len(waits) == 8
    assert all(0.5 * 2**n <= wait <= 1.5 * 2**n for n, wait in enumerate(waits[:6]))
    assert max(waits) <= 90
    assert len({wait / 2**n for n, wait in enumerate(waits[:6])}) == 6  # jitter: clients do not come back together


def test_a_server_that_asks_for_an_hour_is_left_alone(server: LawServer, time: FakeTime) -> None:
    server.faults["list"] = [Fault(429, headers=(("Retry-After", "3600"),))]
    with pytest.raises(RefusedError, match="3,600 s"):
        get(client(server, time))
    assert len(server.requests) == 1 and sum(time.slept) == 0


def test_a_timeout_is_retried(server: LawServer, time: FakeTime) -> None:
    server.hold_at = "list"
    with pytest.raises(UnavailableError, match=r"(?i)timed out.*2 attempts"):
        get(client(server, time, timeout_s=0.05, attempts=2))


@pytest.mark.parametrize(("status", "error"), [(401, RefusedError), (403, RefusedError), (404, UnavailableError)])
def test_what_no_retry_mends_is_not_retried(
    server: LawServer, time: FakeTime, status: int, error: type[LexError]
) -> None:
    server.faults["list"] = [Fault(status)]
    with pytest.raises(error, match=f"HTTP {status}"):
        get(client(server, time))
    assert len(server.requests) == 1


def test_a_redirect_of_the_same_origin_is_followed(server: LawServer, time: FakeTime) -> None:
    server.faults["list"] = [
        Fault(302, headers=(("Location", f"/DRF/lawSearch.do?OC={KEY}&target=prec&display=9&page=1"),))
    ]
    assert b"PrecSearch" in get(client(server, time))


def test_the_key_goes_to_no_other_host_or_port(server: LawServer, time: FakeTime) -> None:
    with serving(LawServer()) as other:
        for host in (
            other.url,
            other.url.replace("127.0.0.1", "localhost"),
            server.url.replace("127.0.0.1", "localhost"),
        ):
            server.faults["list"] = [Fault(302, headers=(("Location", f"{host}/lawSearch.do?OC={KEY}"),))]
            with pytest.raises(RefusedError, match="goes nowhere else") as caught:
                get(client(server, time))
            assert KEY not in str(caught.value)
        assert not other.requests
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("there", "allowed"),
    [
        ("https://www.law.go.kr/x", True),
        ("http://www.law.go.kr/x", False),
        ("https://www.law.go.kr@evil.example/x", False),
        ("https://law.go.kr/x", False),
        ("https://www.law.go.kr:8443/x", False),
        ("file:///etc/passwd", False),
        ("https://www.law.go.kr:x/", False),
    ],
)
def test_https_is_never_left(there: str, allowed: bool) -> None:
    handler, request = polite_http._SameOrigin(), Request("https://www.law.go.kr/DRF/lawSearch.do?OC=k")
    if allowed:
        assert handler.redirect_request(request, BytesIO(), 302, "", {}, there).full_url == there  # type: ignore
    else:
        with pytest.raises(RefusedError):
            handler.redirect_request(request, BytesIO(), 302, "", {}, there)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fault", [law_server.DROPPED, Fault(500), Fault(403), Fault(404), law_server.CUT_BODY, Fault(302)]
)
def test_no_error_holds_the_key(server: LawServer, time: FakeTime, fault: Fault) -> None:
    server.faults["list"] = [fault] * 9
    with pytest.raises(LexError) as caught:
        get(client(server, time, attempts=2))
    error: BaseException | None = caught.value
    assert KEY not in "".join(traceback.format_exception(caught.value))
    while error:
        assert KEY not in repr(error) + str(getattr(error, "url", "")) + str(vars(error))
        error = error.__cause__ or error.__context__


def test_a_key_in_the_words_of_the_service_is_hidden(server: LawServer, time: FakeTime) -> None:
    def read(body: bytes) -> bytes:
        raise RefusedError(f"no access for {KEY}")

    with pytest.raises(RefusedError, match=r"no access for \*\*\*$"):
        client(server, time).get("lawSearch.do", LIST, read)
    assert KEY not in repr(Secret("OC", KEY))


@pytest.mark.parametrize(
    ("key", "body", "left"),
    [
        ("test", b'{"a": "/DRF?OC=test&target=prec", "b": "test oc=testing"}', b'{"a": "/DRF?OC=&target=prec", "b": "test oc=testing"}'),
        ("test", b'{"a": "x\\u0026oc%3Dtest\\u0026", "OC": "test"}', b'{"a": "x\\u0026oc%3D\\u0026", "OC": ""}'),
        ("a+b/c=", b"OC=a%2Bb%2Fc%3D&x OC=a+b/c=", b"OC=&x OC="),
        (KEY, f"{KEY} OC={KEY}".encode(), b"*** OC="),
    ],
)  # fmt: skip
def test_an_echo_of_the_key_is_removed_and_nothing_else(key: str, body: bytes, left: bytes) -> None:
    assert Secret("OC", key).remove_echo(body) == left


@pytest.mark.parametrize(
    "url",
    [
        "ftp://law.go.kr",
        "https://",
        "law.go.kr",
        "https://a@b/DRF",
        "https://a/DRF?OC=1",
        "https://a:b/",
        "https://가/",
    ],
)
def test_a_base_url_must_be_one(url: str) -> None:
    with pytest.raises(LexError, match="--base-url"):
        PoliteClient(url, Secret("OC", KEY))


def test_retry_after_dates() -> None:
    assert retry_after_s(formatdate(1_000_120, usegmt=True), 1_000_000) == 120
    assert retry_after_s(formatdate(1_000_000, usegmt=True), 1_000_120) == 0
    assert retry_after_s(None, 0) is None


@given(st.text())
def test_retry_after_never_fails(header: str) -> None:
    seconds = retry_after_s(header, 0)
    assert seconds is None or seconds >= 0


def test_the_referer_is_sent(server: LawServer, time: FakeTime) -> None:
    get(client(server, time))
    assert server.requests[0]["Referer"] == server.url.removesuffix("DRF")
