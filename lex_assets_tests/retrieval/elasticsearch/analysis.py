"""Terms and scores as the server has them: analyzers by their settings, Lucene's BM25 with lengths in one byte."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from functools import lru_cache
from pathlib import Path

JARS = Path("/usr/share/java")


def terms_of(settings, analyzer, text):
    """The terms that the analyzer of that name in `settings` (of `analysis`) makes of `text`."""
    defined = settings["analyzer"][analyzer]
    tokenizer = settings.get("tokenizer", {}).get(defined["tokenizer"], {"type": defined["tokenizer"]})
    if tokenizer["type"] == "whitespace":
        return text.split()
    rules, mode = tuple(tokenizer.get("user_dictionary_rules", ())), tokenizer.get("decompound_mode", "discard")
    return nori_itself(rules, mode)(text) if os.environ.get("LEX_TEST_NORI") else _stand_in(rules, text)


def _stand_in(rules, text):
    """Words between spaces and punctuation, those of the user dictionary out of longer ones. Not nori: it knows no grammar."""
    own = sorted((rule.split()[0] for rule in rules), key=len, reverse=True)
    parts = {rule.split()[0]: rule.split()[1:] or [rule] for rule in rules}
    words = re.findall("|".join([*map(re.escape, own), r"[가-힣]+|[a-z]+|\d+"]), text.lower())
    return [term for word in words for term in parts.get(word, [word])]


@lru_cache
def nori_itself(rules, mode):
    """The nori of Debian's liblucene8-java in a process of its own: one line in, one out."""
    jars = [
        str(path)
        for name in ("core", "analyzers-common", "analyzers-nori")
        for path in JARS.glob(f"lucene-{name}*.jar")
    ]
    java = shutil.which("java")
    assert java and len(jars) >= 3, "LEX_TEST_NORI needs java and liblucene8-java"
    command = [java, "-cp", ":".join(jars), str(Path(__file__).with_name("Nori.java")), mode, *rules]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8")

    def terms(text):
        process.stdin.write(" ".join(text.split()) + "\n")
        process.stdin.flush()
        return process.stdout.readline().split()

    return terms


def kept_length(length):
    """A passage's length as Lucene keeps it: exact below 40, then with four significant bits."""
    if length < 24:
        return length
    rest = length - 24
    shift = max(rest.bit_length() - 4, 0)
    return 24 + (rest >> shift << shift)


class Searchable:
    """What a refresh has made visible: documents, and the terms of one field."""

    def __init__(self, documents, terms):
        self.documents = dict(documents)
        counts = {i: Counter(terms(source)) for i, source in self.documents.items()}
        self.total = sum(count.total() for count in counts.values())
        self.holders = sum(1 for count in counts.values() if count)
        self.lengths = {i: kept_length(count.total()) for i, count in counts.items()}
        self.postings = defaultdict(dict)
        for i, count in counts.items():
            for term, times in count.items():
                self.postings[term][i] = times

    def scores(self, terms, k1, b):
        """id → score of the documents that hold one of `terms`."""
        found = defaultdict(float)
        for term in terms:
            held = self.postings.get(term, {})
            idf = math.log(1 + (self.holders - len(held) + 0.5) / (len(held) + 0.5))
            for i, times in held.items():
                norm = k1 * (1 - b + b * self.lengths[i] * self.holders / self.total)
                found[i] += (k1 + 1) * idf * times / (times + norm)
        return found
