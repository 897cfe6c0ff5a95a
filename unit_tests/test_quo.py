"""Quo's requests, as https://www.quo.com/docs describes them: calls of 2026-03-30, details of v1."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests_mock

from source_recordings.unified import UNIFIED
from unit_tests.examples import base_url, config
from unit_tests.harness import CREATED, Connector, Output, Row

QUO = base_url("quo")

CALLS = f"{QUO}/calls"
RECORDINGS = f"{QUO}/v1/call-recordings"
TRANSCRIPTS = f"{QUO}/v1/call-transcripts"


def call(cid: str, **fields: object) -> Row:
    return {"id": cid, "status": "completed", "answeredAt": CREATED, "createdAt": CREATED, **fields}


def test_calls_need_a_version_header_and_page_by_after(connector: Connector, api: requests_mock.Mocker) -> None:
    """Without Quo-Api-Version 400; limit is 1 to 50, nextCursor continues as after, createdAt[gte]/[lte] filter."""
    rows = [call(f"AC{number}") for number in range(3)]
    api.get(
        CALLS, [{"json": {"data": rows[:2], "nextCursor": "x+/=&y"}}, {"json": {"data": rows[2:], "nextCursor": None}}]
    )

    output = connector.read(config("quo"), "quo_calls")

    assert output.records("quo_calls") == rows
    first, second = api.request_history
    assert {r.headers["Quo-Api-Version"] for r in (first, second)} == {"2026-03-30"}
    query = {
        "limit": ["50"],
        "include": ["summary,voicemail"],
        "createdAt[gte]": ["2024-03-01T00:00:00.000000Z"],
        "createdAt[lte]": ["2024-03-08T00:00:00.000000Z"],
    }
    assert first.qs == query
    assert second.qs == {**query, "after": ["x+/=&y"]}


def test_a_call_at_the_very_end_date_belongs_to_the_next_part(connector: Connector, api: requests_mock.Mocker) -> None:
    """createdAt[lte] is inclusive, end_date is not -> a row at exactly end_date is dropped here."""
    rows = [call("AC1", createdAt="2024-03-08T00:00:00.000Z"), call("AC2")]
    api.get(CALLS, json={"data": rows, "nextCursor": None})

    output = connector.read(config("quo"), "quo_calls")

    assert output.records("quo_calls") == rows[1:]


@pytest.mark.parametrize(
    ("fields", "asked"),
    [
        ({"status": "completed"}, True),
        ({"status": "in-progress"}, True),
        ({"status": "forwarded", "answeredAt": None}, True),
        ({"status": "missed", "answeredAt": None, "aiHandled": "ai-agent"}, True),
        ({"status": "abandoned"}, True),
        ({"status": "a new status", "answeredAt": None}, True),
        ({"status": "no-answer", "answeredAt": None}, False),
        ({"status": "missed", "answeredAt": None, "aiHandled": None}, False),
        ({"status": "busy", "answeredAt": None}, False),
        ({"status": "queued", "answeredAt": None}, False),
    ],
)
def test_details_are_asked_for_calls_that_can_have_a_recording(
    fields: Row, asked: bool, connector: Connector, api: requests_mock.Mocker
) -> None:
    """A call that neither a person nor the AI agent took has no recording -> no request; in doubt, one."""
    api.get(CALLS, json={"data": [call("AC1", **fields)], "nextCursor": None})
    api.get(f"{RECORDINGS}/AC1", json={"data": []})

    output = connector.read(config("quo"), "quo_call_recordings")

    assert output.exit_code == 0
    assert api.call_count == (2 if asked else 1)


def test_every_segment_of_a_call_is_a_record(connector: Connector, api: requests_mock.Mocker) -> None:
    """`data` is an array, one item per recorded segment, maybe empty -> a record each, with the call it belongs to."""
    segments = [{"id": f"CR{number}", "status": "completed"} for number in range(2)]
    api.get(CALLS, json={"data": [call("AC1"), call("AC2")], "nextCursor": None})
    api.get(f"{RECORDINGS}/AC1", json={"data": segments})
    api.get(f"{RECORDINGS}/AC2", json={"data": []})

    output = connector.read(config("quo"), "quo_call_recordings")

    injected = {"callId": "AC1", "callCreatedAt": CREATED}
    assert output.records("quo_call_recordings") == [{**row, **injected} for row in segments]
    assert not any("skipped" in line for line in output.logs())
    details = [request for request in api.request_history if "/v1/" in request.path]
    assert all("Quo-Api-Version" not in request.headers for request in details)
    assert all(request.query == "" for request in details)


def test_404_of_details_is_a_skip(connector: Connector, api: requests_mock.Mocker) -> None:
    """404: no recording, or a call of another workspace -> a skip."""
    api.get(CALLS, json={"data": [call("AC1"), call("AC2")], "nextCursor": None})
    api.get(requests_mock.ANY, status_code=404, json={"message": "Not found", "code": "0900404"})
    api.get(CALLS, json={"data": [call("AC1"), call("AC2")], "nextCursor": None})

    output = connector.read(config("quo"), "quo_call_recordings", "quo_call_transcripts")

    assert (output.exit_code, output.errors) == (0, [])
    summary = sorted(line for line in output.logs() if "skipped" in line)
    assert "quo_call_recordings skipped 2" in summary[0]
    assert "quo_call_transcripts skipped 2" in summary[1]
    assert len(summary) == 2


@pytest.mark.parametrize("status", [402, 403])
def test_transcripts_of_a_lesser_plan_end_that_stream_alone(
    status: int, connector: Connector, api: requests_mock.Mocker
) -> None:
    """Transcripts need Business or Scale: 402 (or 403) -> that stream ends and says so, the others go on."""
    calls = [call(f"AC{number}") for number in range(40)]
    api.get(requests_mock.ANY, status_code=status, json={"message": "Upgrade"})
    api.get(CALLS, json={"data": calls, "nextCursor": None})
    for number in range(40):
        api.get(f"{RECORDINGS}/AC{number}", json={"data": [{"id": f"CR{number}"}]})
    streams = ["quo_calls", "quo_call_recordings", "quo_call_transcripts"]

    output = connector.read({**config("quo"), "num_workers": 2}, *streams)

    assert [output.ended(stream) for stream in streams] == ["COMPLETE", "COMPLETE", "INCOMPLETE"]
    assert len(output.records("quo_call_recordings")) == 40
    error = output.errors[0]
    assert error["failure_type"] == "config_error"
    assert "Business or Scale" in error["message"] and "quo_call_transcripts" in error["message"]
    refused = [request for request in api.request_history if "transcripts" in request.path]
    assert len(refused) <= 8, "not one request per call"


def test_403_of_recordings_is_a_rejected_key(connector: Connector, api: requests_mock.Mocker) -> None:
    """The guard rail: the plan explains a 403 of transcripts only."""
    api.get(f"{RECORDINGS}/AC1", status_code=403, json={"message": "Forbidden"})

    output = connector.read(config(quo={"call_ids": ["AC1"]}), "quo_call_recordings")

    assert "`quo.api_key`" in output.errors[0]["message"]
    assert "plan" not in output.errors[0]["message"]


def test_with_ids_only_the_details_are_asked(connector: Connector, api: requests_mock.Mocker) -> None:
    """Contract: with call_ids no listing, no quo_calls, full refresh only, nothing injected but the call's id."""
    settings = config(quo={"call_ids": ["AC1"]})
    api.get(f"{RECORDINGS}/AC1", json={"data": [{"id": "CR1"}]})
    api.get(f"{TRANSCRIPTS}/AC1", json={"data": {"callId": "AC1", "dialogue": None}})

    streams = connector.discover(settings).tables
    output = connector.read(settings, *streams)

    assert sorted(streams) == ["quo_call_recordings", "quo_call_transcripts"]
    assert {tuple(s["supported_sync_modes"]) for s in streams.values()} == {("full_refresh",)}
    assert output.records("quo_call_recordings") == [{"id": "CR1", "callId": "AC1"}]
    (transcript,) = output.records("quo_call_transcripts")
    assert transcript["callId"] == "AC1"
    assert sorted(request.url for request in api.request_history) == [f"{RECORDINGS}/AC1", f"{TRANSCRIPTS}/AC1"]


def test_a_transcript_that_is_null_is_no_record(connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(f"{TRANSCRIPTS}/AC1", json={"data": None})

    output = connector.read(config(quo={"call_ids": ["AC1"]}), "quo_call_transcripts")

    assert output.records("quo_call_transcripts") == []
    assert output.statuses("quo_call_transcripts")[-1] in ("COMPLETE", "INCOMPLETE")


@pytest.mark.parametrize(
    ("stream", "path", "more"),
    [("quo_users", "/users", {}), ("quo_phone_numbers", "/phone-numbers", {"include": ["restrictions"]})],
)
def test_users_and_numbers_are_read_as_a_whole(
    stream: str, path: str, more: Row, connector: Connector, api: requests_mock.Mocker
) -> None:
    """No date filter and no time that would tell what is new: every sync reads all, whatever the dates of the config."""
    rows = [{"id": f"X{number}", "createdAt": "2019-01-01T00:00:00Z"} for number in range(3)]
    replies: list[Row] = [
        {"json": {"data": rows[:2], "nextCursor": "x+/=&y"}},
        {"json": {"data": rows[2:], "nextCursor": None}},
    ]
    api.get(f"{QUO}{path}", replies * 2)

    found = connector.discover(config("quo")).streams[stream]
    output = connector.read(config("quo"), stream)

    assert found["supported_sync_modes"] == ["full_refresh"]
    assert not found.get("default_cursor_field")
    assert output.records(stream) == rows
    first, second = api.request_history
    assert {r.headers["Quo-Api-Version"] for r in (first, second)} == {"2026-03-30"}
    assert first.qs == {"limit": ["50"], **more}
    assert second.qs == {"limit": ["50"], "after": ["x+/=&y"], **more}


VOICEMAIL = {"id": "VM1", "status": "completed", "recordingUrl": "https://storage.example.net/vm1?sig=1"}
STORED: Row = {"content": b"ID3 audio", "headers": {"Content-Type": "audio/mpeg", "Content-Length": "9"}}


def voicemails(connector: Connector, state: list[Row] | None = None) -> Output:
    return connector.read(config("quo"), "quo_voicemail_files", sync_mode="incremental", state=state)


@pytest.fixture
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on_the_day_after: None) -> Path:
    monkeypatch.setenv("AIRBYTE_STAGING_DIRECTORY", str(tmp_path / "staging"))
    return tmp_path / "staging"


def test_a_voicemail_is_downloaded_once_it_is_completed(
    connector: Connector, api: requests_mock.Mocker, staging: Path
) -> None:
    """Its address stands in the call's row: no further request to Quo. Once stored it is not downloaded again."""
    calls = [call("AC1"), call("AC2", voicemail=None), call("AC3", voicemail={**VOICEMAIL, "status": "in-progress"})]
    api.get(CALLS, json={"data": [*calls, call("AC4", voicemail=VOICEMAIL)], "nextCursor": None})
    api.get("https://storage.example.net/vm1", **STORED)

    output = voicemails(connector)

    assert (output.exit_code, output.errors) == (0, [])
    (row,) = output.records("quo_voicemail_files")
    assert {name: row[name] for name in ("voicemailId", "callId", "callCreatedAt", "media_status")} == {
        "voicemailId": "VM1",
        "callId": "AC4",
        "callCreatedAt": CREATED,
        "media_status": "stored",
    }
    assert (staging / row["media_path"]).read_bytes() == b"ID3 audio"
    asked = [request.path for request in api.request_history]
    assert asked.count("/vm1") == 1 and set(asked) == {"/calls", "/vm1"}
    again = voicemails(connector, [output.of("STATE")[-1]])
    assert again.records("quo_voicemail_files") == []
    assert sum(request.path == "/vm1" for request in api.request_history) == 1


def test_a_voicemail_whose_address_has_run_out_is_asked_for_once_more(
    connector: Connector, api: requests_mock.Mocker, staging: Path
) -> None:
    """Get a call by ID has a new one."""
    api.get(CALLS, json={"data": [call("AC4", voicemail=VOICEMAIL)], "nextCursor": None})
    fresh = {**VOICEMAIL, "recordingUrl": "https://storage.example.net/vm1?sig=2"}
    api.get(f"{CALLS}/AC4", json={"data": call("AC4", voicemail=fresh)})
    api.get("https://storage.example.net/vm1?sig=1", status_code=403)
    api.get("https://storage.example.net/vm1?sig=2", **STORED)

    output = voicemails(connector)

    (row,) = output.records("quo_voicemail_files")
    assert row["media_status"] == "stored"
    (renewed,) = [request for request in api.request_history if request.path == "/calls/AC4"]
    assert renewed.headers["Quo-Api-Version"] == "2026-03-30"
    assert renewed.qs == {"include": ["summary,voicemail"]}
    assert "sig=" not in output.said


@pytest.mark.parametrize("reply", [{"status_code": 404}, {"json": {"data": call("AC4")}}])
def test_a_voicemail_that_is_gone_by_then_is_missing(
    reply: Row, connector: Connector, api: requests_mock.Mocker, staging: Path
) -> None:
    """It is looked for again inside the look-back."""
    api.get(CALLS, json={"data": [call("AC4", voicemail=VOICEMAIL)], "nextCursor": None})
    api.get(f"{CALLS}/AC4", **reply)
    api.get("https://storage.example.net/vm1", status_code=403)

    output = voicemails(connector)
    again = voicemails(connector, [output.of("STATE")[-1]])

    for found in (output, again):
        assert (found.exit_code, found.errors) == (0, [])
        assert [row["media_status"] for row in found.records("quo_voicemail_files")] == ["missing"]


def test_with_ids_there_are_no_users_numbers_and_voicemails(connector: Connector) -> None:
    """Contract: nothing is listed."""
    offered = connector.discover(config(quo={"call_ids": ["AC1"]})).streams
    own = sorted(offered.keys() - UNIFIED.keys())
    assert own == ["quo_call_recordings", "quo_call_transcripts", "quo_recording_files"]
