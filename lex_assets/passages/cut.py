"""Cutting text to a limit in characters at the best boundary: line, then sentence, then space. Nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

# A full stop behind two characters of a word: `가. ` and `1. ` number an item and end no sentence.
_SENTENCE = re.compile(r"(?<=[가-힣)\]」”’\"'][가-힣)\]」”’\"']\.)\s+|(?<=[?!。;；])\s+")
_CLAUSE = re.compile(r"[,，]\s+")
_SPACE = re.compile(r"\s+")
_SHORTEST_PART = 0.6


def windows(text: str, limit: int) -> list[str]:
    """`text` in pieces of at most `limit` characters; joined with spaces removed they give the text again."""
    if len(text) <= limit:
        return [text] if text.strip() else []
    return _pack(_fitting(text.split("\n"), limit), limit)


def _pack(pieces: Iterable[tuple[str, str]], limit: int) -> list[str]:
    """Consecutive (glue, piece) joined greedily into texts of at most `limit` characters."""
    packed: list[str] = []
    for glue, piece in pieces:
        if packed and len(packed[-1]) + len(glue) + len(piece) <= limit:
            packed[-1] += glue + piece
        else:
            packed.append(piece)
    return packed


def _fitting(lines: list[str], limit: int) -> Iterator[tuple[str, str]]:
    """(glue, piece): a line within the limit; else its sentences; of a sentence that is longer, its parts."""
    for line in filter(str.strip, lines):
        glue = "\n"
        for sentence in [line] if len(line) <= limit else filter(str.strip, _SENTENCE.split(line)):
            for piece in _parts(sentence, limit):
                yield glue, piece
                glue = " "


def _parts(sentence: str, limit: int) -> Iterator[str]:
    """The sentence in as few parts as fit, about equally long: cut behind a comma near there, else at a space."""
    rest = sentence.strip()
    while len(rest) > limit:
        even = len(rest) / -(-len(rest) // limit)
        cut = _nearest(_CLAUSE, rest, even, limit) or _nearest(_SPACE, rest, even, limit) or limit
        yield rest[:cut].rstrip()
        rest = rest[cut:].lstrip()
    yield rest


def _nearest(boundary: re.Pattern[str], text: str, even: float, limit: int) -> int:
    """The position behind the `boundary` nearest to `even` that leaves a part within `limit`; 0 where none is near."""
    ends = (match.end() for match in boundary.finditer(text, int(even * _SHORTEST_PART), limit + 1))
    return min((end for end in ends if len(text[:end].rstrip()) <= limit), key=lambda end: abs(end - even), default=0)


def last_sentence(text: str) -> str:
    """The last sentence of `text`: the one that announces a list (`다음 각 호의 …`)."""
    return _SENTENCE.split(text.replace("\n", " "))[-1]
