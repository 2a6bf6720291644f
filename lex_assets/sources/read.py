"""Reading a raw folder: every file to documents, everything that cannot be read to the quarantine with its reason."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import polars as pl

from lex_assets.schemas import DOCUMENTS, QUARANTINE, Document, LexError, content_hash
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.formats import FORMATS, JSON_FORMATS, MARKDOWN, Reader, format_of
from lex_assets.sources.markdown import is_statute, read_statute
from lex_assets.sources.merge import IdTakenError, Row, add
from lex_assets.sources.values import SourceError, decode, parse_json, require_utf8

SUFFIXES = (".json", ".jsonl", ".ndjson", ".md")
IGNORED_NAMES = ("readme", "license", "notice")
"""Files about the data, without suffix, in any case: skipped without a word."""

UNFORESEEN = "the reader failed"
"""Start of the reason for a record that broke its reader; the tests let none of these pass."""

_BATCH = 256
Progress = Callable[[int, int], None]
Wanted = Callable[[str], bool]


@dataclass(frozen=True)
class Ingested:
    """documents: DOCUMENTS sorted by doc_id; quarantine: QUARANTINE sorted by path and record."""

    documents: pl.DataFrame
    quarantine: pl.DataFrame


def ingest(
    raw: Path,
    rules: DomainRules,
    domain: str | None = None,
    workers: int = 1,
    progress: Progress | None = None,
) -> Ingested:
    """All documents below `raw` (of `domain`, when given) and the quarantine.

    workers: processes; 1 reads in this one, more need a script guarded by `if __name__ == "__main__"`. progress: called with (files done, files in all).
    Raises LexError when the folder is missing or no file in it can be read as a document.
    """
    files = raw_files(raw)
    _require_matches(rules, files, Path(raw))
    kept: dict[str, Row] = {}
    rejected: list[dict[str, str]] = []
    read = 0
    for done, (found, bad, seen) in enumerate(_batches(files, Path(raw), rules, domain, workers), start=1):
        rejected += bad + _added(kept, found)
        read += seen
        if progress:
            progress(min(done * _BATCH, len(files)), len(files))
    if not read:
        reason = f"; first reason: {rejected[0]['source_path']}: {rejected[0]['reason']}" if rejected else ""
        raise LexError(f"no document could be read below {raw}{reason}")
    rows = [row for row in kept.values() if domain in (None, row["domain"])]
    quarantine = sorted(rejected, key=lambda row: (row["source_path"], row["record"], row["reason"]))
    return Ingested(DOCUMENTS.frame(rows).sort("doc_id"), QUARANTINE.frame(quarantine))


def _require_matches(rules: DomainRules, files: list[Path], raw: Path) -> None:
    """Raise LexError for an override that no file matches: it has a misspelt pattern."""
    names = [_source(path, raw) for path in files]
    for override in rules.formats:
        if not any(override.matches(name) for name in names):
            raise LexError(
                f"format override {override.pattern}={override.format}: no file below {raw} matches; patterns are matched "
                f"against the path in the folder, for example {names[0]}"
            )


def _added(kept: dict[str, Row], rows: Iterable[Row]) -> list[dict[str, str]]:
    """Puts `rows` into `kept`; rejections of those whose id another document has."""
    rejected = []
    for row in rows:
        try:
            add(kept, row)
        except IdTakenError as error:
            rejected.append(_rejection(row["source_path"], row["doc_id"], str(error)))
    return rejected


def raw_files(raw: Path) -> list[Path]:
    """Files below `raw` in path order; hidden ones and notes such as README.md are left out. LexError without any."""
    raw = Path(raw)
    if not raw.is_dir():
        raise LexError(f"raw folder {raw} does not exist; give the folder that holds laws/, precedents/, …")
    files = sorted(_walk(raw), key=lambda path: path.as_posix())
    if not files:
        raise LexError(f"raw folder {raw} holds no files; put law.go.kr JSON, MRC JSON, JSONL or Markdown there")
    return files


def _walk(raw: Path) -> Iterator[Path]:
    """Data files below `raw`. Linked folders are followed, each real folder once, so that a link to itself ends."""
    seen: set[str] = set()
    for folder, below, names in os.walk(raw, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in names:
            path = Path(folder, name)
            if not name.startswith(".") and path.stem.lower() not in IGNORED_NAMES and path.is_file():
                yield path


def read_file(path: Path, root: Path, format: str | None = None) -> tuple[list[Document], list[dict[str, str]]]:
    """Documents of one file and the QUARANTINE rows of what in it cannot be read. Never raises for bad content.

    format: one of FORMATS, instead of the autodetection; LexError for a name that is none.
    """
    if format is not None and format not in FORMATS:
        raise LexError(f"format {format!r} is not known; choose from {', '.join(FORMATS)}")
    documents: list[Document] = []
    rejected: list[dict[str, str]] = []
    for result in _read(path, root, lambda source_type: True, format):
        if isinstance(result, dict):
            rejected.append(result)
        elif result:
            documents += result
    return documents, rejected


def _read(
    path: Path, root: Path, wanted: Wanted, format: str | None
) -> Iterator[list[Document] | dict[str, str] | None]:
    """Per record its documents, None when its type is not wanted, or the QUARANTINE row that says what is wrong."""
    source = _source(path, root)
    note = f" (read as {format}, as was set for this file; formats: {', '.join(FORMATS)})" if format else ""
    try:
        for record, found in _records(path, wanted, format):
            try:
                documents = found() if found else None
            except Exception as error:  # one record that no reader foresaw must not cost the thousands beside it
                yield _rejection(source, record, _reason(error) + note)
                continue
            for document in documents or ():
                document.source_path = source
            yield documents
    except (SourceError, OSError) as error:
        yield _rejection(source, "", _reason(error) + note)


def _source(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix().encode("utf-8", "replace").decode()


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    if isinstance(error, RecursionError):
        return "nested too deeply; the file is damaged, download it again"
    return str(error) if isinstance(error, SourceError) else f"{UNFORESEEN} ({type(error).__name__}); report the file"


def _rejection(source: str, record: str, reason: str) -> dict[str, str]:
    return {"source_path": source, "record": record, "reason": reason}


_Record = tuple[str, Reader | None]


def _records(path: Path, wanted: Wanted, format: str | None) -> Iterator[_Record]:
    """(record name, reader or None when its type is not wanted) per record of a file."""
    suffix = path.suffix.lower()
    if format == MARKDOWN or (suffix == ".md" and not format):
        yield from _statute(decode(path.read_bytes()), wanted)
    elif suffix in (".jsonl", ".ndjson"):
        with path.open("rb") as stream:
            require_utf8(stream.peek(4)[:4])
            yield from _lines(stream, wanted, format)
    elif suffix == ".json" or format:
        yield from _json_file(path.read_bytes(), wanted, format)
    else:
        known = ", ".join(SUFFIXES)
        raise SourceError(f"not a known format ({suffix or 'no suffix'}); unpack archives, convert to {known}")


def _statute(text: str, wanted: Wanted) -> Iterator[_Record]:
    if not is_statute(text):
        raise SourceError("Markdown without a front matter that names a 법령ID; only statutes can be read")
    yield "", partial(_hashed, lambda: [read_statute(text)], text) if wanted("law") else None


def _json_file(raw: bytes, wanted: Wanted, format: str | None) -> Iterator[_Record]:
    """One object, a list of objects, or (whatever the suffix says) one object per line."""
    text = decode(raw)
    try:
        value = parse_json(text)
    except SourceError:
        if not _starts_with_object_line(text):
            raise
        yield from _lines(raw.splitlines(), wanted, format)
        return
    items = {f"[{place}]": item for place, item in enumerate(value)} if isinstance(value, list) else {"": value}
    if not any(isinstance(item, dict) for item in items.values()):
        raise SourceError("the JSON is not an object; expected a law, a rule, a decision or another of the formats")
    for place, item in items.items():
        yield from _value_records(place, item, text if item is value else "", wanted, format or format_of(item))


def _starts_with_object_line(text: str) -> bool:
    first, _, rest = text.lstrip().partition("\n")
    try:
        return bool(rest.strip()) and isinstance(parse_json(first), dict)
    except SourceError:
        return False


def _lines(lines: Iterable[bytes], wanted: Wanted, format: str | None) -> Iterator[_Record]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            value = parse_json(decode(line))
        except SourceError as error:
            yield f"line {number}", partial(_fail, error)
            continue
        name = format or format_of(value) or "record"
        yield from _value_records(f"line {number}", value, line.decode("utf-8", "replace"), wanted, name)


def _value_records(place: str, value: Any, content: str, wanted: Wanted, name: str | None) -> Iterator[_Record]:
    """Records of one JSON value in the format `name`; content: its source text, empty for part of a file."""
    if name is None:
        names = [" ".join(name.split())[:40] for name in list(value)[:5]] if isinstance(value, dict) else ["no object"]
        reason = f"unknown JSON format (keys {', '.join(names)}); formats: {', '.join(FORMATS)}"
        yield place, partial(_fail, SourceError(reason))
    elif not any(map(wanted, JSON_FORMATS[name].source_types)):
        yield place, None
    else:
        for below, read in JSON_FORMATS[name].records(value):
            yield f"{place} {below}".strip(), partial(_hashed, read, content or value)


def _fail(error: SourceError) -> list[Document]:
    raise error


def _hashed(read: Reader, content: Any) -> list[Document]:
    """The reader's documents; those that do not know their content hash get that of the source record."""
    documents = read()
    for document in documents:
        if not document.content_hash:
            text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, sort_keys=True)
            document.content_hash = content_hash(text)
    return documents


_Batch = tuple[list[Row], list[dict[str, str]], int]


def _batches(files: list[Path], raw: Path, rules: DomainRules, domain: str | None, workers: int) -> Iterable[_Batch]:
    """Batches in file order, so that the result does not depend on the number of workers."""
    jobs = [(files[start : start + _BATCH], raw, rules, domain) for start in range(0, len(files), _BATCH)]
    if workers <= 1 or len(jobs) == 1:
        yield from map(_read_batch, jobs)
        return
    # Not fork: polars and Dagster run threads, and a forked child could wait for ever for a lock that one of them held.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(_read_batch, jobs)


def _read_batch(job: tuple[list[Path], Path, DomainRules, str | None]) -> _Batch:
    files, raw, rules, domain = job
    kept: dict[str, Row] = {}
    rejected: list[dict[str, str]] = []
    read = 0
    for path in files:
        format = rules.format_of(_source(path, raw))
        for result in _read(path, raw, lambda kind: domain is None or rules.may_be(kind, domain), format):
            if isinstance(result, dict):
                rejected.append(result)
                continue
            read += 1
            for document in result or ():
                document.domain = rules.domain_of(document) or ""
                rejected += _added(kept, [document.row()]) if document.domain else [_unmatched(document)]
    return list(kept.values()), rejected, read


def _unmatched(document: Document) -> dict[str, str]:
    reason = (
        f"no domain rule matches source type {document.source_type}, authority {document.authority or '(none)'}; "
        "add a rule to configs/domains.yaml"
    )
    return _rejection(document.source_path, document.doc_id, reason)
