"""A server for each test: the double, or with LEX_TEST_ES_URL a real one, behind a door that makes faults."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from typing import Any

import elasticsearch
import pytest

from lex_assets.retrieval.elasticsearch import ElasticsearchIndex, Server, failures
from lex_assets_tests.retrieval.elasticsearch.double import Double
from lex_assets_tests.retrieval.elasticsearch.front import Front, Live, opened

MAJOR = elasticsearch.__version__[0]
LIVE = os.environ.get("LEX_TEST_ES_URL", "")
TEXTS = {
    "p3": "손해배상 범위 과실상계",
    "p1": "이혼 재산분할 청구",
    "p2": "재산분할 청구권 이혼 소멸 기간",
    "p4": "손해배상 범위 과실상계",
}
IDS, BODIES = list(TEXTS), list(TEXTS.values())


@dataclass
class Place:
    """A server, the door before it, and an alias of this test alone."""

    front: Front
    alias: str
    url: str

    @property
    def double(self) -> Double:
        if LIVE:
            pytest.skip("only the double can be set up so")
        return self.front.behind

    def client(self) -> Any:
        return elasticsearch.Elasticsearch(self.url, api_key=os.environ.get("LEX_ES_API_KEY") or None)

    def build(self, ids=IDS, texts=BODIES, cut=None) -> ElasticsearchIndex:
        return ElasticsearchIndex.build(Server.from_environment().connect(), self.alias, ids, texts, cut)

    def described(self) -> dict[str, Any]:
        """The indices of this test."""
        return dict(self.client().indices.get(index=f"{self.alias}*"))

    def indices(self) -> set[str]:
        return set(self.described())

    def behind(self) -> list[str]:
        """What the alias names."""
        return [name for name, index in self.described().items() if self.alias in index["aliases"]]

    def asked(self, end: str) -> int:
        """How many requests had a path with that end."""
        return sum(request.endswith(end) for request in self.front.log)


@pytest.fixture
def place(monkeypatch):
    monkeypatch.setattr(failures, "BACKOFF_S", (0.01, 0.01))
    front = Front(Live(LIVE, os.environ.get("LEX_ES_CA_CERTS")) if LIVE else Double(MAJOR), MAJOR)
    monkeypatch.delenv("LEX_ES_CA_CERTS", raising=False)  # the door speaks HTTP
    with opened(front) as url:
        monkeypatch.setenv("LEX_ES_URL", url)
        if not LIVE:
            monkeypatch.delenv("LEX_ES_API_KEY", raising=False)
        here = Place(front, f"lextest-{uuid.uuid4().hex[:8]}-law", url)
        yield here
        for faults in (front.busy, front.drop, front.drop_answer, front.before):
            faults.clear()
        if LIVE:
            for name in here.indices():
                here.client().indices.delete(index=name)


def ids_of(hits):
    return [[passage_id for passage_id, _ in found] for found in hits]
