"""The programs that are compared: how each is started, and what it is left out of."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.job import Job, arguments
from benchmarks.peers.ours import Connector
from benchmarks.peers.work import Case


@dataclass(frozen=True)
class System:
    """One of them. `left_out` has a reason for each kind of work that it does not do."""

    key: str
    title: str
    module: str = ""
    """Of this package; empty for the connector."""
    sequential: bool = False
    left_out_of: tuple[str, ...] = ()

    def does(self, case: Case) -> bool:
        if self.key == "raw":
            return case.work in ("list", "details", "files") and not case.latency_ms
        if self.sequential and case.workers != 16:
            return False
        return case.work not in self.left_out_of


OURS = System("ours", "this connector")
BEFORE = System("before", "this connector, before")
PEERS = (
    System("dlt", "dlt, rest_api", "dlt_", left_out_of=("files",)),
    System("singer", "Singer SDK", "singer_", sequential=True, left_out_of=("files",)),
    System("threads", "requests and threads", "threads"),
    System("aio", "aiohttp", "aio", left_out_of=("limit",)),
)
RAW = System("raw", "the server's ceiling", "raw")
NOTES = {
    "singer": "the Singer SDK makes one request at a time, whatever the number of workers",
    "files": "neither dlt's rest_api source nor the Singer SDK downloads files",
    "aio": "aiohttp has neither a limiter nor retries of its own",
}


@dataclass(frozen=True)
class Start:
    """How to start a program for one run."""

    command: list[str | Path]
    cwd: Path
    env: dict[str, str]


def start(
    system: System, case: Case, connectors: dict[str, Connector], base_url: str, folder: Path, root: Path
) -> Start:
    """`folder` is empty: the files go there."""
    if system.key in connectors:
        connector = connectors[system.key]
        # Elsewhere than in a checkout: Python would take that one's package.
        return Start(connector.read(case), connector.folder, {"AIRBYTE_STAGING_DIRECTORY": os.fspath(folder)})
    job = Job(case.kind, base_url, case.count, case.workers, folder)
    command: list[str | Path] = [sys.executable, "-m", f"benchmarks.peers.{system.module}"]
    return Start([*command, *arguments(job)], root, {})
