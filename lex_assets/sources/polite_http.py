"""GET requests with manners: a pause between them, bounded retries, and a secret parameter that nobody else gets to see.

Here: the transport. Not here: what an answer means (`law_go_kr`), where it is kept (`download`). The standard library
and not httpx or requests: those write every URL, and with it the secret, to the log.
"""

from __future__ import annotations

import re
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.message import Message
from email.utils import parsedate_to_datetime
from http.client import HTTPException, HTTPMessage
from random import Random
from typing import IO, TypeVar
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from lex_assets.schemas import LexError

ATTEMPTS = 6
TIMEOUT_S = 60.0
LONGEST_BACKOFF_S = 60.0
LONGEST_RETRY_AFTER_S = 300.0
"""A server that asks for more is asked again by the next run, not by a process that sleeps for hours."""

_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})
_REFUSED = frozenset({401, 403, 407})
_BASE_URL = re.compile(r"https?://[\w.:/~%\[\]-]+", re.ASCII)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LONG_SECRET = 8
_HIDDEN = "***"

Answer = TypeVar("Answer")


class RefusedError(LexError):
    """The service will not answer, whatever is retried: a wrong key, a redirect elsewhere, a long pause asked for."""


class UnavailableError(LexError):
    """No usable answer to this request, for now."""


@dataclass(frozen=True)
class Secret:
    """A request parameter whose value nobody but the service may see."""

    name: str
    value: str = field(repr=False)

    def hide(self, text: str) -> str:
        """`text` without the value, plain or percent-encoded; for everything that people get to read."""
        for form in self._forms():
            text = text.replace(form, _HIDDEN)
        return text

    def remove_echo(self, body: bytes) -> bytes:
        """`body` without the value where the service repeats the request in it (`OC=…`, `OC%3D…`, `"OC": "…"`).

        A short value may also be a word of the document (the key can be the local part of an e-mail address), so that
        only a long one is removed wherever it stands.
        """
        value = rb"(?:" + b"|".join(re.escape(form.encode()) for form in self._forms()) + rb")"
        named = rb"(?i:(" + re.escape(self.name.encode()) + rb"(?:=|%3D|\\?[\"']\s*:\s*\\?[\"'])))"
        body = re.sub(named + value + rb"(?![0-9A-Za-z_])", rb"\1", body)
        return re.sub(value, _HIDDEN.encode(), body) if len(self.value) >= _LONG_SECRET else body

    def _forms(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((self.value, quote(self.value, safe=""), quote(self.value))))


@dataclass(frozen=True)
class Clock:
    """Time as the client sees it; tests give it another."""

    sleep: Callable[[float], None] = time.sleep
    monotonic: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time


@dataclass(frozen=True)
class _Fault:
    """Why an attempt gave no answer, without the secret; `wait_s` is what the server asked for."""

    cause: str
    error: type[LexError] = UnavailableError
    retry: bool = True
    wait_s: float | None = None


class PoliteClient:
    """GETs below `base_url`, `delay_s` seconds apart; faults that pass are retried with exponential back-off and jitter.

    The secret goes to this origin only: a redirect to another host, port or to plain http is refused.
    """

    def __init__(
        self,
        base_url: str,
        secret: Secret,
        delay_s: float = 0.5,
        timeout_s: float = TIMEOUT_S,
        attempts: int = ATTEMPTS,
        clock: Clock | None = None,
        jitter: Random | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.host = _host(self.base_url)
        self.secret, self.delay_s, self.timeout_s, self.attempts = secret, delay_s, timeout_s, attempts
        self._clock, self._jitter = clock or Clock(), jitter or Random()
        self._opener = build_opener(_SameOrigin())
        self._free_at = self._clock.monotonic()

    def get(self, path: str, params: Mapping[str, str], read: Callable[[bytes], Answer]) -> Answer:
        """`read(body)` of the answer to `path` with `params` and the secret.

        `read` raises UnavailableError for a body that may be better next time; other errors of it end the request.
        Raises RefusedError or, after the last attempt, UnavailableError; neither holds the URL.
        """
        attempt = 0
        while True:
            attempt += 1
            answer = self._attempt(path, params, read)
            if not isinstance(answer, _Fault):
                return answer
            if not answer.retry or attempt == self.attempts:
                raise answer.error(answer.cause)  # outside of the except clause: its context would hold the URL
            self._clock.sleep(self._backoff(attempt, answer.wait_s))

    def _attempt(self, path: str, params: Mapping[str, str], read: Callable[[bytes], Answer]) -> Answer | _Fault:
        self._clock.sleep(max(0.0, self._free_at - self._clock.monotonic()))
        try:
            return read(self._body(path, params))
        except HTTPError as error:
            error.close()
            return self._status_fault(error.code, error.headers)
        except (OSError, HTTPException) as error:
            return self._connection_fault(error)
        except LexError as error:
            return _Fault(self.secret.hide(str(error)), type(error), retry=isinstance(error, UnavailableError))
        finally:
            self._free_at = self._clock.monotonic() + self.delay_s

    def _body(self, path: str, params: Mapping[str, str]) -> bytes:
        url = f"{self.base_url}/{path}?{urlencode({self.secret.name: self.secret.value, **params})}"
        # law.go.kr answers requests without a Referer as if the key were wrong.
        headers = {"User-Agent": "lex-assets", "Accept": "application/json", "Referer": _origin_url(self.base_url)}
        with self._opener.open(Request(url, headers=headers), timeout=self.timeout_s) as response:
            body: bytes = response.read()
        return body

    def _status_fault(self, status: int, headers: Message) -> _Fault:
        cause = f"{self.host}: HTTP {status}"
        if status in _REFUSED:
            return _Fault(
                f"{cause}; check the key and whether this machine's address is registered", RefusedError, False
            )
        if status not in _RETRIED:
            return _Fault(f"{cause}; check --base-url, or look the document up on the site", retry=False)
        wait_s = retry_after_s(headers.get("Retry-After"), self._clock.wall())
        if wait_s is not None and wait_s > LONGEST_RETRY_AFTER_S:
            return _Fault(
                f"{cause}, 잠시 뒤 다시 · asks to wait {wait_s:,.0f} s; run the same command then", RefusedError, False
            )
        return _Fault(f"{cause} ({self.attempts} attempts); run the same command later", wait_s=wait_s)

    def _connection_fault(self, error: Exception) -> _Fault:
        reason = getattr(error, "reason", None) or error
        if isinstance(reason, ssl.SSLCertVerificationError):
            cause = f"{self.host}: certificate not trusted ({reason.verify_message}); install the CA certificate"
            return _Fault(cause, RefusedError, retry=False)
        words = self.secret.hide(" ".join(f"{type(reason).__name__} {reason}".split()))
        return _Fault(f"{self.host}: {words} ({self.attempts} attempts); check the network, run the same command later")

    def _backoff(self, attempt: int, asked_s: float | None) -> float:
        if asked_s is not None:
            return asked_s + self._jitter.random()
        return min(LONGEST_BACKOFF_S, 2.0 ** (attempt - 1)) * self._jitter.uniform(0.5, 1.5)


def retry_after_s(header: str | None, now: float) -> float | None:
    """Seconds that a Retry-After header asks for (a number or an HTTP date); None without one that can be read.

    now: seconds since the epoch.
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header.strip())
    try:
        return max(0.0, parsedate_to_datetime(header).timestamp() - now)
    except ValueError:
        return None


class _SameOrigin(HTTPRedirectHandler):
    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The redirected request, when it stays with the origin that the secret is meant for (or moves to https)."""
        here, there = _origin(req.full_url), _origin(newurl)
        if there != here and (here, there) != (("http", here[1], 80), ("https", here[1], 443)):
            fp.close()
            elsewhere = "{}://{}:{}".format(*there)
            raise RefusedError(f"{here[1]} redirects to {elsewhere}; the key goes nowhere else, check --base-url")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _origin(url: str) -> tuple[str, str, int]:
    """Scheme, host and port; port 0 when the URL has none that is known."""
    parts = urlsplit(url)
    try:
        port = _DEFAULT_PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    except ValueError:
        port = 0
    return parts.scheme, parts.hostname or "", port


def _origin_url(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}/"


def _host(url: str) -> str:
    _, host, port = _origin(url)
    if not (host and port and _BASE_URL.fullmatch(url)):
        raise LexError("the base URL is not like https://www.law.go.kr/DRF; correct --base-url")
    return host
