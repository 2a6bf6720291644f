"""Text to index terms. An analyzer is a function of one text; queries and passages go through the same one."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

from lex_assets.schemas import LexError

Analyzer = Callable[[str], list[str]]

_WORD = re.compile(r"[가-힣]+|[a-z]+|\d+|[一-鿿]+|[①-⓿]")


@lru_cache(maxsize=1 << 18)
def _grams(word: str) -> tuple[str, ...]:
    if len(word) == 1 or word.isascii():
        return (word,)
    return tuple(word[n : n + 2] for n in range(len(word) - 1))


def bigrams(text: str) -> list[str]:
    """Overlapping character pairs inside each Korean word; numbers, Latin words and single characters whole.

    Particles stay glued to Korean nouns, so pairs match where words do not; the ㆍ of 사용ㆍ수익 separates.
    """
    return [gram for word in _WORD.findall(text.lower()) for gram in _grams(word)]


ANALYZERS: dict[str, Analyzer] = {"bigram": bigrams}


def analyzer(name: str) -> Analyzer:
    """The analyzer of that name. Raises LexError for an unknown one."""
    if name not in ANALYZERS:
        raise LexError(f"analyzer {name} is not known; use one of {', '.join(ANALYZERS)}")
    return ANALYZERS[name]
