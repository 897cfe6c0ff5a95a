"""The incremental cursor: windows tile, parts tile, a killed sync goes on where it was."""

import itertools
import json
from collections import Counter
from collections.abc import Callable, MutableMapping
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

import pytest
from airbyte_cdk.sources.connector_state_manager import ConnectorStateManager
from airbyte_cdk.sources.message import NoopMessageRepository
from airbyte_cdk.sources.streams.concurrent.cursor import ConcurrentCursor, CursorField
from airbyte_cdk.sources.streams.concurrent.state_converters.datetime_stream_state_converter import (
    CustomFormatConcurrentStreamStateConverter,
)
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils import AirbyteTracedException
from hypothesis import given, settings
from hypothesis import strategies as st

from source_recordings.components.windows import Settled, WindowCursor

BEGINNING = datetime(2026, 1, 1, tzinfo=timezone.utc)
NOW = datetime(2026, 11, 21, 8, 30, 15, 123456, tzinfo=timezone.utc)
FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"

Interval = tuple[datetime, datetime]
# What a provider sends for a window, of rows at these times.
Server = Callable[[list[datetime], Interval], list[datetime]]


def cursor(
    start: datetime = BEGINNING,
    end: datetime | None = None,
    state: MutableMapping[str, Any] | None = None,
    *,
    strict: bool = False,
    lookback: timedelta = timedelta(0),
    step: timedelta = timedelta(days=30),
) -> WindowCursor:
    stock = ConcurrentCursor(
        stream_name="calls",
        stream_namespace=None,
        stream_state={},
        message_repository=NoopMessageRepository(),
        connector_state_manager=ConnectorStateManager(),
        connector_state_converter=CustomFormatConcurrentStreamStateConverter(
            FORMAT, cursor_granularity=timedelta(microseconds=1)
        ),
        cursor_field=CursorField("created"),
        slice_boundary_fields=("start_time", "end_time"),
        start=start,  # type: ignore[arg-type]  # any comparable kind of value to the CDK
        end_provider=lambda: NOW,  # type: ignore[arg-type,return-value]
        lookback_window=lookback,
        slice_range=step,
        cursor_granularity=timedelta(microseconds=1),
    )
    return WindowCursor(stock, state or {}, strict=strict, end=end)


def windows(a_cursor: WindowCursor) -> list[StreamSlice]:
    with patch("source_recordings.components.windows.utc_now", lambda: NOW):
        return list(a_cursor.stream_slices())


def read(
    a_cursor: WindowCursor, window: StreamSlice, times: list[datetime], server: Server
) -> list[datetime]:
    """What a sync emits for a window of a provider that filters like `server`."""
    sent = server(times, a_cursor.bounds(window))
    return [t for t in sent if a_cursor.accepts(row(t, window), window)]


def row(time: datetime, window: StreamSlice) -> Record:
    return Record({"created": time.strftime(FORMAT)}, "calls", window)


def inclusive(times: list[datetime], window: Interval) -> list[datetime]:
    return [t for t in times if window[0] <= t <= window[1]]


def end_exclusive(times: list[datetime], window: Interval) -> list[datetime]:
    return [t for t in times if window[0] <= t < window[1]]


def unfiltered(times: list[datetime], window: Interval) -> list[datetime]:
    return times


def whole_days(offset_hours: int) -> Server:
    """Days of a time zone, a day more asked for on either side: how Amigo is asked."""
    zone, day = timezone(timedelta(hours=offset_hours)), timedelta(days=1)

    def server(times: list[datetime], window: Interval) -> list[datetime]:
        first, last = (window[0] - day).date(), (window[1] + day).date()
        return [t for t in times if first <= t.astimezone(zone).date() <= last]

    return server


SERVERS: dict[str, tuple[Server, bool]] = {
    "quo, inclusive": (inclusive, False),
    "bird, if its end is exclusive": (end_exclusive, False),
    "amigo, days in UTC": (whole_days(0), True),
    "amigo, days at +14:00": (whole_days(14), True),
    "amigo, days at -12:00": (whole_days(-12), True),
    "bota and tether, no filter": (unfiltered, True),
}

# Times that collide with each other, with midnights and with the cuts of the parts.
moments = st.one_of(
    st.datetimes(
        BEGINNING.replace(tzinfo=None), datetime(2026, 11, 20), timezones=st.just(timezone.utc)
    ),
    st.integers(0, 320).map(lambda days: BEGINNING + timedelta(days=days)),
    st.integers(0, 7_000).map(lambda hours: BEGINNING + timedelta(hours=hours, microseconds=1)),
)


@pytest.mark.parametrize("provider", SERVERS)
@settings(max_examples=60, deadline=None)
@given(times=st.lists(moments, max_size=30), cuts=st.lists(moments, min_size=2, max_size=6))
def test_parts_of_a_backfill_are_exactly_the_whole(
    provider: str, times: list[datetime], cuts: list[datetime]
) -> None:
    """start_date/end_date parts together emit every row once: no gap, no overlap, whatever the provider's bounds."""
    server, strict = SERVERS[provider]
    # The cuts are also rows: what stands exactly on a boundary is what goes wrong.
    times = times + cuts
    cuts = sorted(set(cuts))
    emitted: Counter[datetime] = Counter()
    for start, end in itertools.pairwise(cuts):
        part = cursor(start, end, strict=strict)
        for window in windows(part):
            emitted.update(read(part, window, times, server))
    assert emitted == Counter(t for t in times if cuts[0] <= t < cuts[-1])


@pytest.mark.parametrize("provider", SERVERS)
@settings(max_examples=60, deadline=None)
@given(times=st.lists(moments, max_size=30), data=st.data())
def test_a_sync_that_was_killed_goes_on_without_a_gap(
    provider: str, times: list[datetime], data: st.DataObject
) -> None:
    """Any windows may have been finished, in any order, and one of them partly: the rest is read after a restart."""
    server, strict = SERVERS[provider]
    emitted: set[datetime] = set()
    first = cursor(strict=strict)
    todo = windows(first)
    for window in data.draw(st.lists(st.sampled_from(todo), unique_by=str)):
        emitted.update(read(first, window, times, server))
        first.checkpoint(*first.bounds(window))
    partly = data.draw(st.sampled_from(todo))
    start, end = first.bounds(partly)
    reached = start + (end - start) * data.draw(st.floats(0.01, 0.99))
    emitted.update(t for t in read(first, partly, times, server) if t < reached)
    first.checkpoint(start, reached)

    second = cursor(state=json.loads(json.dumps(first.state)), strict=strict)
    for window in windows(second):
        emitted.update(read(second, window, times, server))
    assert emitted == set(times)


@pytest.mark.parametrize("provider", SERVERS)
def test_a_row_on_the_boundary_of_two_windows_is_emitted_once(provider: str) -> None:
    """Most providers' bounds are inclusive: both windows are sent the row, one of them emits it."""
    server, strict = SERVERS[provider]
    a_cursor = cursor(strict=strict)
    todo = windows(a_cursor)
    times = [a_cursor.bounds(window)[0] for window in todo]
    assert len(times) > 2
    emitted = Counter(t for window in todo for t in read(a_cursor, window, times, server))
    assert emitted == Counter(times)


def test_a_finished_sync_leaves_only_the_look_back() -> None:
    first = cursor()
    for window in windows(first):
        first.checkpoint(*first.bounds(window))
    again = cursor(state=first.state, lookback=timedelta(days=3))
    assert [again.bounds(w) for w in windows(again)] == [
        (NOW.replace(microsecond=0) - timedelta(days=3), NOW.replace(microsecond=0))
    ]


def test_a_window_that_fails_is_all_that_is_read_again() -> None:
    """One window that stays open does not hold back what the others have saved."""
    first = cursor()
    done = windows(first)
    missing = done.pop(1)
    for window in done:
        first.checkpoint(*first.bounds(window))
    second = cursor(state=first.state)
    again = [second.bounds(w) for w in windows(second)]
    assert (again[0][0], again[-1][1]) == first.bounds(missing)


def test_old_windows_are_long() -> None:
    """A backfill without a start date asks for the empty years with a handful of requests."""
    assert 3 <= len(windows(cursor(start=datetime(2010, 1, 1, tzinfo=timezone.utc)))) <= 6


def test_windows_touch_and_are_cut_at_midnight() -> None:
    bounds = [cursor().bounds(w) for w in windows(cursor())]
    assert len(bounds) > 1
    for (_, end), (start, _) in itertools.pairwise(bounds):
        assert end == start == start.replace(hour=0, minute=0, second=0, microsecond=0)


def test_the_current_second_is_left_to_the_next_sync() -> None:
    a_cursor = cursor()
    assert a_cursor.bounds(windows(a_cursor)[-1])[1] == NOW.replace(microsecond=0)


def test_an_end_date_in_the_future_is_no_end() -> None:
    a_cursor = cursor(end=NOW + timedelta(days=9))
    assert a_cursor.bounds(windows(a_cursor)[-1])[1] == NOW.replace(microsecond=0)


def test_state_of_the_stock_cursor_is_understood() -> None:
    """A single timestamp is what the CDK's own cursor saves."""
    a_cursor = cursor(state={"created": "2026-11-20T00:00:00.000000Z"})
    assert [a_cursor.bounds(w)[0] for w in windows(a_cursor)] == [
        datetime(2026, 11, 20, tzinfo=timezone.utc)
    ]


def test_a_state_without_windows_starts_from_the_beginning() -> None:
    assert windows(cursor(state={"state_type": "date-range", "slices": []})) == windows(cursor())


@pytest.mark.parametrize(
    "garbage",
    [
        {"created": "yesterday"},
        {"created": 5},
        {"state_type": "date-range", "slices": [{"start": "x", "end": "y"}]},
        {"state_type": "date-range", "slices": [{"start": "2026-11-20T00:00:00.000000Z"}]},
        {"state_type": "date-range", "slices": "all"},
        {"state_type": "date-range", "slices": [{"start": FORMAT, "end": FORMAT}], "settled": 3},
        {"settled": {"2026-11-20": "not base64!"}},
    ],
)
def test_a_state_that_makes_no_sense_is_a_clear_error(garbage: dict[str, Any]) -> None:
    with pytest.raises(AirbyteTracedException) as caught:
        cursor(state=garbage)
    assert "state of stream calls can't be read" in str(caught.value.message)


def test_settled_is_remembered_by_id_and_day() -> None:
    settled = Settled({})
    settled.add("a", NOW)
    again = Settled(json.loads(json.dumps(settled.dump())))
    assert ("a", NOW) in again
    assert ("a", NOW - timedelta(days=1)) not in again
    assert ("b", NOW) not in again


def test_settled_forgets_days_that_have_passed() -> None:
    settled = Settled({})
    settled.add("old", NOW - timedelta(days=4))
    settled.add("new", NOW)
    settled.forget_before(NOW - timedelta(days=3))
    assert ("old", NOW - timedelta(days=4)) not in settled
    assert ("new", NOW) in settled


def test_settled_stays_small() -> None:
    settled = Settled({})
    for number in range(50_000):
        settled.add(f"recording {number}", NOW - timedelta(days=number % 3))
    settled.forget_before(NOW - timedelta(days=3))
    assert len(json.dumps(settled.dump())) < 20_000


def test_file_streams_remember_more() -> None:
    """A file that is forgotten is downloaded once more."""
    settled = Settled({}, Settled.FILES_LIMIT)
    for number in range(Settled.FILES_LIMIT):
        settled.add(f"recording {number}", NOW - timedelta(days=number % 3))
    settled.forget_before(NOW - timedelta(days=3))
    assert all(
        (f"recording {number}", NOW - timedelta(days=number % 3)) in settled
        for number in range(Settled.FILES_LIMIT)
    )
    settled.add("one more", NOW)
    settled.forget_before(NOW - timedelta(days=3))
    assert ("recording 2", NOW - timedelta(days=2)) not in settled
    assert ("one more", NOW) in settled
    assert len(json.dumps(settled.dump())) < 170_000
