"""A law.go.kr of our own on this machine: answers in the shapes of the real one, invented contents, faults on demand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from lex_assets.sources.law_go_kr import TARGETS
from lex_assets_tests.sources import raw

KEY = "gildong-4711-secret"
WRONG_KEY = {
    "result": "사용자 정보 검증에 실패하였습니다.",
    "msg": "OPEN API 호출 시 사용자 검증을 위하여 정확한 서버장비의 IP주소 및 도메인주소를 등록해 주세요.",
}
NO_SUCH = {"Law": "일치하는 판례가 없습니다.  판례명을 확인하여 주십시오."}
MAINTENANCE = "<!DOCTYPE html><html><head><title>서비스 점검 안내</title></head><body>점검 중</body></html>"
NOT_APPLIED = "<!DOCTYPE html><html><body><h2>미신청된 목록/본문에 대한 접근입니다.</h2></body></html>"
DAYS = {"law": "시행일자", "admin_rule": "발령일자", "precedent": "선고일자", "interpretation": "회신일자"}


@dataclass(frozen=True)
class Fault:
    """What is sent instead of the answer."""

    status: int = 200
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    length: int | None = None
    """Content-Length, when it is not that of the body."""
    drop: bool = False


def as_json(value: Any) -> Fault:
    return Fault(body=json.dumps(value, ensure_ascii=False).encode())


DROPPED = Fault(drop=True)
TOO_MANY = Fault(429, headers=(("Retry-After", "7"),))
BROKEN = Fault(500, b"<html>error</html>")
CUT_JSON = Fault(body=b'{"PrecService": {"\xed\x8c')
CUT_BODY = Fault(body=b'{"PrecService"', length=500)
HTML = Fault(body=MAINTENANCE.encode())
EMPTY = Fault()
EMPTY_OBJECT = Fault(body=b"{}")


def document(target: str, number: int, day: str) -> dict[str, Any]:
    """A document answer of `target`."""
    if target == "law":
        info = {"법령ID": f"{number:06d}", "법령명_한글": f"보관업법 {number}", "시행일자": day, "공포일자": day}
        return raw.law([raw.article("1", f"이 법은 {number}번이다.", "목적")], info=info | {"공포번호": str(number)})
    if target == "admin_rule":
        rule = raw.rule([f"제1조(목적) 이 규정은 {number}번이다."])
        info = {"행정규칙ID": str(number), "행정규칙일련번호": f"21000{number:05d}", "발령일자": day}
        rule["AdmRulService"]["행정규칙기본정보"] |= info
        return rule
    if target == "precedent":
        fields = {
            "판례정보일련번호": str(number),
            "사건명": "보관료",
            "사건번호": f"2020다{number}",
            "법원명": "대법원",
        }
        return {
            "PrecService": fields
            | {"선고일자": day, "판시사항": f"보관료 {number}", "판결요지": "", "판례내용": "이유"}
        }
    root = TARGETS[target].roots[0]
    return {root: {TARGETS[target].name_field: str(number), "사건명": f"사건 {number}", "이유": "그 이유", "일자": day}}


def row(target: str, number: int, day: str) -> dict[str, str]:
    """The list row of a document; as in the real service its link holds the key."""
    spec = TARGETS[target]
    names = {spec.name_field: f"{number:06d}" if target == "law" else str(number), spec.title_field: f"보관 {number}"}
    link = f"/DRF/lawService.do?OC={KEY}&target={spec.api}&ID={number}&type=HTML&mobileYn="
    fields = {
        "law": {"법령일련번호": f"9{number}", "공포일자": day, "공포번호": f"{number:05d}", "현행연혁코드": "현행"},
        "admin_rule": {"행정규칙일련번호": f"21000{number:05d}"},
    }
    return {"id": "1", **names, **fields.get(target, {}), DAYS.get(target, "의결일자"): day, "상세링크": link}


@dataclass
class LawServer:
    """The service's state: which documents it holds, which faults come next, what it was asked."""

    page_size: int = 10
    key: str = KEY
    documents: dict[str, dict[str, tuple[dict[str, str], bytes]]] = field(default_factory=dict)
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """By "list", or by number of the document."""
    requests: list[dict[str, str]] = field(default_factory=list)
    rows: Callable[[list[dict[str, str]], int], list[dict[str, str]]] = lambda rows, page: rows
    """Changes the rows of a page before they are sent."""
    hold_at: str = ""
    held: Event = field(default_factory=Event)
    released: Event = field(default_factory=Event)
    url: str = ""

    def add(self, target: str, number: int, day: str, value: Any = None) -> bytes:
        """Put a document there; returns what is sent for it."""
        body = json.dumps(value or document(target, number, day), ensure_ascii=False, indent=1).encode()
        self.documents.setdefault(target, {})[str(number)] = (row(target, number, day), body)
        return body

    def fill(self, target: str, count: int, day: Callable[[int], str] = lambda n: f"202001{n % 28 + 1:02d}") -> None:
        """Documents 1 … count."""
        for number in range(1, count + 1):
            self.add(target, number, day(number))

    def asked(self, path: str) -> list[dict[str, str]]:
        """Requests to `lawSearch.do` or `lawService.do`, in order."""
        return [request for request in self.requests if request["path"] == path]

    def answer(self, path: str, params: dict[str, str]) -> Fault:
        """What to send."""
        self.requests.append({"path": path, **params})
        if params.get("OC") != self.key:
            return as_json(WRONG_KEY)
        target = next((name for name, spec in TARGETS.items() if spec.api == params["target"]), "")
        number = "list" if path == "lawSearch.do" else self._number(target, params)
        if number == self.hold_at:
            self.held.set()
            self.released.wait(30)
        if self.faults.get(number):
            return self.faults[number].pop(0)
        return self._page(target, params) if number == "list" else self._document(target, number)

    def _number(self, target: str, params: dict[str, str]) -> str:
        ask = TARGETS[target].ask
        for number, (fields, _) in self.documents.get(target, {}).items():
            if all(fields[name] == params.get(param) for param, name in ask.items()):
                return number
        return ""

    def _document(self, target: str, number: str) -> Fault:
        held = self.documents.get(target, {})
        return Fault(body=held[number][1]) if number in held else as_json(NO_SUCH)

    def _page(self, target: str, params: dict[str, str]) -> Fault:
        spec = TARGETS[target]
        start, _, end = params.get(spec.period, "0~9").partition("~")
        day = DAYS.get(target, "의결일자")
        found = [fields for fields, _ in self.documents.get(target, {}).values() if start <= fields[day] <= end]
        found = sorted((f for f in found if params.get("query", "") in f[spec.title_field]), key=lambda f: f[day])
        size, page = min(self.page_size, int(params["display"])), int(params["page"])
        rows = self.rows(found[(page - 1) * size : page * size], page)
        block: dict[str, Any] = {"target": spec.api, "page": str(page), "totalCnt": str(len(found)), "키워드": "*"}
        if rows:
            block[spec.rows[1]] = rows[0] if len(rows) == 1 else rows
        return as_json({spec.rows[0]: block})


class _Quiet(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that was killed, or gave up waiting, is no fault of the server."""


@contextmanager
def serving(server: LawServer) -> Iterator[LawServer]:
    """`server` on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            params = dict(parse_qsl(parts.query))
            fault = server.answer(parts.path.removeprefix("/DRF/"), params | {"Referer": self.headers["Referer"]})
            if fault.drop:
                self.connection.shutdown(SHUT_RDWR)
                return
            self.send_response(fault.status)
            for name, value in fault.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(fault.body) if fault.length is None else fault.length))
            self.end_headers()
            self.wfile.write(fault.body)

        def log_message(self, *args: Any) -> None:
            pass

    httpd = _Quiet(("127.0.0.1", 0), Handler)
    server.url = f"http://127.0.0.1:{httpd.server_port}/DRF"
    thread = Thread(target=lambda: httpd.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()
