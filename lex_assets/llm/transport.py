"""One request through the official openai package, without its retries: a reply, or what went wrong and what that means.

Nothing is raised from here: an exception of the package holds the request, and with it the key.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lex_assets.llm.budget import about_tokens
from lex_assets.llm.chat import Chat, Parameters, Reply
from lex_assets.llm.endpoint import Endpoint
from lex_assets.schemas import LexError
from lex_assets.sources.polite_http import LONGEST_RETRY_AFTER_S, retry_after_s

Verdict = Literal["stop", "retry", "reject"]
_RETRIED = frozenset({408, 409, 425, 429})
_NO_CREDIT = "insufficient_quota"
_WORDS = 200


@dataclass(frozen=True)
class Fault:
    """Why a request brought no reply, without the key.

    verdict: "stop" ends the run (wrong key, unknown model), "retry" may pass, "reject" concerns this request alone.
    wait_s: what the server asked for. lost: the server may have answered and billed.
    """

    cause: str
    verdict: Verdict
    wait_s: float | None = None
    lost: bool = False


class Transport:
    """Connections to one endpoint, for one event loop; close it there."""

    def __init__(self, endpoint: Endpoint, timeout_s: float, connections: int, wall: Callable[[], float]) -> None:
        """Raises LexError when the openai package is not installed."""
        try:
            import httpx2
            import openai
        except ImportError:
            raise LexError("language models need the openai package; install lex_assets[llm]") from None
        self._openai, self._response = openai, httpx2.Response
        self._endpoint, self._timeout_s, self._wall = endpoint, timeout_s, wall
        # aiohttp costs a third of the package's default transport, and no redirect may carry the key elsewhere.
        http = openai.DefaultAioHttpClient(
            follow_redirects=False,
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
        )
        self._client = openai.AsyncOpenAI(
            base_url=endpoint.base_url, api_key=endpoint.key.value or "none", max_retries=0, http_client=http
        )

    async def send(self, chat: Chat, parameters: Parameters, key: str) -> Reply | Fault:
        """One attempt. key: the request's hash, sent so that an endpoint that knows how may refuse to do it twice."""
        body = chat.body(self._endpoint.model, parameters)
        options: Any = {"headers": {"Idempotency-Key": key}}
        try:
            async with asyncio.timeout(self._timeout_s):
                # The untyped call: `chat.completions.create` spends twice as much on models of a reply that is checked here.
                response = await self._client.post(
                    "/chat/completions", body=body, options=options, cast_to=self._response
                )
        except self._openai.APIStatusError as error:
            return self._status_fault(error.status_code, error.response.headers, error.body)
        except (TimeoutError, self._openai.APITimeoutError):
            return self._fault(f"no answer within {self._timeout_s:g} s", "retry", lost=True)
        except self._openai.APIConnectionError as error:
            cause = error.__cause__ or error
            return self._fault(f"{type(cause).__name__} {cause}", "retry", lost=not _never_connected(cause))
        if response.status_code != 200:
            return self._status_fault(response.status_code, response.headers, None)
        return self._reply(response.content, chat)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _reply(self, content: bytes, chat: Chat) -> Reply | Fault:
        try:
            body = json.loads(content)
            choice = body["choices"][0]
            message, usage = choice["message"], body.get("usage") or {}
            text = message.get("content") or ""
            if not isinstance(text, str):
                raise TypeError
        except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
            return self._fault("HTTP 200 without a chat completion", "retry", lost=True)
        finish = "refusal" if message.get("refusal") else str(choice.get("finish_reason") or "stop")
        prompt, completion = usage.get("prompt_tokens"), usage.get("completion_tokens")
        if not isinstance(prompt, int) or not isinstance(completion, int):
            prompt, completion = _counted(chat, text)
        return Reply(self._endpoint.hide_long(text), finish, prompt, completion)

    def _status_fault(self, status: int, headers: Mapping[str, str], body: object) -> Fault:
        said = _message(body)
        url, model, key = self._endpoint.variables
        if status in (401, 403, 407):
            return self._fault(f"HTTP {status}; check {key}", "stop")
        if status == 402 or _NO_CREDIT in str(body):
            return self._fault(f"HTTP {status}, no credit left; top up the account of {key}", "stop")
        if status == 404:
            return self._fault(f"HTTP 404 {said}; check {model} ({self._endpoint.model}) and {url}", "stop")
        if status < 400:
            return self._fault(f"HTTP {status}, a redirect; the key goes nowhere else, correct {url}", "stop")
        if status not in _RETRIED and status < 500:
            return self._fault(f"HTTP {status} {said}", "reject")
        wait_s = retry_after_s(headers.get("Retry-After"), self._wall())
        if wait_s is not None and wait_s > LONGEST_RETRY_AFTER_S:
            return self._fault(f"HTTP {status}, asks to wait {wait_s:,.0f} s; run again then", "stop")
        return self._fault(f"HTTP {status} {said}", "retry", wait_s)

    def _fault(self, cause: str, verdict: Verdict, wait_s: float | None = None, lost: bool = False) -> Fault:
        line = " ".join(self._endpoint.hide(f"{self._endpoint.host}: {cause}").split())
        return Fault(line[:_WORDS], verdict, wait_s, lost)


def _counted(chat: Chat, text: str) -> tuple[int, int]:
    """Tokens of an exchange that the endpoint did not count, roughly."""
    return sum(about_tokens(part) for _, part in chat.messages), about_tokens(text)


def _message(body: object) -> str:
    """The server's own words about an error, where it has any."""
    if isinstance(body, dict):
        inner = body.get("error", body)
        body = inner.get("message", "") if isinstance(inner, dict) else inner
    return body if isinstance(body, str) and "<" not in body else ""


def _never_connected(error: BaseException) -> bool:
    import httpx2

    return isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout))
