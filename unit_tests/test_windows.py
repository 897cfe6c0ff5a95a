"""The incremental cursor: windows tile, parts tile, a killed sync goes on where it was."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_recordings.provider import Window
from source_recordings.reading.windows import LAG, WITHOUT_START, Slice, Windows
from unit_tests.windows import BEGINNING, DAYS, EXACT, NOW, UNFILTERED, a_stream, bounds

# What a provider sends for a window, of rows at these times.
Server = Callable[[list[datetime], Slice], list[datetime]]


def read(windows: Windows, window: Slice, times: list[datetime], server: Server) -> list[datetime]:
    """What a sync emits for a window of a provider that filters like `server`."""
    return [time for time in server(times, window) if windows.accepts(time, window)]


def inclusive(times: list[datetime], window: Slice) -> list[datetime]:
    return [t for t in times if (window.is_open or window.start <= t) and t <= window.end]


def end_exclusive(times: list[datetime], window: Slice) -> list[datetime]:
    return [t for t in times if (window.is_open or window.start <= t) and t < window.end]


def unfiltered(times: list[datetime], window: Slice) -> list[datetime]:
    return times


def whole_days(offset_hours: int) -> Server:
    """Days of a time zone, as the request says them: how Amigo is asked."""
    zone = timezone(timedelta(hours=offset_hours))

    def server(times: list[datetime], window: Slice) -> list[datetime]:
        params = window.params(DAYS)
        first, last = params.get("from", "0"), params["until"]
        return [t for t in times if first <= t.astimezone(zone).date().isoformat() <= last]

    return server


SERVERS: dict[str, tuple[Server, Window]] = {
    "quo, inclusive": (inclusive, EXACT),
    "bird, if its end is exclusive": (end_exclusive, EXACT),
    "amigo, days in UTC": (whole_days(0), DAYS),
    "amigo, days at +14:00": (whole_days(14), DAYS),
    "amigo, days at -12:00": (whole_days(-12), DAYS),
    "bota and tether, no filter": (unfiltered, UNFILTERED),
}
# Times that collide with each other, with midnights and with the cuts of the parts.
moments = st.one_of(
    st.datetimes(BEGINNING.replace(tzinfo=None), datetime(2026, 11, 20), timezones=st.just(timezone.utc)),
    st.integers(0, 320).map(lambda days: BEGINNING + timedelta(days=days)),
    st.integers(0, 7_000).map(lambda hours: BEGINNING + timedelta(hours=hours, microseconds=1)),
)


@pytest.mark.parametrize("provider", SERVERS)
@settings(max_examples=60, deadline=None)
@given(times=st.lists(moments, max_size=30), cuts=st.lists(moments, min_size=2, max_size=6))
def test_parts_of_a_backfill_are_exactly_the_whole(provider: str, times: list[datetime], cuts: list[datetime]) -> None:
    """start_date/end_date parts together emit every row once: no gap, no overlap, whatever the provider's bounds."""
    server, window_of = SERVERS[provider]
    # The cuts are also rows: what stands exactly on a boundary is what goes wrong.
    times = times + cuts
    cuts = sorted(set(cuts))
    emitted: Counter[datetime] = Counter()
    for start, end in itertools.pairwise(cuts):
        part = a_stream(start, end, window=window_of)
        for window in part.slices():
            emitted.update(read(part, window, times, server))
    assert emitted == Counter(t for t in times if cuts[0] <= t < cuts[-1])


@pytest.mark.parametrize("provider", SERVERS)
@settings(max_examples=60, deadline=None)
@given(times=st.lists(moments, max_size=30), data=st.data())
def test_a_sync_that_was_killed_goes_on_without_a_gap(
    provider: str, times: list[datetime], data: st.DataObject
) -> None:
    """Any windows may have been finished, in any order, and one of them partly: the rest is read after a restart."""
    server, window_of = SERVERS[provider]
    emitted: set[datetime] = set()
    first = a_stream(window=window_of)
    todo = list(first.slices())
    for window in data.draw(st.lists(st.sampled_from(todo), unique=True)):
        emitted.update(read(first, window, times, server))
        first.finish(window.start, window.end)
    partly = data.draw(st.sampled_from(todo))
    reached = partly.start + (partly.end - partly.start) * data.draw(st.floats(0.01, 0.99))
    emitted.update(t for t in read(first, partly, times, server) if t < reached)
    first.finish(partly.start, reached)

    second = a_stream(state=json.loads(json.dumps(first.dump())), window=window_of)
    for window in second.slices():
        emitted.update(read(second, window, times, server))
    assert emitted == set(times)


@pytest.mark.parametrize("provider", SERVERS)
def test_a_row_on_the_boundary_of_two_windows_is_emitted_once(provider: str) -> None:
    """Most providers' bounds are inclusive: both windows are sent the row, one of them emits it."""
    server, window_of = SERVERS[provider]
    windows = a_stream(window=window_of)
    todo = list(windows.slices())
    # Those of a list without a filter are not cut; the boundaries are rows all the same.
    times = [window.start for window in a_stream().slices()]
    assert len(times) > 2
    emitted = Counter(t for window in todo for t in read(windows, window, times, server))
    assert emitted == Counter(times)


@settings(max_examples=100, deadline=None)
@given(
    done=st.lists(st.tuples(moments, moments).map(sorted), max_size=6),
    lookback=st.integers(0, 10).map(lambda days: timedelta(days=days)),
)
def test_what_is_read_is_what_is_not_done_and_the_look_back(done: list[list[datetime]], lookback: timedelta) -> None:
    windows = a_stream(lookback=lookback)
    for start, end in done:
        windows.finish(start, end)
    todo = bounds(windows)
    whole = [*((a, b) for a, b in done if a < b), *todo]
    position = BEGINNING
    for start, end in sorted(whole):
        assert start <= position, "a gap"
        position = max(position, end)
    assert position == NOW.replace(microsecond=0)
    for (_, end), (start, _) in itertools.pairwise(todo):
        assert end <= start, "twice"


def test_without_a_start_date_the_oldest_window_has_no_lower_bound() -> None:
    windows = a_stream(start=None)
    first, *others = windows.slices()
    assert first.is_open and first.start == WITHOUT_START
    assert set(first.params(EXACT)) == {"until"}
    assert windows.accepts(datetime(1999, 1, 1, tzinfo=timezone.utc), first)
    assert not any(window.is_open for window in others)


def test_a_start_date_is_the_lower_bound_whatever_the_provider_sends() -> None:
    windows = a_stream()
    first = next(windows.slices())
    assert set(first.params(EXACT)) == {"from", "until"}
    assert not windows.accepts(BEGINNING - timedelta(microseconds=1), first)
    assert windows.accepts(BEGINNING, first)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        (EXACT, {"from": "2026-03-01T00:00:00.000000Z", "until": "2026-03-08T12:00:00.000000Z"}),
        (DAYS, {"from": "2026-02-28", "until": "2026-03-09"}),
        (UNFILTERED, {}),
        (Window("created", since="a", until="b", format="epoch_seconds"), {"a": "1772323200", "b": "1772971200"}),
        (
            Window("created", since="a", until="b", format="epoch_milliseconds"),
            {"a": "1772323200000", "b": "1772971200000"},
        ),
    ],
)
def test_the_request_says_both_bounds(window: Window, expected: dict[str, str]) -> None:
    part = Slice(datetime(2026, 3, 1, tzinfo=timezone.utc), datetime(2026, 3, 8, 12, tzinfo=timezone.utc))
    assert part.params(window) == expected


@pytest.mark.parametrize("window", [EXACT, DAYS, UNFILTERED], ids=["exact", "days", "unfiltered"])
def test_a_row_without_a_time_belongs_to_any_window(window: Window) -> None:
    windows = a_stream(window=window)
    assert all(windows.accepts(None, a_window) for a_window in windows.slices())


def test_a_finished_sync_leaves_only_the_look_back() -> None:
    first = a_stream()
    for window in first.slices():
        first.finish(window.start, window.end)
    for lookback in (timedelta(0), timedelta(days=3)):
        again = a_stream(state=first.dump(), lookback=lookback)
        end = NOW.replace(microsecond=0)
        assert bounds(again) == [(end - max(lookback, LAG), end)]


def test_a_window_that_fails_is_all_that_is_read_again() -> None:
    """One window that stays open does not hold back what the others have saved."""
    first = a_stream()
    done = list(first.slices())
    missing = done.pop(1)
    for window in done:
        first.finish(window.start, window.end)
    *again, lookback = bounds(a_stream(state=first.dump()))
    assert (again[0][0], again[-1][1]) == (missing.start, missing.end)
    assert lookback[1] - lookback[0] == LAG


def test_old_windows_are_long() -> None:
    """A backfill without a start date asks for the empty years with a handful of requests."""
    assert 3 <= len(bounds(a_stream(start=None))) <= 6


def test_windows_touch_and_are_cut_at_midnight() -> None:
    found = bounds(a_stream())
    assert len(found) > 1
    for (_, end), (start, _) in itertools.pairwise(found):
        assert end == start == start.replace(hour=0, minute=0, second=0, microsecond=0)


def test_a_list_without_a_filter_is_walked_once() -> None:
    assert bounds(a_stream(window=UNFILTERED)) == [(BEGINNING, NOW.replace(microsecond=0))]


def test_the_current_second_is_left_to_the_next_sync() -> None:
    assert bounds(a_stream())[-1][1] == NOW.replace(microsecond=0)


def test_an_end_date_in_the_future_is_no_end() -> None:
    assert bounds(a_stream(end=NOW + timedelta(days=9)))[-1][1] == NOW.replace(microsecond=0)
