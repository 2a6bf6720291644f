"""What damaged files cost: real files, each damaged in one way drawn by a seed, read as a user would.

    python benchmarks/fuzz_readers.py [--shared ../shared] [--files 5000] [--seed 1]

Expected: 0 tracebacks, 0 good records lost, 0 files that say nothing. A record is good when the damage did not touch it
(its neighbours in a file of many), or when it is none (byte order mark, CRLF, indentation).
"""

from __future__ import annotations

import argparse
import json
import random
import re
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lex_assets.schemas import Document
from lex_assets.sources.read import IGNORED_NAMES, UNFORESEEN, read_file

Damage = Callable[[bytes, random.Random], bytes]
Kept = Counter[tuple[str, str]]

WRONG: list[Any] = [
    None, True, -1, 1e308, "", " ", "삭제", "제1조", "①", "[1] [2]", "\ud800", "\x00", "\ufeff", "<개정", "「" * 50, "가 " * 3_000,
    [], [[]], [None], [["가", 1], {"content": 2}], {}, {"content": None}, {"content": ["나"]}, {"code": 1}, {"": {"": []}},
    "@deep-list@", "@deep-object@", "@huge-number@",
]  # fmt: skip
PARSABLE = [value for value in WRONG if value not in ("@deep-list@", "@deep-object@")]
"""What leaves a whole file readable: nesting beyond what the JSON parser takes damages all of it."""
PLACED = {
    "deep-list": "[" * 100_000,
    "deep-object": '{"a":' * 100_000 + "1" + "}" * 100_000,
    "huge-number": "9" * 5_000,
}
"""What no JSON writer writes, put in place of a value after writing."""


def dumped(value: Any) -> bytes:
    """`value` as JSON, PLACED texts filled in; lone surrogates stay escapes."""
    text = json.dumps(value, ensure_ascii=True)
    return re.sub(r'"@([a-z-]+)@"', lambda match: PLACED[match[1]], text).encode()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value, outermost first."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield (*path, key)
        yield from places(below, (*path, key))


def wrong_value(value: Any, draw: random.Random, wrong: Sequence[Any] = WRONG) -> Any:
    """`value` with one of its parts replaced by one of `wrong`, or left out."""
    found = list(places(value))
    if not found:
        return draw.choice(wrong)
    *above, last = draw.choice(found)
    target = value
    for key in above:
        target = target[key]
    if draw.random() < 0.2:
        del target[last]
    else:
        target[last] = draw.choice(wrong)
    return value


def damaged_value(raw: bytes, draw: random.Random) -> bytes:
    return dumped(wrong_value(json.loads(raw.decode("utf-8-sig")), draw))


def truncated(raw: bytes, draw: random.Random) -> bytes:
    """Cut after one of the characters that JSON is made of, or anywhere."""
    mark = draw.choice([b"{", b"[", b'"', b":", b",", b"}", b"\\", b"\n", b""])
    found = [match.end() for match in re.finditer(re.escape(mark), raw)] if mark else []
    return raw[: draw.choice(found) if found else draw.randrange(len(raw) + 1)]


def overwritten(raw: bytes, draw: random.Random) -> bytes:
    """A run of bytes replaced by others: noise, NUL, half of a character, a mark, quotes."""
    start = draw.randrange(len(raw) + 1)
    junk = draw.choice(
        [b"", b"\0", b"\xff\xfe", b"\xea\xb0", b"\xef\xbb\xbf", b'"', b"}", b"\r", b"\n", draw.randbytes(8)]
    )
    return raw[:start] + junk + raw[start + draw.choice([0, 0, 1, 2, 40]) :]


def doubled(raw: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(raw) + 1)
    end = min(len(raw), start + draw.randrange(1, 200))
    return raw[:end] + raw[start:]


def recoded(raw: bytes, draw: random.Random) -> bytes:
    """The same text in an encoding that is not read, with its mark."""
    return raw.decode("utf-8-sig", "replace").encode(draw.choice(["utf-16", "utf-32", "cp949"]), "replace")


HARMLESS: dict[str, Damage] = {
    "byte order mark": lambda raw, draw: b"\xef\xbb\xbf" + raw.removeprefix(b"\xef\xbb\xbf"),
    "CRLF": lambda raw, draw: raw.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n"),
    "blank end": lambda raw, draw: raw + draw.choice([b"\n", b"\r\n\n", b"  "]),
}
FATAL: dict[str, Damage] = {
    "truncated": truncated, "overwritten": overwritten, "doubled": doubled, "recoded": recoded,
}  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One damaged file and the (doc_id, tree) of every record that must still be there."""

    damage: str
    suffix: str
    content: bytes
    kept: Kept


def damaged(path: Path, draw: random.Random, folder: Path) -> Case:
    """`path` with one damage; files of many records are damaged in one record more often than not."""
    raw, suffix = path.read_bytes(), path.suffix
    kind = draw.random()
    if kind < 0.15:
        name = draw.choice(sorted(HARMLESS))
        return Case(name, suffix, HARMLESS[name](raw, draw), contents(read_bytes(raw, suffix, folder)[0]))
    if suffix == ".jsonl" and kind < 0.8:
        return _damaged_line(raw, draw, folder)
    value = json.loads(raw.decode("utf-8-sig")) if suffix == ".json" else None
    if isinstance(value, dict) and "data" in value and kind < 0.8:
        return _damaged_paragraph(value, draw, folder)
    if value is not None and kind < 0.6:
        return Case("wrong value", suffix, dumped(wrong_value(value, draw)), Counter())
    name = draw.choice(sorted(FATAL))
    return Case(name, suffix, FATAL[name](raw, draw), Counter())


def _damaged_line(raw: bytes, draw: random.Random, folder: Path) -> Case:
    lines = raw.splitlines(keepends=True)
    place = draw.randrange(len(lines))
    others = b"".join(lines[:place] + lines[place + 1 :])
    damage = draw.choice([damaged_value, truncated, overwritten])
    lines[place] = damage(lines[place].rstrip(b"\n"), draw) + b"\n"
    kept = contents(read_bytes(others, ".jsonl", folder)[0])
    return Case(f"line: {damage.__name__}", ".jsonl", b"".join(lines), kept)


def _damaged_paragraph(value: Any, draw: random.Random, folder: Path) -> Case:
    article = draw.choice([item for item in value["data"] if item.get("paragraphs")])
    place = draw.randrange(len(article["paragraphs"]))
    whole = article["paragraphs"].pop(place)
    kept = contents(read_bytes(dumped(value), ".json", folder)[0])
    article["paragraphs"].insert(place, wrong_value(whole, draw, PARSABLE))
    return Case("paragraph: wrong value", ".json", dumped(value), kept)


def read_bytes(content: bytes, suffix: str, folder: Path) -> tuple[list[Document], list[dict[str, str]]]:
    path = folder / f"x{suffix}"
    path.write_bytes(content)
    return read_file(path, folder)


def contents(documents: list[Document]) -> Kept:
    """(doc_id, tree) of each document; where a record stood in its file makes no difference."""
    return Counter((d.doc_id, json.dumps(d.tree.to_dict(), ensure_ascii=False)) for d in documents)


@dataclass(frozen=True)
class Outcome:
    """What reading one case gave. lost: good records that are missing · silent: neither document nor reason."""

    documents: list[Document]
    reasons: list[str]
    lost: int
    traceback: str
    seconds: float

    @property
    def silent(self) -> bool:
        return not self.documents and not self.reasons


def outcome(case: Case, folder: Path) -> Outcome:
    start = time.process_time()
    try:
        documents, rejected = read_bytes(case.content, case.suffix, folder)
    except Exception as error:  # counted: this is what must not happen
        return Outcome([], [], sum(case.kept.values()), repr(error), time.process_time() - start)
    reasons = [row["reason"] for row in rejected]
    unforeseen = next((reason for reason in reasons if reason.startswith(UNFORESEEN)), "")
    lost = sum((case.kept - contents(documents)).values())
    return Outcome(documents, reasons, lost, unforeseen, time.process_time() - start)


def real_files(shared: Path, sample: Path, folder: Path) -> dict[str, list[Path]]:
    """Files by format: those of `shared`, and of the formats that it lacks those of the sample."""
    for name in ("precedents", "statutes_md"):
        with tarfile.open(shared / "raw" / f"{name}.tar.xz") as archive:
            archive.extractall(folder, filter="data")
    roots = {name: shared / "raw" / name for name in ("laws", "admin_rules")}
    roots |= {name: folder / name for name in ("precedents", "statutes_md")}
    roots |= {name: sample / name for name in ("mrc", "jsonl", "interpretations")}
    return {
        name: sorted(path for path in root.rglob("*.*") if path.is_file() and path.stem.lower() not in IGNORED_NAMES)
        for name, root in roots.items()
    }


def main() -> None:
    repository = Path(__file__).resolve().parents[1]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=repository.parent / "shared")
    parser.add_argument("--files", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    counts: Counter[str] = Counter()
    by_damage: Counter[str] = Counter()
    slowest = 0.0
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "real").mkdir()
        files = real_files(arguments.shared, repository / "data" / "sample", folder / "real")
        for number in range(arguments.files):
            draw = random.Random(f"{arguments.seed} {number}")
            path = draw.choice(files[draw.choice(sorted(files))])
            case = damaged(path, draw, folder)
            found = outcome(case, folder)
            by_damage[case.damage] += 1
            slowest = max(slowest, found.seconds)
            counts["records read"] += len(found.documents)
            counts["records rejected, each with its reason"] += len(found.reasons)
            counts["good records that must be there"] += sum(case.kept.values())
            counts["good records lost"] += found.lost
            counts["tracebacks"] += bool(found.traceback)
            counts["files that say nothing"] += found.silent and bool(case.content.strip())
            if found.lost or found.traceback or (found.silent and case.content.strip()):
                print(
                    f"seed {arguments.seed} file {number}: {path.name}, {case.damage}: {found.traceback or found.reasons[:2]}"
                )
    print(f"{arguments.files:,} files damaged by seed {arguments.seed}: {dict(by_damage.most_common())}")
    for name, count in counts.items():
        print(f"{name:42} {count:,}")
    print(f"{'slowest file':42} {slowest:.2f} CPU s")


if __name__ == "__main__":
    main()
