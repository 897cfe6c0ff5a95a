"""A real `read` process, killed at random moments and started again from the last state it printed."""

import json
import random
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from time import monotonic
from typing import Any

from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer

from integration_tests.syncing import PRIMARY_KEYS, Row, catalog_of, sandbox_config
from sandbox import Sandbox

STREAMS = ("quo_calls", "quo_call_recordings", "bota_transcriptions", "tether_call_recordings", "amigo_recording_urls")
KILLS = 8


def test_a_killed_sync_goes_on_from_the_last_state_it_printed(tmp_path: Path) -> None:
    """What was printed before each kill and what the restarts print are together every record, and kills cost little."""
    now = datetime.now(timezone.utc) - timedelta(minutes=5)
    chance = random.Random(20261121)
    # A window of calls takes several checkpoints: 400 calls at 60 ms with two workers.
    with Sandbox(seed=21, size=220, now=now, latency=0.06) as sandbox:
        config = sandbox_config(sandbox, "amigo", "quo", "bota", "tether", num_workers=6)
        catalog = ConfiguredAirbyteCatalogSerializer.dump(catalog_of(config, *STREAMS))
        files = {name: tmp_path / f"{name}.json" for name in ("config", "catalog", "state")}
        files["config"].write_text(json.dumps(config))
        files["catalog"].write_text(json.dumps(catalog))
        seen: dict[str, set[tuple[Any, ...]]] = {s: set() for s in STREAMS}
        state: dict[str, Row] = {}

        sandbox.clear_requests()
        whole = None
        for attempt in range(KILLS + 1):
            files["state"].write_text(json.dumps(list(state.values())))
            limit = chance.uniform(2.0, 7.0) if attempt < KILLS else None
            finished = read_for(limit, files, seen, state)
            if finished:
                whole = attempt
                break
        assert whole, "the sync was over before the first kill: the test shows nothing"
        for stream in STREAMS:
            assert seen[stream] == set(map(tuple, sandbox.truth(stream))), stream


def read_for(
    seconds: float | None, files: dict[str, Path], seen: dict[str, set[tuple[Any, ...]]], state: dict[str, Row]
) -> bool:
    """Runs `read` until SIGKILL, takes in the whole lines that it printed, and says whether it came to its end."""
    command = [sys.executable, "-m", "source_recordings", "read"]
    for name, path in files.items():
        command += [f"--{name}", str(path)]
    out = files["state"].with_name("stdout")
    with out.open("wb") as stdout:
        process = subprocess.Popen(command, stdout=stdout, stderr=subprocess.DEVNULL)
        started = monotonic()
        try:
            process.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    assert monotonic() - started < 120
    take_in(out.read_bytes().split(b"\n")[:-1], seen, state)
    return process.returncode == 0


def take_in(lines: Iterable[bytes], seen: dict[str, set[tuple[Any, ...]]], state: dict[str, Row]) -> None:
    """A destination: records first, and the state that follows them."""
    for line in lines:
        message = json.loads(line)
        if message["type"] == "RECORD":
            stream, row = message["record"]["stream"], message["record"]["data"]
            seen[stream].add(tuple(row[name] for name in PRIMARY_KEYS[stream]))
        elif message["type"] == "STATE":
            state[message["state"]["stream"]["stream_descriptor"]["name"]] = message["state"]
