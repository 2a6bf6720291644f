"""A real Dagster webserver and daemon on a free port, for the UI tests."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

WORKSPACE = Path(__file__).parents[2] / "workspace.yaml"
READY_S = 300
POLL = threading.Event()  # `wait` on it is a bounded pause between polls of a real server


class DagsterServer:
    """What a browser or a script talks to."""

    def __init__(self, url: str, pid: int = 0) -> None:
        self.url, self.pid = url, pid

    def graphql(self, query: str, **variables: Any) -> dict[str, Any]:
        """The `data` of a GraphQL request; fails with the errors that the server names."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            answer = json.load(response)
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def until(self, probe: Any, seconds: float) -> Any:
        """The first truthy value of `probe()`; polls twice a second."""
        for _ in range(int(seconds * 2)):
            value = probe()
            if value:
                return value
            POLL.wait(0.5)
        raise AssertionError(f"not within {seconds} s: {probe}")


@contextmanager
def running_server(home: Path, environment: dict[str, str]) -> Iterator[DagsterServer]:
    """`dagster dev` on a free port with `home` as its instance; stopped with its children at the end."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "dagster", "dev", "-w", str(WORKSPACE), "-p", str(port)]
    log_path = home / "server.log"
    log = log_path.open("w")
    process = subprocess.Popen(
        command,
        env=os.environ | environment | {"DAGSTER_HOME": str(home)},
        stdout=log,
        stderr=log,
        start_new_session=True,
    )
    server = DagsterServer(f"http://127.0.0.1:{port}", process.pid)
    try:
        try:
            server.until(lambda: process.poll() is None and _answers(server), READY_S)
        except AssertionError as late:
            raise AssertionError(f"dagster dev did not start: {log_path.read_text()}") from late
        yield server
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)
        log.close()


def _answers(server: DagsterServer) -> bool:
    try:
        return bool(server.graphql("{ version }"))
    except OSError:
        return False
