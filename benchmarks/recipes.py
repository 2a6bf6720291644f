"""How many rows and pairs a recipe's data stage makes, counted on invented documents that are always the same.

`python benchmarks/recipes.py` runs 4,272 documents with three questions each through the stage of configs/bge-m3-v3.yaml
(BM25 50 + dense 50 → 7 negatives) and prints rows and pairs beside what they must be: 12,816 and 102,528.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

RECIPE = Path(__file__).parents[1] / "configs" / "bge-m3-v3.yaml"

DOCUMENTS, QUESTIONS, NEGATIVES, VALID = 4272, 3, 7, 32
SYLLABLES = (
    "가나다라마바사아자차카타파하거너더러머버서어저처고노도로모보소오조초구누두루무부수우주추기니디리미비시이지치"
)
DUTIES = ("신고", "보고", "등록", "공시", "승인", "변경", "해지", "열람", "정정", "반환", "보관", "교부")
ASKED = (
    "{name} 사업자가 {duty} 의무를 지는 날짜는 언제인가요",
    "{name} 계약에서 {duty} 절차를 어긴 사람이 받는 제재",
    "누가 {name} 업무의 {duty} 여부를 결정하나요",
)


def names(count: int, seed: int = 7) -> Iterator[str]:
    """Distinct invented words of six syllables."""
    draw, seen = random.Random(seed), set[str]()
    while len(seen) < count:
        name = "".join(draw.choices(SYLLABLES, k=6))
        if name not in seen:
            seen.add(name)
            yield name


def document(number: int, name: str) -> dict[str, Any]:
    """One rule about one invented business."""
    duty, days = DUTIES[number % len(DUTIES)], number % 60 + 3
    text = f"{name}업을 하는 자는 사유가 생긴 날부터 {days}일 안에 {duty}하여야 한다. 어기면 과태료 {days}만원을 낸다."
    return {"id": f"F{number:05d}", "title": f"{name} {duty} 기준", "text": text}


def write(folder: Path, count: int) -> None:
    """The three files."""
    folder.mkdir(parents=True, exist_ok=True)
    documents = [document(number, name) for number, name in enumerate(names(count + VALID))]
    training, held = documents[:count], documents[count:]
    asked = [
        {"id": row["id"], "text": form.format(name=row["title"].split()[0], duty=row["title"].split()[1])}
        for row in training
        for form in ASKED
    ]
    rows = [{"query": f"{row['title']}에서 정하는 것은 무엇인가요", "pos": [row["text"]], "neg": []} for row in held]
    for name, lines in (("documents", training), ("questions", asked), ("valid", rows)):
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")


def data_stage(folder: Path, count: int) -> tuple[int, int]:
    """(rows, pairs) that the data stage of configs/bge-m3-v3.yaml makes of `count` documents, mined with the built-in
    retriever; rows.jsonl is left in `folder`."""
    from typer.testing import CliRunner

    from lex_assets.cli import app

    write(folder, count)
    result = CliRunner().invoke(
        app,
        [
            *("prepare", "--config", str(RECIPE), "--corpus", str(folder / "documents.jsonl")),
            *("--questions", str(folder / "questions.jsonl"), "--out", str(folder / "rows.jsonl")),
            *("base=builtin", "device=cpu"),
        ],
        catch_exceptions=False,
    )
    if result.exit_code:
        raise SystemExit(result.stderr)
    rows = [json.loads(line) for line in (folder / "rows.jsonl").read_text("utf-8").splitlines()]
    return len(rows), sum(len(row["pos"]) + len(row["neg"]) for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    parser.add_argument("--keep", type=Path, help="folder for the files; a temporary one without it")
    chosen = parser.parse_args()
    with TemporaryDirectory() as temporary:
        rows, pairs = data_stage(chosen.keep or Path(temporary), chosen.documents)
    expected = chosen.documents * QUESTIONS
    print(f"rows {rows:,} (expected {expected:,}) · pairs {pairs:,} (expected {expected * (1 + NEGATIVES):,})")


if __name__ == "__main__":
    main()
