"""What the state says of a past in which nothing was found."""

from datetime import datetime, timedelta, timezone
from typing import Any

from source_recordings.provider import Window
from source_recordings.reading.windows import Span, Windows

NOW = datetime(2026, 11, 1, 9, 30, tzinfo=timezone.utc)


def windows_of(state: dict[str, Any]) -> Windows:
    span = Span(start=None, end=None, lookback=timedelta(days=3), now=NOW)
    return Windows(
        "quo_call_transcripts", "callCreatedAt", Window("createdAt", "createdAfter", "createdBefore"), span, state
    )


def test_what_was_empty_counts_as_read_until_something_comes() -> None:
    """A sync that ends in between leaves the rest of the past to the next one."""
    windows = windows_of({"state_type": "date-range", "slices": [], "nothing_yet": True})
    for window in windows.slices():
        windows.finish(window.start, window.end)
    state = windows.dump()
    assert state["nothing_yet"] is True

    later = windows_of(state)
    (look_back,) = later.slices()
    assert later.is_doubtful and later.has_read
    later.something_came()
    past = list(later.doubtful())
    assert past[-1].end == look_back.start
    later.finish(look_back.start, look_back.end)
    assert "nothing_yet" not in later.dump()

    rest = list(windows_of(later.dump()).slices())
    assert [(rest[0].start, rest[-1].end)] == [(past[0].start, look_back.end)]
