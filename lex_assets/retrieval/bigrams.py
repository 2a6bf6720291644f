"""Terms of analyzer `bigram`: character pairs of Korean text, cut from all texts at once as arrays of characters.

A word is a run of Hangul, Latin letters, digits or Chinese characters; a circled number is one by itself. A word becomes its
overlapping pairs; Latin words, ASCII numbers and single characters stay whole. Particles stay glued to Korean nouns, so pairs
match where words do not; the ㆍ of 사용ㆍ수익 separates.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from lex_assets.retrieval.terms import Tokens

RUNS = (("가", "힣"), ("a", "z"), ("一", "鿿"))
DIGIT, CIRCLED = 4, 5
TABLE = 1 << 24
"""Pairs up to which a table of all that could be is faster than sorting those that are; 4,096 different characters."""


def bigrams(texts: Sequence[str]) -> Tokens:
    """The terms of each text, lower-cased, in order."""
    lowered = [f"{text.lower()}\n" for text in texts]
    joined = "".join(lowered)
    codes = np.frombuffer(joined.encode("utf-32-le", "surrogatepass"), np.uint32)
    kinds = _kinds()[codes]
    goes_on = np.append((kinds[1:] == kinds[:-1]) & (kinds[1:] > 0) & (kinds[1:] < CIRCLED), [False] * bool(len(kinds)))
    first = np.flatnonzero((kinds > 0) & ~np.roll(goes_on, 1))
    after = np.flatnonzero((kinds > 0) & ~goes_on) + 1
    whole = after - first == 1
    ascii_ = np.maximum.reduceat(np.where(kinds > 0, codes, 0), first) < 128 if len(first) else whole
    goes_on[kinds > 0] &= ~np.repeat(ascii_, after - first)  # from here on: whether a pair begins
    named = [joined[start:end] for start, end in zip(first[ascii_].tolist(), after[ascii_].tolist(), strict=True)]
    pairs, singles = np.flatnonzero(goes_on), first[whole & ~ascii_]
    return _numbered(codes, pairs, singles, first[ascii_], named, np.cumsum([0, *map(len, lowered)]))


def _numbered(
    codes: np.ndarray, pairs: np.ndarray, singles: np.ndarray, words: np.ndarray, named: list[str], ends: np.ndarray
) -> Tokens:
    """Terms by where they begin. named: the words that begin at `words` · ends: where texts begin and end."""
    left = codes[np.concatenate([pairs, singles])]
    right = np.concatenate([codes[pairs + 1], np.zeros(len(singles), np.uint32)])  # 0 is in no word
    vocabulary, numbers = _distinct(left, right)
    others: dict[str, int] = {}
    ids = np.full(len(codes), -1, np.int32)
    ids[pairs], ids[singles] = numbers[: len(pairs)], numbers[len(pairs) :]
    ids[words] = [len(vocabulary) + others.setdefault(word, len(others)) for word in named]
    begun = np.flatnonzero(ids >= 0)
    return Tokens(vocabulary + list(others), ids[begun], np.searchsorted(begun, ends))


def _distinct(left: np.ndarray, right: np.ndarray) -> tuple[list[str], np.ndarray]:
    """The distinct pairs of two characters, the second of which may be 0, and the number of each pair among them."""
    used = np.zeros(sys.maxunicode + 1, bool)
    used[left] = used[right] = True
    letters, place = np.flatnonzero(used), np.cumsum(used) - 1
    keys = place[left] * len(letters) + place[right]
    if len(letters) ** 2 > TABLE:
        distinct, numbers = np.unique(keys, return_inverse=True)
    else:
        held = np.zeros(len(letters) ** 2, bool)
        held[keys] = True
        distinct, numbers = np.flatnonzero(held), np.cumsum(held, dtype=np.int32)[keys] - 1
    ones, twos = (letters[part].tolist() for part in np.divmod(distinct, max(len(letters), 1)))
    return [chr(one) + chr(two) * (two > 0) for one, two in zip(ones, twos, strict=True)], numbers


@lru_cache
def _kinds() -> np.ndarray:
    """(characters,) what each belongs to: 1 Hangul, 2 Latin, 3 Chinese, 4 digit, 5 circled number, 0 nothing."""
    kinds = np.zeros(sys.maxunicode + 1, np.uint8)
    kinds[[code for code in range(len(kinds)) if chr(code).isdecimal()]] = DIGIT
    for kind, (low, high) in enumerate(RUNS, start=1):
        kinds[ord(low) : ord(high) + 1] = kind
    kinds[ord("①") : ord("⓿") + 1] = CIRCLED
    return kinds
