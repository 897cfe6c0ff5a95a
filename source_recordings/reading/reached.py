"""How far a window is done, while its jobs are handed on in some order and a few of them fail."""

from array import array

from source_recordings.reading.windows import Interval, Slice
from source_recordings.times import NO_TIME, microseconds, moment

MAX_HOLES = 50
"""So many failed jobs leave a hole in what is saved; from the next one on, the window stays open."""

OPEN, DONE, FAILED = 0, 1, 2


class Marks:
    """What has become of each job of a window, by its number: one byte each."""

    def __init__(self) -> None:
        self._marks = bytearray()

    def done(self, number: int, *, failed: bool = False) -> None:
        """The job has been handed on, or has failed for good."""
        if number >= len(self._marks):
            self._marks.extend(bytes(max(1024, number + 1 - len(self._marks))))
        self._marks[number] = FAILED if failed else DONE

    def __getitem__(self, number: int) -> int:
        return self._marks[number] if number < len(self._marks) else OPEN


class Reached:
    """Which parts of a window are complete, to be saved: before the first job that is not done, but for those that failed.

    A failed job's moment stays open by itself, so that one recording that can never be had costs no other one a request.
    """

    def __init__(self, window: Slice, times: "array[int]", marks: Marks) -> None:
        """`times` of all jobs of the window, by their number, and what has become of them."""
        self._start, self._end = microseconds(window.start), microseconds(window.end)
        self._times = times
        self._order = array("q", sorted(range(len(times)), key=lambda n: self._moment(times[n])))
        self._marks = marks
        self._next = 0
        self._holes: list[int] = []

    def intervals(self) -> list[Interval]:
        """What is complete by now."""
        while self._next < len(self._order) and (mark := self._marks[self._order[self._next]]):
            if mark == FAILED and not self._leave_hole(self._next_moment()):
                break
            self._next += 1
        found = []
        position = self._start
        for hole in [*self._holes, self._reached()]:
            if hole > position:
                found.append((position, hole))
            position = hole + 1
        return [(a, b) for x, y in found if (a := moment(x)) and (b := moment(y))]

    def _moment(self, time: int) -> int:
        # A row whose time lies elsewhere is this window's all the same, because the provider says so: all waits for it.
        return time if self._start <= time < self._end else NO_TIME

    def _next_moment(self) -> int:
        return self._moment(self._times[self._order[self._next]])

    def _leave_hole(self, time: int) -> bool:
        if time == NO_TIME or len(self._holes) >= MAX_HOLES:
            return False
        if not self._holes or self._holes[-1] != time:
            self._holes.append(time)
        return True

    def _reached(self) -> int:
        if self._next == len(self._order):
            return self._end
        return max(self._start, self._next_moment())
