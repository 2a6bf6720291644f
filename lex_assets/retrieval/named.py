"""Laws that a question names: half of all court issues do, and then the answer is nearly always one of their articles.

Here: finding the names. Not here: citations with article numbers (`citations`), which labels mask.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from lex_assets.citations.names import OtherNames, law_key
from lex_assets.retrieval.types import Hit, Hits, ranked

_WITHIN = 1e-4  # what a rank costs inside a named law: far less than not being in it


class NamedLaws:
    """Finds the names, and the well-known abbreviations, of `laws` in texts."""

    def __init__(self, laws: Iterable[str], names: OtherNames | None = None) -> None:
        short = (names or OtherNames.load()).abbreviations
        self._law = {law_key(name): law for law in sorted(set(laws)) for name in (*short.get(law_key(law), ()), law)}
        longest_first = sorted(self._law, key=lambda key: (-len(key), key))
        spelled = "|".join(r"\s?".join(map(re.escape, key)) for key in longest_first)
        self._pattern = re.compile(rf"(?<![가-힣])구?(?:{spelled})" if spelled else r"(?!)")

    def in_text(self, text: str) -> frozenset[str]:
        """The laws named in `text`; of two names at one place the longer, and no name inside a word (형법 in 군형법).

        >>> sorted(NamedLaws(["형법", "군형법", "주택법"]).in_text("구 군형법상 상관모욕죄와 주택법 위반"))
        ['군형법', '주택법']
        """
        found = (match[0] for match in self._pattern.finditer(text))
        keys = (law_key(name) for name in found)
        return frozenset(self._law.get(key) or self._law[key.removeprefix("구")] for key in keys)


def in_named_laws(named: Sequence[frozenset[str]], passages_of: Mapping[str, Sequence[str]], lexical: Hits) -> Hits:
    """Per question every passage of the laws that it names, those first that `lexical` (searched deep) found.

    Scores lie just below 1, so that being in a named law is what counts; questions that name none have no hits.
    """
    return [_within(laws, passages_of, found) for laws, found in zip(named, lexical, strict=True)]


def _within(laws: frozenset[str], passages_of: Mapping[str, Sequence[str]], found: Sequence[Hit]) -> list[Hit]:
    passages = [passage_id for law in laws for passage_id in passages_of.get(law, ())]
    rank = {passage_id: n for n, (passage_id, _) in enumerate(found)}
    return ranked((passage_id, 1 - _WITHIN * min(rank.get(passage_id, len(rank)), 1000)) for passage_id in passages)
