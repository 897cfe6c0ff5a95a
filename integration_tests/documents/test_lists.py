"""Lists: their pages, orders, windows and filters."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from integration_tests.documents.client import KEYS, STREAMS, Client, keys
from sandbox.faults import Logged
from sandbox.world import parse_time

PAGE_LIMITS = {
    "bird_recordings": (10, 99),
    "bird_transcriptions": (10, 99),
    "bird_calls": (25, 1000),
    "amigo_calls": (20, 100),
    "quo_calls": (10, 50),
    "quo_users": (10, 50),
    "quo_phone_numbers": (10, 50),
    "bota_recordings": (20, 100),
    "tether_calls": (50, 1000),
}


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("stream", STREAMS)
def test_pages_add_up_to_the_truth(make: Callable[..., Client], stream: str, order: str) -> None:
    client = make(size=110, undocumented_order=order)
    truth = client.sandbox.truth(stream)
    default, most = PAGE_LIMITS[stream]
    for params in ({}, {"limit": 7}, {"limit": most}):
        client.sandbox.clear_requests()
        found = keys(stream, client.list(stream, params))
        assert len(found) == len(set(found))
        assert set(found) == set(truth)
        pages = -(-len(truth) // params.get("limit", default))
        assert len(client.sandbox.requests) == pages


@pytest.mark.parametrize("stream", STREAMS)
def test_rows_are_what_http_answers(shared: Client, stream: str) -> None:
    listed = {row[KEYS[stream]]: row for row in shared.list(stream)}
    assert listed == {row[KEYS[stream]]: row for row in shared.sandbox.rows(stream)}


def test_bota_in_its_older_revision(make: Callable[..., Client]) -> None:
    client = make(size=60, bota_revision="offset")
    assert len(client.ok("bota", "/v1/recordings")["data"]) == 25
    found = keys("bota_recordings", client.list("bota_recordings"))
    assert sorted(found) == sorted(client.sandbox.truth("bota_recordings"))
    again = client.ok("bota", "/v1/recordings", {"cursor": "unknown-here"})
    assert again["data"][0]["id"] == found[0][0]
    device = next(row["device_id"] for row in client.list("bota_recordings") if row["device_id"])
    filtered = client.list("bota_recordings", {"device_id": device})
    assert {row["device_id"] for row in filtered} == {device}


def test_a_bad_cursor_of_bota_starts_again(shared: Client) -> None:
    first = shared.ok("bota", "/v1/recordings")
    assert shared.ok("bota", "/v1/recordings", {"cursor": "malformed"}) == first


def test_documented_orders(shared: Client) -> None:
    for stream, field in (("quo_calls", "createdAt"), ("quo_users", "createdAt"), ("bota_recordings", "created_at")):
        times = [parse_time(row[field]) or 0 for row in shared.list(stream)]
        assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(("order", "sign"), [("newest", -1), ("oldest", 1), ("shuffled", 0)])
def test_undocumented_orders(make: Callable[..., Client], order: str, sign: int) -> None:
    client = make(undocumented_order=order)
    for stream, field in (
        ("bird_recordings", "createdAt"),
        ("bird_transcriptions", "createdAt"),
        ("bird_calls", "createdAt"),
        ("quo_phone_numbers", "createdAt"),
        ("tether_calls", "createdAt"),
        ("amigo_calls", "started_at"),
    ):
        times = [parse_time(row[field]) or 0 for row in client.list(stream) if row.get(field)]
        ordered = sorted(times, reverse=sign < 0)
        assert (times == ordered) == bool(sign), stream


@pytest.mark.parametrize(
    ("stream", "field", "names"),
    [
        ("bird_recordings", "createdAt", ("startAt", "endAt")),
        ("bird_calls", "createdAt", ("startAt", "endAt")),
        ("quo_calls", "createdAt", ("createdAt[gte]", "createdAt[lte]")),
    ],
)
def test_windows_are_inclusive(shared: Client, stream: str, field: str, names: tuple[str, str]) -> None:
    rows = shared.list(stream)
    times = sorted(row[field] for row in rows)
    start, end = times[20], times[60]
    found = shared.list(stream, {names[0]: start, names[1]: end})
    expected = [row for row in rows if start <= row[field] <= end]
    assert found == expected
    assert {start, end} <= {row[field] for row in found}
    assert len(shared.list(stream, {names[0]: start})) == sum(at >= start for at in times)
    later = (parse_time(end) or 0) + 1
    moment = datetime.fromtimestamp(later / 1e6, timezone.utc).isoformat()
    assert end not in {row[field] for row in shared.list(stream, {names[0]: moment})}


def test_a_half_open_window_of_bird(make: Callable[..., Client]) -> None:
    client = make(bird_bounds="half_open")
    for stream in ("bird_recordings", "bird_calls"):
        times = sorted({row["createdAt"] for row in client.list(stream)})
        window = {"startAt": times[5], "endAt": times[9]}
        assert {row["createdAt"] for row in client.list(stream, window)} == set(times[5:9])


def test_days_of_amigo_are_inclusive(make: Callable[..., Client]) -> None:
    client = make(size=600, days=20)
    rows = client.list("amigo_calls", {"limit": 100})
    days = [row["started_at"][:10] for row in rows if row.get("started_at")]
    found = client.list("amigo_calls", {"date_from": "2026-05-20", "date_to": "2026-05-21"})
    dated = [row["started_at"][:10] for row in found if row.get("started_at")]
    assert set(dated) == {"2026-05-20", "2026-05-21"}
    assert len(dated) == sum(day in dated for day in days)
    dateless = {row["entity_id"] for row in rows if not row.get("started_at")}
    window = {"date_from": "2020-01-01", "date_to": "2026-06-01", "limit": 100}
    assert dateless & {row["entity_id"] for row in client.list("amigo_calls", window)}
    client.sandbox.knobs.turn(amigo_dateless="excluded")
    assert not dateless & {row["entity_id"] for row in client.list("amigo_calls", window)}
    assert dateless <= {row["entity_id"] for row in client.list("amigo_calls", {"limit": 100})}


def test_amigo_hides_simulated_sessions_by_default(shared: Client) -> None:
    real = shared.list("amigo_calls")
    everything = shared.list("amigo_calls", {"include_simulated": "true"})
    assert {row["source"] for row in real if row.get("source")} == {"real"}
    assert len(everything) > len(real)


@pytest.mark.parametrize(
    ("stream", "params"),
    [
        ("bird_recordings", {"status": "available"}),
        ("bird_recordings", {"direction": "incoming"}),
        ("bird_calls", {"status": "completed"}),
        ("bird_calls", {"direction": "outgoing"}),
        ("bird_calls", {"type": "pstn"}),
        ("bird_calls", {"duration": "0"}),
        ("amigo_calls", {"status": "completed"}),
        ("amigo_calls", {"direction": "inbound"}),
        ("quo_calls", {"status": "completed"}),
        ("quo_calls", {"direction": "outgoing"}),
        ("tether_calls", {"status": "completed"}),
    ],
)
def test_filters(shared: Client, stream: str, params: dict[str, str]) -> None:
    ((name, value),) = params.items()
    expected = [row for row in shared.list(stream) if str(row.get(name)) == value]
    assert expected
    assert shared.list(stream, params) == expected


def test_a_number_is_found_by_its_digits(shared: Client) -> None:
    """A plus sign in a query is %2B."""
    row = shared.list("quo_phone_numbers")[7]
    assert shared.list("quo_phone_numbers", {"phoneNumber": row["phoneNumber"]}) == [row]
    assert shared.list("quo_phone_numbers", {"phoneNumber": "+14155"}) == []
    assert "restrictions" not in shared.ok("quo", "/phone-numbers")["data"][0]


def test_calls_of_bird_and_their_recordings(shared: Client) -> None:
    """A recording's source is a call, or a conference, of which there is none in the calls log."""
    calls = {row["id"]: row for row in shared.list("bird_calls")}
    recordings = shared.list("bird_recordings")
    assert {row["source"] for row in recordings} == {"call", "conference"}
    for row in recordings:
        assert (row["sourceId"] in calls) == (row["source"] == "call")
    assert {"completed", "no-answer"} <= {row["status"] for row in calls.values()}
    channels = {row["channelId"] for row in calls.values()}
    one, *_, two = channels
    path = shared.path("bird_calls")[1]
    found = shared.ok("bird", path, {"channelId": [one, two], "limit": 1000})["results"]
    assert {row["channelId"] for row in found} == {one, two}
    tag = next(row["tags"][0] for row in calls.values() if row.get("tags"))
    assert all(tag in row["tags"] for row in shared.list("bird_calls", {"tag": tag}))


def test_filters_of_several_values(shared: Client) -> None:
    rows = shared.list("quo_calls")
    number = rows[0]["participants"][-1]["phoneNumber"]
    found = shared.list("quo_calls", {"status[in]": "missed,busy"})
    assert {row["status"] for row in found} == {"missed", "busy"}
    talked = shared.list("quo_calls", {"participant[in]": f"{number},+14155550000"})
    assert rows[0]["id"] in {row["id"] for row in talked}
    durations = [
        row["duration_seconds"] for row in shared.list("amigo_calls", {"min_duration": 60, "max_duration": 300})
    ]
    assert durations
    assert all(60 <= duration <= 300 for duration in durations)


def test_rows_that_appear_shift_offsets_but_not_tokens(make: Callable[..., Client]) -> None:
    client = make(size=80)
    before = {name: set(client.sandbox.truth(name)) for name in STREAMS}

    def grow(entry: Logged) -> None:
        if entry.query.keys() & {"pageToken", "after", "cursor", "offset", "continuation_token"}:
            client.sandbox.advance(timedelta(hours=9))

    client.sandbox.on_request(grow)
    for stream in ("bird_recordings", "quo_calls", "bota_recordings"):
        found = keys(stream, client.list(stream))
        assert len(found) == len(set(found))
        assert set(found) >= before[stream]
    for stream in ("amigo_calls", "tether_calls"):
        found = keys(stream, client.list(stream, {"limit": 10}))
        assert len(found) > len(set(found)), f"{stream}: newest first, so rows come twice"
