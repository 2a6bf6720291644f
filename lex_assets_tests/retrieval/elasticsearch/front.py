"""What the client talks to: an HTTP door before the double, or before a real server, that makes the faults of networks and
busy servers. So the same suite runs against both.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

PASSED_ON = ("Accept", "Content-Type", "Authorization")


class Live:
    """A real server."""

    def __init__(self, url, ca_certs):
        self.at = urlsplit(url)
        self.tls = ssl.create_default_context(cafile=ca_certs or None)

    def connection(self):
        if self.at.scheme == "https":
            return http.client.HTTPSConnection(self.at.hostname, self.at.port, timeout=60, context=self.tls)
        return http.client.HTTPConnection(self.at.hostname, self.at.port, timeout=60)

    def answer(self, method, path, params, headers, raw):
        connection = self.connection()
        query = "&".join(f"{name}={value}" for name, values in params.items() for value in values)
        sent = {name: headers[name] for name in PASSED_ON if headers.get(name)}
        connection.request(method, f"{path}?{query}" if query else path, raw or None, sent)
        response = connection.getresponse()
        body = response.read()
        connection.close()
        return response.status, json.loads(body) if body else {}


class Front:
    """Faults by what "METHOD /path" matches: how often to answer busy, to close the connection unheard, or after the work.

    before: called when such a request comes, once · lose, spoil: ids whose document is left out
    of a bulk request, or given a field that the mapping has not.
    """

    def __init__(self, behind, major):
        self.behind, self.major = behind, major
        self.busy, self.busy_status, self.drop, self.drop_answer = {}, 429, {}, {}
        self.before, self.lose, self.spoil = {}, set(), set()
        self.log = []

    def due(self, faults, request):
        for pattern, left in faults.items():
            if left and re.search(pattern, request):
                faults[pattern] -= 1
                return True
        return False

    def answer(self, method, path, params, headers, raw):
        request = f"{method} {path}"
        self.log.append(request)
        for pattern in [pattern for pattern in self.before if re.search(pattern, request)]:
            self.before.pop(pattern)()
        if self.due(self.drop, request):
            return None
        if self.due(self.busy, request):
            kind = "es_rejected_execution_exception"
            error = {"type": kind, "reason": "rejected execution of coordinating operation"}
            return self.busy_status, {"error": {"root_cause": [error], **error}, "status": self.busy_status}
        if path.endswith("/_bulk"):
            raw = b"".join(line + b"\n" for line in self.changed(raw.splitlines()))
        answer = self.behind.answer(method, path, params, headers, raw)
        return None if self.due(self.drop_answer, request) else answer

    def changed(self, lines):
        waiting = iter(lines)
        for action in waiting:
            at = json.loads(action)
            passage_id = next(iter(at.values()))["_id"]
            source = next(waiting) if "index" in at else None
            if passage_id in self.lose:
                continue
            yield action
            if source is not None:
                yield b'{"unknown": 1}' if passage_id in self.spoil else source


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def reply(self):
        at = urlsplit(self.path)
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        params = parse_qs(at.query, keep_blank_values=True)
        answer = self.server.front.answer(self.command, at.path, params, self.headers, raw)
        if answer is None:
            self.close_connection = True
            return
        status, body = answer
        sent = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("X-Elastic-Product", "Elasticsearch")
        self.send_header(
            "Content-Type", f"application/vnd.elasticsearch+json;compatible-with={self.server.front.major}"
        )
        self.send_header("Content-Length", str(len(sent)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(sent)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = reply  # noqa: N815


@contextmanager
def opened(front):
    """The door's address, as long as the body runs."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.front, server.daemon_threads = front, True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
