"""Amigo's requests, as https://docs.amigo.ai/api-reference/readme/platform describes them."""

from __future__ import annotations

import requests_mock

from unit_tests.examples import base_url, config, section
from unit_tests.harness import CREATED, Connector, Row

AMIGO = base_url("amigo")
WORKSPACE = section("amigo")["workspace_id"]

CALLS = f"{AMIGO}/v1/{WORKSPACE}/calls"
RECORDINGS = f"{AMIGO}/v1/{WORKSPACE}/recordings"


def call(number: int, **fields: object) -> Row:
    row = {"entity_id": f"e{number}", "call_sid": f"CA{number}", "started_at": CREATED}
    return {**row, "has_recording": True, **fields}


def page(rows: list[Row], total: int) -> Row:
    return {"items": rows, "total": total, "has_more": False, "continuation_token": None}


def test_calls_are_listed_by_day_in_pages_of_100(connector: Connector, api: requests_mock.Mocker) -> None:
    """date_from/date_to are whole days of an unknown time zone -> a day more on either side, the rest dropped here."""
    inside = call(1, started_at="2024-03-01T00:00:00+00:00")
    outside = [call(2, started_at="2024-02-29T23:59:59.999999Z"), call(3, started_at="2024-03-08T00:00:00Z")]
    api.get(CALLS, json=page([outside[1], inside, outside[0]], 3))

    output = connector.read(config("amigo"), "amigo_calls")

    assert output.records("amigo_calls") == [inside]
    (request,) = api.request_history
    assert request.qs == {"limit": ["100"], "date_from": ["2024-02-29"], "date_to": ["2024-03-09"]}


def test_pages_overlap_by_one_row_and_end_at_total(connector: Connector, api: requests_mock.Mocker) -> None:
    """offset pages shift when rows come or go -> each page begins with the last row of the one before."""
    rows = [call(number) for number in range(150)]
    api.get(CALLS, [{"json": page(rows[:100], 150)}, {"json": page(rows[99:], 150)}])

    output = connector.read(config("amigo"), "amigo_calls")

    assert output.records("amigo_calls") == rows
    assert [request.qs.get("offset") for request in api.request_history] == [None, ["99"]]


def test_details_are_asked_for_calls_with_a_recording_and_a_sid(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    """has_recording is true, false or null and call_sid nullable -> only the calls that can have one cost a request."""
    calls = [call(1), call(2, has_recording=False), call(3, has_recording=None), call(4, call_sid=None)]
    del calls[3]["call_sid"]
    api.get(CALLS, json=page(calls, 4))
    api.get(f"{RECORDINGS}/CA1/metadata", json={"call_sid": "CA1", "tts_provider": "音声"})

    output = connector.read(config("amigo"), "amigo_recording_metadata")

    assert output.records("amigo_recording_metadata") == [
        {"call_sid": "CA1", "tts_provider": "音声", "call_started_at": CREATED}
    ]
    assert [request.path for request in api.request_history] == [
        f"/v1/{WORKSPACE}/calls",
        f"/v1/{WORKSPACE}/recordings/CA1/metadata",
    ]


def test_what_has_no_recording_now_is_skipped_and_counted(connector: Connector, api: requests_mock.Mocker) -> None:
    """404 not there (yet), 422 no such sid, 202 archived and being restored -> skips, in one line, not errors."""
    sids = [f"CA{number}" for number in range(1, 6)]
    api.get(CALLS, json=page([call(number) for number in range(1, 6)], 5))
    restoring = {"detail": "restoring", "call_sid": "CA3", "status": "restoring"}
    api.get(f"{RECORDINGS}/CA1/urls", status_code=404, json={"detail": "Recording not found"})
    api.get(f"{RECORDINGS}/CA2/urls", status_code=422, json={"detail": []})
    api.get(f"{RECORDINGS}/CA3/urls", status_code=202, json=restoring)
    api.get(f"{RECORDINGS}/CA4/urls", status_code=202, text="soon")
    api.get(f"{RECORDINGS}/CA5/urls", json={"call_sid": "CA5"})

    output = connector.read(config("amigo"), "amigo_recording_urls")

    assert (output.exit_code, output.errors) == (0, [])
    assert output.records("amigo_recording_urls") == [{"call_sid": "CA5", "call_started_at": CREATED}]
    assert api.call_count == 1 + len(sids)
    (summary,) = [line for line in output.logs() if "skipped" in line]
    assert "amigo_recording_urls skipped 4" in summary
    assert "archived" in summary and "no recording" in summary


def test_skips_are_said_once_and_not_once_per_call(connector: Connector, api: requests_mock.Mocker) -> None:
    """Contract: one summary line per stream -> a log of 100,000 calls is not 30,000 lines of "no recording"."""
    api.get(CALLS, json=page([call(number) for number in range(30)], 30))
    api.get(requests_mock.ANY, status_code=404, json={"detail": "Recording not found"})
    api.get(CALLS, json=page([call(number) for number in range(30)], 30))

    output = connector.read(config("amigo"), "amigo_recording_urls")

    assert len([line for line in output.logs() if "no recording" in line]) == 1


def test_recording_not_configured_ends_the_stream_after_a_few_tries(
    connector: Connector, api: requests_mock.Mocker, naps: list[float]
) -> None:
    """503 is "Call recording not configured", and a gateway's -> a few tries tell -> a config error that says so."""
    api.get(CALLS, json=page([call(number) for number in range(200)], 100))
    api.get(requests_mock.ANY, status_code=503, json={"detail": "Call recording not configured"})
    api.get(CALLS, json=page([call(number) for number in range(100)], 100))

    output = connector.read({**config("amigo"), "num_workers": 2}, "amigo_recording_metadata", "amigo_calls")

    assert output.ended("amigo_recording_metadata") == "INCOMPLETE"
    assert output.ended("amigo_calls") == "COMPLETE"
    error = output.errors[0]
    assert error["failure_type"] == "config_error"
    assert "Amigo" in error["message"] and "not configured" in error["message"]
    assert api.call_count < 60, "not one request and its retries per call"


def test_a_passing_503_is_no_config_error(connector: Connector, api: requests_mock.Mocker, naps: list[float]) -> None:
    url = f"{RECORDINGS}/CA1/metadata"
    api.get(url, [{"status_code": 503}, {"status_code": 503}, {"json": {"call_sid": "CA1"}}])

    output = connector.read(config(amigo={"call_sids": ["CA1"]}), "amigo_recording_metadata")

    assert output.exit_code == 0
    assert output.records("amigo_recording_metadata") == [{"call_sid": "CA1"}]
    assert len(naps) == 2


def test_with_sids_only_the_endpoints_of_a_call_are_asked(connector: Connector, api: requests_mock.Mocker) -> None:
    """Contract: with call_sids no listing, no amigo_calls, full refresh only."""
    settings = config(amigo={"call_sids": ["CA1", "CA2"]})
    api.get(requests_mock.ANY, status_code=404)
    for sid in ("CA1", "CA2"):
        api.get(f"{CALLS}/{sid}", json={"id": f"e-{sid}", "call_sid": sid})
        for kind in ("urls", "metadata"):
            api.get(f"{RECORDINGS}/{sid}/{kind}", json={"call_sid": sid})

    streams = connector.discover(settings).tables
    output = connector.read(settings, *streams)

    assert sorted(streams) == ["amigo_call_details", "amigo_recording_metadata", "amigo_recording_urls"]
    for name, stream in streams.items():
        assert stream["supported_sync_modes"] == ["full_refresh"]
        assert sorted(row["call_sid"] for row in output.records(name)) == ["CA1", "CA2"]
    assert sorted(request.path for request in api.request_history) == [
        *(f"/v1/{WORKSPACE}/calls/{sid}" for sid in ("CA1", "CA2")),
        *(f"/v1/{WORKSPACE}/recordings/{sid}/{kind}" for sid in ("CA1", "CA2") for kind in ("metadata", "urls")),
    ]


def test_a_429_without_retry_after_waits_until_the_reset(
    connector: Connector, api: requests_mock.Mocker, naps: list[float], frozen_now: float
) -> None:
    """X-RateLimit-Reset is the epoch second when the limit starts anew -> that long, then on."""
    refusal = {"status_code": 429, "headers": {"X-RateLimit-Reset": str(int(frozen_now) + 42)}}
    api.get(f"{RECORDINGS}/CA1/urls", [refusal, {"json": {"call_sid": "CA1"}}])

    output = connector.read(config(amigo={"call_sids": ["CA1"]}), "amigo_recording_urls")

    assert output.exit_code == 0
    assert [20 <= nap <= 45 for nap in naps] == [True]  # a busy machine takes seconds to get here
