"""Documents of one API target in one folder: what is there is kept, what is missing is fetched, a kill loses nothing.

`OUT/<target>/<id>.json`, each as the service sent it, beside three hidden files that `ingest` does not read:
`.quarantine.jsonl` (documents that the service lists and does not give: id, version, title, reason, retry), `.state.json`
(per query the last day up to which everything was fetched) and `.lock`. Not here: the service (`law_go_kr`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lex_assets.schemas import LexError
from lex_assets.sources.law_go_kr import Item, LawApi, Listing, NoContentError, Period, Target
from lex_assets.sources.polite_http import UnavailableError
from lex_assets.sources.values import SourceError, decode, parse_json

SINCE_LAST = "last"
OVERLAP_DAYS = 180
"""How far `--since last` goes back: a decision is published weeks or months after the day that it was given."""

GIVE_UP_AFTER = 3
"""Documents in a row without a usable answer: then it is the service, not the document."""

_SEOUL = timezone(timedelta(hours=9))
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wanted:
    """Which documents: days as YYYYMMDD, `since` also "last"; limit: the most documents to fetch, None for all."""

    query: str = ""
    since: str = ""
    until: str = ""
    limit: int | None = None


@dataclass(frozen=True)
class Downloaded:
    """What a download did. failed: names to be tried again by the next run. missing: rows that the list announced and
    did not give. unlisted: files that a complete list no longer names (repealed). complete_to: the day recorded for
    `--since last`, empty when this run recorded none."""

    folder: Path
    listed: int
    already: int
    fetched: int
    quarantined: int
    failed: tuple[str, ...]
    missing: int
    unlisted: tuple[str, ...]
    other_version: int
    complete_to: str


def today() -> str:
    """The day in Seoul, YYYYMMDD."""
    return datetime.now(_SEOUL).strftime("%Y%m%d")


def download(
    api: LawApi, out: Path, wanted: Wanted, day: str | None = None, progress: Progress | None = None
) -> Downloaded:
    """Fetch what `out/<target>` lacks of the wanted documents.

    day: today as YYYYMMDD, for tests. progress: called with ("list" or "documents", done, in all).
    Raises LexError when a day is none, when another run writes there, when the key is refused, and when the service
    fails for several documents in a row; what was fetched until then stays, and the same command goes on from there.
    """
    folder = TargetFolder(Path(out) / api.target.name, api.target)
    with folder.locked():
        return _Run(api, folder, wanted, day or today(), progress or _silent).result()


class TargetFolder:
    """The files of one target."""

    def __init__(self, path: Path, target: Target) -> None:
        self.path, self.target = path, target
        self.quarantine_path = path / ".quarantine.jsonl"
        self._state_path = path / ".state.json"
        self._rejected: set[tuple[str, str, str]] = set()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """The folder for this process alone, leftovers of a killed one cleared. Raises LexError when it is in use."""
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=0):
                for leftover in self.path.glob(".*.part"):
                    leftover.unlink()
                self._load_quarantine()
                yield
        except Timeout:
            raise LexError(
                f"{self.path}: 다른 실행이 쓰는 중 · another download writes here; wait for it, or choose another --out"
            ) from None

    def names(self) -> set[str]:
        """Names of the documents that are there."""
        return {path.stem for path in self.path.glob("*.json") if not path.name.startswith(".")}

    def has(self, item: Item) -> bool:
        """Whether the document is there, whole and in the listed version."""
        try:
            document = parse_json(decode(self._file(item).read_bytes()))
            return self.target.version_of(document) == item.version
        except (FileNotFoundError, SourceError):
            return False

    def store(self, item: Item, body: bytes) -> None:
        """Write the document; never half of it."""
        _write(self._file(item), body)

    def rejects(self, item: Item) -> bool:
        """Whether the quarantine holds this version of the document."""
        return _key(item) in self._rejected

    def reject(self, item: Item, reason: str, retry: bool) -> None:
        """List the document in the quarantine; with `retry` only until the next run."""
        name, version, title = _key(item)
        row = {"id": name, "version": version, "title": title, "reason": reason, "retry": retry}
        line = json.dumps(row, ensure_ascii=False) + "\n"
        with self.quarantine_path.open("ab", buffering=0) as file:
            file.write(line.encode("utf-8", "replace"))  # one write: a kill leaves the line or nothing
        self._rejected.add(_key(item))

    def quarantined(self) -> int:
        """Documents in the quarantine."""
        return len(self._rejected)

    def complete_to(self, query: str) -> str:
        """The last day up to which everything was fetched for `query`, YYYYMMDD, or empty."""
        return str(self._state().get(query, ""))

    def record(self, query: str, day: str) -> None:
        """Remember that everything up to `day` is there for `query`."""
        state = {"target": self.target.name, "complete_to": self._state() | {query: day}}
        _write(self._state_path, json.dumps(state, ensure_ascii=False, indent=1).encode())

    def _state(self) -> dict[str, Any]:
        if not self._state_path.exists():
            return {}
        try:
            state = parse_json(decode(self._state_path.read_bytes()))
            return dict(state["complete_to"])
        except (SourceError, KeyError, TypeError, ValueError):
            raise LexError(f"{self._state_path}: not readable; remove it and run once without --since") from None

    def _file(self, item: Item) -> Path:
        return self.path / f"{item.name}.json"

    def _load_quarantine(self) -> None:
        """Keep the lasting rows: documents to retry, and a line that a power cut tore, go."""
        if not self.quarantine_path.exists():
            return
        before = self.quarantine_path.read_bytes()
        rows = [(line, _row(line)) for line in before.splitlines(keepends=True)]
        kept = [(line, row) for line, row in rows if row and not row.get("retry")]
        self._rejected = {(row["id"], row["version"], row["title"]) for _, row in kept}
        if (after := b"".join(line for line, _ in kept)) != before:
            _write(self.quarantine_path, after)


class _Run:
    """One download: list, see what is missing, fetch it."""

    def __init__(self, api: LawApi, folder: TargetFolder, wanted: Wanted, day: str, progress: Progress) -> None:
        self.api, self.folder, self.wanted, self.day, self.progress = api, folder, wanted, day, progress
        self.known = folder.complete_to(wanted.query)
        self.period = _period(wanted, self.known, day)
        self.listing = Listing(api, wanted.query, self.period)
        self.listed: set[str] = set()
        self.failed: list[str] = []
        self.fetched = self.already = self.other_version = 0
        self.cut = False

    def result(self) -> Downloaded:
        todo = self._missing()
        self._fetch(todo)
        everything = not (self.cut or self.failed or self.listing.missing)
        unbounded = everything and self.period == Period() and not self.wanted.query
        return Downloaded(
            folder=self.folder.path,
            listed=len(self.listed),
            already=self.already,
            fetched=self.fetched,
            quarantined=self.folder.quarantined(),
            failed=tuple(self.failed),
            missing=self.listing.missing,
            unlisted=tuple(sorted(self.folder.names() - self.listed)) if unbounded else (),
            other_version=self.other_version,
            complete_to=self._record() if everything else "",
        )

    def _missing(self) -> list[Item]:
        """Listed documents that are neither there nor in the quarantine, oldest first; of two versions the later."""
        todo: dict[str, Item] = {}
        for done, item in enumerate(self.listing, start=1):
            self.progress("list", done, max(done, self.listing.total))
            self.listed.add(item.name)
            todo.pop(item.name, None)
            if self._needed(item):
                todo[item.name] = item
            if self.wanted.limit is not None and len(todo) > self.wanted.limit:
                del todo[item.name]
                self.cut = True
                break
        if not self.listed and self.period == Period() and not self.wanted.query:
            raise UnavailableError(
                f"빈 목록 · the list of all {self.api.target.name} documents is empty; run the command later"
            )
        return list(todo.values())

    def _needed(self, item: Item) -> bool:
        if self.folder.rejects(item):
            return False
        if not item.name:
            self.folder.reject(
                item, f"the list names no {self.api.target.name_field} that can be asked for", retry=False
            )
            return False
        there = self.folder.has(item)
        self.already += there
        return not there

    def _fetch(self, todo: list[Item]) -> None:
        in_a_row = 0
        for done, item in enumerate(todo):
            self.progress("documents", done, len(todo))
            reason = self._fetch_one(item)
            in_a_row = in_a_row + 1 if reason else 0
            if in_a_row == GIVE_UP_AFTER:
                raise UnavailableError(
                    f"연이은 실패 · {in_a_row} documents in a row failed ({reason}); run the same command later"
                )
        if todo:
            self.progress("documents", len(todo), len(todo))

    def _fetch_one(self, item: Item) -> str:
        """Why there was no usable answer, or empty."""
        try:
            body = self.api.document(item)
        except NoContentError as error:
            self.folder.reject(item, str(error), retry=False)
            return ""
        except UnavailableError as error:
            self.folder.reject(item, str(error), retry=True)
            self.failed.append(item.name)
            return str(error)
        self.folder.store(item, body)
        self.fetched += 1
        self.other_version += not self.folder.has(item)
        return ""

    def _record(self) -> str:
        """The recorded day, or empty when a gap lies between this run and what was complete before."""
        if self.known and self.period.start > self.known:
            return ""
        end = max(min(self.period.end or self.day, self.day), self.known)
        self.folder.record(self.wanted.query, end)
        return end


def _period(wanted: Wanted, known: str, day: str) -> Period:
    since = _before_last(known) if wanted.since == SINCE_LAST else _day(wanted.since, "--since")
    until = _day(wanted.until, "--until")
    if not since and not until:
        return Period()
    period = Period(since, until or day)
    if period.start > period.end:
        raise LexError(f"--since {period.start} is later than {period.end}; choose an earlier day")
    return period


def _before_last(known: str) -> str:
    if not known:
        raise LexError(
            "--since last: 끝까지 받은 적이 없음 · nothing was fetched to the end yet; run the command once without --since"
        )
    return (_date(known) - timedelta(days=OVERLAP_DAYS)).strftime("%Y%m%d")


def _day(text: str, option: str) -> str:
    try:
        if text and not (re.fullmatch("[0-9]{8}", text) and _date(text)):
            raise ValueError
    except ValueError:
        raise LexError(f"{option} {text}: not a day; write it as YYYYMMDD") from None
    return text


def _date(text: str) -> date:
    return datetime.strptime(text, "%Y%m%d").date()


def _key(item: Item) -> tuple[str, str, str]:
    return item.name, "-".join(item.version), item.title


def _row(line: bytes) -> dict[str, Any] | None:
    try:
        row = parse_json(decode(line))
    except SourceError:
        return None
    return row if isinstance(row, dict) and {"id", "version", "title"} <= set(row) else None


def _write(path: Path, content: bytes) -> None:
    """Beside, to the disk, then renamed. The name beside is fixed, so that a killed run leaves one file at most."""
    beside = path.with_name(f".{path.name}.part")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


def _silent(stage: str, done: int, total: int) -> None:
    pass
