"""How much loading the code location costs over bare dagster + polars: `python benchmarks/code_location.py`.

Expected: at most 1.0 s and 150 MB more, and no model library in `sys.modules`.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

HEAVY = ("torch", "transformers", "sentence_transformers", "peft", "bitsandbytes", "elasticsearch", "bm25s")
RUNS = 5
BARE = "import dagster, polars"
OURS = "import dagster, polars; from lex_assets.definitions import defs; defs().get_repository_def()"
MEASURE = """
import resource, sys, time
start = time.perf_counter()
{body}
seconds = time.perf_counter() - start
heavy = [name for name in {heavy} if name in sys.modules]
print(seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, ",".join(heavy) or "-")
"""


def measure(body: str) -> tuple[float, float, str]:
    """Median seconds and peak MiB of `body` in a fresh interpreter, and the heavy modules that it loaded."""
    code = MEASURE.format(body=body, heavy=HEAVY)
    runs = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True) for _ in range(RUNS)
    ]
    rows = [run.stdout.split() for run in runs]
    return (
        statistics.median(float(row[0]) for row in rows),
        statistics.median(float(row[1]) for row in rows),
        rows[0][2],
    )


def main() -> None:
    """Print both measurements and their difference."""
    bare_s, bare_mib, _ = measure(BARE)
    ours_s, ours_mib, heavy = measure(OURS)
    print(f"bare dagster + polars   {bare_s:.2f} s   {bare_mib:.0f} MiB")
    print(f"lex_assets.definitions  {ours_s:.2f} s   {ours_mib:.0f} MiB   heavy modules: {heavy}")
    print(f"difference              {ours_s - bare_s:.2f} s   {ours_mib - bare_mib:.0f} MiB   (bounds: 1.0 s, 150 MiB)")


if __name__ == "__main__":
    main()
