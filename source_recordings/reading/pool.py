"""Threads that do what is due, and wait for nothing."""

import threading
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count

Work = Callable[[], None]


class Pool:
    """At most so many threads; what comes back after a wait goes before what has not begun."""

    def __init__(self, threads: int, name: str) -> None:
        self._limit = threads
        self._name = name
        self._ready: deque[Work] = deque()
        self._later: list[tuple[float, int, Work]] = []
        self._number = count()
        self._changed = threading.Condition()
        self._threads = 0
        self._idle = 0
        self.closed = False

    def submit(self, work: Work, *, first: bool = False) -> None:
        """Soon. `work` must not raise."""
        with self._changed:
            if self.closed:
                return
            (self._ready.appendleft if first else self._ready.append)(work)
            self._attend()

    def at(self, moment: float, work: Work) -> None:
        """At a moment of the monotonic clock."""
        with self._changed:
            if self.closed:
                return
            heappush(self._later, (moment, next(self._number), work))
            self._attend()

    def close(self) -> None:
        """What has not begun is dropped; what has, ends by its time-outs."""
        with self._changed:
            self.closed = True
            self._ready.clear()
            self._later.clear()
            self._changed.notify_all()

    def _attend(self) -> None:
        # A thread that has been woken still counts as idle until it runs.
        if self._idle and self._idle >= len(self._ready):
            self._changed.notify()
        elif self._threads < self._limit:
            self._threads += 1
            thread = threading.Thread(target=self._run, name=f"{self._name}-{self._threads}", daemon=True)
            thread.start()

    def _run(self) -> None:
        while (work := self._next()) is not None:
            work()

    def _next(self) -> Work | None:
        with self._changed:
            while not self.closed:
                now = time.monotonic()
                if self._later and self._later[0][0] <= now:
                    return heappop(self._later)[2]
                if self._ready:
                    return self._ready.popleft()
                self._idle += 1
                self._changed.wait(self._later[0][0] - now if self._later else None)
                self._idle -= 1
            return None
