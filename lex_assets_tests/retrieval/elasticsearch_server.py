"""An HTTP server that keeps indices and speaks the part of Elasticsearch's REST interface that the package uses.

It refuses what the real one refuses: unknown paths (404), unknown fields in a body (400), unknown document fields, a
client of another major version, a missing key. Nothing is found before a refresh. Its tokens are words, not nori's.
"""

from __future__ import annotations

import json
import math
import re
import threading
import time
from collections import Counter
from contextlib import contextmanager
from fnmatch import fnmatch
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY_FIELDS = {
    "create": {"settings", "mappings", "aliases"},
    "mapping": {"_meta", "properties", "dynamic", "_source"},
    "search": {"query", "size", "from", "sort", "_source", "track_total_hits", "track_scores"},
    "header": {"index", "search_type", "routing", "preference"},
    "alias": {"index", "alias", "is_write_index"},
    "bulk": {"_index", "_id", "routing", "op_type"},
}


class Refused(Exception):  # noqa: N818
    def __init__(self, status, kind, reason):
        super().__init__(reason)
        self.status, self.error = status, {"type": kind, "reason": reason}

    def body(self):
        return {"error": {**self.error, "root_cause": [self.error]}, "status": self.status}


def only(what, body):
    for name in set(body) - BODY_FIELDS[what]:
        raise Refused(400, "parsing_exception", f"unknown field [{name}]")
    return body


class Index:
    def __init__(self, body):
        self.settings = only("create", body).get("settings", {})
        self.mappings = body.get("mappings", {})
        self.aliases, self.pending, self.visible = set(), {}, {}
        self.created_ms = int(time.time() * 1000)

    def put(self, passage_id, source):
        if self.mappings.get("dynamic") == "strict" and set(source) - set(self.mappings["properties"]):
            raise Refused(400, "strict_dynamic_mapping_exception", "introduction of a field is not allowed")
        if len(passage_id.encode()) > 512:
            raise Refused(400, "illegal_argument_exception", "id is too long, must be no longer than 512 bytes")
        self.pending[passage_id] = source

    def described(self):
        return {
            "aliases": {alias: {} for alias in self.aliases},
            "mappings": self.mappings,
            "settings": {"index": {**self.settings, "creation_date": str(self.created_ms)}},
        }

    def search(self, body):
        bool_query = only("search", body)["query"]["bool"]
        for name in set(bool_query) - {"must", "must_not"}:
            raise Refused(400, "parsing_exception", f"[bool] query does not support [{name}]")
        banned = {i for clause in bool_query.get("must_not", []) for i in clause["ids"]["values"]}
        terms = bool_query["must"][0]["match"]["text"]["query"].split()
        scores = {i: score for i, score in self.scores(terms).items() if i not in banned}
        by_id = {"id": {"order": "asc"}} in body["sort"]
        position = {i: n for n, i in enumerate(self.visible)}  # without a sort on id: as indexed
        order = sorted(scores, key=lambda i: (-scores[i], i if by_id else position[i]))
        hits = [{"_id": i, "_score": scores[i], "sort": [scores[i], i]} for i in order[: body["size"]]]
        return {"status": 200, "timed_out": False, "_shards": {"total": 1, "failed": 0}, "hits": {"hits": hits}}

    def scores(self, terms):
        words = {i: Counter(source["text"].split()) for i, source in self.visible.items()}
        mean = sum(counts.total() for counts in words.values()) / max(len(words), 1)
        found = {}
        for term in terms:
            n = sum(term in counts for counts in words.values())
            for i, counts in words.items():
                if term in counts:
                    length = 0.25 + 0.75 * counts.total() / mean
                    idf = math.log(1 + (len(words) - n + 0.5) / (n + 0.5))
                    found[i] = found.get(i, 0) + idf * counts[term] / (counts[term] + 1.5 * length)
        return found


class State:
    """What the server holds, and the faults that a test asks of it."""

    def __init__(self, major):
        self.major, self.api_key, self.has_nori = major, "", True
        self.indices, self.log = {}, []
        self.lose, self.refuse_ids = 0, set()  # documents silently lost; ids refused in a bulk request
        self.busy, self.drop = {}, {}  # path suffix → how often to answer 429, or to close the connection

    @staticmethod
    def faulty(faults, path):
        for suffix, left in faults.items():
            if left and path.endswith(suffix):
                faults[suffix] -= 1
                return True
        return False

    def named(self, name):
        found = [index for own, index in self.indices.items() if own == name or name in index.aliases]
        if not found:
            raise Refused(404, "index_not_found_exception", f"no such index [{name}]")
        return found

    def behind(self, alias):
        return sorted(name for name, index in self.indices.items() if alias in index.aliases)

    def answer(self, method, path, body):
        if method == "GET" and path == "/":
            return {"name": "n", "version": {"number": f"{self.major}.1.0"}, "tagline": "You Know, for Search"}
        routes = {
            ("PUT", r"/_bulk"): self.bulk,
            ("POST", r"/_bulk"): self.bulk,
            ("POST", r"/_msearch"): self.msearch,
            ("POST", r"/_aliases"): self.move_aliases,
            ("PUT", r"/([^/_][^/]*)"): self.create,
            ("GET", r"/([^/_][^/]*)"): self.get,
            ("DELETE", r"/([^/_][^/]*)"): self.delete,
            ("PUT", r"/([^/]+)/_mapping"): self.map,
            ("POST", r"/([^/]+)/_refresh"): self.refresh,
            ("POST", r"/([^/]+)/_count"): self.count,
            ("GET", r"/([^/]+)/_count"): self.count,
        }
        for (verb, pattern), handle in routes.items():
            match = re.fullmatch(pattern, path)
            if match and verb == method:
                return handle(*match.groups(), body)
        raise Refused(404, "not_found", f"no handler for {method} {path}")

    def create(self, name, body):
        if name in self.indices:
            raise Refused(400, "resource_already_exists_exception", f"index [{name}] already exists")
        if not re.fullmatch(r"[a-z0-9][^A-Z\\/*?\"<>| ,#:]*", name):
            raise Refused(400, "invalid_index_name_exception", f"Invalid index name [{name}]")
        if "nori" in json.dumps(body) and not self.has_nori:
            raise Refused(400, "illegal_argument_exception", "Unknown tokenizer type [nori_tokenizer]")
        self.indices[name] = Index(body)
        return {"acknowledged": True, "index": name}

    def get(self, pattern, _):
        return {name: index.described() for name, index in self.indices.items() if fnmatch(name, pattern)}

    def delete(self, name, _):
        self.named(name)
        del self.indices[name]
        return {"acknowledged": True}

    def map(self, name, body):
        self.named(name)[0].mappings.update(only("mapping", body))
        return {"acknowledged": True}

    def refresh(self, name, _):
        for index in self.named(name):
            index.visible = dict(index.pending)
        return {"_shards": {"failed": 0}}

    def count(self, name, _):
        return {"count": sum(len(index.visible) for index in self.named(name))}

    def move_aliases(self, body):
        moves = [next(iter(action.items())) for action in body["actions"]]
        for verb, move in moves:  # all are checked before any is made
            index = self.named(only("alias", move)["index"])[0]
            if move["alias"] in self.indices or (verb == "remove" and move["alias"] not in index.aliases):
                raise Refused(400, "invalid_alias_name_exception", f"alias [{move['alias']}]")
        for verb, move in moves:
            aliases = self.indices[move["index"]].aliases
            aliases.add(move["alias"]) if verb == "add" else aliases.discard(move["alias"])
        return {"acknowledged": True}

    def bulk(self, lines):
        items = []
        for action, source in zip(lines[::2], lines[1::2], strict=True):
            at = only("bulk", action["index"])
            result = {"_index": at["_index"], "_id": at["_id"], "status": 201}
            try:
                self.index_one(at, source)
            except Refused as refused:
                result |= refused.body()
            items.append({"index": result})
        return {"errors": any("error" in item["index"] for item in items), "items": items}

    def index_one(self, at, source):
        if at["_id"] in self.refuse_ids:
            raise Refused(400, "document_parsing_exception", "failed to parse")
        index = self.indices.setdefault(at["_index"], Index({}))  # as the real one does unless told not to
        if self.lose:
            self.lose -= 1
        else:
            index.put(at["_id"], source)

    def msearch(self, lines):
        answers = []
        for header, body in zip(lines[::2], lines[1::2], strict=True):
            try:
                answers.append(self.named(only("header", header)["index"])[0].search(body))
            except Refused as refused:
                answers.append(refused.body())
        return {"responses": answers}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self):
        state = self.server.state
        path = self.path.partition("?")[0]
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        state.log.append((self.command, path))
        if state.faulty(state.drop, path):
            self.close_connection = True
            return
        try:
            status, answer = 200, self.answered(path, raw)
        except Refused as refused:
            status, answer = refused.status, refused.body()
        body = json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header("Content-Type", f"application/vnd.elasticsearch+json;compatible-with={state.major}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def answered(self, path, raw):
        state = self.server.state
        asked = re.search(r"compatible-with=(\d+)", self.headers.get("Accept", ""))
        if asked and int(asked[1]) not in (state.major, state.major - 1):
            raise Refused(400, "media_type_header_exception", "Invalid media-type value on headers [Accept]")
        if state.api_key and self.headers.get("Authorization") != f"ApiKey {state.api_key}":
            raise Refused(401, "security_exception", "missing authentication credentials for REST request")
        if state.faulty(state.busy, path):
            raise Refused(429, "es_rejected_execution_exception", "rejected execution")
        if path in ("/_bulk", "/_msearch"):
            if not raw.endswith("\n") or "ndjson" not in self.headers["Content-Type"]:
                raise Refused(400, "illegal_argument_exception", "The request must be terminated by a newline [\\n]")
            return state.answer(self.command, path, [json.loads(line) for line in raw.splitlines()])
        return state.answer(self.command, path, json.loads(raw) if raw else {})

    do_GET = do_POST = do_PUT = do_DELETE = reply  # noqa: N815


@contextmanager
def running(major):
    """(state, url) of a server that lives as long as the body."""
    state = State(major)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.state = state
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield state, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
