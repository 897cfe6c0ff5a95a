"""The statuses of streams, and what a state, the clock and the sync mode decide, as the command line shows them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests_mock

from unit_tests.examples import EXAMPLES, a_list, base_url, config, section
from unit_tests.harness import CREATED, Connector, Output, Row, protocol_message

SECTIONS = {name: section(name) for name in EXAMPLES}
BOTA, QUO = base_url("bota"), base_url("quo")

CALLS = a_list("quo_calls")
CALL = {"id": "AC1", "createdAt": CREATED, "status": "completed", "direction": "incoming", "duration": 5}
CHILDREN = ("quo_call_recordings", "quo_call_transcripts")


def all_statuses(output: Output) -> dict[str, list[str]]:
    """Of every stream that a status was printed for."""
    found: dict[str, list[str]] = {}
    for trace in output.of("TRACE"):
        if trace["type"] == "STREAM_STATUS":
            status = trace["stream_status"]
            found.setdefault(status["stream_descriptor"]["name"], []).append(status["status"])
    return found


def assert_in_order(output: Output, selected: tuple[str, ...]) -> None:
    """STARTED, RUNNING at most once, then COMPLETE or INCOMPLETE; nothing of a stream after that, and of no other stream."""
    statuses = all_statuses(output)
    assert set(statuses) == set(selected)
    for stream, found in statuses.items():
        assert found[0] == "STARTED" and found[-1] in ("COMPLETE", "INCOMPLETE"), stream
        assert found[1:-1] in ([], ["RUNNING"]), stream
        assert ("RUNNING" in found) == bool(output.records(stream)), stream
    over: set[str] = set()
    for line in output.text.splitlines():
        message = protocol_message(line)
        status = message.get("trace", {}).get("stream_status")
        if status and status["status"] in ("COMPLETE", "INCOMPLETE"):
            over.add(status["stream_descriptor"]["name"])
        if message["type"] == "RECORD":
            assert message["record"]["stream"] not in over


LIMITED: Row = {"status_code": 429, "headers": {"Retry-After": "1"}}
LISTINGS: dict[str, list[Row]] = {
    "good": [],
    "429 once": [LIMITED],
    "429 often": [LIMITED] * 20,
    "500 once": [{"status_code": 500}],
    "500 for good": [{"status_code": 500}] * 100,
    "401": [{"status_code": 401}],
}


@pytest.mark.parametrize("listing", LISTINGS)
@pytest.mark.parametrize(
    "selected", [("quo_calls",), CHILDREN, ("quo_call_recordings",), ("quo_calls", *CHILDREN)], ids="+".join
)
def test_statuses_come_in_order_whatever_the_listing_meets(
    selected: tuple[str, ...], listing: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    """A child lists its parent itself -> no status of the parent, unless it is selected."""
    page = {"json": {"data": [CALL, {**CALL, "id": "AC2"}], "nextCursor": None}}
    api.get(CALLS.url, [*LISTINGS[listing], page])
    for number in (1, 2):
        api.get(f"{QUO}/v1/call-recordings/AC{number}", [LIMITED, {"json": {"data": [{"id": f"CR{number}"}]}}])
        api.get(f"{QUO}/v1/call-transcripts/AC{number}", [LIMITED, {"json": {"data": {"callId": f"AC{number}"}}}])

    output = connector.read(config("quo"), *selected)

    assert_in_order(output, selected)
    bad = listing in ("500 for good", "401")
    assert {found[-1] for found in all_statuses(output).values()} == {"INCOMPLETE" if bad else "COMPLETE"}


def test_statuses_of_a_stream_whose_windows_fail_after_records(connector: Connector, api: requests_mock.Mocker) -> None:
    good = {"json": {"data": [CALL], "nextCursor": "x"}}
    api.get(CALLS.url, [good, *[{"status_code": 500}] * 100])
    api.get(f"{BOTA}/v1/recordings", json=a_list("bota_recordings").answer)

    output = connector.read(config("quo", "bota"), "quo_calls", "bota_recordings")

    assert_in_order(output, ("quo_calls", "bota_recordings"))
    assert all_statuses(output)["quo_calls"] == ["STARTED", "RUNNING", "INCOMPLETE"]
    assert all_statuses(output)["bota_recordings"] == ["STARTED", "RUNNING", "COMPLETE"]


# A state that is ahead of the clock


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000000Z")


def state_to(end: str) -> list[Row]:
    slices = [{"start": "2024-01-01T00:00:00.000000Z", "end": end}]
    state = {"state_type": "date-range", "slices": slices}
    return [{"type": "STREAM", "stream": {"stream_descriptor": {"name": "quo_calls"}, "stream_state": state}}]


def asked_since(api: requests_mock.Mocker) -> datetime:
    since = min(request.qs["createdAt[gte]"][0] for request in api.request_history)
    return datetime.fromisoformat(since.replace("Z", "+00:00"))


SETTINGS: Row = {"start_date": "2024-01-01T00:00:00Z", "quo": SECTIONS["quo"]}


@pytest.mark.parametrize("ahead", [timedelta(minutes=1), timedelta(hours=1), timedelta(days=7), None], ids=str)
@pytest.mark.parametrize("lookback", [0, 3])
def test_a_state_ahead_of_the_clock_is_read_again(
    ahead: timedelta | None, lookback: int, connector: Connector, api: requests_mock.Mocker
) -> None:
    """It was written by a clock that was wrong -> until then nothing would be read, for years perhaps."""
    now = datetime.now(timezone.utc)
    end = stamp(now + ahead) if ahead else "9999-12-31T23:59:59.000000Z"
    row = {"id": "AC9", "createdAt": stamp(now - timedelta(seconds=60))}
    api.get(CALLS.url, json={"data": [row], "nextCursor": None})

    output = connector.read(
        {**SETTINGS, "lookback_days": lookback}, "quo_calls", sync_mode="incremental", state=state_to(end)
    )

    assert (output.exit_code, len(output.records("quo_calls"))) == (0, 1)
    wanted = now - max(timedelta(days=lookback), timedelta(minutes=2))
    assert abs(asked_since(api) - wanted) < timedelta(seconds=30)
    told = [line for line in output.logs("WARN") if "ahead of this machine's clock" in line]
    assert bool(told) == (ahead is None or ahead > timedelta(minutes=5))
    last: Any = output.of("STATE")[-1]["stream"]["stream_state"]["slices"][-1]["end"]
    assert last <= stamp(datetime.now(timezone.utc) + timedelta(seconds=1))


def test_a_lookback_of_zero_has_a_lag(connector: Connector, api: requests_mock.Mocker) -> None:
    """A row may become visible some seconds after the time that it carries."""
    end = datetime.now(timezone.utc).replace(microsecond=0) - timedelta(days=1)
    api.get(CALLS.url, json={"data": [], "nextCursor": None})

    connector.read({**SETTINGS, "lookback_days": 0}, "quo_calls", sync_mode="incremental", state=state_to(stamp(end)))

    assert timedelta(minutes=1) <= end - asked_since(api) <= timedelta(minutes=5)


@pytest.mark.parametrize("end", ["2024-06-01T00:00:00.000000Z", "9999-12-31T23:59:59.000000Z"])
def test_full_refresh_reads_everything_whatever_the_state(
    end: str, connector: Connector, api: requests_mock.Mocker
) -> None:
    api.get(CALLS.url, json={"data": [], "nextCursor": None})

    output = connector.read(SETTINGS, "quo_calls", sync_mode="full_refresh", state=state_to(end))

    assert output.exit_code == 0
    assert asked_since(api) == datetime(2024, 1, 1, tzinfo=timezone.utc)
