"""Windows of a stream of calls, for the tests of the state."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from source_recordings.provider import Window
from source_recordings.reading.windows import Interval, Span, Windows

BEGINNING = datetime(2026, 1, 1, tzinfo=timezone.utc)
NOW = datetime(2026, 11, 21, 8, 30, 15, 123456, tzinfo=timezone.utc)
EXACT = Window("created", since="from", until="until")
DAYS = Window("created", since="from", until="until", format="%Y-%m-%d", margin_days=1)
UNFILTERED = Window("created")


def a_stream(
    start: datetime | None = BEGINNING,
    end: datetime | None = None,
    state: Mapping[str, Any] | None = None,
    *,
    window: Window = EXACT,
    lookback: timedelta = timedelta(0),
) -> Windows:
    return Windows("calls", "created", window, Span(start, end, lookback, NOW), state or {})


def bounds(windows: Windows) -> list[Interval]:
    return [(window.start, window.end) for window in windows.slices()]
