"""What only Bird and Quo have: texts that may be at a storage host, voicemails, and lists that are read as a whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from integration_tests.syncing import Row, Sync, clock_of, keys, sandbox_config, sync
from sandbox import Sandbox
from unit_tests.harness import without_nulls

NOW = datetime(2026, 11, 1, 9, 30, 12, tzinfo=timezone.utc)
TRANSCRIPTS = "bird_transcripts"
VOICEMAILS = "quo_voicemail_files"


@pytest.fixture(params=["body", "redirect"])
def bird(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Whatever the document leaves open."""
    with Sandbox(seed=11, size=400, now=NOW, bird_vtt=request.param) as started, clock_of(started):
        yield started


def asked(sandbox: Sandbox) -> list[str]:
    """The transcriptions whose text Bird was asked for."""
    return [r.path.rpartition("/")[2] for r in sandbox.requests if r.provider == "bird" and r.path.endswith(".vtt")]


def at_storage(sandbox: Sandbox) -> int:
    """How often the storage host was asked, never with anything but the address."""
    found = [request for request in sandbox.requests if request.provider == "storage"]
    for request in found:
        assert not {"authorization", "cookie", "referer"} & {name.lower() for name in request.headers}
    return len(found)


def test_every_transcript_once_and_again_only_what_is_new(bird: Sandbox) -> None:
    """And one whose transcription changes comes again, whether it was there before or not."""
    config = sandbox_config(bird, "bird")
    elsewhere = bird.knobs.bird_vtt == "redirect"

    first = sync(config, TRANSCRIPTS)

    assert not first.errors()
    rows = {row["transcriptionId"]: row for row in first.records(TRANSCRIPTS)}
    truth = {row["transcriptionId"]: row for row in bird.rows(TRANSCRIPTS)}
    assert rows == truth
    assert Counter(asked(bird)) == Counter(f"{tid}.vtt" for tid in truth)
    assert at_storage(bird) == (len(truth) if elsewhere else 0)
    assert "Signature" not in str(first.messages)

    bird.clear_requests()
    again = sync(config, TRANSCRIPTS, state=first.state)
    assert again.records(TRANSCRIPTS) == []
    assert (asked(bird), at_storage(bird)) == ([], 0)

    bird.advance(timedelta(hours=12))
    bird.clear_requests()
    later = sync(config, TRANSCRIPTS, state=again.state)
    new = {row["transcriptionId"]: row for row in later.records(TRANSCRIPTS)}
    assert new and len(new) == len(later.records(TRANSCRIPTS))
    assert {**truth, **new} == {row["transcriptionId"]: row for row in bird.rows(TRANSCRIPTS)}
    assert Counter(asked(bird)) == Counter(f"{tid}.vtt" for tid in new)


def test_the_list_of_transcriptions_is_read_once_for_both_streams(bird: Sandbox) -> None:
    config = sandbox_config(bird, "bird")
    sync(config, "bird_transcriptions")
    pages = len(bird.requests)
    bird.clear_requests()

    sync(config, "bird_transcriptions", TRANSCRIPTS)

    assert sum(request.path.endswith("/transcriptions") for request in bird.requests) == pages


def test_a_text_that_storage_refuses_comes_with_the_next_try_or_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)
    with Sandbox(seed=11, size=150, now=NOW, bird_vtt="redirect") as sandbox, clock_of(sandbox):
        config = sandbox_config(sandbox, "bird")
        once, always = (key for (key,) in sandbox.truth(TRANSCRIPTS)[:2])
        sandbox.fault("storage", once, status=403, times=1)
        sandbox.fault("storage", always, status=403)

        first = sync(config, TRANSCRIPTS)

        got = set(keys(sandbox, TRANSCRIPTS, first.records(TRANSCRIPTS)))
        assert got == set(sandbox.truth(TRANSCRIPTS)) - {(always,)}
        assert first.statuses(TRANSCRIPTS)[-1] == "INCOMPLETE"
        assert any("Bird led to another address: its host answered HTTP 403" in error for error in first.errors())
        assert not any("Signature" in error for error in first.errors())
        assert at_storage(sandbox)

        sandbox.clear_faults()
        second = sync(config, TRANSCRIPTS, state=first.state)
        assert (always,) in keys(sandbox, TRANSCRIPTS, second.records(TRANSCRIPTS))
        assert not second.failed


def stored(result: Sync) -> list[Row]:
    return [row for row in result.records(VOICEMAILS) if row["media_status"] == "stored"]


@pytest.fixture
def quo() -> Iterator[Sandbox]:
    with Sandbox(seed=11, size=400, now=NOW, media_bytes=600) as started, clock_of(started):
        yield started


def test_every_voicemail_once_and_no_request_but_the_lists(quo: Sandbox, staging: Path) -> None:
    config = sandbox_config(quo, "quo")
    sync(config, "quo_calls")
    pages = len(quo.requests)
    quo.clear_requests()

    first = sync(config, VOICEMAILS)

    assert Counter(keys(quo, VOICEMAILS, stored(first))) == Counter(quo.truth(VOICEMAILS))
    assert at_storage(quo) == len(quo.truth(VOICEMAILS))
    assert {request.path for request in quo.requests if request.provider == "quo"} == {"/calls"}
    assert len(quo.requests) == pages + at_storage(quo)
    for row in stored(first):
        whole = b"".join(quo.media_bytes("quo", row["voicemailId"]))
        assert (staging / row["media_path"]).read_bytes() == whole

    quo.clear_requests()
    again = sync(config, VOICEMAILS, state=first.state)
    assert (again.records(VOICEMAILS), at_storage(quo)) == ([], 0)
    quo.advance(timedelta(hours=24))
    later = sync(config, VOICEMAILS, state=again.state)
    assert Counter(keys(quo, VOICEMAILS, [*stored(first), *stored(later)])) == Counter(quo.truth(VOICEMAILS))


def test_voicemails_whose_addresses_run_out_on_the_way(quo: Sandbox, staging: Path) -> None:
    """A long list is read before its last files are: each is then asked for by its call."""
    expired: list[str] = []

    def expire(request: object) -> None:
        if getattr(request, "provider", "") == "storage" and not expired:
            expired.append("once")
            quo.expire_urls()

    quo.on_request(expire)
    result = sync(sandbox_config(quo, "quo"), VOICEMAILS)

    assert len(stored(result)) == len(quo.truth(VOICEMAILS))
    by_id = [request for request in quo.requests if request.path.startswith("/calls/")]
    assert by_id and {request.query["include"] for request in by_id} == {"summary,voicemail"}


def test_users_and_numbers_are_read_as_a_whole_each_time(quo: Sandbox) -> None:
    streams = ("quo_users", "quo_phone_numbers")
    config = sandbox_config(quo, "quo", start_date="2026-10-31T00:00:00Z")
    first = sync(config, *streams)
    quo.advance(timedelta(days=3))
    second = sync(config, *streams, state=first.state)
    for stream in streams:
        rows = second.records(stream)
        assert len(first.records(stream)) == 400 < len(rows)
        assert {row["id"]: row for row in rows} == {row["id"]: without_nulls(row) for row in quo.rows(stream)}
