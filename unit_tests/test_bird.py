"""Bird's requests, as https://docs.bird.com/api/voice-api/recordings-api describes them."""

from __future__ import annotations

import requests_mock

from unit_tests.examples import END, START, base_url, config, section
from unit_tests.harness import CREATED, Connector

BIRD = base_url("bird")
WORKSPACE = section("bird")["workspace_id"]

RECORDINGS = f"{BIRD}/workspaces/{WORKSPACE}/recordings"
TRANSCRIPTIONS = f"{BIRD}/workspaces/{WORKSPACE}/transcriptions"
HARD_TOKEN = "a+b/c==&limit=1"


def test_recordings_are_listed_by_date_in_pages_of_99(connector: Connector, api: requests_mock.Mocker) -> None:
    """limit is 1 to 99, startAt/endAt are date-times, pageToken continues -> each goes out once, exactly."""
    rows = [{"id": f"r{number}", "createdAt": CREATED} for number in range(3)]
    api.get(RECORDINGS, [{"json": {"results": rows[:2], "nextPageToken": HARD_TOKEN}}, {"json": {"results": rows[2:]}}])

    output = connector.read(config("bird"), "bird_recordings")

    assert output.records("bird_recordings") == rows
    first, second = api.request_history
    assert first.method == "GET" and first.body is None
    window = {"limit": ["99"], "startAt": ["2024-03-01T00:00:00.000000Z"], "endAt": ["2024-03-08T00:00:00.000000Z"]}
    assert first.qs == window
    assert second.qs == {**window, "pageToken": [HARD_TOKEN]}


def test_an_empty_token_ends_the_list(connector: Connector, api: requests_mock.Mocker) -> None:
    """The samples' last page has no token -> a null or empty one ends the list as well."""
    for token in (None, ""):
        api.get(RECORDINGS, json={"results": [], "nextPageToken": token})
        output = connector.read(config("bird"), "bird_recordings")
        assert output.exit_code == 0
    assert api.call_count == 2


def test_transcriptions_have_no_date_filter_so_none_is_sent(connector: Connector, api: requests_mock.Mocker) -> None:
    """List transcriptions documents limit and pageToken only -> nothing else is sent -> the dates apply here."""
    inside = {"id": "t1", "recordingId": "r1", "updatedAt": CREATED}
    outside = [{"id": "t0", "updatedAt": "2024-02-29T23:59:59.999Z"}, {"id": "t2", "updatedAt": END}]
    api.get(TRANSCRIPTIONS, json={"results": [outside[0], inside, outside[1]]})

    output = connector.read(config("bird"), "bird_transcriptions")

    assert output.records("bird_transcriptions") == [inside]
    assert [request.qs for request in api.request_history] == [{"limit": ["99"]}]


def test_with_ids_each_recording_is_asked_for_once_and_nothing_else(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    """Contract: an id list uses the documented get endpoint only -> old recordings come as well -> a 404 is a skip."""
    old = {"id": "r1", "createdAt": "2019-01-01T00:00:00Z"}
    api.get(f"{RECORDINGS}/r1", json=old)
    api.get(f"{RECORDINGS}/r2", status_code=404, json={"code": "NotFound", "message": "no such"})
    api.get(f"{RECORDINGS}/r3", status_code=422, json={"code": "Invalid", "message": "no uuid"})
    ids = {"recording_ids": ["r1", "r2", "r3", "r4"]}
    fresh = {"id": "r4", "createdAt": CREATED}
    api.get(f"{RECORDINGS}/r4", json=fresh)

    output = connector.read(config(bird=ids), "bird_recordings")

    assert output.exit_code == 0
    assert output.records("bird_recordings") == [old, fresh]
    assert sorted((request.method, request.url) for request in api.request_history) == [
        ("GET", f"{RECORDINGS}/{rid}") for rid in ("r1", "r2", "r3", "r4")
    ]
    (summary,) = [line for line in output.logs() if "skipped" in line]
    assert "bird_recordings skipped 2" in summary


def test_with_ids_there_is_one_stream_and_it_is_full_refresh_only(connector: Connector) -> None:
    """Contract: with an id list there is no listing -> no transcriptions, no incremental sync."""
    streams = connector.discover(config(bird={"recording_ids": ["r1"]})).tables

    assert list(streams) == ["bird_recordings"]
    assert streams["bird_recordings"]["supported_sync_modes"] == ["full_refresh"]
    assert not streams["bird_recordings"].get("source_defined_cursor")


def test_ids_are_quoted_in_the_path(connector: Connector, api: requests_mock.Mocker) -> None:
    """An id is data -> whatever is in it stays one path segment."""
    api.get(requests_mock.ANY, status_code=404)

    connector.read(config(bird={"recording_ids": ["a%2F..b;c=ü"]}), "bird_recordings")

    assert [request.url for request in api.request_history] == [f"{RECORDINGS}/a%252F..b%3Bc%3D%C3%BC"]


def test_an_unknown_workspace_is_a_config_error(connector: Connector, api: requests_mock.Mocker) -> None:
    """A list answers 404 for a workspace only -> it is not the "no recording" of the details."""
    api.get(RECORDINGS, status_code=404, json={"code": "NotFound", "message": "no such workspace"})

    output = connector.read(config("bird"), "bird_recordings")

    assert output.errors[0]["failure_type"] == "config_error"
    assert "`bird.workspace_id`" in output.errors[0]["message"]
    assert (output.exit_code, api.call_count) == (1, 1)


def test_a_start_date_of_another_precision_goes_out_as_a_date_time(
    connector: Connector, api: requests_mock.Mocker
) -> None:
    api.get(RECORDINGS, json={"results": []})

    connector.read({**config("bird"), "start_date": "2024-03-01T01:02:03.5Z"}, "bird_recordings")

    assert api.request_history[-1].qs["startAt"] == ["2024-03-01T01:02:03.500000Z"]
    assert START < "2024-03-01T01:02:03.5Z" < END
