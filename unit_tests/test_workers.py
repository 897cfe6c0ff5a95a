"""Who asks, how many at once, in what order it comes out, and that a config error is met by one request and told once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from time import monotonic, sleep
from typing import Any

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from source_recordings.delivery import Delivery
from source_recordings.errors import PassingError, UserError
from source_recordings.http.answers import Answer, Reply
from source_recordings.http.asking import Later, answer_to, ask
from source_recordings.http.client import Client, Closed, Gate, Login, Request
from source_recordings.reading.details import AHEAD, HELD_BYTES, InOrder, Job, Pools
from source_recordings.reading.outcome import Outcome
from source_recordings.reading.pool import Pool
from unit_tests.parts import URL, Answering, a_client, an_endpoint, some_pools

THREADS = 8


def config_error() -> UserError:
    return UserError("no")


def together(ask: Callable[[], Any], threads: int = THREADS) -> list[Any]:
    """What `ask` gives or raises in many threads at once."""
    barrier = threading.Barrier(threads)

    def one(_: int) -> Any:
        barrier.wait(10)
        try:
            return ask()
        except Exception as error:
            return error

    with ThreadPoolExecutor(threads) as executor:
        return list(executor.map(one, range(threads)))


def eventually(condition: Callable[[], bool]) -> bool:
    end = monotonic() + 10
    while not condition() and monotonic() < end:
        sleep(0.002)
    return condition()


def waited(event: threading.Event) -> None:
    event.wait(10)


GOOD = Reply(200, {}, b"{}")


class TestScout:
    def test_a_config_error_is_met_by_one_and_raised_by_all(self) -> None:
        endpoint, asked = an_endpoint(), list[int]()

        def reply() -> Reply:
            asked.append(1)
            sleep(0.02)
            raise config_error()

        results = together(lambda: ask(Answering(reply, endpoint)))
        assert len(asked) == 1
        assert len(set(map(id, results))) == 1 and isinstance(results[0], UserError)
        with pytest.raises(UserError):
            ask(Answering(reply, endpoint))
        assert len(asked) == 1

    def test_the_others_ask_at_once_after_the_first_answer(self) -> None:
        endpoint = an_endpoint()
        ask(Answering(lambda: GOOD, endpoint))
        meeting = threading.Barrier(THREADS)

        def reply() -> Reply:
            meeting.wait(10)  # nobody gets through unless all ask at the same time
            return GOOD

        results = together(lambda: ask(Answering(reply, endpoint)))
        assert all(isinstance(result, Answer) for result in results)

    @pytest.mark.parametrize("error", [KeyError("x"), PassingError("x")])
    def test_an_error_that_may_pass_refuses_nobody(self, error: Exception) -> None:
        endpoint = an_endpoint()

        def fail() -> Reply:
            raise error

        with pytest.raises(type(error)):
            ask(Answering(fail, endpoint))
        assert ask(Answering(lambda: GOOD, endpoint)).value == {}

    def test_a_wait_of_the_first_one_holds_nobody_up(self) -> None:
        endpoint = an_endpoint()
        assert isinstance(Answering(lambda: Reply(429, {}, b""), endpoint).once(), Later)
        assert isinstance(Answering(lambda: GOOD, endpoint).once(), Answer)


class TestLogin:
    def test_all_threads_share_one_login(self) -> None:
        asked: list[int] = []

        def log_in() -> str:
            asked.append(1)
            sleep(0.02)
            return f"token-{len(asked)}"

        login = Login(log_in)
        assert set(together(login.token)) == {"token-1"}
        assert set(together(lambda: login.token(refused="token-1"))) == {"token-2"}
        assert len(asked) == 2

    def test_a_refused_login_is_not_tried_again(self) -> None:
        asked: list[int] = []

        def log_in() -> str:
            asked.append(1)
            raise config_error()

        login = Login(log_in)
        assert all(isinstance(result, UserError) for result in together(login.token))
        assert len(asked) == 1


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


@pytest.fixture
def pool() -> Iterator[Pool]:
    pool = Pool(2, "test")
    yield pool
    pool.close()


class TestPool:
    def test_work_is_done_in_turn_what_comes_back_first(self) -> None:
        pool, done = Pool(1, "test"), list[str]()
        begin, end = threading.Event(), threading.Event()
        pool.submit(lambda: waited(begin))
        for name in ("a", "b"):
            pool.submit(partial(done.append, name))
        pool.submit(partial(done.append, "again"), first=True)
        pool.submit(end.set)
        begin.set()
        assert end.wait(10)
        pool.close()
        assert done == ["again", "a", "b"]

    def test_what_is_due_later_comes_when_it_is_due(self, pool: Pool) -> None:
        done: list[str] = []
        end = threading.Event()
        now = monotonic()
        pool.at(now + 0.06, end.set)
        pool.at(now + 0.03, partial(done.append, "later"))
        pool.at(now - 1, partial(done.append, "at once"))
        assert end.wait(10)
        assert monotonic() >= now + 0.06
        assert done == ["at once", "later"]

    def test_an_earlier_wait_is_not_kept_back_by_a_later_one(self, pool: Pool) -> None:
        done = threading.Event()
        pool.at(monotonic() + 3600, lambda: None)
        pool.at(monotonic() + 3600, lambda: None)
        sleep(0.02)
        pool.at(monotonic() + 0.02, done.set)
        assert done.wait(5)

    def test_no_more_threads_than_the_limit(self, pool: Pool) -> None:
        now = most = 0
        lock, end = threading.Lock(), threading.Semaphore(0)

        def work() -> None:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            sleep(0.005)
            with lock:
                now -= 1
            end.release()

        for _ in range(10):
            pool.submit(work)
        assert all(end.acquire(timeout=10) for _ in range(10))
        assert most == 2

    def test_each_pool_has_threads_of_its_own(self, pool: Pool) -> None:
        """All of Bota's threads wait: Quo's work is done all the same."""
        other, release, done = Pool(2, "other"), threading.Event(), threading.Event()
        for _ in range(4):
            pool.submit(lambda: waited(release))
        other.submit(done.set)
        assert done.wait(5)
        release.set()
        other.close()

    def test_what_has_not_begun_is_dropped_at_the_end(self) -> None:
        pool, release, done = Pool(1, "test"), threading.Event(), list[int]()
        begun = threading.Event()

        def hold() -> None:
            begun.set()
            release.wait(10)

        pool.submit(hold)
        assert begun.wait(10)
        for enqueue in (pool.submit, partial(pool.at, monotonic())):
            enqueue(lambda: done.append(1))
        pool.close()
        release.set()
        pool.submit(lambda: done.append(2))
        pool.at(monotonic(), lambda: done.append(3))
        sleep(0.05)
        assert done == []


def test_no_more_requests_at_once_than_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two providers share the gate: it is the limit of all providers together."""
    now, most, lock = 0, 0, threading.Lock()

    class Adapter:
        def send(self, *_: Any, **__: Any) -> requests.Response:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            sleep(0.01)
            with lock:
                now -= 1
            response = requests.Response()
            response.status_code, response._content = 200, b"{}"
            return response

    monkeypatch.setattr(requests.Session, "get_adapter", lambda *_: Adapter())
    gate = Gate(3)
    clients = [a_client(gate=gate), a_client(gate=gate)]
    turn: Iterator[Client] = iter(clients * THREADS)
    started = monotonic()
    together(lambda: next(turn).exchange(Request("GET", URL)))
    assert most == 3
    assert monotonic() - started < 10
