"""Tether's requests, as https://docs.tetherai.ca describes them."""

from __future__ import annotations

import requests_mock

from unit_tests.examples import base_url, config
from unit_tests.harness import CREATED, Connector, Row

TETHER = base_url("tether")

HISTORY = f"{TETHER}/api/calls/history"


def call(number: int, **fields: object) -> Row:
    return {"callId": f"c{number}", "status": "completed", "createdAt": CREATED, **fields}


def history(rows: list[Row], total: int) -> Row:
    return {"success": True, "calls": rows, "total": total}


def recording_url(cid: str) -> str:
    return f"{TETHER}/api/calls/{cid}/recording"


def test_the_history_is_walked_by_offset_to_its_total(connector: Connector, api: requests_mock.Mocker) -> None:
    """limit defaults to 50, no date filter, no order -> the whole list, pages overlapping by a row, dates applied here."""
    rows = [call(number) for number in range(60)]
    late, early = call(60, createdAt="2024-03-08T00:00:00Z"), call(61, createdAt="2023-01-01")
    pages = [rows[:50], [*rows[49:], late, early]]
    api.get(HISTORY, [{"json": history(page, 62)} for page in pages])

    output = connector.read(config("tether"), "tether_calls")

    assert output.records("tether_calls") == rows
    assert [request.qs for request in api.request_history] == [{"limit": ["50"]}, {"limit": ["50"], "offset": ["49"]}]


def test_recordings_of_completed_calls_with_the_fields_of_the_call(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    """The body names neither call nor time -> both are injected -> only completed calls are asked for."""
    calls = [call(1), call(2, status="no-answer"), call(3, status=None), call(4, status="failed")]
    api.get(HISTORY, json=history(calls, 4))
    body = {"success": True, "recordingId": "x", "audioUrl": "https://s3.example.com/?sig=1"}
    api.get(recording_url("c1"), json=body)

    output = connector.read(config("tether"), "tether_call_recordings")

    assert output.records("tether_call_recordings") == [{**body, "callId": "c1", "callCreatedAt": CREATED}]
    assert api.call_count == 2


def test_documented_refusals_are_skips(connector: Connector, api: requests_mock.Mocker) -> None:
    """404 no recording (yet), 400 unsupported provider -> skips, in one line with both reasons."""
    api.get(HISTORY, json=history([call(1), call(2), call(3)], 3))
    api.get(recording_url("c1"), status_code=404, json={"success": False, "error": "none"})
    problem = {"success": False, "error": {"code": "BAD_REQUEST", "message": "unsupported"}}
    api.get(recording_url("c2"), status_code=400, json=problem)
    api.get(recording_url("c3"), json={"success": True})

    output = connector.read(config("tether"), "tether_call_recordings")

    assert (output.exit_code, output.errors) == (0, [])
    assert [row["callId"] for row in output.records("tether_call_recordings")] == ["c3"]
    (summary,) = [line for line in output.logs() if "skipped" in line]
    assert "tether_call_recordings skipped 2" in summary
    assert "no recording" in summary and "telephony provider" in summary


def test_400_of_the_list_is_an_error(connector: Connector, api: requests_mock.Mocker) -> None:
    """The guard rail: 400 is a skip for one recording, not for the list of all."""
    api.get(HISTORY, status_code=400, json={"success": False, "error": "bad"})

    output = connector.read(config("tether"), "tether_calls")

    assert output.exit_code == 1
    assert output.ended("tether_calls") == "INCOMPLETE"


def test_success_false_with_200_is_not_a_record(
    connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """Its envelope has `success` -> a 200 that says false is an answer to ask for again, not a recording."""
    answers = [{"success": False, "error": "busy"}, {"success": True, "recordingId": "x"}]
    api.get(recording_url("c1"), [{"json": answer} for answer in answers])

    output = connector.read(config(tether={"call_ids": ["c1"]}), "tether_call_recordings")

    assert [row["recordingId"] for row in output.records("tether_call_recordings")] == ["x"]
    assert len(naps) == 1


def test_audio_data_is_left_out_unless_asked_for(connector: Connector, api: requests_mock.Mocker) -> None:
    """Twilio's audio comes as base64 inside the answer -> megabytes in a row -> only with include_audio_data."""
    body = {"success": True, "audioData": "data:audio/mpeg;base64,AAAA", "duration": 3}
    api.get(recording_url("c1"), json=body)

    for included, expected in ((False, False), (True, True), (None, False)):
        keys: Row = {"call_ids": ["c1"]}
        if included is not None:
            keys["include_audio_data"] = included
        output = connector.read(config(tether=keys), "tether_call_recordings")
        (row,) = output.records("tether_call_recordings")
        assert ("audioData" in row) is expected
        assert row["duration"] == 3


def test_with_ids_only_the_recording_endpoint_is_asked(connector: Connector, api: requests_mock.Mocker) -> None:
    """Contract: with call_ids no listing, no tether_calls, full refresh only."""
    settings = config(tether={"call_ids": ["c1", "c2"]})
    api.get(recording_url("c1"), json={"success": True})
    api.get(recording_url("c2"), status_code=404, json={"success": False})

    streams = connector.discover(settings).tables
    output = connector.read(settings, *streams)

    assert list(streams) == ["tether_call_recordings"]
    assert streams["tether_call_recordings"]["supported_sync_modes"] == ["full_refresh"]
    assert [row["callId"] for row in output.records("tether_call_recordings")] == ["c1"]
    assert sorted(request.url for request in api.request_history) == [recording_url("c1"), recording_url("c2")]


def test_a_base_url_with_a_path_and_a_slash_is_kept(connector: Connector, api: requests_mock.Mocker) -> None:
    """An instance may live below a path -> the path stays, a slash at the end does no harm."""
    api.get("https://tether.example.com/relay/api/calls/history", json=history([call(1)], 1))

    output = connector.read(config(tether={"base_url": f"{TETHER}/relay/"}), "tether_calls")

    assert len(output.records("tether_calls")) == 1


def test_an_address_without_the_api_is_a_config_error(connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(HISTORY, status_code=404, text="<html>nginx</html>")

    output = connector.read(config("tether"), "tether_calls")

    assert output.errors[0]["failure_type"] == "config_error"
    assert "`tether.base_url`" in output.errors[0]["message"]
    assert api.call_count == 1
