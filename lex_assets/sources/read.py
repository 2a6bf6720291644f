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
from lex_assets.sources.admin_rule import is_admin_rule, read_admin_rule
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.jsonl import read_record
from lex_assets.sources.law import is_law, read_law
from lex_assets.sources.markdown import is_statute, read_statute
from lex_assets.sources.mrc import is_mrc, paragraphs, read_context
from lex_assets.sources.precedent import is_precedent, read_precedent
from lex_assets.sources.values import SourceError, decode, parse_json

SUFFIXES = (".json", ".jsonl", ".md")
IGNORED_NAMES = ("readme", "license", "notice")
"""Files about the data, without suffix, in any case: skipped without a word."""

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
    rows: list[dict[str, Any]] = []
    rejected: list[dict[str, str]] = []
    read = 0
    for done, (found, bad, seen) in enumerate(_batches(files, raw, rules, domain, workers), start=1):
        rows += found
        rejected += bad
        read += seen
        if progress:
            progress(min(done * _BATCH, len(files)), len(files))
    if not read:
        reason = f"; first reason: {rejected[0]['source_path']}: {rejected[0]['reason']}" if rejected else ""
        raise LexError(f"no document could be read below {raw}{reason}")
    kept, duplicates = _first_by_path(rows)
    quarantine = sorted(rejected + duplicates, key=lambda row: (row["source_path"], row["record"], row["reason"]))
    return Ingested(DOCUMENTS.frame(kept).sort("doc_id"), QUARANTINE.frame(quarantine))


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


def read_file(path: Path, root: Path) -> tuple[list[Document], list[dict[str, str]]]:
    """Documents of one file and the QUARANTINE rows of what in it cannot be read. Never raises for bad content."""
    documents, rejected, _ = _read(path, root, lambda source_type: True)
    return documents, rejected


def _read(path: Path, root: Path, wanted: Wanted) -> tuple[list[Document], list[dict[str, str]], int]:
    """As `read_file`, for wanted source types only; the third value counts the good records, wanted or not."""
    source = path.relative_to(root).as_posix().encode("utf-8", "replace").decode()
    documents: list[Document] = []
    rejected: list[dict[str, str]] = []
    good = 0
    try:
        for record, content, parse in _records(path, wanted):
            try:
                document = parse() if parse else None
            except (SourceError, RecursionError) as error:
                rejected.append(_rejection(source, record, _reason(error)))
                continue
            good += 1
            if document:
                document.source_path, document.content_hash = source, content_hash(content)
                documents.append(document)
    except (SourceError, RecursionError, OSError) as error:
        rejected.append(_rejection(source, "", _reason(error)))
    return documents, rejected, good


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror}"
    nested = isinstance(error, RecursionError)
    return "nested too deeply; the file is damaged, download it again" if nested else str(error)


def _rejection(source: str, record: str, reason: str) -> dict[str, str]:
    return {"source_path": source, "record": record, "reason": reason}


_Record = tuple[str, str, Callable[[], Document] | None]


def _records(path: Path, wanted: Wanted) -> Iterator[_Record]:
    """(record name, its text, reader or None when its type is not wanted) per record of a file, format autodetected."""
    suffix = path.suffix.lower()
    if suffix == ".jsonl":
        yield from _lines(path, wanted)
    elif suffix == ".json":
        text = decode(path.read_bytes())
        yield from _json_records(text, parse_json(text), wanted)
    elif suffix == ".md":
        text = decode(path.read_bytes())
        if not is_statute(text):
            raise SourceError("Markdown without a front matter that names a 법령ID; only statutes can be read")
        yield "", text, partial(read_statute, text) if wanted("law") else None
    else:
        known = ", ".join(SUFFIXES)
        raise SourceError(f"not a known format ({suffix or 'no suffix'}); unpack archives, convert to {known}")


_SINGLE = (
    (is_law, "law", read_law),
    (is_admin_rule, "admin_rule", read_admin_rule),
    (is_precedent, "precedent", read_precedent),
)


def _json_records(text: str, value: Any, wanted: Wanted) -> Iterator[_Record]:
    if not isinstance(value, dict):
        raise SourceError("the JSON is not an object; expected a law, a rule, a decision or an MRC file")
    for is_format, source_type, read in _SINGLE:
        if is_format(value):
            yield "", text, partial(read, value) if wanted(source_type) else None
            return
    if not is_mrc(value):
        raise SourceError(f"unknown JSON format (keys {', '.join(map(str, list(value)[:5]))}); see the list of formats")
    for record, article, entry in paragraphs(value):
        reader = partial(read_context, article, entry) if wanted("mrc") else None
        yield record, json.dumps(entry, ensure_ascii=False, sort_keys=True), reader


def _lines(path: Path, wanted: Wanted) -> Iterator[_Record]:
    with path.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            if line.strip():
                reader = partial(_read_line, line) if wanted("jsonl") else None
                yield f"line {number}", line.decode("utf-8", "replace"), reader


def _read_line(line: bytes) -> Document:
    return read_record(parse_json(decode(line)))


_Batch = tuple[list[dict[str, Any]], list[dict[str, str]], int]


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
    rows: list[dict[str, Any]] = []
    rejected: list[dict[str, str]] = []
    read = 0
    for path in files:
        documents, bad, seen = _read(path, raw, lambda kind: domain is None or rules.may_be(kind, domain))
        rejected += bad
        read += seen
        for document in documents:
            document.domain = rules.domain_of(document) or ""
            if not document.domain:
                rejected.append(_unmatched(document))
            elif domain in (None, document.domain):
                rows.append(document.row())
    return rows, rejected, read


def _unmatched(document: Document) -> dict[str, str]:
    reason = (
        f"no domain rule matches source type {document.source_type}, authority {document.authority or '(none)'}; "
        "add a rule to configs/domains.yaml"
    )
    return _rejection(document.source_path, document.doc_id, reason)


def _first_by_path(rows: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Rows come in path order: the first of a doc_id stays, the others are named with the file that was kept."""
    kept: dict[str, dict[str, Any]] = {}
    duplicates = []
    for row in rows:
        first = kept.setdefault(row["doc_id"], row)
        if first is not row:
            reason = f"doc_id occurs already in {first['source_path']}, which was kept; remove one of the two"
            duplicates.append(_rejection(row["source_path"], row["doc_id"], reason))
    return list(kept.values()), duplicates
