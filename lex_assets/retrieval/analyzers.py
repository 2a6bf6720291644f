"""Text to index terms. Queries and passages go through the same analyzer; terms hold no whitespace."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from lex_assets.retrieval import kiwi
from lex_assets.schemas import LexError

NAMES = ("bigram", "kiwi", "kiwi-legal")
JOINED = "+"

_WORD = re.compile(r"[가-힣]+|[a-z]+|\d+|[一-鿿]+|[①-⓿]")


@dataclass(frozen=True)
class Analyzer:
    """Cuts texts into words and each word, on its own, into terms.

    version: differs whenever some text gets other terms · words: the words of each text, in order.
    """

    name: str
    version: str
    words: Callable[[Sequence[str]], Iterable[list[str]]]
    terms: Callable[[str], tuple[str, ...]]


def analyzers(name: str) -> list[Analyzer]:
    """The analyzers that `name` joins by +, as in bigram+kiwi. Raises LexError for an unknown one."""
    return [_analyzer(part) for part in name.split(JOINED)]


@lru_cache
def _analyzer(name: str) -> Analyzer:
    if name == "bigram":
        return Analyzer(name, "1", _words, _bigrams)
    if name in ("kiwi", "kiwi-legal"):
        legal = name == "kiwi-legal"
        return Analyzer(name, kiwi.version(legal), lambda texts: kiwi.morphemes(texts, legal), lambda word: (word,))
    raise LexError(f"analyzer {name!r} is not known; use one of {', '.join(NAMES)}, or several joined by {JOINED}")


def _words(texts: Sequence[str]) -> Iterator[list[str]]:
    return (_WORD.findall(text.lower()) for text in texts)


def _bigrams(word: str) -> tuple[str, ...]:
    """Overlapping character pairs of a Korean word; numbers, Latin words and single characters whole.

    Particles stay glued to Korean nouns, so pairs match where words do not; the ㆍ of 사용ㆍ수익 separates.
    """
    if len(word) == 1 or word.isascii():
        return (word,)
    return tuple(word[n : n + 2] for n in range(len(word) - 1))
