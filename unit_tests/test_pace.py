"""The pace: evenly spread, slower when refused, back to the documented limit; and what a header may ask for."""

from __future__ import annotations

import itertools
from datetime import datetime, timezone
from email.utils import format_datetime

import pytest

from source_recordings.http import pace as module
from source_recordings.http import waits
from source_recordings.http.pace import MARGIN, Pace


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When each request may go, without waiting for it."""
    found: list[float] = []
    monkeypatch.setattr(module, "sleep_until", lambda turn, _: found.append(turn))
    return found


@pytest.mark.usefixtures("budget")
class TestPace:
    def test_requests_are_spread_evenly(self, turns: list[float]) -> None:
        """Ten a second -> one each tenth of a second and a little more, so that no moving second holds eleven."""
        pace = Pace(10, 1.0)
        for _ in range(21):
            pace.wait()
        gaps = [b - a for a, b in itertools.pairwise(turns)]
        assert all(abs(gap - 0.1 / MARGIN) < 0.01 for gap in gaps)
        assert turns[10] - turns[0] > 1.0

    def test_without_a_limit_nobody_waits(self, turns: list[float]) -> None:
        pace = Pace(None)
        pace.wait()
        assert turns == []

    def test_a_refusal_with_a_time_holds_everybody_back(self, turns: list[float]) -> None:
        pace = Pace(10, 1.0)
        pace.wait()
        pace.refused(30.0)
        pace.wait()
        assert 29 < turns[1] - turns[0] < 31

    def test_no_wait_is_longer_than_fifteen_minutes(self, turns: list[float]) -> None:
        pace = Pace(10, 1.0)
        pace.wait()
        pace.refused(1e9)
        pace.wait()
        assert turns[1] - turns[0] < 15 * 60 + 1

    def test_a_refusal_makes_it_slower_and_answers_bring_it_back(self) -> None:
        pace = Pace(10, 1.0)
        least = pace._interval
        pace.refused(None)
        slower = pace._interval
        assert slower > 1.2 * least
        for _ in range(1000):
            pace.answered()
        assert pace._interval == least


@pytest.fixture
def budget() -> None:
    """Keeps the pace that the other tests are freed of."""


NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=timezone.utc)


@pytest.fixture
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "utc_now", lambda: NOW)


@pytest.mark.usefixtures("noon")
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7),
        ({"Retry-After": "7.5"}, 7.5),
        ({"Retry-After": format_datetime(NOW.replace(minute=1), usegmt=True)}, 60),
        ({"Retry-After": "99999999"}, 900),
        ({"Retry-After": "Wed, 25 Nov 2099 08:00:00 GMT"}, 900),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) + 42)}, 42),
        ({"X-RateLimit-Reset": str(1000 * (int(NOW.timestamp()) + 42))}, 42),
        ({"X-RateLimit-Reset": f"{NOW.timestamp() + 42}"}, 42),
        ({"X-RateLimit-Reset": "2026-11-25T12:00:42Z"}, 42),
        ({"X-RateLimit-Reset": "30"}, 30),
        ({"X-RateLimit-Reset": str(int(NOW.timestamp()) - 42)}, 0),
        ({"Retry-After": "1", "X-RateLimit-Reset": "2100-01-01T00:00:00Z"}, 1),
        *(({"Retry-After": odd}, None) for odd in ("NaN", "-5", "inf", "1e300", "soon", "", "\u00b2", "12, 13")),
    ],
    ids=str,
)
def test_a_header_is_read_leniently(headers: dict[str, str], seconds: float | None) -> None:
    """Numbers, dates and milliseconds are understood; what is not counts as missing; never over 15 minutes."""
    found = waits.asked_for(headers, reset=True)
    if seconds is None:
        assert found is None
    else:
        assert found is not None and seconds <= found <= seconds + 1


def test_a_reset_counts_only_where_it_was_asked_for() -> None:
    assert waits.asked_for({"X-RateLimit-Reset": "30"}, reset=False) is None
