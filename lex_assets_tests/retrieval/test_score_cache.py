from __future__ import annotations

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

from lex_assets.retrieval import score_cache
from lex_assets.retrieval.score_cache import CachedScorer, with_score_cache
from lex_assets.schemas import LexError

PAIRS = [("가", "나다"), ("가", "나"), ("가나", "다"), ("가", "나다")]


class CountingScorer:
    """A third of the passage's length; remembers what it was asked."""

    def __init__(self, cache_key="weights-1"):
        self.cache_key, self.asked = cache_key, []

    def score(self, pairs, batch_size=64):
        self.asked += pairs
        return np.array([len(passage) / 3 for _, passage in pairs], np.float32)


def test_only_new_pairs_are_scored_and_each_once(tmp_path):
    scorer = CountingScorer()
    expected = CountingScorer().score(PAIRS)
    np.testing.assert_array_equal(CachedScorer(scorer, tmp_path).score(PAIRS), expected)
    np.testing.assert_array_equal(CachedScorer(scorer, tmp_path).score([*PAIRS, ("마", "바")])[:4], expected)
    assert sorted(scorer.asked) == sorted({*PAIRS, ("마", "바")})
    assert CachedScorer(scorer, tmp_path).score([]).shape == (0,)


def test_other_weights_read_nothing_old(tmp_path):
    CachedScorer(CountingScorer(), tmp_path).score(PAIRS)
    other = CountingScorer("weights-2")
    with_score_cache(other, tmp_path).score(PAIRS)
    assert len(other.asked) == 3
    assert with_score_cache(other, None) is other


def test_a_score_that_is_no_number_is_refused_and_not_kept(tmp_path):
    broken = CountingScorer()
    broken.score = lambda pairs, batch_size: np.full(len(pairs), np.nan, np.float32)
    with pytest.raises(LexError, match="NaN"):
        CachedScorer(broken, tmp_path).score(PAIRS)
    whole = CountingScorer()
    CachedScorer(whole, tmp_path).score(PAIRS)
    assert len(whole.asked) == 3


def test_a_damaged_file_is_named(tmp_path):
    cached = CachedScorer(CountingScorer(), tmp_path)
    cached.path.write_bytes(b"no database, but long enough to be read as one" * 40)
    with pytest.raises(LexError, match=f"{cached.path.name}.*delete it"):
        cached.score(PAIRS)


KILLED = """
import os, signal, sys
from pathlib import Path
from lex_assets.retrieval import score_cache
from lex_assets_tests.retrieval.test_score_cache import CountingScorer
class Killed(CountingScorer):
    def score(self, pairs, batch_size=64):
        if len(self.asked) >= 4:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(pairs)
score_cache.PART_PAIRS = 2
score_cache.CachedScorer(Killed(), Path(sys.argv[1])).score([("q", "x" * n) for n in range(9)])
"""


def test_a_killed_run_goes_on_behind_its_last_part(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], env={**os.environ, "PYTHONPATH": "."})
    assert done.returncode == -signal.SIGKILL
    scorer = CountingScorer()
    scores = score_cache.CachedScorer(scorer, tmp_path).score([("q", "x" * n) for n in range(9)])
    assert sorted(len(passage) for _, passage in scorer.asked) == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(scores, np.arange(9) / 3, rtol=1e-6)
