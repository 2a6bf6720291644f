"""Provisions in their own wording as questions: what a drafter or a reviewer pastes into a search field.

`statute`: a provision without its number and its references, to be found again. `citing`: a line of a provision that cites
others, with the citation taken out, to find what it cites: one step along the citation graph. Not here: questions as people
word them (`rules`), which pairs are asked about (`pairs`).
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from lex_assets.queries.questions import Row
from lex_assets.queries.reading import MARK, Found, Reading, plain

STATUTE, CITING = STATUTE_KINDS = ("statute", "citing")
LONGEST = 300
"""Characters of a provision that are asked for; a search field takes more, a small model reads less."""
_SHORTEST = 40
_SHORTEST_LINE = 15
_MOST_CITED = 4
"""A text that cites more is about none of them in particular."""
_LISTING = re.compile(
    r"다음\s?각\s?[호목](?:와|(?:의 (?:어느 하나|1)에 해당하는|중 어느 하나에 해당하는|에 해당하는|에 따른|에서|의)?\s)"
)
_HERE = re.compile(r"(?<!\S)이 (?:법|영|규칙|규정|조|장|절)에서(?:는)?\s")
_DANGLING = re.compile(
    r"(?:^|\s)(?:에|의|을|를|은|는|와|과|로|으로|에서|에게)\s|^(?:및|또는|이나|따른|따라|경우)(?=[\s:,])"
)
"""What is left of a sentence that hung on its references."""


def statute(r: Reading) -> Found:
    """A whole provision under its heading."""
    text = _worded(r.lines)
    if _reads_alone(r, text, _SHORTEST):
        yield STATUTE, _under(r.title, text)


def citing(pairs: Sequence[tuple[Row, Row]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(what cites, alone or under its heading, and the ids of what it cites), in the order of the citing ids.

    pairs: (citing, cited) rows; one whose citation stands in no line by its article's number is passed over. What cites is a
    line, or the provision as a whole.
    """
    cited: dict[str, dict[str, Row]] = defaultdict(dict)
    sources = {source["passage_id"]: source for source, _ in pairs}
    for source, target in pairs:
        cited[source["passage_id"]][target["passage_id"]] = target
    for passage_id in sorted(sources):
        row = sources[passage_id]
        r = Reading(passage_id, row["unit"], row["context"], row["text"])
        for lines in (*([line] for line in r.lines), r.lines):
            named = sorted(i for i, target in cited[passage_id].items() if _names(lines, target))
            text = _worded(lines)
            if 0 < len(named) <= _MOST_CITED and _reads_alone(r, text, _SHORTEST_LINE):
                yield from ((wording, tuple(named)) for wording in (_under(r.title, text), _under("", text)))


def _names(lines: Sequence[str], row: Row) -> bool:
    """Whether a line has the number of a passage's article: 제10조의2, 제4-2조."""
    number = re.compile(re.escape(row["parent_id"].rsplit("_", 1)[-1]) + r"(?!의\s?\d)")
    return any(map(number.search, lines))


def _worded(lines: Sequence[str]) -> str:
    """The lines as one text without marks, references, and the numbers of lists."""
    text = _HERE.sub("", plain(" ".join(MARK.sub("", line) for line in lines)))
    return _LISTING.sub(lambda found: "다음과" if found[0].endswith("와") else "다음 ", text)


def _reads_alone(r: Reading, text: str, shortest: int) -> bool:
    return r.unit in ("조", "항") and len(text) >= shortest and not _DANGLING.search(text)


def _under(title: str, text: str) -> str:
    return (f"{title}: {text}" if title else text)[:LONGEST].rstrip()
