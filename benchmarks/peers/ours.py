"""The connector: its program `read`, as a platform starts it."""

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.peers.job import KEY
from benchmarks.peers.process import Failed
from benchmarks.peers.work import Case, call_ids

STREAMS = {"list": "bota_recordings", "details": "quo_call_recordings", "files": "quo_recording_files"}
UNLIMITED = 1_000_000
"""More requests a second than any program makes."""

Config = dict[str, Any]


class Connector:
    """One version of it: that of the environment whose Python this is."""

    def __init__(self, python: Path, base_url: str, folder: Path) -> None:
        """`folder` is for configs and catalogs, this version's alone."""
        # Not resolved: the link's own place tells Python which environment it is in.
        self.python = python.absolute()
        self.base_url = base_url
        self.folder = folder
        folder.mkdir()

    def program(self, *arguments: str | Path) -> list[str | Path]:
        return [self.python, "-m", "source_recordings", *arguments]

    def read(self, case: Case) -> list[str | Path]:
        config = self._file("config", self.bota(case) if case.kind == "list" else self.quo(case), case)
        return self.read_with(STREAMS[case.kind], config)

    def read_with(self, stream: str, config: Path) -> list[str | Path]:
        return self.program("read", "--config", config, "--catalog", self.catalog(stream, config))

    def bota(self, case: Case | None = None) -> Config:
        return {
            "bota": {"api_key": KEY, "base_url": self.base_url, "requests_per_minute": 60 * UNLIMITED},
            "num_workers": case.workers if case else 16,
        }

    def quo(self, case: Case) -> Config:
        return {
            "quo": {
                "api_key": KEY,
                "base_url": self.base_url,
                "call_ids": call_ids(case.count),
                "requests_per_second": case.per_second or UNLIMITED,
            },
            "num_workers": case.workers,
        }

    def catalog(self, stream: str, config: Path) -> Path:
        """With this stream alone, full refresh; what `discover` says is asked for once."""
        file = self.folder / f"{stream}.json"
        if not file.exists():
            done = subprocess.run(
                self.program("discover", "--config", config),
                cwd=self.folder,
                capture_output=True,
                text=True,
                check=False,
            )
            offered = [
                found
                for message in map(json.loads, done.stdout.splitlines())
                if message["type"] == "CATALOG"
                for found in message["catalog"]["streams"]
                if found["name"] == stream
            ]
            if len(offered) != 1:
                raise Failed(f"{self.python}: no stream {stream}:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
            configured = {"stream": offered[0], "sync_mode": "full_refresh", "destination_sync_mode": "overwrite"}
            file.write_text(json.dumps({"streams": [configured]}))
        return file

    def config_of_empty_list(self) -> Path:
        return self._file("config-empty", self.bota())

    def _file(self, name: str, config: Config, case: Case | None = None) -> Path:
        suffix = f"-{case.kind}-{case.count}-{case.workers}-{case.per_second}" if case else ""
        file = self.folder / f"{name}{suffix}.json"
        file.write_text(json.dumps(config))
        return file
