"""What raw files → passages, corpus, citations, labels and a checked split cost, and whether they come out the same.

    python benchmarks/raw_to_split.py [--raw ../shared/raw] [--workers 2] [--scales 1 2 4]

Every measurement is a fresh process that reads unpacked files and calls what `lex-assets ingest` and `lex-assets split`
call, and then the leak check. Near-duplicates are looked for in the holdings (equivalence), in the issues (split groups)
and between training and evaluation (overlap). Wall and CPU time are those of that process and its parsing processes.
Peak memory is the resident memory of all of them added up, sampled every 20 ms; pages that two share count twice.

Scales 2 and 4 add copies with ids and docket numbers of their own. In every second copied document 2 % of the words are
replaced by words of the next document (a near-duplicate), in the others 20 % (alike, but none).

Same again: the tables of two runs, one with another number of processes and another PYTHONHASHSEED, as parquet bytes.
Expected at scale 1 on two idle cores: at most 30 s and 1024 MiB; cost per document about the same at every scale.

Seen on two idle cores: 14.1, 27.1 and 56.4 s at scales 1, 2 and 4 (0.92, 0.88 and 0.91 ms CPU per document), peak 930, 1470
and 2639 MiB; all tables equal in a second run (14.3 s in one process, 777 MiB).
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import re
import resource
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

REFERENCE = {"seconds": 159, "same": "21.5 %"}
"""The reference project on the same files: raw → labels without any check; share of its output equal in a second run."""
SAMPLE_S = 0.02
WORD = re.compile(r"[가-힣]{2,}")
ID_FIELDS = {
    "법령ID": "{copy}{value}",
    "행정규칙일련번호": "{value}{copy}",
    "판례일련번호": "{value}{copy}",
    "판례정보일련번호": "{value}{copy}",
}
TEXT_FIELDS = ("판시사항", "판결요지", "조문내용", "항내용", "호내용", "목내용", "별표내용")


def pipeline(raw: Path, workers: int, out: Path) -> dict[str, Any]:
    """Run the stages, write their tables below `out`; CPU seconds per stage and sizes."""
    from lex_assets.citations.resolve import ArticleIndex, graph_of
    from lex_assets.passages.build import build_passages
    from lex_assets.passages.corpus import build_corpus
    from lex_assets.queries.labelled import labelled_from
    from lex_assets.queries.split import SplitConfig, assign_split, check_split, split_hash
    from lex_assets.schemas import Document
    from lex_assets.sources.domains import DomainRules
    from lex_assets.sources.read import ingest

    stages: dict[str, float] = {}

    def timed(name: str, stage: Any, *arguments: Any, **options: Any) -> Any:
        start = sum(os.times()[:4])
        result = stage(*arguments, **options)
        stages[name] = sum(os.times()[:4]) - start
        return result

    documents = timed("read", ingest, raw, DomainRules.load(), workers=workers).documents
    corpus = timed("corpus", build_corpus, [timed("passages", build_passages, documents)])
    parsed = timed("parse", lambda: [Document.from_row(row) for row in documents.iter_rows(named=True)])
    citations = timed("citations", lambda: graph_of(parsed, ArticleIndex.build(parsed, corpus)))
    queries, qrels = timed("labels", labelled_from, parsed, corpus, citations)
    queries = timed("split", assign_split, queries, qrels, corpus, SplitConfig())
    timed("check", check_split, queries, qrels, corpus, SplitConfig())
    tables = {"documents": documents, "corpus": corpus, "citations": citations, "queries": queries, "qrels": qrels}
    for name, table in tables.items():
        table.write_parquet(out / f"{name}.parquet", compression="zstd")
    sizes = {"documents": documents.height, "passages": corpus.height, "queries": queries.height}
    return {"stages": stages, "sizes": sizes, "split_hash": split_hash(queries, qrels)}


def measured(raw: Path, workers: int, hash_seed: str = "0") -> dict[str, Any]:
    """`pipeline` in a process of its own: its facts, wall and CPU seconds, peak MiB, and sha256 by table."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, "--raw", str(raw), "--workers", str(workers), "--into", folder]
        start = time.perf_counter()
        process = subprocess.Popen(command, env=os.environ | {"PYTHONHASHSEED": hash_seed})
        peak = max(_resident_mib(process))
        seconds = time.perf_counter() - start
        if process.returncode:
            raise SystemExit(process.returncode)
        facts = json.loads(Path(folder, "facts.json").read_text())
        hashes = {path.stem: hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(folder).glob("*.parquet")}
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return facts | {"seconds": seconds, "cpu": cpu, "peak_mib": peak, "hashes": hashes}


def _resident_mib(process: subprocess.Popen[bytes]) -> Iterator[float]:
    """Resident memory of the process and all below it, until it ends."""
    root = psutil.Process(process.pid)
    while process.poll() is None:
        total = 0
        try:
            for one in (root, *root.children(recursive=True)):
                total += one.memory_info().rss
        except psutil.NoSuchProcess:
            continue
        yield total / 2**20
        time.sleep(SAMPLE_S)


def unpack(raw: Path, into: Path) -> list[Path]:
    """Laws, rules and decisions below `into`, as a user has them; their paths."""
    for name in ("laws", "admin_rules", "precedents"):
        if (raw / name).is_dir():
            (into / name).symlink_to((raw / name).resolve())
        else:
            with tarfile.open(raw / f"{name}.tar.xz") as archive:
                archive.extractall(into, filter="data")
    return sorted(path for folder in into.iterdir() for path in folder.glob("*.json"))


def add_copy(files: list[Path], into: Path, copy: int) -> None:
    """One more document per file, with ids of its own and words of the next file in its texts."""
    for place, (path, following) in enumerate(pairwise([*files, files[0]])):
        share = 0.02 if place % 2 else 0.2
        words = WORD.findall(following.read_text("utf-8"))[:400]
        value = _copied(json.loads(path.read_text("utf-8")), copy, _Words(words, share, f"{copy}/{path.name}"))
        target = into / f"{path.parent.name}_{copy}" / path.name
        target.parent.mkdir(exist_ok=True)
        target.write_text(json.dumps(value, ensure_ascii=False), "utf-8")


class _Words:
    """Replaces a share of the words of a text by others, the same ones every time."""

    def __init__(self, words: list[str], share: float, seed: str) -> None:
        self.words, self.share, self.random = words or ["여부"], share, random.Random(seed)

    def __call__(self, text: str) -> str:
        return WORD.sub(lambda m: self.random.choice(self.words) if self.random.random() < self.share else m[0], text)


def _copied(value: Any, copy: int, perturb: _Words, field: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _copied(inner, copy, perturb, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_copied(inner, copy, perturb, field) for inner in value]
    if field in ID_FIELDS:
        return ID_FIELDS[field].format(copy=copy, value=value)
    if field == "사건번호":
        return re.sub(r"(?<=[가-힣])(?=\d)", str(copy), str(value))
    return perturb(value) if field in TEXT_FIELDS and isinstance(value, str) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "raw")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--scales", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.into:
        facts = pipeline(arguments.raw, arguments.workers, arguments.into)
        (arguments.into / "facts.json").write_text(json.dumps(facts))
        return
    with tempfile.TemporaryDirectory() as folder:
        report(arguments.raw, Path(folder), arguments.workers, arguments.scales)


def report(raw: Path, folder: Path, workers: int, scales: list[int]) -> None:
    """Print the figures beside those of the reference project."""
    files = unpack(raw, folder)
    runs: dict[int, dict[str, Any]] = {}
    copies = 0
    for scale in sorted({1, *scales}):
        while copies < scale - 1:
            copies += 1
            add_copy(files, folder, copies)
        runs[scale] = measured(folder, workers)
        print(line(scale, runs[scale]), flush=True)
        print(
            "    CPU",
            " ".join(f"{name} {seconds:.1f} s" for name, seconds in runs[scale]["stages"].items()),
            flush=True,
        )
        if scale == 1:
            again = measured(folder, 1 if workers > 1 else 2, hash_seed="1")
            print(line(scale, again), "(other number of processes, other PYTHONHASHSEED)", flush=True)
            print_same(runs[scale]["hashes"], again["hashes"])
    print(f"reference project: {REFERENCE['seconds']} s without checks; equal in a second run {REFERENCE['same']}")


def print_same(first: dict[str, str], second: dict[str, str]) -> None:
    """How many tables came out the same, byte for byte."""
    same = [name for name in first if first[name] == second[name]]
    print(f"equal in a second run: {len(same)} of {len(first)} tables ({100 * len(same) / len(first):.0f} %)", end="; ")
    print(f"sha256 over all: {hashlib.sha256(json.dumps(first, sort_keys=True).encode()).hexdigest()[:16]}")


def line(scale: int, run: dict[str, Any]) -> str:
    """One measurement as a row."""
    sizes = " ".join(f"{count:,} {name}" for name, count in run["sizes"].items())
    return (
        f"{scale}x  {run['seconds']:6.1f} s  CPU {run['cpu']:6.1f} s  peak {run['peak_mib']:6.0f} MiB  {sizes}  "
        f"{1000 * run['cpu'] / run['sizes']['documents']:.2f} ms CPU per document"
    )


if __name__ == "__main__":
    main()
