"""The requests of a window's rows, many at once, handed on in order."""

import threading
from array import array
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
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
    """Takes items while they are listed, does their jobs, and hands the outcomes on in the order in which it took them.

    What the workers have done comes through a queue to the one thread that iterates and alone counts: a lock that all
    workers need would make them wait for each other.
    """

    def __init__(self, pools: Pools, job_of: Callable[[Item], Job]) -> None:
        self._pools = pools
        self._job_of = job_of
        self._lock = threading.Lock()
        """Of what the listing thread also uses: the four below."""
        self._waiting = Waiting()
        self._listed = self._closed = self._hungry = False
        self._refusal: Exception | None = None
        self._places: deque[_Place] = deque()
        self._done: SimpleQueue[tuple[_Place, Outcome] | None] = SimpleQueue()
        """None: there is something else to look at."""
        self._held = 0
        self._under_way = 0

    def add(self, time: int, item: Item) -> None:
        """Another item. Called while items are listed, by the thread that lists them. Raises Closed."""
        with self._lock:
            if self._closed:
                raise Closed
            self._waiting.add(time, item)
            hungry, self._hungry = self._hungry, False
        if hungry:
            self._done.put(None)

    def end(self, refusal: Exception | None = None) -> None:
        """No more items come; those that still wait go by their time. With a `refusal` the iteration raises it at once."""
        with self._lock:
            if not self._closed:
                self._waiting.sort()
            self._refusal = refusal
            self._listed = True
        self._done.put(None)

    def outcomes(self) -> Generator[tuple[int, Item, Outcome], None, None]:
        """The number of each item, the item, and what came of it."""
        try:
            while (place := self._next()) is not None:
                assert place.outcome
                yield place.number, place.item, place.outcome
        finally:
            with self._lock:
                self._closed = True
                self._waiting.close()
            for place in self._places:
                if place.running:
                    place.running.drop()
            self._places.clear()

    @property
    def times(self) -> "array[int]":
        """The time of each item, by number; complete once all are listed."""
        return self._waiting.times

    def _next(self) -> _Place | None:
        """The next place that is done; begins others meanwhile."""
        while True:
            self._count()
            while not self._refusal and self._begin_one():
                self._count()
            if self._refusal:
                raise self._refusal
            if self._places and (outcome := self._places[0].outcome):
                self._held -= outcome.size
                return self._places.popleft()
            with self._lock:
                if self._listed and not self._places and not len(self._waiting):
                    return None
            self._count(wait=True)

    def _begin_one(self) -> bool:
        """Begins the next job, if one waits and there is room for it."""
        workers, ahead = self._pools.workers, len(self._places)
        is_full = self._held >= HELD_BYTES and ahead >= workers
        if is_full or ahead >= AHEAD * workers or self._under_way >= UNDER_WAY * workers:
            return False
        with self._lock:
            if not len(self._waiting):
                self._hungry = True
                return False
            number, item = self._waiting.take()
        place = _Place(number, item)
        self._places.append(place)
        self._under_way += 1
        done = self._done
        place.running = Running(self._job_of(item), self._pools, lambda outcome: done.put((place, outcome)))
        return True

    def _count(self, *, wait: bool = False) -> None:
        """Takes in what the workers have done. Raises Closed if nobody does anything any more."""
        try:
            while True:
                done = self._done.get(block=wait, timeout=1.0 if wait else None)
                wait = False
                if done:
                    place, outcome = done
                    place.outcome = outcome
                    self._held += outcome.size
                    self._under_way -= 1
        except Empty:
            if wait and self._pools.requests.closed:
                raise Closed from None
