"""Facts about what citations say, written down by a person from the sources before any parser read them.

`facts.jsonl`, one context per line: kind (참조조문, 판시사항, 판결요지: of decision `serial`, issue `issue`; 법령: of `law`,
`article`, `paragraph`, preceded by article `before`), cites: the short cited string, … where words between are left out;
expected: [law, article or 별표, 항, 호.목, status] in the order cited, "1053~1058" for a range. Status: current,
old_version, repealed (폐지), current_note (현행 … 참조), addendum.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lex_assets.citations.in_text import Setting, parse_in_text
from lex_assets.citations.names import law_key
from lex_assets.citations.parse import parse_citations
from lex_assets.citations.resolve import aliases_of
from lex_assets.citations.units import Citation

Fact = tuple[str | None, ...]


def contexts() -> list[dict[str, Any]]:
    """All labelled contexts."""
    lines = Path(__file__).with_name("facts.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def expected(context: Mapping[str, Any]) -> Counter[Fact]:
    """The labels of a context, laws by key."""
    return Counter((law_key(law), *rest) for law, *rest in context["expected"])


def read(context: Mapping[str, Any], names: frozenset[str]) -> Counter[Fact]:
    """What the parser reads in a context. names: keys of laws to recognise in the prose of decisions."""
    if context["kind"] == "참조조문":
        return stated(parse_citations(context["cites"]))
    if context["kind"] != "법령":
        return stated(parse_in_text(context["cites"], Setting("", names=names, continues=True)))
    place = (context["law"], context["article"])
    before = (context["before"],) if "before" in context else ()
    setting = Setting(place[0], aliases_of(place[0]), place[1], context["paragraph"], before)
    cited = parse_in_text(context["cites"], setting)
    return stated([c for c in cited if (c.law, c.article) != place or c.paragraph not in (None, setting.paragraph)])


def stated(citations: list[Citation]) -> Counter[Fact]:
    """Citations in the form of the labels."""
    return Counter((law_key(c.law), *_address(c), _status(c)) for c in citations)


def agree(want: Counter[Fact], got: Counter[Fact]) -> int:
    """How many facts are right; a version that (현행 … 참조) replaces may be called old or repealed."""
    spare = got - want
    noted = Counter({fact: count for fact, count in spare.items() if fact[-1] == "noted"})
    loose = Counter({(*fact[:-1], "noted"): count for fact, count in (want - got).items() if fact[-1] in _OLD})
    return (want & got).total() + (noted & loose).total()


_OLD = ("old_version", "repealed")


def _address(citation: Citation) -> tuple[str | None, str | None, str | None]:
    numbers = {level: getattr(citation, level) for level in ("article", "paragraph", "item", "letter")}
    if citation.until and citation.level:
        numbers[citation.level] += f"~{citation.until}"
    article = f"별표{numbers['article']}" if citation.part == "별표" else numbers["article"] or None
    item = ".".join(filter(None, (numbers["item"], numbers["letter"]))) or None
    return article, numbers["paragraph"], item


def _status(citation: Citation) -> str:
    if citation.current and citation.reason is None:
        return "current_note"
    return citation.reason or "current"


def catalogue(labelled: list[dict[str, Any]]) -> frozenset[str]:
    """Keys of every law that the contexts name: a catalogue with names that contain each other."""
    return frozenset(law_key(fact[0]) for context in labelled for fact in context["expected"])


def accuracy() -> dict[str, tuple[int, int, int]]:
    """Per kind: facts right, facts missed or invented, contexts."""
    labelled = contexts()
    names = catalogue(labelled)
    found: dict[str, tuple[int, int, int]] = {}
    for context in labelled:
        want, got = expected(context), read(context, names)
        right = agree(want, got)
        wrong = want.total() + got.total() - 2 * right
        before = found.get(context["kind"], (0, 0, 0))
        found[context["kind"]] = (before[0] + right, before[1] + wrong, before[2] + 1)
    return found
