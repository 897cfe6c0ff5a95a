"""Bota's requests, as https://docs.bota.dev and github.com/bota-dev/examples describe them."""

from __future__ import annotations

import pytest
import requests_mock

from unit_tests.examples import base_url, config
from unit_tests.harness import CREATED, Connector, Row, catalog, without_nulls

BOTA = base_url("bota")

RECORDINGS = f"{BOTA}/v1/recordings"
TRANSCRIPTIONS = f"{BOTA}/v1/transcriptions"


def recording(number: int, **fields: object) -> Row:
    return {"id": f"rec_{number}", "created_at": CREATED, "transcription_id": None, **fields}


def test_the_cursor_revision(connector: Connector, api: requests_mock.Mocker) -> None:
    """Newest contract: has_more with next_cursor -> it goes out as cursor, and no offset with it."""
    rows = [recording(number) for number in range(3)]
    api.get(
        RECORDINGS,
        [
            {"json": {"data": rows[:2], "has_more": True, "next_cursor": "c+/=1"}},
            {"json": {"data": rows[2:], "has_more": False}},
        ],
    )

    output = connector.read(config("bota"), "bota_recordings")

    assert output.records("bota_recordings") == [without_nulls(row) for row in rows]
    assert [request.qs for request in api.request_history] == [
        {"limit": ["100"]},
        {"limit": ["100"], "cursor": ["c+/=1"]},
    ]


def test_the_offset_revision(connector: Connector, api: requests_mock.Mocker) -> None:
    """Older pages: has_more without a cursor -> offset, by the rows that came, not by the rows asked for."""
    rows = [recording(number) for number in range(5)]
    api.get(
        RECORDINGS,
        [
            {"json": {"data": rows[:2], "has_more": True}},
            {"json": {"data": rows[2:4], "has_more": True}},
            {"json": {"data": rows[4:], "has_more": False}},
        ],
    )

    output = connector.read(config("bota"), "bota_recordings")

    assert output.records("bota_recordings") == [without_nulls(row) for row in rows]
    assert [request.qs.get("offset") for request in api.request_history] == [None, ["2"], ["4"]]
    assert not any("cursor" in request.qs for request in api.request_history)


def test_the_list_ends_early_where_it_is_older_than_wanted(connector: Connector, api: requests_mock.Mocker) -> None:
    """No date filter, created_at descending -> a page that ends in older rows is the last; newer ones are dropped."""
    rows = [
        recording(1, created_at="2024-03-09T00:00:00Z"),
        recording(2),
        *(recording(n, created_at="2024-02-29T23:59:59Z") for n in range(3, 8)),
    ]
    api.get(RECORDINGS, json={"data": rows, "has_more": True, "next_cursor": "more"})

    output = connector.read(config("bota"), "bota_recordings")

    assert output.records("bota_recordings") == [without_nulls(rows[1])]
    assert api.call_count == 1


def test_one_odd_old_row_ends_nothing(connector: Connector, api: requests_mock.Mocker) -> None:
    """A row with a date of 2009 at a page's end is odd, not the end of the list."""
    pages = [
        {"data": [recording(1), recording(2, created_at="2009-01-01T00:00:00Z")], "has_more": True},
        {"data": [recording(3)], "has_more": False},
    ]
    pages[0]["next_cursor"] = "more"
    api.get(RECORDINGS, [{"json": page} for page in pages])

    output = connector.read(config("bota"), "bota_recordings")

    assert [row["id"] for row in output.records("bota_recordings")] == ["rec_1", "rec_3"]


def test_a_recording_without_a_time_is_not_lost(connector: Connector, api: requests_mock.Mocker) -> None:
    rows = [recording(1, created_at=None), recording(2)]
    api.get(RECORDINGS, json={"data": rows, "has_more": False})

    output = connector.read(config("bota"), "bota_recordings")

    assert output.records("bota_recordings") == [without_nulls(row) for row in rows]


def test_transcriptions_of_the_recordings_that_name_one(connector: Connector, api: requests_mock.Mocker) -> None:
    """transcription_id is null before there is one -> one request each where there is -> 404 is a skip."""
    rows = [recording(1, transcription_id="txn_1"), recording(2), recording(3, transcription_id="txn_3")]
    api.get(RECORDINGS, json={"data": rows, "has_more": False})
    api.get(f"{TRANSCRIPTIONS}/txn_1", json={"id": "txn_1", "segments": None})
    api.get(f"{TRANSCRIPTIONS}/txn_3", status_code=404, json={"error": {"code": "not_found"}})

    output = connector.read(config("bota"), "bota_transcriptions")

    assert output.exit_code == 0
    (row,) = output.records("bota_transcriptions")
    assert row["id"] == "txn_1" and row["recording_created_at"] == CREATED
    assert api.call_count == 3
    assert ["bota_transcriptions skipped 1" in x for x in output.logs() if "skip" in x] == [True]


def test_with_ids_only_the_get_endpoints_are_asked(connector: Connector, api: requests_mock.Mocker) -> None:
    """Contract: with recording_ids no listing, full refresh only."""
    settings = config(bota={"recording_ids": ["rec_1", "rec_2", "rec_3"]})
    api.get(f"{RECORDINGS}/rec_1", json=recording(1, transcription_id="txn_1"))
    api.get(f"{RECORDINGS}/rec_2", json=recording(2, created_at="2019-01-01T00:00:00Z"))
    api.get(f"{RECORDINGS}/rec_3", status_code=404, json={"error": {"code": "not_found"}})
    api.get(f"{TRANSCRIPTIONS}/txn_1", json={"id": "txn_1"})

    streams = connector.discover(settings).tables
    output = connector.read(settings, *streams)

    assert sorted(streams) == ["bota_recordings", "bota_transcriptions"]
    assert {tuple(s["supported_sync_modes"]) for s in streams.values()} == {("full_refresh",)}
    assert output.exit_code == 0
    assert sorted(row["id"] for row in output.records("bota_recordings")) == ["rec_1", "rec_2"]
    assert [row["id"] for row in output.records("bota_transcriptions")] == ["txn_1"]
    assert {request.url for request in api.request_history} == {
        *(f"{RECORDINGS}/rec_{number}" for number in (1, 2, 3)),
        f"{TRANSCRIPTIONS}/txn_1",
    }


def test_a_429_waits_until_the_reset_and_a_500_does_not(
    connector: Connector, api: requests_mock.Mocker, naps: list[float], frozen_now: float
) -> None:
    """X-RateLimit-Reset comes with every answer -> it says how long to wait after a 429 only."""
    headers = {"X-RateLimit-Reset": str(int(frozen_now) + 50), "X-RateLimit-Remaining": "0"}
    api.get(
        RECORDINGS,
        [
            {"status_code": 429, "headers": headers},
            {"status_code": 500, "headers": headers},
            {"json": {"data": [], "has_more": False}, "headers": headers},
        ],
    )

    output = connector.read(config("bota"), "bota_recordings")

    assert output.exit_code == 0
    waited, backed_off = naps
    assert 48 <= waited <= 54
    assert backed_off < 20


@pytest.mark.parametrize("token", ["", None])
def test_an_empty_cursor_is_none(token: str | None, connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(RECORDINGS, json={"data": [recording(1)], "has_more": False, "next_cursor": token})

    assert connector.read(config("bota"), "bota_recordings").exit_code == 0
    assert api.call_count == 1


def live(number: int, **fields: object) -> Row:
    """A recording in the form of October 2026."""
    return {"id": f"rec_{number}", "created_at": CREATED, "status": "uploaded", "recorded_at": None, **fields}


def listed(api: requests_mock.Mocker, *rows: Row) -> None:
    api.get(RECORDINGS, json={"data": list(rows), "has_more": False})


def without_files(connector: Connector) -> list[Row]:
    """The rows of the files, of which none is downloaded."""
    asked = catalog(["bota_recording_files"])
    asked["streams"][0]["include_files"] = False
    settings, streams = connector.file("config.json", config("bota")), connector.file("catalog.json", asked)
    return connector.command("read", "--config", settings, "--catalog", streams).records("bota_recording_files")


def transcriptions(api: requests_mock.Mocker) -> list[str]:
    """The requests about transcriptions."""
    urls = (request.url for request in api.request_history)
    return [url.removeprefix(TRANSCRIPTIONS) for url in urls if url.startswith(TRANSCRIPTIONS)]


def test_transcriptions_that_no_recording_names_are_looked_up(connector: Connector, api: requests_mock.Mocker) -> None:
    """One list for all recordings, whose newest row of each counts; those that are named are asked for by their ID."""
    listed(api, live(1), live(2), live(3), recording(4, transcription_id="txn_4"), recording(5))
    row = {"created_at": CREATED, "full_text": "hello", "segments": [], "word_count": 1}
    pages: list[Row] = [
        {"data": [{**row, "id": "txn_2", "recording_id": "rec_2"}], "has_more": True, "next_cursor": "more"},
        {"data": [{**row, "id": f"txn_{n}", "recording_id": f"rec_{n % 10}"} for n in (1, 12)], "has_more": False},
    ]
    api.get(TRANSCRIPTIONS, [{"json": page} for page in pages])
    api.get(f"{TRANSCRIPTIONS}/txn_4", json={"id": "txn_4", "text": "", "status": "completed"})

    output = connector.read(config("bota"), "bota_transcriptions")

    assert (output.exit_code, output.errors) == (0, [])
    found = {row["id"]: row for row in output.records("bota_transcriptions")}
    assert {key: row["text"] for key, row in found.items()} == {"txn_1": "hello", "txn_2": "hello", "txn_4": ""}
    assert found["txn_1"]["full_text"] == "hello" and found["txn_1"]["recording_created_at"] == CREATED
    assert sorted(transcriptions(api)) == ["/txn_4", "?limit=100", "?limit=100&cursor=more"]


@pytest.mark.parametrize("status", [400, 422])
def test_each_recording_is_asked_for_where_the_list_wants_a_filter(
    status: int, connector: Connector, api: requests_mock.Mocker
) -> None:
    listed(api, live(1), live(2))
    api.get(TRANSCRIPTIONS, status_code=status, json={"error": {"code": "invalid_request"}})
    newest, old = ({"id": key, "recording_id": "rec_1", "created_at": CREATED} for key in ("txn_1b", "txn_1a"))
    api.get(f"{TRANSCRIPTIONS}?recording_id=rec_1", json={"data": [newest, old], "has_more": True, "next_cursor": "x"})
    api.get(f"{TRANSCRIPTIONS}?recording_id=rec_2", json={"data": [], "has_more": False})

    output = connector.read(config("bota"), "bota_transcriptions")

    assert (output.exit_code, output.errors) == (0, [])
    assert [row["id"] for row in output.records("bota_transcriptions")] == ["txn_1b"]
    assert len(transcriptions(api)) == 3


def test_with_ids_the_list_of_transcriptions_is_filtered(connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(f"{RECORDINGS}/rec_1", json=live(1))
    api.get(
        f"{TRANSCRIPTIONS}?recording_id=rec_1", json={"data": [{"id": "t", "recording_id": "rec_1"}], "has_more": False}
    )

    output = connector.read(config(bota={"recording_ids": ["rec_1"]}), "bota_transcriptions")

    assert [row["id"] for row in output.records("bota_transcriptions")] == ["t"]
    assert api.call_count == 2


@pytest.mark.parametrize(
    ("told", "size"), [(7, 7), ("7", 7), ("9007199254740993", 2**53 + 1), (None, None), ("?", None)]
)
def test_sizes_are_numbers(told: object, size: int | None, connector: Connector, api: requests_mock.Mocker) -> None:
    """A number or decimal text, in a recording and in the answer about its file."""
    listed(api, live(1, file_size_bytes=told))
    answer = {"download_url": "https://storage.example.org/1", "expires_in": 3600, "file_size_bytes": told}
    api.get(f"{RECORDINGS}/rec_1/download-url", json={**answer, "content_type": None})

    streams = connector.read(config("bota"), "bota_recordings").records("bota_recordings")
    files = without_files(connector)

    assert [row.get("file_size_bytes") for row in streams] == [size]
    assert [(row["media_id"], row.get("media_bytes")) for row in files] == [("rec_1", size)]


def test_a_recording_without_media_has_one_file(connector: Connector, api: requests_mock.Mocker) -> None:
    """Once it is uploaded; one with media has those, by their own addresses."""
    statuses = ("pending", "streaming", "uploaded", "processing", "completed", "failed", "integrity_failure")
    medium = {"id": "med_1", "status": "uploaded"}
    listed(
        api,
        *(live(n, status=status) for n, status in enumerate(statuses)),
        recording(7, media=[medium], status="uploaded"),
        recording(8, media=[], status="uploaded"),
    )
    for n in (2, 3, 4):
        api.get(f"{RECORDINGS}/rec_{n}/download-url", json={"download_url": f"https://storage.example.org/{n}"})
    api.post(f"{RECORDINGS}/rec_7/download-url", json={"download_url": "https://storage.example.org/7"})
    api.get(f"{RECORDINGS}/rec_4/download-url", status_code=404)

    found = without_files(connector)

    assert [(row["media_id"], row["recording_id"]) for row in found] == [
        ("rec_2", "rec_2"),
        ("rec_3", "rec_3"),
        ("med_1", "rec_7"),
    ]


def test_lists_without_a_time_are_a_full_refresh(connector: Connector, api: requests_mock.Mocker) -> None:
    """By cursor, else by offset; nothing is left out for its date."""
    rows = [{"id": f"x{n}", "created_at": "2019-01-01T00:00:00Z"} for n in range(3)]
    api.get(
        f"{BOTA}/v1/end-users",
        [
            {"json": {"data": rows[:2], "has_more": True, "next_cursor": "c"}},
            {"json": {"data": rows[2:], "has_more": False}},
        ],
    )
    api.get(
        f"{BOTA}/v1/devices",
        [{"json": {"data": rows[:2], "has_more": True}}, {"json": {"data": rows[2:], "has_more": False}}],
    )
    names = ("bota_end_users", "bota_devices")

    offered = connector.discover(config("bota")).streams
    output = connector.read(config("bota"), *names, sync_mode="incremental")

    for name in names:
        assert offered[name]["supported_sync_modes"] == ["full_refresh"]
        assert output.records(name) == rows
    assert [request.url.partition("?")[2] for request in api.request_history if "end" in request.url] == [
        "limit=100",
        "limit=100&cursor=c",
    ]
    assert [
        request.url.partition("?")[2] for request in api.request_history if "dev" in request.url.split("v1")[1]
    ] == ["limit=100", "limit=100&offset=2"]


def test_summaries_that_need_a_filter_are_told(connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(f"{BOTA}/v1/summaries", status_code=400, json={"error": {"code": "invalid_request"}})

    output = connector.read(config("bota"), "bota_summaries")

    assert output.exit_code == 1
    assert "Deselect bota_summaries" in output.errors[0]["message"]
