"""A real `read` process, killed at random moments and started again from the last state it printed."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer

from integration_tests.syncing import FILE_KEYS, PRIMARY_KEYS, Row, catalog_of, sandbox_config
from sandbox import Sandbox
from source_recordings.files.staging import PARTS

KILLS = int(os.environ.get("KILLS") or 10)
KILLS_PER_SYNC = 10
SEED = int(os.environ.get("FUZZ_SEED") or 20261121)
LATEST = 2.5
"""Seconds after its first line that a process is killed; half of them much earlier."""

KEYS = {**PRIMARY_KEYS, **FILE_KEYS}
STREAMS = (
    "bird_recordings",
    "quo_calls",
    "quo_call_recordings",
    "bota_transcriptions",
    "tether_call_recordings",
    "amigo_recording_urls",
    *FILE_KEYS,
)

Key = tuple[Any, ...]


@dataclass
class Destination:
    """What has come so far: as a platform keeps it, records first and the state that follows them."""

    staging: Path
    seen: dict[str, set[Key]] = field(default_factory=lambda: {name: set() for name in STREAMS})
    state: dict[str, Row] = field(default_factory=dict)
    lines: int = 0

    def take_in(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            self.lines += 1
            message = json.loads(line)
            if message["type"] == "RECORD":
                stream, row = message["record"]["stream"], message["record"]["data"]
                self.seen[stream].add(tuple(row[name] for name in KEYS[stream]))
                if row.get("media_status") == "stored":
                    assert digest(self.staging / row["media_path"]) == row["media_sha256"], "the file of a record"
            elif message["type"] == "STATE":
                self.state[message["state"]["stream"]["stream_descriptor"]["name"]] = message["state"]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_killed_sync_goes_on_from_the_last_state_it_printed(
    tmp_path: Path, staging: Path, record_property: Callable[[str, object], None]
) -> None:
    """What was printed before each kill and what the restarts print are together every record, and kills cost little.
    No file stands half under its final name at any moment.
    """
    chance = random.Random(SEED)
    figures = Counter({"kills": 0, "records before the last kill": 0, "lines of killed syncs": 0})
    for number in range(KILLS):  # enough of them: a sync that is killed at least once is one of these
        if figures["kills"] >= KILLS:
            break
        folder = tmp_path / f"{number}"
        folder.mkdir()
        figures.update(killed_and_whole(folder, staging / f"{number}", chance, KILLS - figures["kills"]))
    assert figures["kills"] == KILLS, "the syncs were over before they were killed: the test shows nothing"
    assert figures["records before the last kill"], "they were killed before they did anything: the same"
    for name, count in figures.items():
        record_property(name, count)


def killed_and_whole(folder: Path, staging: Path, chance: random.Random, kills: int) -> Counter[str]:
    """One sync that is killed a few times, at most `kills`, and then left to its end."""
    now = datetime.now(timezone.utc) - timedelta(minutes=5)
    destination = Destination(staging)
    killed = came = 0
    with Sandbox(seed=chance.randrange(1000), size=150, now=now, latency=0.06) as sandbox:
        config = sandbox_config(sandbox, num_workers=6)
        catalog = ConfiguredAirbyteCatalogSerializer.dump(catalog_of(config, *STREAMS))
        files = {name: folder / f"{name}.json" for name in ("config", "catalog", "state")}
        files["config"].write_text(json.dumps(config))
        files["catalog"].write_text(json.dumps(catalog))
        whole_files = {
            row["media_sha256"] for name in FILE_KEYS for row in sandbox.rows(name) if row.get("media_sha256")
        }
        while True:
            files["state"].write_text(json.dumps(list(destination.state.values())))
            wait = None
            if killed < min(kills, KILLS_PER_SYNC):
                wait = chance.uniform(0, LATEST) if chance.random() < 0.5 else chance.uniform(0, LATEST / 5)
            finished = read(wait, files, destination)
            found = [path for path in staging.rglob("*") if path.is_file() and PARTS not in path.parts]
            assert {digest(path) for path in found} <= whole_files, "half a file under a final name"
            if finished:
                break
            killed += 1
            came = sum(map(len, destination.seen.values()))
        for stream in STREAMS:
            assert destination.seen[stream] == set(map(tuple, sandbox.truth(stream))), stream
        assert len(whole_files) == len({digest(path) for path in found})
        assert not list(staging.rglob("*.part"))
    return Counter({"kills": killed, "records before the last kill": came, "lines of killed syncs": destination.lines})


def read(wait: float | None, files: dict[str, Path], destination: Destination) -> bool:
    """Runs `read`, with SIGKILL so long after its first line, takes in the whole lines that it printed, and says whether
    it came to its end.
    """
    command = [sys.executable, "-m", "source_recordings", "read"]
    for name, path in files.items():
        command += [f"--{name}", str(path)]
    out = files["state"].with_name("stdout")
    environment = {**os.environ, "AIRBYTE_STAGING_DIRECTORY": str(destination.staging)}
    with out.open("wb") as stdout:
        started = monotonic()
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL, env=environment)
        try:
            while wait is not None and process.poll() is None and not out.stat().st_size:
                sleep(0.02)
            process.wait(timeout=300 if wait is None else wait)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert monotonic() - started < 300
    destination.take_in(out.read_bytes().split(b"\n")[:-1])
    return process.returncode == 0


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
