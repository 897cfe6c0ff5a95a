"""What a program is told on its command line: `python -m benchmarks.peers.PROGRAM KIND BASE_URL COUNT WORKERS FOLDER`."""

import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.peers.work import PAGE, call_ids

KEY = "k"
"""Sent by all programs, as to a real provider."""


@dataclass(frozen=True)
class Job:
    """`kind` is list, details or files; files go into the empty `folder`."""

    kind: str
    base_url: str
    count: int
    workers: int
    folder: Path

    @property
    def ids(self) -> list[str]:
        return call_ids(self.count)

    @property
    def list_url(self) -> str:
        return f"{self.base_url}/v1/recordings?limit={PAGE}"

    def detail_url(self, call_id: str) -> str:
        return f"{self.base_url}/v1/call-recordings/{call_id}"


def arguments(job: Job) -> list[str]:
    return [job.kind, job.base_url, str(job.count), str(job.workers), str(job.folder)]


def the_job() -> Job:
    kind, base_url, count, workers, folder = sys.argv[1:]
    return Job(kind, base_url, int(count), int(workers), Path(folder))
