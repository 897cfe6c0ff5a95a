"""The pace at which a provider is asked: the documented limit, spread evenly, or what its answers allow."""

import threading
import time
from collections import deque
from collections.abc import Callable

from source_recordings.http.waits import LONGEST, sleep_until

MARGIN = 0.97
"""Of the documented rate. Requests do not arrive as evenly as they are sent: at the full rate a strict moving window
refuses some of them."""

SLOWER = 1.25
FASTER = 0.999
"""Per good answer: back to the old pace within some hundred answers, so that a limit is met rarely."""

OBSERVED_SECONDS = 2.0


class Pace:
    """Lets requests through one by one. Used by all threads that ask one provider."""

    def __init__(self, requests: int | None, seconds: float = 1.0) -> None:
        """So many `requests` in so many `seconds`; None where no limit is known."""
        self._least = seconds / requests / MARGIN if requests else 0.0
        self._interval = self._least
        self._next = 0.0
        self._lock = threading.Lock()
        self._answered: deque[float] = deque(maxlen=10_000)

    def wait(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Returns when the caller may send its request, or when the sync is over."""
        if not self._interval and not self._next:
            return
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self._interval
        sleep_until(turn, is_over)

    def answered(self) -> None:
        """An answer came that was no refusal."""
        if self._least and self._interval == self._least:
            return
        now = time.monotonic()
        with self._lock:
            self._answered.append(now)
            if self._interval > self._least:
                self._interval = max(self._least, self._interval * FASTER)

    def refused(self, wait: float | None) -> None:
        """The provider said that this was too fast, and how many seconds it wants to be left alone."""
        now = time.monotonic()
        with self._lock:
            seen = sum(1 for moment in self._answered if moment > now - OBSERVED_SECONDS)
            kept = OBSERVED_SECONDS / seen if seen else self._interval
            self._interval = min(LONGEST, max(self._interval, kept, self._least) * SLOWER)
            self._answered.clear()
            if wait:
                self._next = max(self._next, now + min(wait, LONGEST))
