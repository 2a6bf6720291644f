"""Text to index terms. Queries and passages go through the same analyzer; terms hold no whitespace."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lex_assets.retrieval import kiwi
from lex_assets.retrieval.bigrams import bigrams
from lex_assets.retrieval.terms import Tokens
from lex_assets.schemas import LexError

NAMES = ("bigram", "kiwi", "kiwi-legal")
JOINED = "+"


@dataclass(frozen=True)
class Analyzer:
    """Cuts texts into terms.

    version: differs whenever some text gets other terms.
    """

    name: str
    version: str
    cut: Callable[[Sequence[str]], Tokens]


def analyzers(name: str) -> list[Analyzer]:
    """The analyzers that `name` joins by +, as in bigram+kiwi. Raises LexError for an unknown one."""
    return [_analyzer(part) for part in name.split(JOINED)]


@lru_cache
def _analyzer(name: str) -> Analyzer:
    if name == "bigram":
        return Analyzer(name, "1", bigrams)
    if name in ("kiwi", "kiwi-legal"):
        legal = name == "kiwi-legal"
        return Analyzer(name, kiwi.version(legal), lambda texts: Tokens.number(kiwi.morphemes(texts, legal)))
    raise LexError(f"analyzer {name!r} is not known; use one of {', '.join(NAMES)}, or several joined by {JOINED}")
