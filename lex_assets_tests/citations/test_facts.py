"""The parser against facts that a person read from the sources first, and the facts against the sources."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from lex_assets_tests.citations.facts import agree, catalogue, contexts, expected, read
from lex_assets_tests.citations.test_agreement import decisions_of

CONTEXTS = contexts()
NAMES = catalogue(CONTEXTS)


@pytest.mark.parametrize("kind", ["참조조문", "판시사항", "판결요지", "법령"])
def test_every_fact_is_read_and_none_invented(kind: str) -> None:
    labelled = [context for context in CONTEXTS if context["kind"] == kind]
    wrong = [context["cites"] for context in labelled if not right(context)]
    assert labelled and wrong == []


def right(context: dict[str, Any]) -> bool:
    want, got = expected(context), read(context, NAMES)
    return want.total() == got.total() == agree(want, got)


def test_a_wrong_label_would_be_noticed() -> None:
    changed = 0
    for context in (c for c in CONTEXTS if c["expected"]):
        law, article, *rest = context["expected"][0]
        other = context | {"expected": [[law, f"{article}의9", *rest], *context["expected"][1:]]}
        changed += not right(other)
    assert changed == sum(bool(context["expected"]) for context in CONTEXTS)


def test_the_sample_is_as_large_and_as_hard_as_it_claims() -> None:
    lists = [context for context in CONTEXTS if context["kind"] == "참조조문"]
    hard = [c for c in lists if {fact[-1] for fact in c["expected"]} & {"old_version", "repealed", "addendum"}]
    ranges = [c for c in CONTEXTS if re.search(r"내지|부터 ?제|같은 |동법|전[조항]", c["cites"])]
    assert (len(lists), len(hard) >= 30, len(ranges) >= 25) == (100, True, True)


@pytest.mark.slow
def test_the_cited_strings_stand_in_the_sources(shared_dir: Path) -> None:
    raw = shared_dir / "raw"
    wanted = {context["serial"] for context in CONTEXTS if "serial" in context}
    texts = {d.doc_id: plain(" ".join(u.text for u in d.tree.walk())) for d in decisions_of(raw, wanted)}
    texts |= {title_of(path): plain(path.read_text(encoding="utf-8")) for path in (raw / "laws").glob("*.json")}
    absent = []
    for context in CONTEXTS:
        text = texts[f"PREC_{context['serial']}" if "serial" in context else context["law"]]
        absent += [piece for piece in context["cites"].split("…") if plain(piece) not in text]
    assert absent == []


def title_of(path: Path) -> str:
    return json.loads(path.read_text(encoding="utf-8"))["법령"]["기본정보"]["법령명_한글"]


def plain(text: str) -> str:
    return re.sub(r"\s+", "", text).replace('\\"', '"')
