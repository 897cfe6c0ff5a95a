"""Bota in each of its forms, in a mixed account, and in one that changes from one form to the other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from integration_tests.syncing import (
    FILE_KEYS,
    KEYS,
    PROVIDERS,
    Row,
    Sync,
    as_delivered,
    clock_of,
    keys,
    sandbox_config,
    sync,
)
from sandbox import Sandbox

NOW = datetime(2026, 11, 1, 9, 30, 12, tzinfo=timezone.utc)
STREAMS = list(PROVIDERS["bota"].streams)
LISTS = ["bota_recordings", "bota_summaries", "bota_end_users", "bota_devices"]
REVISIONS = ["cursor", "offset", "live", "mixed"]
SIZE = 130
Keys = set[tuple[Any, ...]]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=11, size=SIZE, now=NOW, media_bytes=600) as started, clock_of(started):
        yield started


def asked(sandbox: Sandbox) -> Counter[str]:
    """The requests to Bota by kind; `?` marks a list that is filtered."""
    found: Counter[str] = Counter()
    for request in sandbox.requests:
        if request.provider == "bota":
            path = re.sub(r"/(rec|txn)_\w+", "/{id}", request.path.removeprefix("/v1"))
            found[f"{request.method} {path}{'?' if 'recording_id' in request.query else ''}"] += 1
    return found


def truth(sandbox: Sandbox, stream: str) -> Keys:
    return set(map(tuple, sandbox.truth(stream)))


def got(sandbox: Sandbox, result: Sync, stream: str) -> list[tuple[Any, ...]]:
    return keys(sandbox, stream, result.records(stream))


def assert_complete(sandbox: Sandbox, result: Sync) -> None:
    """Every key once, every row as it is."""
    assert not result.failed, result.errors()
    for stream in STREAMS:
        assert Counter(got(sandbox, result, stream)) == Counter(truth(sandbox, stream)), stream
        assert not stale(sandbox, stream, {row_key(stream, row): row for row in result.records(stream)})


def stale(sandbox: Sandbox, stream: str, rows: dict[tuple[Any, ...], Row]) -> list[str]:
    """What is missing or differs. Signed addresses do at every read, and the type of a container is another test's."""
    said = []
    for expected in (as_delivered(stream, row) for row in sandbox.rows(stream)):
        row = rows.get(row_key(stream, expected))
        if row is None:
            said.append(f"lacks {expected}")
            continue
        for name, value in expected.items():
            if name not in ("audio_url", "last_heartbeat_at") and row.get(name) != value:
                said.append(f"{name}: {row.get(name)!r}, not {value!r}")
    return said


def row_key(stream: str, row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in KEYS[stream])


@pytest.mark.parametrize("needs_filter", [False, True])
@pytest.mark.parametrize("revision", REVISIONS)
def test_every_row_and_file_once(sandbox: Sandbox, revision: str, needs_filter: bool) -> None:
    sandbox.knobs.turn(bota_revision=revision, bota_needs_filter=needs_filter, bota_retranscribed=True)

    result = sync(sandbox_config(sandbox, "bota"))

    assert_complete(sandbox, result)
    for row in result.records("bota_recordings"):
        assert type(row.get("file_size_bytes")) in (int, type(None))
    made = asked(sandbox)
    recordings = list(sandbox.rows("bota_recordings"))
    without = [row for row in recordings if "transcription_id" not in row]
    named = sum(row.get("transcription_id") is not None for row in recordings)
    assert made["GET /transcriptions/{id}"] == named
    pages = -(-len(truth(sandbox, "bota_transcriptions")) // 100)
    assert made["GET /transcriptions"] == (0 if not without else 1 if needs_filter else pages)
    assert made["GET /transcriptions?"] == (len(without) if needs_filter else 0)
    ready = [row for row in without if row["status"] in ("uploaded", "processing", "completed")]
    assert made["GET /recordings/{id}/download-url"] == len(ready)
    assert made["GET /recordings"] == 2 and made["GET /recordings/{id}"] == 0


@pytest.mark.parametrize("revision", REVISIONS)
def test_syncs_follow_what_changes(sandbox: Sandbox, revision: str) -> None:
    """Late transcripts, new ones in the place of old ones, files that are uploaded later: the newest is there."""
    sandbox.knobs.turn(bota_revision=revision, bota_retranscribed=True)
    config, state = sandbox_config(sandbox, "bota"), list[Row]()
    table: dict[str, dict[tuple[Any, ...], Row]] = {stream: {} for stream in STREAMS}
    for hours in (1, 5, 26, 48, 3):
        sandbox.clear_requests()
        result = sync(config, state=state)
        state = result.state
        assert not result.failed
        for stream in STREAMS:
            found = got(sandbox, result, stream)
            assert len(found) == len(set(found)), stream
            if stream in FILE_KEYS:
                assert not set(found) & table[stream].keys(), "no file comes twice"
            table[stream] |= {row_key(stream, row): row for row in result.records(stream)}
            assert stale(sandbox, stream, table[stream]) == [], stream
        made = asked(sandbox)
        assert made["GET /transcriptions"] <= -(-len(truth(sandbox, "bota_transcriptions")) // 100)
        assert made["GET /transcriptions?"] == 0
        sandbox.advance(timedelta(hours=hours))


def test_an_incremental_sync_walks_the_list_of_transcriptions_as_far_as_the_look_back() -> None:
    with Sandbox(seed=4, size=1500, now=NOW, bota_revision="live") as sandbox, clock_of(sandbox):
        config = sandbox_config(sandbox, "bota")
        first = sync(config, "bota_transcriptions")
        assert asked(sandbox)["GET /transcriptions"] == -(-len(truth(sandbox, "bota_transcriptions")) // 100) > 5
        sandbox.advance(timedelta(hours=2))
        sandbox.clear_requests()
        second = sync(config, "bota_transcriptions", state=first.state)

        assert second.records("bota_transcriptions")
        assert asked(sandbox)["GET /transcriptions"] <= 4
        seen = {*got(sandbox, first, "bota_transcriptions"), *got(sandbox, second, "bota_transcriptions")}
        assert truth(sandbox, "bota_transcriptions") <= seen


@pytest.mark.parametrize("needs_filter", [False, True])
@pytest.mark.parametrize(
    ("before", "after"), [("cursor", "live"), ("offset", "mixed"), ("mixed", "live"), ("live", "cursor")]
)
def test_an_account_that_changes_between_two_syncs(
    sandbox: Sandbox, before: str, after: str, needs_filter: bool
) -> None:
    """Nothing is lost and no key comes twice: what is new or inside the look-back has the new form, the rest keeps its own."""
    streams = ["bota_transcriptions", "bota_recording_files", *LISTS]
    config = sandbox_config(sandbox, "bota")
    sandbox.knobs.turn(bota_revision=before, bota_needs_filter=needs_filter)
    first = sync(config, *streams)
    then = {stream: truth(sandbox, stream) for stream in streams}
    sandbox.advance(timedelta(hours=30))
    sandbox.knobs.turn(bota_revision=after)
    sandbox.clear_requests()
    second = sync(config, *streams, state=first.state)
    third = sync(config, *streams, state=second.state)

    assert not (first.failed or second.failed or third.failed)
    for result in (first, second, third):
        for stream in streams:
            found = got(sandbox, result, stream)
            assert len(found) == len(set(found)), stream
    for stream in ("bota_transcriptions", *LISTS):
        seen = {key for result in (first, second) for key in got(sandbox, result, stream)}
        assert seen == then[stream] | truth(sandbox, stream), stream

    files = "bota_recording_files"
    rows = [row for result in (first, second, third) for row in result.records(files)]
    assert len({row["media_id"] for row in rows}) == len(rows)
    assert {row_key(files, row) for row in rows} >= then[files]
    # What is older than the look-back keeps the files that it had.
    recent = {row["id"] for row in sandbox.rows("bota_recordings") if row["created_at"] > "2026-10-29T12"}
    now_there = {owners(sandbox)[key[0]] for key in truth(sandbox, files)} & recent
    assert now_there and now_there <= {row["recording_id"] for row in rows}
    assert third.records(files) == []
    made = asked(sandbox)
    assert made["GET /transcriptions"] <= 4 and (needs_filter or not made["GET /transcriptions?"])


def owners(sandbox: Sandbox) -> dict[str, str]:
    """The recording of each file."""
    rows = list(sandbox.rows("bota_recordings"))
    media = {medium["id"]: row["id"] for row in rows for medium in row.get("media", ())}
    return {row["id"]: row["id"] for row in rows} | media


def test_ids_need_no_list(sandbox: Sandbox) -> None:
    sandbox.knobs.turn(bota_revision="mixed")
    config = sandbox_config(sandbox, "bota")
    ids = [key[0] for key in sandbox.truth("bota_recordings")[:40]]
    config["bota"]["recording_ids"] = ids

    result = sync(config)

    assert not result.failed
    for stream, field in (("bota_recordings", "id"), ("bota_transcriptions", "recording_id")):
        expected = [row[KEYS[stream][0]] for row in sandbox.rows(stream) if row[field] in ids]
        assert sorted(key for (key,) in got(sandbox, result, stream)) == sorted(expected)
    made = asked(sandbox)
    assert not made["GET /recordings"] and not made["GET /transcriptions"] and made["GET /transcriptions?"]


def test_an_encrypted_container_is_a_file_like_any_other(sandbox: Sandbox) -> None:
    sandbox.knobs.turn(bota_revision="live", bota_encrypted=True)

    result = sync(sandbox_config(sandbox, "bota"), "bota_recording_files")

    rows = {row["media_id"]: row for row in result.records("bota_recording_files")}
    containers = [r for r in sandbox.rows("bota_recording_files") if r["media_type"] == "application/octet-stream"]
    assert containers
    for expected in containers:
        row = rows[expected["media_id"]]
        assert row["media_status"] == "stored"
        assert row["media_sha256"] == expected["media_sha256"] and row["media_bytes"] == expected["media_bytes"]
