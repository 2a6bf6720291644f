"""Building an index on a server, and asking it.

Each build makes an index of its own, named by its content; the alias of a domain moves to it in one step once every
passage is there, so that readers of the alias always see a whole index.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from lex_assets.retrieval.elasticsearch import failures
from lex_assets.retrieval.elasticsearch.aliases import builds_of, complete_as, move, remove
from lex_assets.retrieval.elasticsearch.analysis import Cut, Nori, index_body
from lex_assets.retrieval.elasticsearch.failures import BUSY, explained, kinds, patiently, reason, remedy
from lex_assets.retrieval.types import Exclude, Hit, Hits, Progress
from lex_assets.schemas import LexError, content_hash

SEARCHES_AT_ONCE = 100
RESULT_WINDOW = 10_000  # Elasticsearch's own limit on hits per query
ID_BYTES = 512  # and on the length of an id
ITEMS_NAMED = 3
BULK_BYTES = 10_000_000  # a tenth of what a server takes at once unless told otherwise

Row = tuple[str, str]
"""(passage_id, text as it is sent)."""


class ElasticsearchIndex:
    """One complete index on a server. Same `search` as the embedded index; answers do not change when the alias moves."""

    def __init__(self, client: Any, index: str, cut: Cut | None = None) -> None:
        self.client = client
        self.index = index
        self.cut = cut or Nori()

    def __repr__(self) -> str:
        return f"ElasticsearchIndex({self.index!r})"

    @classmethod
    def build(
        cls,
        client: Any,
        alias: str,
        ids: Sequence[str],
        texts: Sequence[str],
        cut: Cut | None = None,
        progress: Progress | None = None,
    ) -> ElasticsearchIndex:
        """Index `texts` and move `alias` to them; until all are there the alias keeps what it had.

        cut: by default nori · progress: told how many are sent. A complete index of the same content is used again. Older
        complete indices of the alias are removed, except the one that it named before. Raises LexError when the server refuses
        a passage or counts fewer than were sent.
        """
        _require_indexable(ids, texts)
        cut = cut or Nori()
        body, rows = index_body(cut), sorted(zip(ids, cut.sent(texts), strict=True))
        content = content_hash(json.dumps(body, sort_keys=True), *(part for row in rows for part in row))[:16]
        with explained(f"Elasticsearch alias {alias}"):
            known = _complete(client, alias, content, len(rows))
        tell = progress or (lambda stage, done, total: None)
        index = known or _filled(client, f"{alias}-{content}-{uuid.uuid4().hex[:6]}", body, rows, content, tell)
        with explained(f"Elasticsearch alias {alias}"):
            move(client, alias, index)
        return cls(client, index, cut)

    def search(self, queries: Sequence[str], k: int, exclude: Exclude = None) -> Hits:
        """The best `k` passages of each query, at most 10,000. Raises LexError when the server fails on one."""
        if not 1 <= k <= RESULT_WINDOW:
            raise LexError(
                f"Elasticsearch answers 1 to {RESULT_WINDOW} passages per query, not {k}; use engine embedded"
            )
        banned = exclude if exclude is not None else [frozenset()] * len(queries)
        bodies = [_body(query, k, sorted(ban)) for query, ban in zip(self.cut.sent(queries), banned, strict=True)]
        hits: Hits = []
        for at in range(0, len(bodies), SEARCHES_AT_ONCE):
            hits += self._answers(bodies[at : at + SEARCHES_AT_ONCE])
        return hits

    def _answers(self, bodies: list[dict[str, Any]]) -> Hits:
        searches = [part for body in bodies for part in ({"index": self.index}, body)]
        with explained(f"Elasticsearch index {self.index}"):
            for wait_s in (*failures.BACKOFF_S, 0):
                responses = patiently(lambda: self.client.msearch(searches=searches))["responses"]
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
            raise LexError(
                f"Elasticsearch index {self.index}: query failed ({reason(response)}); "
                f"{remedy(response.get('status', 500), response)}"
            )
        if response.get("timed_out") or response["_shards"].get("failed"):
            raise LexError(f"Elasticsearch index {self.index}: part of it did not answer; check its shards and retry")
        return [(hit["_id"], float(hit["_score"])) for hit in response["hits"]["hits"]]


def _require_indexable(ids: Sequence[str], texts: Sequence[str]) -> None:
    if not ids or len(ids) != len(texts) or len(set(ids)) != len(ids):
        raise LexError(f"Elasticsearch index: {len(ids)} ids, {len(set(ids))} of them unique, for {len(texts)} texts")
    for passage_id in ids:
        if not 1 <= len(passage_id.encode()) <= ID_BYTES:
            raise LexError(f"Elasticsearch index: id {passage_id[:40]!r} must have 1 to {ID_BYTES} bytes; shorten it")


def _body(query: str, k: int, excluded: list[str]) -> dict[str, Any]:
    matched: dict[str, Any] = {"must": [{"match": {"text": {"query": query}}}]}
    if excluded:
        matched["must_not"] = [{"ids": {"values": excluded}}]
    sort = [{"_score": {"order": "desc"}}, {"id": {"order": "asc"}}]
    return {"query": {"bool": matched}, "size": k, "_source": False, "sort": sort, "track_total_hits": False}


def _complete(client: Any, alias: str, content: str, passages: int) -> str | None:
    """A build of `alias` with that content and as many passages as it should have."""
    builds = [name for name, described in builds_of(client, alias).items() if complete_as(described) == content]
    return next((name for name in builds if _count(client, name) == passages), None)


def _filled(client: Any, index: str, body: dict[str, Any], rows: list[Row], content: str, progress: Progress) -> str:
    """Create and fill `index`, mark it complete; it is removed again when it does not get so far."""
    try:
        with explained(f"Elasticsearch index {index}"):
            _create(client, index, body)
            _send(client, index, rows, progress)
            patiently(lambda: client.indices.refresh(index=index))
            count = _count(client, index)
            if count != len(rows):
                raise LexError(f"Elasticsearch index {index} holds {count} of {len(rows)} passages; build it again")
            # Sent with the mapping: an index that was removed meanwhile, and made anew by the server, refuses it.
            marked = body["mappings"] | {"meta": {"content": content, "passages": count}}
            patiently(lambda: client.indices.put_mapping(index=index, **marked))
    except BaseException:
        remove(client, index)
        raise
    return index


def _create(client: Any, index: str, body: dict[str, Any]) -> None:
    from elasticsearch import BadRequestError

    try:
        patiently(lambda: client.indices.create(index=index, **body))
    except BadRequestError as error:
        # No other build has this name: it was made by a request whose answer was lost.
        if "resource_already_exists_exception" not in kinds(error.body):
            raise


def _send(client: Any, index: str, rows: list[Row], progress: Progress) -> None:
    """Stream `rows`, one request after the other; a busy server is waited for. Raises LexError naming the passages that it
    refused."""
    from elasticsearch.helpers import streaming_bulk

    actions: Iterator[dict[str, Any]] = ({"_index": index, "_id": i, "id": i, "text": text} for i, text in rows)
    pauses = failures.BACKOFF_S
    options: dict[str, Any] = {"max_retries": len(pauses), "initial_backoff": pauses[0], "retry_on_status": BUSY}
    refused = []
    results = streaming_bulk(client, actions, max_chunk_bytes=BULK_BYTES, raise_on_error=False, **options)
    for done, (ok, item) in enumerate(results, start=1):
        progress("색인 · indexing", done, len(rows))
        if not ok:
            refused.append(next(iter(item.values())))
        if len(refused) == ITEMS_NAMED:
            break
    if refused:
        named = "; ".join(f"{result['_id']}: {reason(result)}" for result in refused)
        todo = remedy(refused[0]["status"], refused[0])
        raise LexError(f"Elasticsearch index {index}: passages refused ({named}); {todo}")


def _count(client: Any, index: str) -> int:
    return int(patiently(lambda: client.count(index=index))["count"])
