"""The requests of a window's rows, many at once, handed on in order."""

import threading
from array import array
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import Any

from source_recordings.http.answers import Answer
from source_recordings.http.asking import Asking
from source_recordings.http.client import Closed
from source_recordings.reading.kept import Waiting
from source_recordings.reading.outcome import Outcome
from source_recordings.reading.pool import Pool

Job = Generator[Any, Any, Outcome]
"""Yields an Asking, and gets its Answer; or something slow to call, and gets its value. Returns the outcome."""

Item = Any

AHEAD = 8
"""So many times as many jobs as workers are under way or done ahead of the one that is next in order."""

UNDER_WAY = 4
"""So many times as many jobs as workers are begun and not done: what they will weigh is not known before."""

HELD_BYTES = 32_000_000
"""About as much is held of answers that wait for their turn."""


@dataclass(frozen=True)
class Pools:
    """Who does the requests of a provider, and who does what is slow: its downloads hold up no request."""

    requests: Pool
    slow: Pool
    workers: int

    def close(self) -> None:
        self.requests.close()
        self.slow.close()


class Running:
    """A job on its way through the pools. A wait holds up nobody else."""

    def __init__(self, job: Job, pools: Pools, done: Callable[[Outcome], None]) -> None:
        self._job = job
        self._pools = pools
        self._done = done
        self._waits_for: Asking | None = None
        pools.requests.submit(partial(self._go_on, None))

    def drop(self) -> None:
        """Gives up what has not come yet."""
        if self._waits_for:
            self._waits_for.release()

    def _go_on(self, value: Any) -> None:
        self._step(lambda: self._job.send(value))

    def _step(self, resume: Callable[[], Any]) -> None:
        while True:
            try:
                wanted = resume()
            except StopIteration as end:
                self._done(end.value)
                return
            except Exception as error:  # noqa: BLE001  whatever it is, it is this job's and no other's
                self._done(Outcome(error=error))
                return
            if not isinstance(wanted, Asking):
                self._pools.slow.submit(partial(self._call, wanted))
                return
            found = self._ask(wanted)
            if found is None:
                return
            resume = found

    def _ask(self, asking: Asking) -> Callable[[], Any] | None:
        """How to go on; None if the answer is still to come."""
        self._waits_for = asking
        try:
            found = asking.once()
        except Exception as error:  # noqa: BLE001  the job may have something to say to it
            return partial(self._job.throw, error)
        if isinstance(found, Answer):
            return partial(self._job.send, found)
        again = partial(self._again, asking)
        if found.when_done:
            found.when_done(lambda: self._pools.requests.submit(again, first=True))
        else:
            self._pools.requests.at(found.due, again)
        return None

    def _again(self, asking: Asking) -> None:
        resume = self._ask(asking)
        if resume:
            self._step(resume)

    def _call(self, slow: Callable[[], Any]) -> None:
        try:
            value = slow()
        except Exception as error:  # noqa: BLE001  see above
            self._step(partial(self._job.throw, error))
        else:
            self._go_on(value)


class _Place:
    """A job's place in the order."""

    __slots__ = ("item", "number", "outcome", "running")

    def __init__(self, number: int, item: Item) -> None:
        self.number = number
        self.item = item
        self.outcome: Outcome | None = None
        self.running: Running | None = None


class InOrder:
    """Takes items while they are listed, does their jobs, and hands the outcomes on in the order in which it took them."""

    def __init__(self, pools: Pools, job_of: Callable[[Item], Job]) -> None:
        self._pools = pools
        self._job_of = job_of
        self._changed = threading.Condition()
        self._waiting = Waiting()
        self._places: deque[_Place] = deque()
        self._listed = self._closed = False
        self._refusal: Exception | None = None
        self._held = 0
        self._under_way = 0

    def add(self, time: int, item: Item) -> None:
        """Another item. Called while items are listed, by the thread that lists them. Raises Closed."""
        with self._changed:
            if self._closed:
                raise Closed
            self._waiting.add(time, item)
            if len(self._places) < self._ahead:
                self._changed.notify()

    def end(self, refusal: Exception | None = None) -> None:
        """No more items come; those that still wait go by their time. With a `refusal` the iteration raises it at once."""
        with self._changed:
            if not self._closed:
                self._waiting.sort()
            self._refusal = refusal
            self._listed = True
            self._changed.notify()

    def outcomes(self) -> Generator[tuple[int, Item, Outcome], None, None]:
        """The number of each item, the item, and what came of it."""
        try:
            while (place := self._next()) is not None:
                assert place.outcome
                yield place.number, place.item, place.outcome
        finally:
            with self._changed:
                self._closed = True
                for place in self._places:
                    if place.running:
                        place.running.drop()
                self._places.clear()
                self._waiting.close()

    @property
    def times(self) -> "array[int]":
        """The time of each item, by number; complete once all are listed."""
        return self._waiting.times

    @property
    def _ahead(self) -> int:
        return AHEAD * self._pools.workers

    def _next(self) -> _Place | None:
        """The next place that is done; begins others meanwhile."""
        while True:
            with self._changed:
                while not (self._may_begin() or self._is_head_done()) or self._refusal:
                    if self._refusal:
                        raise self._refusal
                    if self._listed and not self._places and not len(self._waiting):
                        return None
                    if not self._changed.wait(1.0) and self._pools.requests.closed:
                        raise Closed
                if not self._may_begin():
                    place = self._places.popleft()
                    self._held -= place.outcome.size if place.outcome else 0
                    return place
                place = _Place(*self._waiting.take())
                self._places.append(place)
                self._under_way += 1
            place.running = Running(self._job_of(place.item), self._pools, partial(self._done, place))

    def _may_begin(self) -> bool:
        if not len(self._waiting):
            return False
        if self._under_way >= UNDER_WAY * self._pools.workers:
            return False
        if self._held >= HELD_BYTES and len(self._places) >= self._pools.workers:
            return False
        return len(self._places) < self._ahead

    def _is_head_done(self) -> bool:
        return bool(self._places) and self._places[0].outcome is not None

    def _done(self, place: _Place, outcome: Outcome) -> None:
        with self._changed:
            place.outcome = outcome
            self._held += outcome.size
            self._under_way -= 1
            # The one that hands on waits for the head, or for room to begin another.
            self._changed.notify()
