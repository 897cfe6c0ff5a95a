"""How long to wait before a request is made again. Every wait of the reading begins here."""

import random
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from email.utils import parsedate_to_datetime

from source_recordings.times import EPOCH, UTC, parse_iso, parse_time, utc_now

LONGEST = 15 * 60.0
"""Seconds. Whatever a header says, the provider is asked again then."""

LONGEST_GROWN = 60.0
_NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)


def due(seconds: float) -> float:
    """When a wait that begins now is over, on the monotonic clock."""
    return time.monotonic() + min(seconds, LONGEST)


def sleep_until(moment: float, is_over: Callable[[], bool] = lambda: False) -> None:
    """A moment of the monotonic clock, or when the sync is over, within a second."""
    left = moment - time.monotonic()
    while left > 0 and not is_over():
        time.sleep(min(left, 1.0))
        left -= 1.0


def grown(tries: int) -> float:
    """Twice as long with every try, up to a minute, with jitter: without it all workers would come back at once."""
    return min(LONGEST_GROWN, 2.0 ** (tries - 1)) + random.random()  # noqa: S311  no secret


def asked_for(headers: Mapping[str, str], *, reset: bool) -> float | None:
    """The seconds that an answer asks to wait, with jitter; None if it says nothing that can be read.

    Sources: Retry-After is RFC 9110, 10.2.3; X-RateLimit-Reset, in epoch seconds, the rate limit pages of Amigo and Bota.
    `reset`: whether the latter counts. Bota sends it with every answer, errors of its servers included.
    """
    wait = _seconds(headers.get("Retry-After"))
    if wait is None and reset:
        wait = _seconds(headers.get("X-RateLimit-Reset"), is_moment=True)
    return None if wait is None else min(wait, LONGEST) + random.random()  # noqa: S311


def _seconds(value: str | None, *, is_moment: bool = False) -> float | None:
    """Headers come as numbers, as dates and as anything else: what can't be read is as if it were not there."""
    if not value:
        return None
    if _NUMBER.fullmatch(value):
        number = float(value)
        if not is_moment:
            return number
        if number < 1e9:  # no moment: the seconds that are left
            return number
        moment = parse_time(number)
    else:
        moment = _date(value)
    if moment is None or moment < EPOCH:
        return None
    return max(0.0, (moment - utc_now()).total_seconds())


def _date(value: str) -> datetime | None:
    for parse in (parse_iso, parsedate_to_datetime):
        try:
            found = parse(value)
            # `-0000` is a date in UTC of which nobody says where it was written; Python leaves the zone out.
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        except (ValueError, TypeError, OverflowError):  # noqa: PERF203  two forms
            continue
    return None
