"""The table of costs counts the processes that train."""

from __future__ import annotations

import subprocess
import sys
import time

from lex_assets.pipeline import MemoryMeter

HELD_MIB = 200
CODE = f"held = b'x' * {HELD_MIB} * 2**20; print('ready', flush=True); input()"


def test_memory_of_child_processes_counts() -> None:
    with subprocess.Popen([sys.executable, "-c", CODE], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin and child.stdout and child.stdout.readline()
        started = time.time()
        with MemoryMeter().running() as meter:
            while not meter.samples:
                pass
        child.stdin.close()
    assert meter.peak_mib(started, time.time()) > HELD_MIB
