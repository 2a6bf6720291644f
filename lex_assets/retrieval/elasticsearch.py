"""Keyword search on an Elasticsearch server with the nori analyzer: the same face as `lexical`, from a server.

Each build makes an index of its own, named by its content; the alias of a domain moves to it in one step once every
passage is there, so that readers of the alias always see a whole index. Address and credentials come from the
environment alone: they are in no configuration, log or error.
"""

from __future__ import annotations

import json
import os
import re
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

from lex_assets.retrieval.lexical import K1, B
from lex_assets.retrieval.types import Exclude, Hit, Hits
from lex_assets.schemas import LexError, content_hash

URL_VARIABLE, KEY_VARIABLE, CA_VARIABLE = "LEX_ES_URL", "LEX_ES_API_KEY", "LEX_ES_CA_CERTS"
DECOMPOUND_MODES = ("discard", "none", "mixed")
SEARCHES_AT_ONCE = 100
RESULT_WINDOW = 10_000  # Elasticsearch's own limit on hits per query
BUSY = (429, 502, 503, 504)
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0)
REQUEST_TIMEOUT_S = 60
ITEMS_NAMED = 3
ABANDONED_S = 24 * 3600  # an unfinished build older than this was left by a killed process

T = TypeVar("T")


@dataclass(frozen=True)
class Server:
    """Where the server is and how to be let in. The key is in no repr."""

    url: str = field(repr=False)
    api_key: str = field(default="", repr=False)
    ca_certs: str = ""

    @classmethod
    def from_environment(cls) -> Server:
        """LEX_ES_URL, LEX_ES_API_KEY and LEX_ES_CA_CERTS (path of a PEM file). Raises LexError without an address."""
        url = os.environ.get(URL_VARIABLE, "")
        if not urlsplit(url).hostname:
            raise LexError(f"no Elasticsearch address; set {URL_VARIABLE} (https://host:9200), or use engine embedded")
        return cls(url, os.environ.get(KEY_VARIABLE, ""), os.environ.get(CA_VARIABLE, ""))

    @property
    def address(self) -> str:
        """Host and port, without what a URL may hold of a password."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def connect(self) -> Any:
        """A client whose server has answered. Raises LexError when it does not, or does not let us in."""
        from elasticsearch import Elasticsearch

        options: dict[str, Any] = {
            "request_timeout": REQUEST_TIMEOUT_S,
            "retry_on_timeout": True,
            "retry_on_status": (),
        }
        if self.api_key:
            options["api_key"] = self.api_key
        if self.ca_certs:
            options["ca_certs"] = self.ca_certs
        try:
            client = Elasticsearch(self.url, **options)
        except (ValueError, OSError) as error:
            raise LexError(
                f"Elasticsearch: {URL_VARIABLE} or {CA_VARIABLE} cannot be used ({type(error).__name__}); correct them"
            ) from None  # the cause may quote the address with its password
        with _explained(f"Elasticsearch at {self.address}"):
            _patiently(client.info)
        return client


@dataclass(frozen=True)
class Nori:
    """How the server cuts Korean text to terms.

    decompound_mode: `discard` scores as BM25 does over the same terms; `mixed` stacks terms, which are scored as
    synonyms · user_words: lines of a nori user dictionary.
    """

    decompound_mode: str = "discard"
    user_words: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.decompound_mode not in DECOMPOUND_MODES:
            raise LexError(f"decompound_mode {self.decompound_mode} is not one of {', '.join(DECOMPOUND_MODES)}")

    def index_body(self) -> dict[str, Any]:
        """Settings and mappings: one shard, so that term statistics are the corpus's; the embedded BM25 constants."""
        tokenizer: dict[str, Any] = {"type": "nori_tokenizer", "decompound_mode": self.decompound_mode}
        if self.user_words:
            tokenizer["user_dictionary_rules"] = list(dict.fromkeys(self.user_words))
        filters = ["nori_part_of_speech", "nori_readingform", "lowercase"]
        return {
            "settings": {
                "number_of_shards": 1,
                "number_of_replicas": 0,
                "analysis": {
                    "tokenizer": {"korean": tokenizer},
                    "analyzer": {"korean": {"type": "custom", "tokenizer": "korean", "filter": filters}},
                },
                "similarity": {"bm25": {"type": "BM25", "k1": K1, "b": B}},
            },
            "mappings": {
                "dynamic": "strict",
                "properties": {
                    "id": {"type": "keyword"},
                    "text": {"type": "text", "analyzer": "korean", "similarity": "bm25"},
                },
            },
        }


class ElasticsearchIndex:
    """One complete index on a server. Same `search` as the embedded index; answers do not change when the alias moves."""

    def __init__(self, client: Any, index: str) -> None:
        self.client = client
        self.index = index

    def __repr__(self) -> str:
        return f"ElasticsearchIndex({self.index!r})"

    @classmethod
    def build(
        cls, client: Any, alias: str, ids: Sequence[str], texts: Sequence[str], nori: Nori | None = None
    ) -> ElasticsearchIndex:
        """Index `texts` and move `alias` to them; until all are there the alias keeps what it had.

        A complete index of the same content is used again. Older complete indices of the alias are removed, except the
        one that it named before. Raises LexError when the server refuses a passage or counts fewer than were sent.
        """
        if not ids or len(ids) != len(texts) or len(set(ids)) != len(ids):
            raise LexError(
                f"Elasticsearch index: {len(ids)} ids, {len(set(ids))} of them unique, for {len(texts)} texts"
            )
        body, rows = (nori or Nori()).index_body(), sorted(zip(ids, texts, strict=True))
        content = content_hash(json.dumps(body, sort_keys=True), *(part for row in rows for part in row))[:16]
        with _explained(f"Elasticsearch alias {alias}"):
            there = _indices(client, alias)
            known = [name for name in there if _meta(there[name]).get("content") == content]
            known = [name for name in known if _count(client, name) == len(rows)]
        index = known[0] if known else _filled(client, f"{alias}-{content}-{uuid.uuid4().hex[:6]}", body, rows, content)
        with _explained(f"Elasticsearch alias {alias}"):
            _point(client, alias, index, there)
        return cls(client, index)

    def search(self, queries: Sequence[str], k: int, exclude: Exclude = None) -> Hits:
        """The best `k` passages of each query, at most 10,000. Raises LexError when the server fails on one."""
        if not 1 <= k <= RESULT_WINDOW:
            raise LexError(
                f"Elasticsearch answers 1 to {RESULT_WINDOW} passages per query, not {k}; use engine embedded"
            )
        banned = exclude if exclude is not None else [frozenset()] * len(queries)
        bodies = [_body(query, k, sorted(ban)) for query, ban in zip(queries, banned, strict=True)]
        hits: Hits = []
        for at in range(0, len(bodies), SEARCHES_AT_ONCE):
            hits += self._answers(bodies[at : at + SEARCHES_AT_ONCE])
        return hits

    def _answers(self, bodies: list[dict[str, Any]]) -> Hits:
        searches = [part for body in bodies for part in ({"index": self.index}, body)]
        with _explained(f"Elasticsearch index {self.index}"):
            for wait_s in (*BACKOFF_S, 0):
                responses = _patiently(lambda: self.client.msearch(searches=searches))["responses"]
                if not wait_s or not any(response.get("status") in BUSY for response in responses):
                    break
                time.sleep(wait_s)
        if len(responses) != len(bodies):
            raise LexError(
                f"Elasticsearch index {self.index}: {len(responses)} answers to {len(bodies)} queries; retry"
            )
        return [self._hits(response) for response in responses]

    def _hits(self, response: dict[str, Any]) -> list[Hit]:
        if "error" in response:
            cause = response["error"].get("reason") or response["error"].get("type")
            raise LexError(f"Elasticsearch index {self.index}: query failed ({cause}); build the index again or retry")
        if response.get("timed_out") or response["_shards"].get("failed"):
            raise LexError(f"Elasticsearch index {self.index}: part of it did not answer; check its shards and retry")
        return [(hit["_id"], float(hit["_score"])) for hit in response["hits"]["hits"]]


def _body(query: str, k: int, excluded: list[str]) -> dict[str, Any]:
    matched: dict[str, Any] = {"must": [{"match": {"text": {"query": query}}}]}
    if excluded:
        matched["must_not"] = [{"ids": {"values": excluded}}]
    sort = [{"_score": {"order": "desc"}}, {"id": {"order": "asc"}}]
    return {"query": {"bool": matched}, "size": k, "_source": False, "sort": sort, "track_total_hits": False}


def _filled(client: Any, index: str, body: dict[str, Any], rows: list[tuple[str, str]], content: str) -> str:
    """Create and fill `index`, mark it complete; it is removed again when it does not get so far."""
    try:
        with _explained(f"Elasticsearch index {index}"):
            _patiently(lambda: client.indices.create(index=index, **body))
            _send(client, index, rows)
            client.indices.refresh(index=index)
            count = _count(client, index)
            if count != len(rows):
                raise LexError(f"Elasticsearch index {index} holds {count} of {len(rows)} passages; build it again")
            _patiently(lambda: client.indices.put_mapping(index=index, meta={"content": content, "passages": count}))
    except BaseException:
        _remove(client, index)
        raise
    return index


def _send(client: Any, index: str, rows: list[tuple[str, str]]) -> None:
    """Stream `rows`; a server that is busy is waited for. Raises LexError naming the passages that it refused."""
    from elasticsearch.helpers import streaming_bulk

    actions: Iterator[dict[str, Any]] = ({"_index": index, "_id": i, "id": i, "text": text} for i, text in rows)
    options: dict[str, Any] = {"max_retries": len(BACKOFF_S), "initial_backoff": BACKOFF_S[0], "retry_on_status": BUSY}
    refused = []
    for ok, item in streaming_bulk(client, actions, raise_on_error=False, **options):
        if not ok:
            result = next(iter(item.values()))
            refused.append(f"{result['_id']}: {result.get('error', {}).get('reason')}")
        if len(refused) == ITEMS_NAMED:
            break
    if refused:
        raise LexError(
            f"Elasticsearch index {index}: passages refused ({'; '.join(refused)}); correct them or the server"
        )


def _count(client: Any, index: str) -> int:
    return int(_patiently(lambda: client.count(index=index))["count"])


def _indices(client: Any, alias: str) -> dict[str, Any]:
    """The indices that builds for `alias` have made, described, by name; no other index of the server."""
    own = re.compile(rf"{re.escape(alias)}-[0-9a-f]{{16}}-[0-9a-f]{{6}}")
    found = _patiently(lambda: client.indices.get(index=f"{alias}-*"))
    return {name: found[name] for name in sorted(found) if own.fullmatch(name)}


def _meta(described: dict[str, Any]) -> dict[str, Any]:
    return described.get("mappings", {}).get("_meta", {})


def _point(client: Any, alias: str, index: str, there: dict[str, Any]) -> None:
    """Move `alias` to `index` in one step and remove what it no longer needs; a build under way is left alone."""
    before = [name for name, described in there.items() if alias in described.get("aliases", {}) and name != index]
    actions: list[dict[str, Any]] = [{"remove": {"index": name, "alias": alias}} for name in before]
    actions.append({"add": {"index": index, "alias": alias}})
    _patiently(lambda: client.indices.update_aliases(actions=actions))
    if not before:
        return  # the alias was here already: the one it named before is still wanted
    for name, described in there.items():
        age_s = time.time() - int(described["settings"]["index"]["creation_date"]) / 1000
        if name not in (index, *before) and (_meta(described) or age_s > ABANDONED_S):
            _remove(client, name)


def _remove(client: Any, index: str) -> None:
    """Delete `index`; where that fails too, a later build removes it."""
    from elasticsearch import ApiError, TransportError

    with suppress(ApiError, TransportError):
        client.indices.delete(index=index)


def _patiently(call: Callable[[], T]) -> T:
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
def _explained(what: str) -> Iterator[None]:
    """Turn the client's errors into one line with a remedy."""
    from elasticsearch import ApiError, TransportError

    try:
        yield
    except ApiError as error:
        raise LexError(f"{what}: {error.status_code} {_reason(error)}; {_remedy(error.status_code)}") from error
    except TransportError as error:
        cause = type(error).__name__
        raise LexError(
            f"{what}: no answer ({cause}); start the server, or check {URL_VARIABLE} and {CA_VARIABLE}"
        ) from error


def _reason(error: Any) -> str:
    """The server's own words for the root cause, else the error's name."""
    detail = error.body.get("error") if isinstance(error.body, dict) else None
    causes = detail.get("root_cause") or [detail] if isinstance(detail, dict) else []
    return str(causes[0].get("reason")) if causes else str(error.message)


def _remedy(status: int) -> str:
    if status in (401, 403):
        return f"set {KEY_VARIABLE} to a key that may manage, write and read the index"
    if status == 404:
        return "build the index again"
    if status in (400, 406):
        return "install the analysis-nori plugin, and the elasticsearch client of the server's major version"
    return "the server is overloaded, full or read-only: look at its log, then run again"
