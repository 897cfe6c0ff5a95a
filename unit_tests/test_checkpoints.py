"""Within a window: nothing is saved before it was handed on, and a request that failed leaves only a hole."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_recordings.errors import PassingError, UserError
from source_recordings.expressions import compile_expression, compile_path
from source_recordings.http.answers import Reply
from source_recordings.http.asking import Asking
from source_recordings.http.shared import Answers
from source_recordings.provider import ForEach, Operation, Provider, Stream, Way
from source_recordings.reading import reader as module
from source_recordings.reading.details import Pools
from source_recordings.reading.jobs import Connection, Jobs
from source_recordings.reading.reached import MAX_HOLES, Marks, Reached
from source_recordings.reading.reader import Reader
from source_recordings.reading.windows import Interval, Slice, Windows
from source_recordings.tally import Tally
from source_recordings.times import NO_TIME, iso, microseconds
from unit_tests.parts import Answering, a_client, a_provider, some_pools
from unit_tests.windows import BEGINNING, EXACT, a_stream

START, END = BEGINNING, BEGINNING + timedelta(hours=10)
WINDOW = Slice(START, END)


def at(hours: float) -> datetime:
    return START + timedelta(hours=hours)


def reached(*hours: float | None) -> tuple[Reached, Marks]:
    marks = Marks()
    times = array("q", [NO_TIME if h is None else microseconds(at(h)) for h in hours])
    return Reached(WINDOW, times, marks), marks


MICRO = timedelta(microseconds=1)


class TestReached:
    def test_nothing_is_complete_before_the_first_row(self) -> None:
        found, _ = reached(2, 4)
        assert found.intervals() == [(START, at(2))]

    def test_it_goes_on_by_time_and_not_by_number(self) -> None:
        found, marks = reached(8, 2, 4)
        marks.done(0)
        assert found.intervals() == [(START, at(2))]
        marks.done(1)
        assert found.intervals() == [(START, at(4))]
        marks.done(2)
        assert found.intervals() == [(START, END)]

    def test_rows_of_one_time_are_complete_together(self) -> None:
        found, marks = reached(2, 2)
        marks.done(1)
        assert found.intervals() == [(START, at(2))]
        marks.done(0)
        assert found.intervals() == [(START, END)]

    def test_a_failed_one_leaves_a_hole_of_its_moment(self) -> None:
        found, marks = reached(2, 4, 6)
        for number in range(3):
            marks.done(number, failed=number == 1)
        assert found.intervals() == [(START, at(4)), (at(4) + MICRO, END)]

    def test_failed_ones_of_one_time_are_one_hole(self) -> None:
        found, marks = reached(4, 4)
        for number in range(2):
            marks.done(number, failed=True)
        assert found.intervals() == [(START, at(4)), (at(4) + MICRO, END)]

    @pytest.mark.parametrize("hours", [None, -1, 11])
    def test_a_failed_one_whose_time_is_elsewhere_holds_the_window_open(self, hours: float | None) -> None:
        """What is complete of the window can't be told by time then, neither before it is done nor after."""
        found, marks = reached(2, hours, 5)
        for number in (0, 2):
            marks.done(number)
        assert found.intervals() == []
        marks.done(1, failed=True)
        assert found.intervals() == []

    @pytest.mark.parametrize("hours", [None, -1, 11])
    def test_one_whose_time_is_elsewhere_is_waited_for(self, hours: float | None) -> None:
        found, marks = reached(2, hours)
        marks.done(1)
        assert found.intervals() == [(START, at(2))]

    def test_after_many_holes_the_window_stays_open(self) -> None:
        found, marks = reached(*(1 + number / 100 for number in range(MAX_HOLES + 5)))
        for number in range(MAX_HOLES + 5):
            marks.done(number, failed=True)
        intervals = found.intervals()
        assert len(intervals) == MAX_HOLES + 1
        assert intervals[-1][1] == at(1 + MAX_HOLES / 100)

    @settings(max_examples=200, deadline=None)
    @given(
        hours=st.lists(st.integers(0, 9), min_size=1, max_size=12),
        failed=st.sets(st.integers(0, 11)),
        order=st.randoms(use_true_random=False),
    )
    def test_what_is_complete_has_no_open_and_no_failed_row_in_it(
        self, hours: list[int], failed: set[int], order: random.Random
    ) -> None:
        found, marks = reached(*hours)
        numbers = list(range(len(hours)))
        order.shuffle(numbers)
        good: set[int] = set()
        for number in numbers:
            marks.done(number, failed=number in failed)
            good |= {number} - failed
            for start, end in found.intervals():
                due = {n for n, hour in enumerate(hours) if start <= at(hour) < end}
                assert due <= good
        missing = {at(hours[n]) for n in failed if n < len(hours)}
        covered = sum(((b - a) for a, b in found.intervals()), timedelta())
        assert covered == END - START - len(missing) * MICRO


# The reader: rows by a list, one request for each.

FAILING = 4


class Rows(Jobs):
    """A list of calls, in which call n is of hour n, and a request for each; some of these fail."""

    def __init__(self, pools: Pools, failing: dict[str, Exception], listed: list[int]) -> None:
        calls = Stream(
            "quo_calls",
            ("id",),
            Operation("GET", compile_path("/calls"), "/calls", rows=("data",), is_list=True),
            compile_expression("false"),
            cursor="created",
            window=EXACT,
        )
        details = Stream(
            "quo_call_recordings",
            ("id",),
            detail := Operation("GET", compile_path("/calls/{id}"), "/calls/{id}"),
            compile_expression("row.final"),
            for_each=ForEach(
                "quo_calls", (Way(detail, (compile_expression("parent.id"),), compile_expression("true")),)
            ),
        )
        provider: Provider = a_provider(streams={s.name: s for s in (calls, details)})
        client = a_client(provider)
        connection = Connection(provider, {}, client, Answers(), pools)
        super().__init__(connection, details, Tally(details.name), None)
        self.failing = failing
        self.listed = listed
        self.list_error: Exception | None = None

    def asking(self, endpoint: Any, names: Any, *args: Any, **more: Any) -> Asking:
        def reply() -> Reply:
            if endpoint.operation.is_list:
                if self.list_error:
                    raise self.list_error
                rows = ",".join(f'{{"id":"{n}","created":"{iso(at(n))}"}}' for n in self.listed)
                return Reply(200, {}, f'{{"data":[{rows}]}}'.encode())
            key = names["id"]
            if key in self.failing:
                raise self.failing[key]
            return Reply(200, {}, f'{{"id":"{key}","final":true}}'.encode())

        return Answering(reply, endpoint, client=self._connection.client)


class Saved:
    """What has been saved, and that all of it had been handed on before."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self.handed_on: list[str] = []
        self.intervals: list[Interval] = []

    def __call__(self, intervals: list[Interval]) -> None:
        for start, end in intervals:
            due = {str(n) for n in range(8) if start <= at(n) < end}
            assert due <= set(self.handed_on), "saved ahead of what was handed on"
            self.windows.finish(start, end)
        self.intervals += intervals


@pytest.fixture
def pools() -> Iterator[Pools]:
    with some_pools() as found:
        yield found


@pytest.mark.parametrize("error", [None, PassingError("x")], ids=["all answered", "one failed"])
@pytest.mark.parametrize("listed", [list(range(8)), list(reversed(range(8)))], ids=["up", "down"])
def test_what_is_saved_has_been_handed_on(
    pools: Pools, error: Exception | None, listed: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill after any record -> what the saved state covers had come out before -> the rest is read again."""
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", -1.0)
    windows = a_stream(START, END)
    saved = Saved(windows)
    jobs = Rows(pools, {str(FAILING): error} if error else {}, listed)
    reader = Reader(jobs, windows, saved)
    raised = None
    try:
        for delivery in reader.read(WINDOW):
            saved.handed_on.append(delivery.data["id"])
    except PassingError as found:
        raised = found

    assert raised is error
    expected = [str(n) for n in listed if not (error and n == FAILING)]
    assert sorted(saved.handed_on) == sorted(expected)
    again = a_stream(START, END, windows.dump())
    if error:
        # The hole alone, and the look-back.
        first = next(again.slices())
        assert (first.start, first.end) == (at(FAILING), at(FAILING) + MICRO)
    # Settled ones are not asked for again, the failed one is.
    settled = {n for n in range(8) if (f'["{n}"]', at(n)) in again.settled}
    assert settled == {n for n in range(8) if not (error and n == FAILING)}


def test_a_list_that_fails_saves_nothing(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", -1.0)
    windows = a_stream(START, END)
    saved = Saved(windows)
    jobs = Rows(pools, {}, [])
    jobs.list_error = PassingError("the list")
    with pytest.raises(PassingError, match="the list"):
        list(Reader(jobs, windows, saved).read(WINDOW))
    assert saved.intervals == []


def test_a_config_error_ends_the_window_at_once(pools: Pools) -> None:
    windows = a_stream(START, END)
    saved = Saved(windows)
    jobs = Rows(pools, {str(n): UserError("the key") for n in range(8)}, list(range(8)))
    with pytest.raises(UserError, match="the key"):
        list(Reader(jobs, windows, saved).read(WINDOW))
    assert saved.intervals == []


def test_a_reader_that_is_abandoned_saves_nothing_more(pools: Pools, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECKPOINT_SECONDS", -1.0)
    windows = a_stream(START, END)
    saved = Saved(windows)
    reading = Reader(Rows(pools, {}, list(range(8))), windows, saved).read(WINDOW)
    saved.handed_on.append(next(reading).data["id"])
    del reading
    assert all(end <= at(1) for _, end in saved.intervals)


def test_what_is_settled_is_not_asked_for_again(pools: Pools) -> None:
    windows = a_stream(START, END)
    for n in (2, 5):
        windows.settled.add(f'["{n}"]', at(n))
    jobs = Rows(pools, {}, list(range(8)))
    found = [d.data["id"] for d in Reader(jobs, windows, lambda _: None).read(WINDOW)]
    assert sorted(found) == ["0", "1", "3", "4", "6", "7"]
