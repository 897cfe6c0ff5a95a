"""The threads of a provider: in what turn they work, and how many at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from time import monotonic, sleep

import pytest

from source_recordings.reading.pool import Pool
from unit_tests.parts import waited


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
