from __future__ import annotations

import subprocess
import sys

import numpy as np
import polars as pl
import pytest
import torch

from lex_assets.retrieval import blocks, dense, shards
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.retrieval.dense_config import DenseConfig
from lex_assets.schemas import LexError

PRECISIONS = (torch.float32, torch.bfloat16)


def reference(index: DenseIndex, queries: np.ndarray, k: int) -> list[list[tuple[str, float]]]:
    """Sums in float64 of the stored vectors, ties by id."""
    products = queries.astype(np.float16).astype(np.float64) @ index.vectors.astype(np.float64).T
    scores = np.maximum.reduceat(products, index.starts[:-1], axis=1).astype(np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return [[(index.ids[n], float(row[n])) for n in best] for row, best in zip(scores, order, strict=True)]


@pytest.fixture(params=PRECISIONS, ids=str)
def precision(request, monkeypatch):
    monkeypatch.setattr(shards, "scan_precision", lambda device: request.param)
    return request.param


@pytest.fixture(params=[2**18, 64, 7], ids=lambda rows: f"blocks of {rows}")
def block_rows(request, monkeypatch):
    monkeypatch.setattr(shards, "MOST_ROWS", request.param)
    monkeypatch.setattr(shards, "_TILES", {"cpu": 5})
    return request.param


@pytest.fixture
def vectors():
    # Small integers: exact in every precision, so that ties are many and real.
    return np.random.default_rng(0).integers(-2, 3, (200, 8)).astype(np.float32)


def unit(generator, n, dim=48, topics=6, spread=0.4):
    """Unit vectors around a few topics, some of them the same: near ties and ties."""
    centres = generator.standard_normal((topics, dim))
    made = centres[generator.integers(0, topics, n)] + spread * generator.standard_normal((n, dim))
    made[generator.integers(0, n, n // 4)] = made[generator.integers(0, n, n // 4)]
    return made / np.linalg.norm(made, axis=1, keepdims=True)


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cpu", "cpu")], ids=["one device", "three devices"])
@pytest.mark.parametrize("spread", [0.4, 0.02], ids=["topics", "nearly all alike"])
def test_equals_the_double_precision_reference_ties_included(precision, block_rows, devices, spread):
    generator = np.random.default_rng(block_rows)
    ids = [f"p{n:03d}" for n in generator.permutation(500)]
    index = DenseIndex(ids, unit(generator, 500, spread=spread), config=DenseConfig(devices=devices))
    queries = np.concatenate([unit(generator, 12, spread=spread), index.vectors[:4]])
    for k in (1, 20, 500):
        assert index.search(queries, k) == reference(index, queries, k)


@pytest.mark.parametrize("devices", [("cpu",), ("cpu", "cpu")], ids=["one device", "two devices"])
def test_a_passage_scores_what_its_best_window_scores(vectors, precision, block_rows, devices):
    generator = np.random.default_rng(2)
    windows = generator.multinomial(140, np.ones(60) / 60) + 1
    index = DenseIndex([f"p{n:03d}" for n in generator.permutation(60)], vectors, windows, DenseConfig(devices=devices))
    expected = reference(index, vectors[:7], 60)
    assert index.search(vectors[:7], 60) == expected
    assert index.search(vectors[:7], 9) == [hits[:9] for hits in expected]
    banned = [{expected[0][0][0]}, *[set()] * 6]
    assert index.search(vectors[:7], 60, banned)[0] == expected[0][1:]


def test_pairs_score_as_in_the_search(vectors, monkeypatch):
    monkeypatch.setattr(dense, "PAIRS_AT_ONCE", 3)
    index = DenseIndex(["d", "b", "a", "c"], vectors[:6] / 3, [1, 2, 1, 2])
    asked, rows, passages = vectors[[0, 9]] / 7, np.array([0, 0, 1, 0, 1]), pl.Series(["a", "d", "b", "c", "a"])
    found = [dict(hits) for hits in index.search(asked, 4)]
    assert index.scores(asked, rows, passages).tolist() == [
        found[row][passage] for row, passage in zip(rows, passages, strict=True)
    ]
    assert index.scores(asked, rows[:0], passages[:0]).shape == (0,)
    with pytest.raises(LexError, match="passage e is not in it"):
        index.scores(asked, rows[:2], pl.Series(["a", "e"]))


def test_excluded_passages_are_not_answered(vectors, precision, block_rows):
    index = DenseIndex([f"p{n:03d}" for n in range(200)], vectors)
    everything = index.search(vectors[:2], 200)
    banned = [{everything[0][0][0]}, {i for i, _ in everything[1][5:]} | {"unknown"}]
    assert index.search(vectors[:2], 200, banned) == [everything[0][1:], everything[1][:5]]
    assert index.search(vectors[:2], 3, [set(index.ids), set()]) == [[], everything[1][:3]]


def test_texts_that_are_all_the_same_come_in_order_of_id(precision, block_rows):
    same = np.full((300, 16), 0.25, np.float32)
    [hits] = DenseIndex([f"p{n:03d}" for n in reversed(range(300))], same).search(same[:1], 10)
    assert hits == [(f"p{n:03d}", 1.0) for n in range(10)]


def test_few_passages_or_none(vectors):
    one = DenseIndex(["a"], vectors[:1])
    assert one.search(vectors[:1], 10) == [[("a", float(vectors[0] @ vectors[0]))]]
    assert one.search(vectors[:0], 10) == []
    assert DenseIndex([], vectors[:0]).search(vectors[:2], 10) == [[], []]


def test_wrong_input_is_refused(vectors):
    with pytest.raises(LexError, match="2 ids"):
        DenseIndex(["a", "b"], vectors[:3])
    with pytest.raises(LexError, match="id a occurs twice"):
        DenseIndex(["a", "b", "a"], vectors[:3])
    with pytest.raises(LexError, match="vectors hold NaN"):
        DenseIndex(["a"], np.full((1, 4), np.nan, np.float32))
    with pytest.raises(LexError, match="query vectors hold NaN"):
        DenseIndex(["a"], vectors[:1]).search(np.full((1, 8), np.inf, np.float32), 1)


def test_sums_are_exact_whatever_the_program_allows():
    torch.set_float32_matmul_precision("medium")
    try:
        with blocks.float32_sums():
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


MEMORY_PROBE = """
import sys
from pathlib import Path
import numpy as np
import polars as pl
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.retrieval.dense_config import DenseConfig
def mib(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) / 1024
queries = np.random.default_rng(0).standard_normal((64, 256)).astype(np.float16)
DenseIndex([str(n) for n in range(500)], np.tile(queries, (8, 1))[:500]).search(queries, 10)
ids = [f"{n:07d}" for n in range(200_000)]
Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
before = mib("VmRSS")
index = DenseIndex(ids, np.load(sys.argv[1], mmap_mode="c"), config=DenseConfig(memory_mib=int(sys.argv[2])))
assert len(index.search(queries, 10)[0]) == 10
print(mib("VmHWM") - before)
"""


def test_a_mapped_corpus_beyond_the_memory_stays_in_its_file(tmp_path):
    path = tmp_path / "vectors.npy"
    mapped = np.lib.format.open_memmap(path, "w+", np.float16, (200_000, 256))
    for n, part in enumerate(np.split(mapped, 200)):  # 98 MiB, no two vectors alike
        part[:] = np.random.default_rng(n).integers(-9, 10, part.shape)
    mapped.flush()
    command = [sys.executable, "-c", MEMORY_PROBE, str(path), "16"]
    added = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert added < 50
