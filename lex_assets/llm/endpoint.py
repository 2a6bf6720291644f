"""Which endpoint and model answer, and the key that only the endpoint gets to see.

Any server that speaks OpenAI's chat completions: Upstage, OpenAI, vLLM, Ollama, Gemini's compatible endpoint.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from lex_assets.schemas import LexError
from lex_assets.sources.polite_http import Secret

ROLES = ("question", "judge", "hyde")
"""What a model is for; each may have an endpoint of its own."""

_LONG_SECRET = 8


@dataclass(frozen=True)
class Endpoint:
    """A base URL like https://api.upstage.ai/v1, a model's name there, and the key.

    Raises LexError for a URL that is none or holds credentials, for a missing model, and for https without a key.
    """

    base_url: str
    model: str
    key: Secret
    variables: tuple[str, str, str] = ("LEX_LLM_BASE_URL", "LEX_LLM_MODEL", "LEX_LLM_API_KEY")
    """Environment variables that errors name as the remedy: those that the URL, the model and the key came from."""

    def __post_init__(self) -> None:
        url, model, key = self.variables
        parts = urlsplit(self.base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise LexError(f"no address of a language model; set {url}, for example to https://api.upstage.ai/v1")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise LexError(f"{url} must not hold credentials or a query; put the key into {key}")
        if not self.model:
            raise LexError(f"no language model named; set {model}, for example to solar-pro2")
        if parts.scheme == "https" and not self.key.value:
            raise LexError(f"no key for {parts.hostname}; set {key}")
        if re.search(r"[^\x21-\x7e]", self.key.value):
            raise LexError(f"{key} holds characters that no key has (a line break?); correct it")

    @classmethod
    def from_environment(cls, role: str = "question", environ: Mapping[str, str] | None = None) -> Endpoint:
        """The endpoint of a role: LEX_LLM_JUDGE_BASE_URL, …_MODEL, …_API_KEY, or where unset those of the questions.

        The questions' key goes to another host only when it is named there too.
        """
        environ = os.environ if environ is None else environ
        url, model, key = (environ.get(name, "") for name in _variables(role))
        return endpoint(role, url, model, key, _general(role, environ))

    @property
    def host(self) -> str:
        """Host and port, for messages."""
        return urlsplit(self.base_url).netloc

    def hide(self, text: str) -> str:
        """`text` without the key; for everything that people get to read."""
        return self.key.hide(text) if self.key.value else text

    def hide_long(self, text: str) -> str:
        """As `hide` for keys that cannot be a word of an answer; for what is stored."""
        return self.hide(text) if len(self.key.value) >= _LONG_SECRET else text


def endpoint(role: str, base_url: str, model: str, key: str, general: Endpoint | None = None) -> Endpoint:
    """The endpoint of `role`; what is empty comes from `general`, its key only for the same address."""
    own = list(zip((base_url.strip().rstrip("/"), model.strip(), key.strip()), _variables(role), strict=True))
    found = own if general is None else _completed(own, general)
    (base_url, url), (model, name), (key, secret) = found
    return Endpoint(base_url, model, Secret("api_key", key), (url, name, secret))


_Setting = tuple[str, str]
"""A value, and the variable that it came from or that would hold it."""


def _completed(own: list[_Setting], general: Endpoint) -> list[_Setting]:
    lent = zip((general.base_url, general.model, general.key.value), general.variables, strict=True)
    address, model, key = (_first(*pair) for pair in zip(own, lent, strict=True))
    return [address, model, key if address[0] == general.base_url else own[2]]


def _first(own: _Setting, lent: _Setting) -> _Setting:
    if own[0] or lent[0]:
        return own if own[0] else lent
    return "", f"{own[1]} or {lent[1]}"


def _general(role: str, environ: Mapping[str, str]) -> Endpoint | None:
    """The questions' endpoint, where one is configured and `role` is another."""
    if role == ROLES[0] or not environ.get(_variables(ROLES[0])[0]):
        return None
    return Endpoint.from_environment(ROLES[0], environ)


def _variables(role: str) -> tuple[str, str, str]:
    if role not in ROLES:
        raise LexError(f"role {role!r} of a language model is not known; use one of {', '.join(ROLES)}")
    prefix = "LEX_LLM_" if role == ROLES[0] else f"LEX_LLM_{role.upper()}_"
    return f"{prefix}BASE_URL", f"{prefix}MODEL", f"{prefix}API_KEY"
