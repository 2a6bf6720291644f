"""Exact dense search beside FAISS flat, its answer against float64, one query at a time, memory over a mapped corpus, and a GPU.

    pip install -e .[benchmarks] -c constraints.txt
    python benchmarks/dense.py                # one CPU thread; the GPU part runs when CUDA is there
    python benchmarks/dense.py --rehearse     # the GPU part at toy size on two CPU shards

Times are CPU seconds of interleaved repetitions, best and median; vectors are made of topics in a narrow cone, as those of text.
Seen on two busy cores with AMX, one thread: 0.78 s where FAISS flat takes 1.01 s (0.77 x; 0.98 x with ids and scores as Python
lists; 1.43 s scanned in float32, as without AMX), every place and score as in float64; one query over 50,000 x 1,024 in 18 ms
(p95 48) beside 20 (51); a file of 366 MiB searched with memory_mib 64 added 43 MiB. No GPU was at hand.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch

from lex_assets.retrieval import shards
from lex_assets.retrieval.blocks import scan_precision
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.retrieval.dense_config import DenseConfig

K = 100
TOPICS, SPREAD, CONE = 300, 1.2, 1.0


def text_like(n: int, dim: int, seed: int) -> np.ndarray:
    """(n, dim) float16 unit vectors around topics, the same topics for every seed."""
    centres = np.random.default_rng(0).standard_normal((TOPICS, dim)) + CONE
    generator = np.random.default_rng([1, seed])
    made = centres[generator.integers(0, TOPICS, n)] + SPREAD * generator.standard_normal((n, dim))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float16)


def ids_of(n: int) -> list[str]:
    return [f"p{number:08d}" for number in range(n)]


def reference(passages: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best K by float64 sums, rounded to float32 once; ties by place."""
    found = []
    exact = passages.astype(np.float64).T
    for part in np.array_split(queries.astype(np.float64), max(1, len(queries) // 250)):
        scores = torch.from_numpy((part @ exact).astype(np.float32))
        best, order = scores.sort(dim=1, descending=True, stable=True)
        found.append((best[:, :K].numpy(), order[:, :K].numpy()))
    scores, places = zip(*found, strict=True)
    return np.concatenate(scores), np.concatenate(places)


def seconds(work: Callable[[], object], clock: Callable[[], float] = time.process_time) -> float:
    start = clock()
    work()
    return clock() - start


def spread(values: Sequence[float]) -> str:
    return f"best {min(values):.2f} s, median {statistics.median(values):.2f} s"


def beside_faiss(n_queries: int, n: int, dim: int, repetitions: int) -> None:
    import faiss

    faiss.omp_set_num_threads(torch.get_num_threads())
    passages, queries = text_like(n, dim, 1), text_like(n_queries, dim, 2)
    plain, asked, ids = passages.astype(np.float32), queries.astype(np.float32), ids_of(n)
    peer, index = faiss.IndexFlatIP(dim), DenseIndex(ids, passages)
    peer.add(plain)
    index.best(queries[:1], K)
    times: dict[str, list[float]] = {"faiss": [], "ours": [], "ours, blocks made anew": [], "ours, hits with ids": []}
    for _ in range(repetitions):
        times["faiss"].append(seconds(lambda: peer.search(asked, K)))
        times["ours"].append(seconds(lambda: index.best(queries, K)))
        times["ours, blocks made anew"].append(seconds(lambda: DenseIndex(ids, passages).best(queries, K)))
        times["ours, hits with ids"].append(seconds(lambda: index.search(queries, K)))
    print(f"\n{n_queries:,} x {n:,} x {dim}, scanned in {scan_precision('cpu')}, {torch.get_num_threads()} thread(s)")
    for name, values in times.items():
        ratio = statistics.median(values) / statistics.median(times["faiss"])
        print(f"  {name:<24} {spread(values)} · {ratio:.2f} x FAISS")
    _compare(index, peer, passages, queries, asked)


def _compare(index: DenseIndex, peer: object, passages: np.ndarray, queries: np.ndarray, asked: np.ndarray) -> None:
    scores, places = reference(passages, queries)
    ours, found = index.best(queries, K)
    print(f"  as float64: places {np.mean(found == places):.6f}, scores {np.mean(ours == scores):.6f} equal")
    _, theirs = peer.search(asked, K)  # type: ignore[attr-defined]
    print(f"  FAISS flat as float64: places {np.mean(theirs == places):.6f} equal (its float32 sums part near ties)")


def without_matrix_units(n_queries: int, n: int, dim: int) -> None:
    """The scan in float32, as on a CPU without AMX."""
    passages, queries = text_like(n, dim, 1), text_like(n_queries, dim, 2)
    chosen, shards.scan_precision = shards.scan_precision, lambda device: torch.float32
    try:
        index = DenseIndex(ids_of(n), passages)
        index.best(queries[:1], K)
        print(f"  scanned in float32       {seconds(lambda: index.best(queries, K)):.2f} s")
    finally:
        shards.scan_precision = chosen


def one_query(n: int, dim: int, n_asked: int) -> None:
    import faiss

    passages, queries = text_like(n, dim, 1), text_like(n_asked, dim, 2)
    index, peer = DenseIndex(ids_of(n), passages), faiss.IndexFlatIP(dim)
    peer.add(passages.astype(np.float32))
    index.search(queries[:1], K)
    ours, theirs = [], []
    for number in range(n_asked):
        query = queries[number : number + 1]
        ours.append(seconds(lambda query=query: index.search(query, K), time.perf_counter))
        theirs.append(seconds(lambda query=query: peer.search(query.astype(np.float32), K), time.perf_counter))
    print(f"\none query over {n:,} x {dim}")
    for name, values in (("ours", ours), ("faiss", theirs)):
        p50, p95 = (1000 * np.percentile(values, q) for q in (50, 95))
        print(f"  {name:<24} p50 {p50:.1f} ms, p95 {p95:.1f} ms")


MEMORY = """
import sys
from pathlib import Path
import numpy as np
from lex_assets.retrieval.dense import DenseIndex
from lex_assets.retrieval.dense_config import DenseConfig
def mib(name):
    return int(Path("/proc/self/status").read_text().split(name + ":")[1].split()[0]) / 1024
vectors = np.load(sys.argv[1], mmap_mode="c")
queries = np.asarray(vectors[:64])
DenseIndex([str(n) for n in range(500)], np.asarray(vectors[:500])).search(queries, 10)
ids = [f"{n:08d}" for n in range(len(vectors))]
Path("/proc/self/clear_refs").write_text("5")
before = mib("VmRSS")
DenseIndex(ids, vectors, config=DenseConfig(memory_mib=int(sys.argv[2]))).search(queries, 100)
print(f"{mib('VmHWM') - before:.0f}")
"""


def memory(folder: Path, n: int, dim: int, bounds_mib: Sequence[int]) -> None:
    """Memory that a search adds while the corpus lies in a file. Ids and their order are part of it."""
    path = write_mapped(folder, n, dim)
    print(f"\n{n:,} x {dim} in a file of {path.stat().st_size / 2**20:.0f} MiB")
    for bound in bounds_mib:
        command = [sys.executable, "-c", MEMORY, str(path), str(bound)]
        added = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        print(f"  memory_mib {bound:<5} added at most {added} MiB")


def write_mapped(folder: Path, n: int, dim: int, step: int = 100_000) -> Path:
    path = folder / f"{n}x{dim}.npy"
    mapped = np.lib.format.open_memmap(path, "w+", np.float16, (n, dim))
    for at in range(0, n, step):
        mapped[at : at + step] = text_like(min(step, n - at), dim, 3 + at)
    mapped.flush()
    return path


def gpu(folder: Path, devices: Sequence[str], sizes: Sequence[int], n_queries: int, dim: int, memory_mib: int) -> None:
    """Search over mapped passages, the second time with blocks on the device where they fit, beside one product of the same
    shapes. A GPU without room for them gets them block by block."""
    queries = text_like(n_queries, dim, 2)
    rate = multiply_rate(devices[0], min(sizes[0], 2**18), min(n_queries, 4096), dim)
    for n in sizes:
        vectors = np.load(write_mapped(folder, n, dim), mmap_mode="c")
        index = DenseIndex(ids_of(n), vectors, config=DenseConfig(devices=tuple(devices), memory_mib=memory_mib))
        first, again = (seconds(partial(index.best, queries, K), time.perf_counter) for _ in range(2))
        reached = 2 * n_queries * n * dim / again / rate / len(devices)
        print(f"\n{n_queries:,} x {n:,} x {dim} on {', '.join(devices)}")
        print(f"  first {first:.2f} s, again {again:.2f} s: {reached:.0%} of the product's {rate / 1e12:.2f} TFLOPS")
        asked = queries[:50]
        same = np.array_equal(index.best(asked, K)[1], DenseIndex(ids_of(n), vectors).best(asked, K)[1])
        print(f"  {len(asked)} queries answered as on the CPU: {same}")


def multiply_rate(device: str, rows: int, columns: int, dim: int) -> float:
    """Operations a second of a product in the scan's precision."""
    dtype = scan_precision(device)
    left, right = (
        torch.ones((rows, dim), dtype=dtype, device=device),
        torch.ones((dim, columns), dtype=dtype, device=device),
    )
    wait = torch.cuda.synchronize if device.startswith("cuda") else lambda: None

    def multiply() -> None:
        left @ right
        wait()

    multiply()
    return 2 * rows * columns * dim / min(seconds(multiply, time.perf_counter) for _ in range(10))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=7)
    parser.add_argument("--rehearse", action="store_true", help="only the GPU part, at toy size on two CPU shards")
    parser.add_argument("--folder", type=Path, help="where mapped vectors are written; 24 GB for the GPU part")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        if arguments.rehearse:
            gpu(folder, ("cpu", "cpu"), (20_000, 50_000), 300, 64, 64)
            return
        beside_faiss(6_000, 30_000, 384, arguments.repetitions)
        without_matrix_units(6_000, 30_000, 384)
        one_query(50_000, 1_024, 100)
        memory(folder, 500_000, 384, (64, 128))
        if torch.cuda.is_available():
            devices = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
            gpu(folder, devices, (1_000_000, 10_000_000), 12_816, 1_024, 48 * 1024)


if __name__ == "__main__":
    main()
