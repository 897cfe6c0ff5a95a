"""Each file once: again, killed, side by side."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from airbyte_cdk.models import AirbyteMessageSerializer, ConfiguredAirbyteCatalogSerializer

from integration_tests.conftest import REPOSITORY, Program
from integration_tests.files.audio import (
    OtherHost,
    all_stored,
    assert_whole,
    downloads,
    files_in,
    read_all,
    record_of,
    stored,
    youngest,
)
from integration_tests.syncing import FILE_KEYS, Row, Sync, catalog_of, keys, sandbox_config, sync
from sandbox import Sandbox
from source_recordings.run import logger
from source_recordings.source import SourceRecordings


def test_nothing_is_downloaded_twice(sandbox: Sandbox, staging: Path) -> None:
    """While recordings appear and settle, each file comes once; right after a sync, none does."""
    state: list[Row] = []
    delivered: Counter[tuple[Any, ...]] = Counter()
    for hours in (0, 9, 40, 0):
        sandbox.advance(timedelta(hours=hours))
        sandbox.clear_requests()
        result = read_all(sandbox, state)
        state = result.state
        assert not result.failed
        for stream in FILE_KEYS:
            for row in stored(result, stream):
                assert_whole(sandbox, staging, stream, row)
            got = keys(sandbox, stream, stored(result, stream))
            delivered.update((stream, key) for key in got)
            there = [r for r in sandbox.rows(stream) if r["media_status"] == "stored"]
            assert {(stream, key) for key in keys(sandbox, stream, there)} <= set(delivered)
            downloaded = [r for r in downloads(sandbox, stream) if r.status == 200]
            assert len(downloaded) <= len(got)
    assert all_stored(result) == []
    assert max(delivered.values()) == 1


def test_a_recording_that_changed_is_downloaded_again(sandbox: Sandbox, staging: Path) -> None:
    stream = "bird_recording_files"
    config = sandbox_config(sandbox, "bird")
    (media_id,) = youngest(sandbox, stream)
    first = sync(config, stream)
    bird: Any = sandbox.providers["bird"]
    before = bird.recording

    def changed(index: int) -> Row:
        row: Row = before(index)
        return row | ({"updatedAt": "2026-11-01T09:00:00Z"} if row["id"] == media_id else {})

    sandbox.knobs.media_sizes[media_id] = 7777
    with patch.object(bird, "recording", changed):
        second = sync(config, stream, state=first.state)
    (row,) = second.records(stream)
    assert (row["recordingId"], row["media_bytes"]) == (media_id, 7777)
    assert row["media_path"] == record_of(first, stream, media_id)["media_path"]
    assert_whole(sandbox, staging, stream, row)


def test_a_killed_download_leaves_no_half_file(
    sandbox: Sandbox, staging: Path, other_host: OtherHost, program: Program
) -> None:
    """What it leaves is a part, which the next sync removes before it does anything else."""
    stream = "bird_recording_files"
    (media_id,) = youngest(sandbox, stream)
    config = sandbox_config(sandbox, "bird")
    config["bird"]["recording_ids"] = [media_id]
    other_host.body, other_host.send_first = bytes(2_000_000), 1_000_000
    sandbox.fault("bird", r"\.mp3$", status=307, headers={"Location": other_host.url}, times=1)
    catalog = ConfiguredAirbyteCatalogSerializer.dump(catalog_of(config, stream))
    arguments = ["--config", program.file("config.json", config)]
    arguments += ["--catalog", program.file("catalog.json", catalog)]
    process = subprocess.Popen(
        [sys.executable, "-m", "source_recordings", "read", *arguments], stdout=subprocess.DEVNULL, cwd=REPOSITORY
    )
    try:
        wait_for(lambda: any(p.stat().st_size > 0 for p in staging.glob(".parts/*.part")))
    finally:
        process.kill()
        process.wait()
    (left,) = files_in(staging)
    assert left.startswith(".parts/") and left.endswith(".part")

    # A sync that reads no file yet: the first request finds the part gone.
    seen: list[set[str]] = []
    sandbox.on_request(lambda r: seen.append(files_in(staging)) if ".mp3" in r.path else None)
    (row,) = sync(config, stream).records(stream)
    assert all(left not in files for files in seen) and seen
    assert_whole(sandbox, staging, stream, row)
    assert files_in(staging) == {row["media_path"]}


def test_downloads_run_side_by_side_and_no_other_stream_waits_for_them(sandbox: Sandbox, other_host: OtherHost) -> None:
    other_host.send_first = 3
    sandbox.fault("bird", r"\.mp3$", status=307, headers={"Location": other_host.url})
    others = ("bird_recordings", "quo_call_recordings")
    config = sandbox_config(sandbox, "bird", "quo", num_workers=4)
    with in_background(config, "bird_recording_files", *others) as result:
        wait_for(lambda: all(result.statuses(s)[-1:] == ["COMPLETE"] for s in others))
        wait_for(lambda: other_host.open == 4)
        assert not result.records("bird_recording_files")
        other_host.go_on.set()
    assert result.statuses("bird_recording_files")[-1] == "COMPLETE"
    assert len(result.records("bird_recording_files")) == len(sandbox.truth("bird_recording_files"))
    assert other_host.most_open == 4


@contextmanager
def in_background(config: Row, *streams: str) -> Iterator[Sync]:
    """A sync that runs while this is entered and is over afterwards; its messages come as they are printed."""
    result = Sync()
    catalog = catalog_of(config, *streams)
    source = SourceRecordings(catalog=catalog, config=config, state=[])

    def read() -> None:
        for message in source.read(logger, config, catalog, []):
            result.messages.append(json.loads(json.dumps(AirbyteMessageSerializer.dump(message))))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield result
    thread.join(60)
    assert not thread.is_alive()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
