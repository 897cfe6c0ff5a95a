"""What changes as time goes by."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from integration_tests.documents.client import Client, keyed


def test_everything_settles_within_two_days(make: Callable[..., Client]) -> None:
    client = make(size=400)
    unsettled = {
        "bird_recordings": {"accepted", "ongoing", "paused", "completed"},
        "quo_call_recordings": {"in-progress", "paused", "processing", "stopping", "stopped"},
        "quo_call_transcripts": {"in-progress"},
    }

    def pending() -> dict[str, set[Any]]:
        return {
            stream: {key for key, row in keyed(client, stream).items() if row["status"] in open_}
            for stream, open_ in unsettled.items()
        }

    now = pending()
    assert all(now.values())
    client.sandbox.advance(timedelta(days=2))
    later = pending()
    assert not any(now[stream] & later[stream] for stream in unsettled)


def test_what_changes_as_time_goes_by(make: Callable[..., Client]) -> None:
    client = make(size=400, days=30, media_bytes=50)
    before = {name: keyed(client, name) for name in client.sandbox.streams}
    client.sandbox.advance(timedelta(days=2))
    after = {name: keyed(client, name) for name in client.sandbox.streams}
    for stream, rows in before.items():
        assert set(after[stream]) - set(rows), f"nothing new in {stream}"

    def became(stream: str, field: str) -> set[tuple[str, str]]:
        return {
            (json.dumps(old.get(field)), json.dumps(after[stream][key].get(field)))
            for key, old in before[stream].items()
            if key in after[stream] and old.get(field) != after[stream][key].get(field)
        }

    assert ('"completed"', '"available"') in became("bird_recordings", "status")
    assert {("false", "true"), ("null", "true")} & became("amigo_calls", "has_recording")
    assert any(old == "null" for old, _ in became("amigo_call_details", "call_end_time"))
    for field in ("verified_transcript", "call_analysis", "conversation_summary", "safety_summary"):
        assert any(old == "null" for old, _ in became("amigo_call_details", field)), field
    assert ('"processing"', '"completed"') in became("quo_call_recordings", "status")
    assert ('"pending"', '"uploaded"') in became("bota_recordings", "status")
    assert any(old == "null" for old, _ in became("bota_recordings", "transcription_id"))
    assert any(old == "[]" for old, _ in became("bota_recordings", "media"))
    assert any(old == "null" for old, _ in became("tether_call_recordings", "transcriptionText"))
    client.sandbox.advance(timedelta(days=6))
    after = {name: keyed(client, name) for name in client.sandbox.streams}
    assert ('"available"', '"absent"') in became("bird_recordings", "status")
    assert ('"completed"', '"deleted"') in became("quo_call_recordings", "status")
    for stream in ("amigo_calls", "tether_calls"):
        assert set(before[stream]) - set(after[stream]), f"{stream} never shrinks"
    for stream in ("bird_recordings", "quo_calls", "bota_recordings"):
        assert set(before[stream]) <= set(after[stream])
    for stream, field in (("bird_recordings", "updatedAt"), ("tether_calls", "updatedAt")):
        for key, old in before[stream].items():
            assert after[stream].get(key, old)[field] >= old[field]


def test_a_deleted_call_is_gone_everywhere(make: Callable[..., Client]) -> None:
    client = make(size=300, days=20)
    gone: dict[str, list[Any]] = {}
    for stream in ("amigo_recording_urls", "tether_call_recordings"):
        gone[stream] = client.sandbox.truth(stream)
    client.sandbox.advance(timedelta(days=5))
    root = client.path("amigo_calls")[1].removesuffix("/calls")
    asked = 0
    for stream, path in (
        ("amigo_recording_urls", root + "/recordings/{}/urls"),
        ("tether_call_recordings", "/api/calls/{}/recording"),
        ("tether_call_recordings", "/api/calls/{}"),
    ):
        for (key,) in set(gone[stream]) - set(client.sandbox.truth(stream)):
            assert client.ask(stream.split("_")[0], path.format(key)).status_code == 404
            asked += 1
    assert asked >= 3
