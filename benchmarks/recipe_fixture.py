"""Documents and questions to count a recipe's data stage by: invented, distinct, always the same.

`python benchmarks/recipe_fixture.py FOLDER [--documents 4272]` writes documents.jsonl, questions.jsonl (three per document)
and valid.jsonl, and prints what the stage of configs/bge-m3-v3.yaml must make of them.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--documents", type=int, default=DOCUMENTS)
    chosen = parser.parse_args()
    write(chosen.folder, chosen.documents)
    rows = chosen.documents * QUESTIONS
    print(f"documents {chosen.documents:,} · rows {rows:,} · pairs {rows * (1 + NEGATIVES):,}")


if __name__ == "__main__":
    main()
