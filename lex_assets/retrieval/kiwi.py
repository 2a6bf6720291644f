"""Morphemes by kiwipiepy (`pip install 'lex_assets[kiwi]'`), also with words that lawyers use.

The legal dictionary is `legal_words.txt` and the abbreviations of laws that `citations` knows.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

from lex_assets.citations.names import OtherNames
from lex_assets.schemas import LexError, content_hash

LEGAL_WORDS = Path(__file__).with_name("legal_words.txt")
KEPT = ("NNG", "NNP", "NNB", "NR", "XR", "VV", "VA", "SL", "SH", "SN", "W_SERIAL")
"""Parts of speech that are indexed (Sejong tags): nouns, numerals, roots, verbs, adjectives, Latin, Chinese, digits."""

_LEGAL_SCORE = 5.0  # above the model's own reading of a word that it would cut


def version(legal: bool) -> str:
    """Of the library, its model and the words. Raises LexError when the library is missing."""
    try:
        parts = [installed("kiwipiepy"), installed("kiwipiepy_model"), *KEPT]
    except PackageNotFoundError:
        raise LexError("analyzer kiwi needs kiwipiepy; pip install 'lex_assets[kiwi]', or use bigram") from None
    return content_hash(*parts, *(legal_words() if legal else ()))[:16]


@lru_cache
def law_abbreviations() -> tuple[str, ...]:
    """Abbreviations of laws that are one word, sorted."""
    return tuple(
        sorted({name for names in OtherNames.load().abbreviations.values() for name in names if " " not in name})
    )


@lru_cache
def legal_words() -> tuple[str, ...]:
    """Legal terms and the abbreviations of laws, sorted."""
    written = {line.strip() for line in LEGAL_WORDS.read_text("utf-8").splitlines() if not line.startswith("#")}
    return tuple(sorted((written | set(law_abbreviations())) - {""}))


def morphemes(texts: Sequence[str], legal: bool = False) -> Iterator[list[str]]:
    """Lower-case forms of the kept parts of speech of each text; texts are cut beside each other on all CPUs."""
    for tokens in _model(legal).tokenize(texts):
        yield [token.form.lower() for token in tokens if token.tag.split("-")[0] in KEPT and " " not in token.form]


@lru_cache
def _model(legal: bool) -> Any:
    """About 560 MB and two seconds."""
    version(legal)
    from kiwipiepy import Kiwi

    model = Kiwi(num_workers=len(os.sched_getaffinity(0)))
    for word in legal_words() if legal else ():
        model.add_user_word(word, "NNP", _LEGAL_SCORE)
    return model
