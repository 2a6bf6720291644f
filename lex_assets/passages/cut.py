"""Cutting text to a limit in characters at the best boundary: line, then sentence, then space. Nothing is lost."""

from __future__ import annotations

import re
from collections.abc import Iterable

# A full stop behind two characters of a word: `가. ` and `1. ` number an item and end no sentence.
_SENTENCE = re.compile(r"(?<=[가-힣)\]」”’\"'][가-힣)\]」”’\"']\.)\s+|(?<=[?!。;；])\s+")


def windows(text: str, limit: int) -> list[str]:
    """`text` in pieces of at most `limit` characters; joined with spaces removed they give the text again."""
    if len(text) <= limit:
        return [text] if text.strip() else []
    return pack(_fitting(text.split("\n"), limit, limit), limit)


def pack(pieces: Iterable[tuple[str, str]], limit: int) -> list[str]:
    """Consecutive (glue, piece) joined greedily into texts of at most `limit` characters; longer pieces stay alone."""
    packed: list[str] = []
    for glue, piece in pieces:
        if packed and len(packed[-1]) + len(glue) + len(piece) <= limit:
            packed[-1] += glue + piece
        else:
            packed.append(piece)
    return packed


def _fitting(lines: list[str], limit: int, part: int) -> Iterable[tuple[str, str]]:
    """(glue, piece): a line within the limit; else, each at most `part` long, its sentences, words or characters."""
    for line in filter(str.strip, lines):
        if len(line) <= limit:
            yield "\n", line
            continue
        glue = "\n"
        for sentence in filter(str.strip, _SENTENCE.split(line)):
            for piece in [sentence] if len(sentence) <= part else _words(sentence, part):
                yield glue, piece
                glue = " "


def _words(sentence: str, limit: int) -> list[str]:
    words = sentence.split()
    short = [word[start : start + limit] for word in words for start in range(0, len(word), limit)]
    return pack(((" ", word) for word in short), limit)


def last_sentence(text: str) -> str:
    """The last sentence of `text`: the one that announces a list (`다음 각 호의 …`)."""
    return _SENTENCE.split(text.replace("\n", " "))[-1]


def table_chunks(text: str, limit: int, separator: str) -> list[str]:
    """Pieces of an annex: cut between lines; a table that goes on in the next piece repeats its header row.

    separator: what stands between the cells of a row; lines without it are not table rows.
    """
    chunks: list[list[str]] = []
    size = 0
    header, previous_is_row = "", False
    for line in [piece for _, piece in _fitting(text.split("\n"), limit, max(limit // 2, 1))]:
        is_row = separator in line
        if is_row and not previous_is_row:
            header = line
        if not chunks or size + 1 + len(line) > limit:
            fits = len(header) <= limit // 3 and len(header) + 1 + len(line) <= limit
            continues = is_row and previous_is_row and fits
            chunks.append([header] if continues else [])
            size = len(header) if continues else -1
        chunks[-1].append(line)
        size += 1 + len(line)
        previous_is_row = is_row
    return ["\n".join(chunk) for chunk in chunks]
