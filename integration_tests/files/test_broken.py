"""Connections that break, addresses that have run out, files that are not there: what is missing comes with the next sync."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from integration_tests.files.audio import (
    MANY,
    all_stored,
    assert_whole,
    downloads,
    files_in,
    media_id_of,
    one_each,
    path_of,
    read_all,
    record_of,
    stored,
    stored_ids,
    youngest,
)
from integration_tests.syncing import FILE_KEYS, keys, sandbox_config, sync
from sandbox import Sandbox
from sandbox.faults import Logged


@pytest.mark.parametrize("length", [True, False])
def test_a_broken_connection_is_resumed(sandbox: Sandbox, staging: Path, length: bool, no_waits: None) -> None:
    sandbox.knobs.content_length = length
    broken = one_each(sandbox)
    for stream, media_id in broken.items():
        sandbox.knobs.media_sizes[media_id] = 1_200_000
        host, path = path_of(stream, media_id)
        sandbox.fault(host, path, kind="truncate", times=2)
    result = read_all(sandbox)
    for stream, media_id in broken.items():
        assert_whole(sandbox, staging, stream, record_of(result, stream, media_id))
        asked = downloads(sandbox, stream, media_id)
        assert [r.status for r in asked] == [200, 206, 206]
        starts = [int(r.headers["Range"].removeprefix("bytes=").rstrip("-")) for r in asked[1:]]
        assert 0 < starts[0] < starts[1] < 1_200_000
        assert all(r.headers["If-Range"] for r in asked[1:])


def test_a_host_without_ranges_is_asked_from_the_start(sandbox: Sandbox, staging: Path, no_waits: None) -> None:
    sandbox.knobs.ranges = False
    stream = "quo_recording_files"
    (media_id,) = youngest(sandbox, stream)
    sandbox.fault("storage", media_id, kind="truncate", times=2)
    result = sync(sandbox_config(sandbox, "quo"), stream)
    assert_whole(sandbox, staging, stream, record_of(result, stream, media_id))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_body_of_the_wrong_length_is_never_stored(
    sandbox: Sandbox, staging: Path, ranges: bool, no_waits: None
) -> None:
    """All other files are, the stream ends as incomplete, and the next sync brings the file that is missing."""
    sandbox.knobs.ranges = ranges
    broken = one_each(sandbox)
    for stream, media_id in broken.items():
        sandbox.fault(*path_of(stream, media_id), kind="truncate")
    first = read_all(sandbox)
    assert first.failed
    assert sum("could not be downloaded" in e for e in first.errors()) >= len(MANY)
    assert not any("Signature" in json.dumps(m) for m in first.messages)
    got: dict[str, set[Any]] = {}
    for stream in MANY:
        assert first.statuses(stream)[-1] == "INCOMPLETE"
        got[stream] = set(keys(sandbox, stream, first.records(stream)))
        assert len(got[stream]) == len(sandbox.truth(stream)) - 1
    assert files_in(staging) == {row["media_path"] for row in all_stored(first)}

    sandbox.clear_faults()
    second = read_all(sandbox, first.state)
    assert not second.failed
    for stream, media_id in broken.items():
        assert_whole(sandbox, staging, stream, record_of(second, stream, media_id))
        got[stream] |= set(keys(sandbox, stream, second.records(stream)))
        assert got[stream] == set(map(tuple, sandbox.truth(stream)))


def test_an_expired_address_is_asked_for_again(sandbox: Sandbox, staging: Path) -> None:
    chosen = one_each(sandbox)
    del chosen["amigo_recording_files"]  # they come from its own API, nobody signs a URL
    for stream, media_id in chosen.items():
        sandbox.fault(*path_of(stream, media_id), status=403, times=1)
    result = read_all(sandbox)
    assert not result.failed
    for stream, media_id in chosen.items():
        assert_whole(sandbox, staging, stream, record_of(result, stream, media_id))
        assert [r.status for r in downloads(sandbox, stream, media_id)] == [403, 200]


def test_addresses_that_all_run_out_before_they_are_used(sandbox: Sandbox, staging: Path) -> None:
    """The second ones are good: the storage host's clock tells them from the first."""
    stream = "bota_recording_files"
    expired: list[str] = []

    def expire(request: Logged) -> None:
        if request.provider == "storage" and not expired:
            expired.append(request.path)
            sandbox.expire_urls()

    sandbox.on_request(expire)
    result = sync(sandbox_config(sandbox, "bota"), stream)
    assert len(stored(result, stream)) == len(sandbox.truth(stream))
    assert [r.status for r in downloads(sandbox, stream)].count(403) >= 1
    for row in stored(result, stream):
        assert_whole(sandbox, staging, stream, row)


def test_what_is_expired_or_missing_is_no_error_and_tried_again(sandbox: Sandbox, staging: Path) -> None:
    """And the other files of the same call are not downloaded again with it."""
    expired = one_each(sandbox)
    del expired["amigo_recording_files"]
    gone = {stream: youngest(sandbox, stream, 2)[1] for stream in MANY}
    for stream, media_id in expired.items():
        sandbox.fault(*path_of(stream, media_id), status=403)
    for number, (stream, media_id) in enumerate(gone.items()):
        sandbox.fault(*path_of(stream, media_id), status=(404, 410)[number % 2])
    first = read_all(sandbox)
    assert not first.failed
    for status, asked, chosen in (("expired", 2, expired), ("missing", 1, gone)):
        for stream, media_id in chosen.items():
            row = record_of(first, stream, media_id)
            assert row["media_status"] == status
            assert "media_path" not in row
            assert len(downloads(sandbox, stream, media_id)) == asked

    sandbox.clear_faults()
    second = read_all(sandbox, first.state)
    for stream in MANY:
        again = {media_id_of(stream, row): row for row in stored(second, stream)}
        assert set(again) == {gone[stream], expired.get(stream, gone[stream])}
        for row in again.values():
            assert_whole(sandbox, staging, stream, row)


def test_a_recording_without_an_address_is_missing(sandbox: Sandbox) -> None:
    row = {"id": "CR1", "status": "completed", "url": None}
    sandbox.fault("quo", "/call-recordings/", status=200, body={"data": [row]})
    config = sandbox_config(sandbox, "quo")
    config["quo"]["call_ids"] = ["AC1"]
    (record,) = sync(config, "quo_recording_files").records("quo_recording_files")
    assert record == {"recordingId": "CR1", "callId": "AC1", "media_status": "missing"}


def test_an_old_file_that_fails_for_ever_costs_later_syncs_nothing_but_itself(
    sandbox: Sandbox, staging: Path, no_waits: None
) -> None:
    """The state has a hole in its place: what is older and what is younger is not downloaded again."""
    old = {stream: stored_ids(sandbox, stream)[0] for stream in FILE_KEYS}
    inline = {row["callId"] for row in sandbox.rows("tether_call_recordings") if "audioData" in row}
    old["tether_recording_files"] = next(i for i in stored_ids(sandbox, "tether_recording_files") if i not in inline)
    for stream, media_id in old.items():
        host, path = path_of(stream, media_id)
        sandbox.fault(host, path, status=402)
    result = read_all(sandbox)
    assert result.failed
    for _ in range(3):
        sandbox.advance(timedelta(hours=1))
        there = [r["media_path"] for r in all_stored(result)]
        assert set(there) <= files_in(staging)
        sandbox.clear_requests()
        result = read_all(sandbox, result.state)
        assert result.failed
        for stream, media_id in old.items():
            asked = downloads(sandbox, stream)
            fresh = len(stored(result, stream))
            assert [r.status for r in asked].count(200) <= fresh <= 3, stream
            assert len(downloads(sandbox, stream, media_id)) == 1
    sandbox.clear_faults()
    result = read_all(sandbox, result.state)
    assert not result.failed
    for stream, media_id in old.items():
        assert_whole(sandbox, staging, stream, record_of(result, stream, media_id))
