"""What the server's refusals mean: which are waited out, and what to do about the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from lex_assets.schemas import LexError

BUSY = (429, 502, 503, 504)
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)

_CLIENT = "install the elasticsearch client of the server's major version (constraints-es8.txt, constraints-es9.txt)"
_MAPPING = "the index is not as it was created: look for an index template that matches its name, then build it again"
_TERMS = "the query has too many terms for this server: shorten it, or give the server more memory"
REMEDIES = {
    "too_many_clauses": _TERMS,
    "too_many_nested_clauses": _TERMS,
    "cluster_block_exception": "it is read-only, often for a full disk: free space, lift the block, then run again",
    "invalid_alias_name_exception": "an index bears the alias's name: remove that index, or set another index_prefix",
    "media_type_header_exception": _CLIENT,
    "mapper_parsing_exception": _MAPPING,
    "document_parsing_exception": _MAPPING,
    "strict_dynamic_mapping_exception": _MAPPING,
    "illegal_argument_exception": _MAPPING,
}
"""By a type that the server's error names, itself or as a cause; the first counts. See `remedy` for those that go by status."""

T = TypeVar("T")


def patiently(call: Callable[[], T]) -> T:
    """The answer to `call`, asked again with growing pauses while the server says that it is busy."""
    from elasticsearch import ApiError

    for wait_s in BACKOFF_S:
        try:
            return call()
        except ApiError as error:
            if error.status_code not in BUSY:
                raise
        time.sleep(wait_s)
    return call()


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turn the client's errors into one line with a remedy."""
    from elasticsearch import ApiError, TransportError

    try:
        yield
    except ApiError as error:
        status, answer = error.status_code, error.body or {"error": error.message}
        raise LexError(f"{what}: {status} {reason(answer)}; {remedy(status, answer)}") from error
    except TransportError as error:
        raise LexError(
            f"{what}: no answer ({type(error).__name__}); start the server, or check LEX_ES_URL and LEX_ES_CA_CERTS"
        ) from error


def reason(answer: Any) -> str:
    """Why `answer`, of the server or of one item in it, is an error: the server's own words, in one line."""
    error = answer.get("error") if isinstance(answer, Mapping) else answer
    if isinstance(error, Mapping):
        root = next(iter(error.get("root_cause") or ()), error)
        error = root.get("reason") or root.get("type")
    return " ".join(str(error).split())


def kinds(answer: Any) -> Iterator[str]:
    """The types of an error and of its causes, which are deep in it where shards are asked."""
    if isinstance(answer, Mapping):
        if isinstance(answer.get("type"), str):
            yield answer["type"]
        for part in answer.values():
            yield from kinds(part)
    elif isinstance(answer, list):
        for part in answer:
            yield from kinds(part)


def remedy(status: int, answer: Any) -> str:
    """What to do about an error of that status."""
    if any(word in reason(answer) for word in ("nori_", "user dictionary")):
        return "install the analysis-nori plugin on the server, or correct the user dictionary"
    named = set(kinds(answer))
    for kind, todo in REMEDIES.items():
        if kind in named:
            return todo
    if status in (401, 403):
        return "set LEX_ES_API_KEY to a key that may monitor the cluster, and manage, write and read the index"
    if status == 404:
        return "build the index again"
    if status in (400, 406):
        return _CLIENT
    return "the server is overloaded or failing: look at its log, then run again"
