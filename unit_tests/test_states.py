"""The saved state: other cursors' states are understood, nonsense is told, and what is settled stays small."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_recordings.errors import UserError
from source_recordings.reading.settled import Settled
from source_recordings.reading.windows import LAG
from source_recordings.times import iso
from unit_tests.windows import BEGINNING, NOW, a_stream, bounds


def test_state_of_the_stock_cursor_is_understood() -> None:
    """A single timestamp is what the CDK's own cursor saves."""
    windows = a_stream(state={"created": "2026-11-20T00:00:00.000000Z"})
    assert [start for start, _ in bounds(windows)] == [datetime(2026, 11, 20, tzinfo=timezone.utc) - LAG]


@pytest.mark.parametrize(
    "parent",
    [
        {"created": "2026-11-20T00:00:00.000000Z"},
        {"state_type": "date-range", "slices": [{"start": iso(BEGINNING), "end": "2026-11-20T00:00:00.000000Z"}]},
    ],
)
def test_state_of_the_stock_substream_cursor_is_understood(parent: dict[str, Any]) -> None:
    """As the exported manifest leaves it, when it is run by itself."""
    windows = a_stream(state={"use_global_cursor": False, "parent_state": {"calls": parent}})
    assert [start for start, _ in bounds(windows)] == [datetime(2026, 11, 20, tzinfo=timezone.utc) - LAG]


@pytest.mark.parametrize(
    "state",
    [
        {},
        {"state_type": "date-range", "slices": []},
        {"__ab_no_cursor_state_message": True},
        {"created": None},
        {"parent_state": {}},
        {"parent_state": {"calls": {}}},
    ],
)
def test_a_state_without_windows_starts_from_the_beginning(state: dict[str, Any]) -> None:
    assert bounds(a_stream(state=state)) == bounds(a_stream())


def test_a_state_from_the_future_is_told_and_read_again_from_now_on(caplog: pytest.LogCaptureFixture) -> None:
    state = {"state_type": "date-range", "slices": [{"start": iso(BEGINNING), "end": iso(NOW + timedelta(days=400))}]}
    windows = a_stream(state=state, lookback=timedelta(days=3))
    assert "ahead of this machine's clock" in caplog.text
    assert bounds(windows) == [(NOW - timedelta(days=3), NOW.replace(microsecond=0))]


GARBAGE: list[dict[str, Any]] = [
    {"created": "yesterday"},
    {"created": 5},
    {"created": ["2026-11-20T00:00:00.000000Z"]},
    {"created": "\ud800"},
    {"something": "else"},
    {"state_type": "date-range", "slices": [{"start": "x", "end": "y"}]},
    {"state_type": "date-range", "slices": [{"start": "2026-11-20T00:00:00.000000Z"}]},
    {"state_type": "date-range", "slices": "all"},
    {"state_type": "date-range", "slices": None},
    {"state_type": "date-range"},
    {"state_type": "date-range", "slices": [5]},
    {"state_type": "date-range", "slices": [], "settled": 3},
    {"settled": {"2026-11-20": "not base64!"}},
    {"settled": {"2026-11-20": 5}},
    {"settled": ["a"]},
    {"parent_state": {"calls": 5}},
    {"parent_state": {"calls": {"created": "x"}}},
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=ascii)
def test_a_state_that_makes_no_sense_is_a_clear_error(garbage: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        a_stream(state=garbage)
    assert "state of stream calls can't be read" in str(caught.value.message)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just(iso(BEGINNING)),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["start", "end", "created", "2026-11-20"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(
        st.sampled_from(["state_type", "slices", "settled", "created", "parent_state", "x"]), json_values, max_size=4
    )
)
def test_any_state_is_read_or_refused(state: dict[str, Any]) -> None:
    try:
        windows = a_stream(state=state)
    except UserError:
        return
    assert bounds(windows)[-1][1] == NOW.replace(microsecond=0)
    json.dumps(windows.dump())


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
        (f"recording {number}", NOW - timedelta(days=number % 3)) in settled for number in range(Settled.FILES_LIMIT)
    )
    settled.add("one more", NOW)
    settled.forget_before(NOW - timedelta(days=3))
    assert ("recording 2", NOW - timedelta(days=2)) not in settled
    assert ("one more", NOW) in settled
    assert len(json.dumps(settled.dump())) < 170_000


def test_what_is_settled_in_a_window_that_is_still_open_is_kept() -> None:
    """A newer window is done first -> the sync is killed -> the next one does not ask again for what is settled."""
    windows = a_stream(lookback=timedelta(days=3))
    *_, older, newest = windows.slices()
    time = older.start + timedelta(days=1)
    windows.settled.add("old", time)
    windows.finish(newest.start, newest.end)
    assert ("old", time) in windows.settled
    windows.finish(BEGINNING, newest.start)
    assert ("old", time) not in windows.settled


def test_a_failed_job_does_not_keep_what_is_settled_for_ever() -> None:
    windows = a_stream(lookback=timedelta(days=3))
    hole = BEGINNING + timedelta(days=30)
    windows.settled.add("old", hole + timedelta(days=1))
    windows.finish(BEGINNING, hole)
    windows.finish(hole + timedelta(microseconds=1), NOW)
    assert ("old", hole + timedelta(days=1)) not in windows.settled
