"""Keyword search on an Elasticsearch server with the nori analyzer: the same answers as `lexical`, from a server.

One index per build, named by its content, behind one alias that is swapped once the new index is complete. Address and
credentials come from the environment or the caller, never from the corpus.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from lex_assets.retrieval.lexical import K1, B
from lex_assets.retrieval.types import Exclude, Hit, Hits
from lex_assets.schemas import LexError, content_hash

URL_VARIABLE, KEY_VARIABLE = "ELASTICSEARCH_URL", "ELASTICSEARCH_API_KEY"
SEARCHES_AT_ONCE = 100
DECOMPOUND_MODE = "discard"
"""Agrees with BM25 over the same tokens; `mixed` stacks tokens, which are then scored as synonyms."""


def connect(url: str | None = None) -> Any:
    """A client for `url`, else for ELASTICSEARCH_URL with ELASTICSEARCH_API_KEY. Raises LexError when none answers."""
    from elasticsearch import ApiError, Elasticsearch, TransportError

    address = url or os.environ.get(URL_VARIABLE)
    if not address:
        raise LexError(f"no Elasticsearch address; set {URL_VARIABLE}, or search with the embedded index")
    client = Elasticsearch(
        address, api_key=os.environ.get(KEY_VARIABLE), retry_on_timeout=True, max_retries=3, retry_on_status=(429, 503)
    )
    try:
        client.info()
    except (ApiError, TransportError) as error:
        raise LexError(f"Elasticsearch at {address} does not answer ({error}); start it, or check the key") from error
    return client


def settings_and_mappings(decompound_mode: str = DECOMPOUND_MODE) -> dict[str, Any]:
    """One shard, so that term statistics are those of the whole corpus; BM25 with the embedded index's constants."""
    return {
        "settings": {
            "number_of_shards": 1,
            "number_of_replicas": 0,
            "analysis": {
                "tokenizer": {"legal": {"type": "nori_tokenizer", "decompound_mode": decompound_mode}},
                "analyzer": {"legal": {"type": "custom", "tokenizer": "legal", "filter": ["lowercase"]}},
            },
            "similarity": {"bm25": {"type": "BM25", "k1": K1, "b": B}},
        },
        "mappings": {
            "dynamic": "strict",
            "properties": {
                "id": {"type": "keyword"},
                "text": {"type": "text", "analyzer": "legal", "similarity": "bm25"},
            },
        },
    }


class ElasticsearchIndex:
    """An index behind an alias on a server. Same `search` as the embedded index."""

    def __init__(self, client: Any, alias: str) -> None:
        self.client = client
        self.alias = alias

    @classmethod
    def build(
        cls,
        client: Any,
        alias: str,
        ids: Sequence[str],
        texts: Sequence[str],
        decompound_mode: str = DECOMPOUND_MODE,
    ) -> ElasticsearchIndex:
        """Index `texts` and point `alias` at them; until all are there, the alias answers with what it had.

        Raises LexError when the server refuses a passage or counts fewer than were sent.
        """
        if len(ids) != len(texts) or len(set(ids)) != len(ids):
            raise LexError(f"Elasticsearch index: {len(ids)} ids, {len(set(ids))} unique, for {len(texts)} texts")
        name = f"{alias}-{content_hash(decompound_mode, *ids, *texts)[:16]}"
        if not _is_complete(client, name, len(ids)):
            _fill(client, name, ids, texts, decompound_mode)
        others = [{"remove": {"index": old, "alias": alias}} for old in _behind(client, alias) if old != name]
        client.indices.update_aliases(actions=[*others, {"add": {"index": name, "alias": alias}}])
        return cls(client, alias)

    def search(self, queries: Sequence[str], k: int, exclude: Exclude = None) -> Hits:
        """The best `k` passages of each query. Raises LexError when the server fails on one."""
        banned = exclude if exclude is not None else [frozenset()] * len(queries)
        bodies = [_body(query, k, sorted(ban)) for query, ban in zip(queries, banned, strict=True)]
        hits: Hits = []
        for at in range(0, len(bodies), SEARCHES_AT_ONCE):
            searches = [part for body in bodies[at : at + SEARCHES_AT_ONCE] for part in ({"index": self.alias}, body)]
            hits += [self._hits(response) for response in self.client.msearch(searches=searches)["responses"]]
        return hits

    def _hits(self, response: dict[str, Any]) -> list[Hit]:
        if "error" in response:
            raise LexError(f"Elasticsearch {self.alias}: {response['error'].get('reason')}; rebuild the index")
        return [(hit["_id"], float(hit["_score"])) for hit in response["hits"]["hits"]]


def _is_complete(client: Any, name: str, n_passages: int) -> bool:
    """Whether an earlier build of the same content can be used; what one that was cut off has left is removed."""
    if not client.indices.exists(index=name):
        return False
    if client.count(index=name)["count"] == n_passages:
        return True
    client.indices.delete(index=name)
    return False


def _fill(client: Any, name: str, ids: Sequence[str], texts: Sequence[str], decompound_mode: str) -> None:
    """Create and fill index `name`; it is removed again when it does not become complete."""
    from elasticsearch import ApiError, TransportError
    from elasticsearch.helpers import BulkIndexError, bulk

    try:
        client.indices.create(index=name, **settings_and_mappings(decompound_mode))
        bulk(client, _actions(name, ids, texts), max_retries=5)
        client.indices.refresh(index=name)
        count = client.count(index=name)["count"]
    except (ApiError, TransportError, BulkIndexError) as error:
        client.options(ignore_status=404).indices.delete(index=name)
        remedy = "install the analysis-nori plugin, free space, or check the key's rights"
        raise LexError(f"Elasticsearch index {name} could not be filled ({error}); {remedy}") from error
    if count != len(ids):
        client.indices.delete(index=name)
        raise LexError(f"Elasticsearch index {name} holds {count} of {len(ids)} passages; build it again")


def _actions(name: str, ids: Sequence[str], texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    for passage_id, text in zip(ids, texts, strict=True):
        yield {"_index": name, "_id": passage_id, "id": passage_id, "text": text}


def _behind(client: Any, alias: str) -> list[str]:
    return sorted(client.indices.get_alias(name=alias)) if client.indices.exists_alias(name=alias) else []


def _body(query: str, k: int, excluded: list[str]) -> dict[str, Any]:
    matched: dict[str, Any] = {"must": [{"match": {"text": query}}]}
    if excluded:
        matched["must_not"] = [{"ids": {"values": excluded}}]
    return {"query": {"bool": matched}, "size": k, "_source": False, "sort": ["_score", {"id": "asc"}]}
