"""Starts the server, tells it how to answer, and asks what it has seen."""

import json
import subprocess
import sys
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from urllib.parse import urlencode

from benchmarks.peers.work import Case


@dataclass(frozen=True)
class Stats:
    """What the server has counted since its last reset."""

    requests: int
    refused: int
    paths: int
    """Different ones among the requests that were not refused."""
    first: float | None
    """When the first request came, on the machine's monotonic clock."""
    cpu: float
    """Seconds of the server's own."""


class Server:
    """The server as a process of its own, until the end of the block."""

    def __init__(self, checkout: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.server"],
            cwd=checkout,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout
        self._port = int(self._process.stdout.readline())
        self.base_url = f"http://127.0.0.1:{self._port}"

    def prepare(self, case: Case | None = None) -> None:
        """For a case; without one its list is empty."""
        said = {
            "rows": case.count if case and case.kind == "list" else 0,
            "latency_ms": case.latency_ms if case else 0,
            "slow_ms": case.slow_ms if case else 0,
            "per_second": case.per_second if case else 0,
        }
        self._get(f"/control/reset?{urlencode(said)}")

    def stats(self) -> Stats:
        return Stats(**json.loads(self._get("/control/stats")))

    def _get(self, path: str) -> bytes:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("GET", path)
            return connection.getresponse().read()
        finally:
            connection.close()

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
