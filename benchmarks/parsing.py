"""How much of the source text reaches the corpus, under the right article, and how fast.

    python benchmarks/parsing.py [--raw ../shared/raw] [--workers 2]

Measured by a second, simpler walk over the raw JSON that shares no code with the readers. Both sides are compared
without white space, amendment marks and box-drawing characters. Expected: 100 % everywhere, 0 collisions, 0 dropped.
"""

from __future__ import annotations

import argparse
import json
import re
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from lex_assets.passages.build import PassageConfig, build_passages
from lex_assets.passages.corpus import build_corpus
from lex_assets.sources.domains import DomainRules
from lex_assets.sources.read import ingest

MARK = re.compile(
    r"[<＜〈]\s*(?:개정|신설|삭\s*제|본절|단서|후단|종전|제\d+[항조][^<>]{0,20}이동|전문\s*개정|일부\s*개정|\d{4}[.ㆍ]|/?img)"
    r"[^<>＞〉]*[>＞〉]"
    r"|\[(?:본[조항장절]\s*신설|전문개정|시행일|제\d+조(?:의\d+)?(?:제\d+항)?에서 이동|종전)[^\]]*\]"
    r"(?:\s*제\d+조(?:의\d+)?[제\d항호ㆍ및 ]*(?=$|②))?"
)
BOX = re.compile("[\u2500-\u257f|]")
DELETED = re.compile(r"^(?:제\d+조(?:의\d+)?|[①-㊿]|\d+(?:의\d+)?\.|[가-힣](?:의\d+)?\.)\s*삭제\s*<[\d., ]+>$")
REFERENCE = {
    "live 조문 characters under the right article": "64.1 %",
    "호 and 목 of undivided articles": "0 %",
    "제N조의M articles": "19.2 %",
    "rule 조문 characters": "63.2 %",
    "별표 characters": "13.4 %",
    "passage ids colliding": "4,083",
    "live provisions that mention 삭제 dropped": "64",
    "names and telephone numbers of officials in the documents": "not counted",
    "raw to documents and corpus": "159 s with labels",
}
"""Figures of the reference project, counted on the same files."""


def flat(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(map(flat, value))
    return value if isinstance(value, str) else ""


def squeeze(text: str) -> str:
    return re.sub(r"\s+", "", MARK.sub("", text))


def as_list(value: object) -> list[dict]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def covered(needle: str, haystack: str, shortest: int = 6) -> int:
    """Characters of `needle` found in `haystack`, in runs of at least `shortest` and what is left between such runs."""
    if needle in haystack:
        return len(needle)
    total, short, start = 0, 0, 0
    while start < len(needle):
        low, high = 0, len(needle) - start
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if needle[start : start + middle] in haystack else (low, middle - 1)
        total += low if low >= shortest else 0
        short += low if low < shortest else 0
        start += max(low, 1)
    return total + (short if total > short else 0)


class Tally:
    """Characters found of characters there, per row; keeps the first few that are missing."""

    def __init__(self) -> None:
        self.found: Counter[str] = Counter()
        self.total: Counter[str] = Counter()
        self.missing: list[str] = []

    def add(self, row: str, where: str, needle: str, haystack: str) -> bool:
        if not needle:
            return True
        found = covered(needle, haystack)
        self.found[row] += found
        self.total[row] += len(needle)
        if found < len(needle):
            self.missing.append(f"{row}: {where}: {needle[:90]}")
        return found == len(needle)

    def share(self, row: str) -> str:
        return f"{100 * self.found[row] / max(self.total[row], 1):.3f} % of {self.total[row]:,}"


def by_parent(corpus: pl.DataFrame) -> dict[str, str]:
    """Text per article, decision or annex, as it is in the corpus, without white space."""
    grouped = corpus.group_by("parent_id").agg(pl.col("text").str.join("\n"))
    return {parent: BOX.sub("", squeeze(text)) for parent, text in grouped.iter_rows()}


def leaves(article: dict) -> Iterator[tuple[str, str]]:
    """(level, text) of every text field of a 조문단위, its heading removed from the 조문내용."""
    text = flat(article["조문내용"])
    body = re.sub(r"^\s*제\d+조(?:의\d+)?\s*(?:\((?:[^()]|\([^()]*\))*\))?", "", text)
    yield "조", "" if DELETED.match(" ".join(text.split())) else body
    for paragraph in as_list(article.get("항")):
        yield "항", flat(paragraph.get("항내용", ""))
        for item in as_list(paragraph.get("호")):
            yield "호", flat(item["호내용"])
            for below in as_list(item.get("목")):
                yield "목", flat(below["목내용"])


def measure_law(path: Path, texts: dict[str, str], tally: Tally) -> int:
    """Adds one law; returns how many live provisions that mention 삭제 are not in the corpus."""
    law = json.loads(path.read_text())["법령"]
    doc_id = f"LAW_{law['기본정보']['법령ID']}"
    dropped = 0
    for article in law["조문"]["조문단위"]:
        if article["조문여부"] != "조문":
            continue
        branch = article.get("조문가지번호")
        parent = f"{doc_id}_제{article['조문번호']}조" + (f"의{branch}" if branch else "")
        undivided = isinstance(article.get("항"), dict)
        for level, text in leaves(article):
            if DELETED.match(" ".join(text.split())):
                continue
            needle = squeeze(text)
            whole = tally.add("law", parent, needle, texts.get(parent, ""))
            dropped += "삭제" in needle and not whole
            if undivided and level in "호목":
                tally.add("undivided", parent, needle, texts.get(parent, ""))
            if branch:
                tally.add("branch", parent, needle, texts.get(parent, ""))
    measure_annexes(law.get("별표"), doc_id, texts, tally, "law annex")
    return dropped


def measure_rule(path: Path, texts: dict[str, str], tally: Tally) -> None:
    rule = json.loads(path.read_text())["AdmRulService"]
    doc_id = f"ADM_{rule['행정규칙기본정보']['행정규칙일련번호']}"
    items = rule["조문내용"]
    whole = "".join(text for parent, text in texts.items() if parent.startswith(f"{doc_id}_제"))
    head = r"(제\d+(?:-\d+)?조(?:의\d+)?)\s*(?:\((?:[^()]|\([^()]*\))*\))?"
    deletion = r"<?\s*삭\s*제\s*(?:[>＞]|[<＜〈][^>＞〉]*[>＞〉]|\(\d{4}[^)]*\)|(?=[①-⑳]|\d+\.|[가-하]\.|$))"
    for item in items if isinstance(items, list) else re.split(r"(?=제\d-\d+조(?:의\d+)?\()|제\d절|제\d장", items):
        match = re.match(rf"\s*{head}(.*)", item or "", re.DOTALL)
        if not match:
            continue
        haystack = texts.get(f"{doc_id}_{match[1]}", "") if isinstance(items, list) else whole
        body = re.sub(r"[<＜〈][^<>]*삭\s*제[^<>]*[>＞〉]", "삭제", match[2])
        # Deleted units go with their numbers; what remains must all be there.
        body = re.sub(rf"(?:[①-⑳]|\d+(?:의\d+)?\.|[가-하]\.(?:\s*~\s*[가-하]\.)?)?\s*{deletion}", "\n", body)
        for part in body.split("\n"):
            tally.add("rule", f"{path.stem} {match[1]}", squeeze(part), haystack)
    measure_annexes(rule.get("별표"), doc_id, texts, tally, "rule annex")


def measure_annexes(block: dict | None, doc_id: str, texts: dict[str, str], tally: Tally, row: str) -> None:
    """Pieces of lines between the bars of drawn tables; forms (서식, 별지) are measured too."""
    for annex in as_list((block or {}).get("별표단위")):
        text = flat(annex["별표내용"])
        if re.search(r"삭\s*제|이동", text[:120]) and len(text) < 160:
            continue
        number, branch = annex["별표번호"].lstrip("0"), annex["별표가지번호"].lstrip("0")
        names = {f"{number}의{branch}", f"{number}-{branch}"} if branch and number else {number}
        haystack = "".join(texts.get(f"{doc_id}_{annex['별표구분']}{name}", "") for name in names)
        for line in MARK.sub("", text).splitlines():
            for piece in re.split("[\u2500-\u257f|]", line):
                needle = squeeze(piece)
                tally.add(row, f"{doc_id} {annex['별표구분']}{number}", needle, haystack)


OFFICIALS = ("담당자명", "담당자", "전화번호", "부서연락처")


def officials(path: Path) -> set[str]:
    """Names and telephone numbers that a raw file gives for the people in charge."""
    found: set[str] = set()

    def keep(record: dict) -> dict:
        found.update(str(record[name]).strip() for name in OFFICIALS if record.get(name))
        return record

    json.loads(path.read_text(), object_hook=keep)
    return found - {""}


def measure_officials(raw: Path, documents: pl.DataFrame) -> str:
    """How many of them are anywhere in the document that was made of their file."""
    by_path = {row["source_path"]: json.dumps(row, ensure_ascii=False) for row in documents.iter_rows(named=True)}
    files = [path for name in ("laws", "admin_rules") for path in sorted((raw / name).glob("*.json"))]
    pairs = [(value, by_path[f"{path.parent.name}/{path.name}"]) for path in files for value in officials(path)]
    return f"{sum(value in document for value, document in pairs)} of {len(pairs)}"


def unpack(raw: Path, into: Path) -> None:
    """laws and admin_rules linked, precedents unpacked: the layout that a user has."""
    for name in ("laws", "admin_rules"):
        (into / name).symlink_to((raw / name).resolve())
    with tarfile.open(raw / "precedents.tar.xz") as archive:
        archive.extractall(into, filter="data")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "raw")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--show", type=int, default=0, help="missing texts to print")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        unpack(arguments.raw, Path(folder))
        start = time.perf_counter()
        ingested = ingest(Path(folder), DomainRules.load(), workers=arguments.workers)
        passages = build_passages(ingested.documents)
        colliding = passages.height - passages["passage_id"].n_unique()
        corpus = build_corpus([passages])
        seconds = time.perf_counter() - start
    statutes = ingested.documents.filter(pl.col("source_type") != "precedent")
    texts = by_parent(build_passages(statutes, PassageConfig(include_forms=True)))
    tally = Tally()
    dropped = sum(measure_law(path, texts, tally) for path in sorted((arguments.raw / "laws").glob("*.json")))
    for path in sorted((arguments.raw / "admin_rules").glob("*.json")):
        measure_rule(path, texts, tally)
    here = dict(
        zip(
            REFERENCE,
            [
                tally.share("law"),
                tally.share("undivided"),
                tally.share("branch"),
                tally.share("rule"),
                f"rules {tally.share('rule annex')}, laws {tally.share('law annex')}",
                f"{colliding}",
                f"{dropped}",
                measure_officials(arguments.raw, ingested.documents),
                f"{seconds:.1f} s ({ingested.documents.height:,} documents, {corpus.height:,} passages)",
            ],
            strict=True,
        )
    )
    for row, value in here.items():
        print(f"{row:58} {value:60} reference project: {REFERENCE[row]}")
    for line in tally.missing[: arguments.show]:
        print("missing", line)


if __name__ == "__main__":
    main()
