"""Many jobs at once, whose outcomes come out in order."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import sleep
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from source_recordings.delivery import Delivery
from source_recordings.errors import PassingError, UserError
from source_recordings.http.answers import Answer, Reply
from source_recordings.http.asking import Later, answer_to
from source_recordings.http.client import Closed
from source_recordings.reading.details import AHEAD, HELD_BYTES, InOrder, Job, Pools
from source_recordings.reading.outcome import Outcome
from unit_tests.parts import GOOD, Answering, an_endpoint, config_error, eventually, some_pools


def outcome_of(item: Any) -> Outcome:
    return Outcome([Delivery({"item": item})])


def instantly(item: Any) -> Job:
    yield from ()
    return outcome_of(item)


class TestInOrder:
    def read(
        self, pools: Pools, items: list[tuple[int, Any]], job_of: Callable[[Any], Job]
    ) -> list[tuple[int, Any, Outcome]]:
        order = InOrder(pools, job_of)
        for time, item in items:
            order.add(time, item)
        order.end()
        return list(order.outcomes())

    @settings(max_examples=50, deadline=None)
    @given(times=st.lists(st.integers(0, 5), max_size=60), slow=st.sets(st.integers(0, 59)))
    def test_outcomes_come_by_time_whatever_is_done_first(self, times: list[int], slow: set[int]) -> None:
        def job_of(item: int) -> Job:
            yield partial(sleep, 0.002 if item in slow else 0)
            return outcome_of(item)

        items = [(time, number) for number, time in enumerate(times)]
        with some_pools() as pools:
            found = self.read(pools, items, job_of)
        assert [number for number, *_ in found] == [n for _, n in sorted(items)]
        assert [item for _, item, _ in found] == [n for _, n in sorted(items)]
        assert [o.deliveries[0].data["item"] for *_, o in found] == [n for _, n in sorted(items)]

    def test_what_comes_while_it_is_listed_comes_out_before_the_list_ends(self) -> None:
        with some_pools() as pools:
            order = InOrder(pools, instantly)
            order.add(9, "first")
            done = order.outcomes()
            assert next(done)[1] == "first"
            order.add(1, "second")
            assert next(done)[1] == "second"
            order.end()
            assert list(done) == []
            assert list(order.times) == [9, 1]

    def test_a_bounded_number_is_begun_ahead(self) -> None:
        begun: list[int] = []
        release = threading.Event()

        def job_of(item: int) -> Job:
            begun.append(item)
            if item == 0:
                yield lambda: release.wait(10)
            return outcome_of(item)

        with some_pools(2) as pools:
            order = InOrder(pools, job_of)
            for number in range(100):
                order.add(0, number)
            order.end()
            done = order.outcomes()
            with ThreadPoolExecutor(1) as thread:
                first = thread.submit(next, done)
                assert eventually(lambda: len(begun) >= 2 * AHEAD)
                sleep(0.05)
                assert len(begun) == 2 * AHEAD
                release.set()
                assert first.result(10)[1] == 0
            assert [item for _, item, _ in done] == list(range(1, 100))

    def test_large_answers_are_not_piled_up(self) -> None:
        begun: list[int] = []
        release = threading.Event()

        def job_of(item: int) -> Job:
            begun.append(item)
            if item == 0:
                yield lambda: release.wait(10)
            return Outcome(size=HELD_BYTES)

        with some_pools(2) as pools:
            order = InOrder(pools, job_of)
            for number in range(50):
                order.add(0, number)
            order.end()
            with ThreadPoolExecutor(1) as thread:
                done = thread.submit(list, order.outcomes())
                assert eventually(lambda: len(begun) >= 2)
                sleep(0.05)
                assert len(begun) <= 8
                release.set()
                assert len(done.result(10)) == 50

    def test_a_job_that_raises_is_its_own_outcome(self) -> None:
        def job_of(item: int) -> Job:
            if item == 1:
                raise KeyError("x")
            yield from ()
            return outcome_of(item)

        with some_pools() as pools:
            found = self.read(pools, [(0, n) for n in range(3)], job_of)
        assert [type(o.error) for *_, o in found] == [type(None), KeyError, type(None)]

    def test_a_job_gets_what_it_waits_for_and_the_errors_too(self) -> None:
        endpoint = an_endpoint(answered=True)

        def fail() -> Reply:
            raise PassingError("x")

        def slowly() -> int:
            raise KeyError("y")

        def job_of(item: Any) -> Job:
            answer = yield from answer_to(Answering(lambda: GOOD, endpoint))
            got: list[Any] = [answer.value, (yield lambda: 5)]
            try:
                yield from answer_to(Answering(fail, endpoint))
            except PassingError as error:
                got.append(error.message)
            try:
                yield slowly
            except KeyError as error:
                got.append(error.args[0])
            return outcome_of(got)

        with some_pools() as pools:
            ((_, _, outcome),) = self.read(pools, [(0, "a")], job_of)
        assert outcome.deliveries[0].data["item"] == [{}, 5, "x", "y"]

    def test_a_wait_holds_up_nobody_else(self) -> None:
        """One worker: what has to wait comes out after others have been done meanwhile."""
        done: list[str] = []
        later = threading.Event()

        class Waits(Answering):
            def once(self) -> Answer | Later:
                if later.is_set():
                    return Answer({})
                return Later(when_done=lambda wake: threading.Thread(target=woken, args=[wake]).start())

        def woken(wake: Callable[[], None]) -> None:
            later.wait(10)
            wake()

        def job_of(item: str) -> Job:
            if item == "waits":
                yield from answer_to(Waits(lambda: GOOD))
            done.append(item)
            if item == "other":
                later.set()
            return outcome_of(item)

        with some_pools(1) as pools:
            found = self.read(pools, [(0, "waits"), (1, "other")], job_of)
        assert done == ["other", "waits"]
        assert [item for _, item, _ in found] == ["waits", "other"]

    def test_a_refused_list_is_raised_at_once(self) -> None:
        with some_pools() as pools:
            order = InOrder(pools, instantly)
            order.add(0, "a")
            order.end(config_error())
            with pytest.raises(UserError):
                list(order.outcomes())

    def test_nobody_lists_on_once_the_reading_is_given_up(self) -> None:
        with some_pools() as pools:
            order = InOrder(pools, instantly)
            order.add(0, "a")
            done = order.outcomes()
            next(done)
            done.close()
            with pytest.raises(Closed):
                order.add(0, "b")
            order.end()

    def test_a_request_under_way_is_left_to_others_when_the_reading_is_given_up(self) -> None:
        asked, released = threading.Event(), threading.Event()

        class Waits(Answering):
            def once(self) -> Answer | Later:
                asked.set()
                return Later(when_done=lambda _: None)

            def release(self) -> None:
                released.set()

        def job_of(item: str) -> Job:
            if item == "waits":
                yield from answer_to(Waits(lambda: GOOD))
            return outcome_of(item)

        with some_pools(2) as pools:
            order = InOrder(pools, job_of)
            order.add(0, "first")
            order.add(1, "waits")
            order.end()
            done = order.outcomes()
            next(done)
            assert asked.wait(10)
            sleep(0.05)
            done.close()
        assert released.is_set()
