"""What is answered about single recordings, and that the data has everything that the documents allow."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from jsonschema import Draft202012Validator

from integration_tests.documents.client import DOCUMENTS, EXTRAS, Client, Row
from source_recordings.provider_yaml import load_providers


def detail_paths(client: Client) -> Iterator[tuple[str, str, str]]:
    """(provider, path, stream) of every detail of everything that is listed."""
    for stream in ("bird_recordings", "bird_transcriptions"):
        for row in client.list(stream, {"limit": 99}):
            yield "bird", f"{client.path(stream)[1]}/{row['id']}", ""
    root = client.path("amigo_calls")[1].removesuffix("/calls")
    for row in client.list("amigo_calls", {"limit": 100}):
        if row.get("call_sid"):
            # Those without a conversation have details too, without turns.
            talked = row.get("turns") != 0 and row.get("status") in ("in-progress", "completed", "unknown")
            yield "amigo", f"{root}/calls/{row['call_sid']}", "amigo_call_details" if talked else ""
            for name in ("urls", "metadata"):
                path = f"{root}/recordings/{row['call_sid']}/{name}"
                yield "amigo", path, f"amigo_recording_{name}"
    for row in client.list("quo_calls", {"limit": 50, "include": "summary,voicemail"}):
        yield "quo", f"/calls/{row['id']}?include=summary,voicemail", ""
        yield "quo", f"/v1/call-recordings/{row['id']}", "quo_call_recordings"
        yield "quo", f"/v1/call-transcripts/{row['id']}", "quo_call_transcripts"
    for row in client.list("bota_recordings", {"limit": 100}):
        yield "bota", f"/v1/recordings/{row['id']}", ""
        if row["transcription_id"]:
            yield "bota", f"/v1/transcriptions/{row['transcription_id']}", "bota_transcriptions"
    for row in client.list("tether_calls", {"limit": 100}):
        yield "tether", f"/api/calls/{row['callId']}", ""
        yield "tether", f"/api/calls/{row['callId']}/recording", "tether_call_recordings"


@pytest.mark.parametrize("hours", [0, 1, 30, 400])
def test_details_match_the_documents_and_the_truth(make: Callable[..., Client], hours: int) -> None:
    client = make(size=70, media_bytes=300)
    client.sandbox.advance(timedelta(hours=hours))
    found: dict[str, list[Row]] = {}
    for provider, path, stream in detail_paths(client):
        response = client.ask(provider, path)
        if stream and response.status_code == 200:
            body = response.json()
            body = body["data"] if provider == "quo" else body
            found.setdefault(stream, []).extend(body if isinstance(body, list) else [body])
        elif not stream:
            assert response.status_code == 200
    for stream, rows in found.items():
        injected = {"callId", "callCreatedAt", "call_started_at", "recording_created_at"}
        expected = [
            {name: row[name] for name in row if name not in injected - set(rows[0])}
            for row in client.sandbox.rows(stream)
        ]
        assert sorted(map(json.dumps, rows)) == sorted(map(json.dumps, expected)), stream
    assert len(found) == 7


@pytest.mark.parametrize("way", ["body", "redirect"])
def test_the_text_of_a_transcription(make: Callable[..., Client], way: str) -> None:
    """The page names the address only: the text itself, or a redirect to storage; none while it is not available."""
    client = make(size=200, bird_vtt=way)
    texts = {row["transcriptionId"]: row["vtt"] for row in client.sandbox.rows("bird_transcripts")}
    for row in client.list("bird_transcriptions", {"limit": 99}):
        response = client.ask("bird", f"{client.path('bird_transcriptions')[1]}/{row['id']}.vtt")
        if row["status"] != "available":
            assert response.status_code == 404
            continue
        if way == "redirect":
            assert (response.status_code, response.content) == (307, b"")
            response = requests.get(response.headers["Location"], timeout=10)
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/vtt")
        assert response.content.decode() == texts.pop(row["id"])
    assert texts == {}


def test_transcriptions_come_late_and_in_several_languages(make: Callable[..., Client]) -> None:
    sandbox = make(size=1500).sandbox
    rows = {row["id"]: row for row in sandbox.rows("bird_transcriptions")}
    of = Counter(row["recordingId"] for row in rows.values())
    assert set(of.values()) == {1, 2}
    assert {row["status"] for row in rows.values()} == {"accepted", "available"}
    sandbox.advance(timedelta(hours=2))  # the longest that one takes
    later = {row["id"]: row for row in sandbox.rows("bird_transcriptions")}
    for key, row in rows.items():
        assert later[key]["status"] == "available"
        assert (later[key]["updatedAt"] > row["updatedAt"]) == (row["status"] == "accepted")


def test_what_a_voicemail_has_and_when(make: Callable[..., Client]) -> None:
    """Its address and its text come once it is completed; the text not always."""
    client = make(size=1500)

    def left() -> dict[str, Row]:
        calls = client.list("quo_calls", {"include": "voicemail", "limit": 50})
        return {row["voicemail"]["id"]: row["voicemail"] for row in calls if row["voicemail"]}

    now, files = left(), set(client.sandbox.truth("quo_voicemail_files"))
    client.sandbox.advance(timedelta(hours=2))
    later = left()
    assert {row["status"] for row in now.values()} == {"in-progress", "completed"}
    for key, row in now.items():
        assert later[key]["status"] == "completed"
        if row["status"] == "in-progress":
            assert (row["recordingUrl"], row["transcript"]) == (None, None)
    assert {row["transcript"] is None for row in later.values()} == {True, False}
    assert None in {row["duration"] for row in later.values()}
    assert {(key,) for key, row in now.items() if row["recordingUrl"]} == files
    assert set(client.sandbox.truth("quo_voicemail_files")) > files


def test_the_data_has_everything_the_documents_allow(make: Callable[..., Client]) -> None:
    client = make(size=1500, days=60, media_bytes=20)
    rows = {name: list(client.sandbox.rows(name)) for name in client.sandbox.streams}

    def values(stream: str, field: str) -> set[Any]:
        return {json.dumps(row[field]) if field in row else "absent" for row in rows[stream]}

    def some(stream: str, holds: Callable[[Row], bool]) -> bool:
        return any(map(holds, rows[stream]))

    for stream, field, schema in (
        ("bird_recordings", "status", DOCUMENTS["bird"]["$defs"]["RecordingStatus"]),
        ("bird_recordings", "origin", DOCUMENTS["bird"]["$defs"]["RecordingOrigin"]),
        ("quo_calls", "status", DOCUMENTS["quo"]["$defs"]["Call"]["properties"]["status"]),
        ("tether_calls", "status", DOCUMENTS["tether"]["$defs"]["Call"]["properties"]["status"]),
    ):
        missing = {json.dumps(value) for value in schema["enum"]} - values(stream, field)
        # Seconds long, these two: seen only by who looks at the right moment.
        assert missing <= {'"accepted"', '"initiated"', '"paused"'}, (stream, field)
    assert values("amigo_calls", "has_recording") >= {"true", "false", "null"}
    assert {"null", "absent"} <= values("amigo_calls", "started_at")
    assert "null" in values("amigo_calls", "call_sid")
    urls = [row[name] for row in rows["amigo_recording_urls"] for name in
            ("inbound_url", "outbound_url", "metadata_url")]  # fmt: skip
    api = client.config["amigo"]["base_url"]
    assert None in urls
    assert any(url and url.startswith("/v1/") for url in urls)
    assert any(url and url.startswith(api) for url in urls)
    details = rows["amigo_call_details"]
    for field in ("call_end_time", "timeline", "verified_transcript", "call_analysis", "forwarding", "safety"):
        assert len(values("amigo_call_details", field)) > 1, field
    timebases = [row["timeline"]["timebase"] for row in details if row.get("timeline")]
    assert {base.get("origin") for base in timebases} == {"media_start", "call_start", "synthetic", None}
    assert some("amigo_call_details", lambda row: bool(row.get("human_segments")))
    assert some("amigo_call_details", lambda row: row.get("call_end_time") is None and bool(row.get("turns")))
    said = {(bool(t["user_transcript"]), bool(t["agent_transcript"])) for row in details for t in row.get("turns", ())}
    assert len(said) == 4, "a turn holds what both say, one of them or nobody"
    assert values("quo_call_recordings", "status") >= {
        '"completed"', '"absent"', '"failed"', '"deleted"', '"processing"', "null"
    }  # fmt: skip
    assert "null" in values("quo_call_recordings", "startTime")
    assert some("quo_call_recordings", lambda r: r["status"] == "completed" and r["url"] is None)
    assert values("quo_call_transcripts", "status") >= {'"completed"', '"absent"', '"failed"'}
    handled = [row for row in rows["quo_calls"] if row["aiHandled"] and row["answeredAt"] is None]
    assert handled
    assert some("quo_calls", lambda row: row["phoneNumberId"] is None)
    assert some("quo_calls", lambda row: len(row["participants"]) > 2)
    counts = [len(row["media"]) for row in rows["bota_recordings"]]
    assert set(counts) >= {0, 1, 2, 3}
    assert values("bota_recordings", "status") >= {'"pending"', '"failed"', '"uploaded"'}
    assert some("tether_call_recordings", lambda row: "audioData" in row)
    assert some("tether_call_recordings", lambda row: "audioUrl" in row)
    assert not some("tether_call_recordings", lambda row: ("audioUrl" in row) == ("audioData" in row))
    assert some("tether_call_recordings", lambda row: row.get("transcriptionText") is None)
    assert {type(row.get("transcriptionData")) for row in rows["tether_call_recordings"]} == {
        list, dict, type(None)
    }  # fmt: skip
    assert {type(row.get("contactId")) for row in rows["tether_calls"]} == {
        str, dict, type(None)
    }  # fmt: skip
    for stream in ("amigo_calls", "bota_recordings", "tether_calls"):
        assert some(stream, lambda row: bool(EXTRAS.keys() & row.keys()))
    assert not some("bird_recordings", lambda row: bool(EXTRAS.keys() & row.keys()))
    text = json.dumps(rows, ensure_ascii=False)
    for sign in ("\U0001f4de", "\u0645\u0643", "e\u0301", "\u05e9"):
        assert sign in text


def test_documents_are_structure_with_a_source() -> None:
    assert set(DOCUMENTS) == set(load_providers())
    for document in DOCUMENTS.values():
        assert document["documents"]
        assert all(url.startswith("https://") for url in document["documents"])
        assert '"description": "' not in json.dumps(document)
        for by_status in document["answers"].values():
            for schema in by_status.values():
                Draft202012Validator.check_schema({"$defs": document["$defs"], **schema})


def test_unknown_fields_in_closed_objects_are_a_knob(make: Callable[..., Client]) -> None:
    sandbox = make().sandbox
    closed_streams = [name for name in sandbox.streams if re.match("bird_|quo_", name)]
    # A transcript is text.
    closed_streams = [name for name in closed_streams if not re.search("_files$|^bird_transcripts$", name)]
    for turned in (False, True):
        sandbox.knobs.turn(unknown_fields=turned)
        for stream in closed_streams:
            assert all(("sandboxExtra" in row) == turned for row in sandbox.rows(stream))


def test_recordings_belong_to_calls_that_can_have_one(make: Callable[..., Client]) -> None:
    client = make(size=400)
    unanswered = {
        "queued", "initiated", "ringing", "busy", "failed", "no-answer", "canceled", "missed",
        "abandoned",
    }  # fmt: skip
    without, several, refused = 0, 0, 0
    for call in client.list("quo_calls", {"limit": 50}):
        response = client.ask("quo", f"/v1/call-recordings/{call['id']}")
        segments = response.json()["data"] if response.status_code == 200 else []
        starts = [segment["startTime"] for segment in segments if segment["startTime"]]
        assert starts == sorted(starts)
        several += len(segments) > 1
        without += not segments and response.status_code == 200
        refused += response.status_code == 404
        never = call["answeredAt"] is None and call["aiHandled"] is None
        if never and call["status"] in unanswered:
            assert not segments
            transcript = client.ask("quo", f"/v1/call-transcripts/{call['id']}")
            assert transcript.status_code == 404
    assert min(without, several, refused) > 0
    statuses = set()
    for call in client.list("tether_calls"):
        response = client.ask("tether", f"/api/calls/{call['callId']}/recording")
        statuses.add(response.status_code)
        assert response.status_code != 200 or call["status"] == "completed"
    assert statuses == {200, 400, 404}


def test_a_single_call_of_tether_is_populated(shared: Client) -> None:
    calls = [shared.ok("tether", f"/api/calls/{row['callId']}")["call"] for row in shared.list("tether_calls")[:10]]
    assert {type(call.get("userId")) for call in calls} <= {dict, type(None)}
    assert any(isinstance(call.get("userId"), dict) for call in calls)
