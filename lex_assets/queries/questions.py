"""Generated questions as every generator makes them, their kinds, and what is set aside with a reason.

Here: the records and the generator's interface. Not here: how questions are made (`rules`, `llm_questions`), which are
kept (`filters`), what becomes of them (`synthetic`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Row = Mapping[str, str]
"""A row of a PASSAGES frame."""

Kind = Literal["fact", "definition", "procedure", "condition", "layman", "keyword", "comparison"]
LLM_KINDS: tuple[str, ...] = get_args(Kind)
"""Kinds that a language model is asked for; comparison is asked over two passages of which one cites the other."""

DOMAIN_KINDS = {
    "finance": LLM_KINDS,
    "law": LLM_KINDS,
    "precedent": ("fact", "condition", "layman", "keyword", "comparison"),
}
"""Kinds by domain: a holding defines and proceeds too rarely to ask for it."""

Difficulty = Literal["easy", "medium", "hard"]
"""By how many of the question's words its passage has."""


@dataclass(frozen=True)
class SyntheticQuestion:
    """One generated question: its source passage, kind, and the generator's name and licence, which stay with it.

    also: further passages that the answer needs · evidence: quotations from the passages · model, prompt: which language
    model wrote it from which version of the prompt.
    """

    passage_id: str
    text: str
    kind: str
    generator: str
    licence: str
    difficulty: str = ""
    answer: str = ""
    evidence: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    model: str = ""
    prompt: str = ""

    @property
    def passage_ids(self) -> tuple[str, ...]:
        """All source passages, the first first."""
        return (self.passage_id, *self.also)


@dataclass(frozen=True)
class Rejected:
    """A question, or a passage's whole attempt, that is not kept: which filter, and what it found."""

    passage_id: str
    filter: str
    detail: str = ""
    kind: str = ""
    text: str = ""


Made = SyntheticQuestion | Rejected


class QuestionGenerator(Protocol):
    """What makes questions: by rule, or a language model behind the same interface."""

    name: str
    licence: str

    def generate(self, passages: Iterable[Row]) -> Sequence[Made]:
        """Questions for rows of a PASSAGES frame, and what the generator itself had to give up."""
        ...
