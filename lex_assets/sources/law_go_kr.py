"""The open API of law.go.kr (국가법령정보 공동활용, DRF): its targets, their fields, and what its answers mean.

Here: `lawSearch.do` pages and `lawService.do` documents as JSON. Not here: the transport (`polite_http`), files
(`download`). Parameters and fields as in https://open.law.go.kr/LSO/openApi/guideList.do. Errors come as HTTP 200: an
object with `result` and `msg`, an HTML page, or `{"Law": "일치하는 … 없습니다"}` for a listed document without text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lex_assets.schemas import LexError
from lex_assets.sources.polite_http import PoliteClient, RefusedError, UnavailableError
from lex_assets.sources.values import SourceError, as_list, decode, field, parse_json

BASE_URL = "https://www.law.go.kr/DRF"
KEY_PARAMETER = "OC"
PAGE_SIZE = 100
"""The most rows that the service gives per page."""

_PASSES = 3
_FIRST_DAY = "19000101"
_SAFE_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
_TITLE = re.compile(r"<(?:h1|h2|title)[^>]*>\s*([^<]{2,80})")


_NOT_VERIFIED = "사용자 정보 검증에 실패"
_NOT_APPLIED = "미신청된 목록"
_KEY_REMEDY = (
    "인증 거부 · law.go.kr refused the key: check LAW_GO_KR_KEY, and register this machine's public IP address or domain "
    "at open.law.go.kr (마이페이지 > API인증키관리)"
)
_APPLY_REMEDY = "미신청 · the key has no application for this kind of document: tick it at open.law.go.kr (OPEN API > OPEN API 신청)"
_NO_TEXT = "본문 없음 · listed, but the service gives no text"
_LOOK = "look it up on www.law.go.kr, or remove .quarantine.jsonl to ask again"


class NotAppliedError(RefusedError):
    """The service says that the key was not applied for; of a document it also says so when it cannot find it."""


class NoContentError(LexError):
    """A listed document that the service does not give."""


@dataclass(frozen=True)
class Target:
    """One kind of document.

    api: the service's name of it. rows: path of the rows in a list answer. name_field: row field that names the file.
    ask: parameter ─► row field that picks the document. period: parameter of a date range. sort: oldest first, so that
    a new row does not shift the pages. roots: where a document answer may stand. versions, info: fields that tell one
    version from the next, in a row and in the document's `info` part; without them a document never changes.
    """

    name: str
    label: str
    api: str
    rows: tuple[str, str]
    name_field: str
    title_field: str
    ask: Mapping[str, str]
    period: str
    sort: str
    roots: tuple[str, ...]
    options: Mapping[str, str]
    versions: tuple[str, ...] = ()
    info: str = ""

    def version_of(self, document: Any) -> tuple[str, ...]:
        """The version of a document answer, comparable with `Item.version`; SourceError when it cannot be read."""
        part = _root(self, document)
        if self.info and isinstance(part, dict):
            part = part.get(self.info)
        if not isinstance(part, dict):
            raise SourceError(f"no {self.info or self.roots[0]} in the document; download it again")
        return _version(self, part)


TARGETS = {
    target.name: target
    for target in (
        Target(
            name="law",
            label="법령 · laws",
            api="eflaw",  # by date of effect: `law` may give a version that is not in force yet
            rows=("LawSearch", "law"),
            name_field="법령ID",
            title_field="법령명한글",
            ask={"MST": "법령일련번호", "efYd": "시행일자"},
            period="efYd",
            sort="efasc",
            roots=("법령",),
            options={"nw": "3"},
            versions=("시행일자", "공포일자", "공포번호"),
            info="기본정보",
        ),
        Target(
            name="admin_rule",
            label="행정규칙 · administrative rules",
            api="admrul",
            rows=("AdmRulSearch", "admrul"),
            name_field="행정규칙ID",  # stays with the rule, so that a new version replaces the old file
            title_field="행정규칙명",
            ask={"ID": "행정규칙일련번호"},
            period="prmlYd",
            sort="dasc",
            roots=("AdmRulService",),
            options={"nw": "1"},
            versions=("행정규칙일련번호",),
            info="행정규칙기본정보",
        ),
        Target(
            name="precedent",
            label="판례 · precedents",
            api="prec",
            rows=("PrecSearch", "prec"),
            name_field="판례일련번호",
            title_field="사건명",
            ask={"ID": "판례일련번호"},
            period="prncYd",
            sort="dasc",
            roots=("PrecService",),
            options={},
        ),
        Target(
            name="interpretation",
            label="법령해석례 · interpretations",
            api="expc",
            rows=("Expc", "expc"),
            name_field="법령해석례일련번호",
            title_field="안건명",
            ask={"ID": "법령해석례일련번호"},
            period="explYd",
            sort="dasc",
            roots=("ExpcService",),
            options={},
        ),
        Target(
            name="constitutional",
            label="헌재결정례 · Constitutional Court decisions",
            api="detc",
            rows=("DetcSearch", "Detc"),
            name_field="헌재결정례일련번호",
            title_field="사건명",
            ask={"ID": "헌재결정례일련번호"},
            period="edYd",
            sort="efasc",
            roots=("DetcService",),
            options={},
        ),
        Target(
            name="tribunal",
            label="행정심판례 · administrative tribunal decisions",
            api="decc",
            rows=("Decc", "decc"),
            name_field="행정심판재결례일련번호",
            title_field="사건명",
            ask={"ID": "행정심판재결례일련번호"},
            period="rslYd",
            sort="dasc",
            roots=("PrecService", "DeccService"),
            options={},
        ),
    )
}
"""Every target by its name on the command line."""


@dataclass(frozen=True)
class Item:
    """One row of a list: the file's name, how to ask for the document, and which version it is. `name` is empty when the
    row names no document."""

    name: str
    title: str
    ask: tuple[tuple[str, str], ...]
    version: tuple[str, ...]


@dataclass(frozen=True)
class Page:
    """total: documents that the whole list announces."""

    total: int
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Period:
    """First and last day, YYYYMMDD; empty for no bound."""

    start: str = ""
    end: str = ""


class LawApi:
    """One target of the service."""

    def __init__(self, client: PoliteClient, target: Target) -> None:
        self.client, self.target = client, target

    def page(self, number: int, query: str, period: Period) -> Page:
        """Page `number` (from 1) of the documents that match. Raises RefusedError or UnavailableError."""
        target = self.target
        params = {"target": target.api, "type": "JSON", "display": str(PAGE_SIZE), "page": str(number)}
        params |= {"sort": target.sort, **target.options} | ({"query": query} if query else {})
        if period.end:
            params[target.period] = f"{period.start or _FIRST_DAY}~{period.end}"
        return self.client.get("lawSearch.do", params, lambda body: read_page(target, body))

    def document(self, item: Item) -> bytes:
        """The document as the service sent it, less an echo of the key. Raises NoContentError and as `page`."""
        params = {"target": self.target.api, "type": "JSON", **dict(item.ask)}
        return self.client.get("lawService.do", params, self._checked)

    def _checked(self, body: bytes) -> bytes:
        check_document(self.target, body)
        return self.client.secret.remove_echo(body)


class Listing:
    """All items that match, page by page. Rows that move between pages while they are read are caught by reading again:
    a further pass runs until it brings nothing new. Afterwards `missing` counts what was announced and never came."""

    def __init__(self, api: LawApi, query: str, period: Period) -> None:
        self._api, self._query, self._period = api, query, period
        self.total = self.missing = 0

    def __iter__(self) -> Iterator[Item]:
        seen: set[Item] = set()
        for _ in range(_PASSES):
            known, received = len(seen), 0
            for page in self._pages():
                received += len(page.items)
                fresh = dict.fromkeys(item for item in page.items if item not in seen)
                yield from fresh
                seen.update(fresh)
            self.missing = max(0, self.total - max(received, len(seen)))
            if len(seen) >= self.total or len(seen) == known:
                return

    def _pages(self) -> Iterator[Page]:
        page = self._api.page(1, self._query, self._period)
        size, number = len(page.items), 1
        while True:
            self.total = page.total
            yield page
            number += 1
            if not size or (number - 1) * size >= self.total:
                return
            page = self._api.page(number, self._query, self._period)


def read_page(target: Target, body: bytes) -> Page:
    """A `lawSearch.do` answer; one row alone comes as an object. Raises RefusedError or UnavailableError."""
    value = _answer(body)
    block = value.get(target.rows[0])
    if not isinstance(block, dict) or field(block, "resultCode") not in ("", "00"):
        raise UnavailableError(f"list of {target.name}: {_said(value)}; run the same command later")
    total = field(block, "totalCnt")
    if not total.isdecimal():
        raise UnavailableError(f"list of {target.name} without totalCnt; run the same command later")
    rows = as_list(block.get(target.rows[1]), target.rows[1])
    return Page(int(total), tuple(_item(target, row) for row in rows))


def check_document(target: Target, body: bytes) -> None:
    """Whether a `lawService.do` answer is a document with text. Raises NoContentError, RefusedError, UnavailableError."""
    try:
        value = _answer(body)
    except NotAppliedError as error:
        raise UnavailableError(str(error)) from None
    if isinstance(value.get("Law"), str):
        raise NoContentError(f"{_NO_TEXT} ({' '.join(value['Law'].split())}); {_LOOK}")
    part = _root(target, value)
    if part is not None and _blank(part):
        raise NoContentError(f"{_NO_TEXT}; {_LOOK}")
    if not isinstance(part, dict):
        raise UnavailableError(f"not a {target.name} document: {_said(value)}; run the same command later")


def _answer(body: bytes) -> dict[str, Any]:
    """The JSON object of an answer, errors that come as HTTP 200 raised."""
    start = body[:20_000].decode("utf-8", "replace").lstrip("\ufeff \r\n\t")
    if start.startswith("<"):
        raise _markup_error(start)
    try:
        value = parse_json(decode(body))
    except SourceError as error:
        raise UnavailableError(f"잘린 응답 · the answer is cut or empty ({error})") from None
    if not isinstance(value, dict) or not value:
        raise UnavailableError("빈 응답 · an empty answer; run the same command later")
    if _NOT_VERIFIED in str(value.get("result")):
        raise RefusedError(_KEY_REMEDY)
    return value


def _markup_error(text: str) -> LexError:
    if _NOT_VERIFIED in text:
        return RefusedError(_KEY_REMEDY)
    if _NOT_APPLIED in text:
        return NotAppliedError(_APPLY_REMEDY)
    title = _TITLE.search(text)
    words = " ".join(title[1].split()) if title else "no title"
    return UnavailableError(f"응답이 JSON이 아님 · an HTML page instead of JSON ({words}); run the same command later")


def _said(value: Mapping[str, Any]) -> str:
    """What an unexpected answer says, in one line."""
    block = next((part for part in value.values() if isinstance(part, dict)), {})
    words = [value.get(name) or block.get(name) for name in ("result", "msg", "resultMsg", "Law")]
    said = " ".join(str(word) for word in words if word) or f"unexpected keys {', '.join(map(str, list(value)[:5]))}"
    return said[:200]


def _item(target: Target, row: Any) -> Item:
    row = row if isinstance(row, dict) else {}
    name, ask = field(row, target.name_field), {param: field(row, name) for param, name in target.ask.items()}
    usable = _SAFE_ID.fullmatch(name) and all(ask.values())
    return Item(name if usable else "", field(row, target.title_field), tuple(ask.items()), _version(target, row))


def _version(target: Target, part: Mapping[str, Any]) -> tuple[str, ...]:
    """Digits only: a list writes 00406 or 2024.01.01 where a document writes 406 or 20240101."""
    return tuple(re.sub(r"\D", "", field(dict(part), name)).lstrip("0") for name in target.versions)


def _root(target: Target, value: Any) -> Any:
    return next((value[name] for name in target.roots if isinstance(value, dict) and name in value), None)


def _blank(part: Any) -> bool:
    if isinstance(part, dict):
        return all(_blank(value) for value in part.values())
    if isinstance(part, list):
        return all(_blank(value) for value in part)
    return not str("" if part is None else part).strip()
