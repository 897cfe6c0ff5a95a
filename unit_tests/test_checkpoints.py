"""Within a window: nothing is saved before it was handed on, and nothing past a request that failed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils import AirbyteTracedException

from source_recordings.components import details
from source_recordings.components.details import WindowDetails
from source_recordings.components.fan_out import DetailJobs, FanOut
from unit_tests.test_windows import FORMAT, cursor, windows

FAILING = 4


@pytest.mark.parametrize("fails", [False, True], ids=["all answered", "one failed"])
def test_what_is_saved_has_been_handed_on(fails: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill after any record -> what the saved state covers had come out before -> the rest is read again."""
    monkeypatch.setattr(details, "CHECKPOINT_SECONDS", -1.0)
    a_cursor = cursor()
    window = windows(a_cursor)[-1]
    start, _ = a_cursor.bounds(window)
    times = {str(n): start + timedelta(hours=n) for n in range(8)}

    def detail(stream_slice: StreamSlice) -> list[Record]:
        key = stream_slice["id"]
        if fails and key == str(FAILING):
            raise AirbyteTracedException(message="x", failure_type=FailureType.transient_error)
        return [Record({"id": key}, "quo_call_recordings", stream_slice)]

    def rows(stream_slice: StreamSlice) -> list[Record]:
        return [
            Record({"id": key, "created": time.strftime(FORMAT)}, "quo_calls", stream_slice)
            for key, time in reversed(times.items())
        ]

    handed_on: list[str] = []
    saved: list[datetime] = []
    checkpoint = a_cursor.checkpoint

    def noted(a: datetime, b: datetime) -> None:
        due = {key for key, time in times.items() if a <= time < b}
        assert due <= set(handed_on), "saved ahead of what was handed on"
        saved.append(b)
        checkpoint(a, b)

    monkeypatch.setattr(a_cursor, "checkpoint", noted)
    with ThreadPoolExecutor(4) as threads:
        a_window = WindowDetails(
            rows=rows,
            jobs=DetailJobs("id", "id", (), detail),
            fan_out=FanOut(threads, 4),
            time_of=a_cursor.time_of,
            cursor=a_cursor,
        )
        try:
            for record in a_window(window):
                handed_on.append(record.data["id"])  # noqa: PERF401  looked at meanwhile
        except AirbyteTracedException:
            assert fails

    assert set(handed_on) == set(times) - ({str(FAILING)} if fails else set())
    assert len(saved) > 2
    assert max(saved) == times[str(FAILING) if fails else "7"]
