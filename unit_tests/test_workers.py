"""Who asks, how many at once, and that a config error is met by one request and told once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep
from typing import Any

import pytest
import requests
from airbyte_cdk.models import FailureType
from airbyte_cdk.sources.types import Record, StreamSlice
from airbyte_cdk.utils import AirbyteTracedException
from requests.adapters import HTTPAdapter

from source_recordings.components.errors import UserError
from source_recordings.components.fan_out import FanOut, Scout, SliceJobs
from source_recordings.components.partitions import Halt, Partitions
from source_recordings.components.workers import Workers

THREADS = 8


def config_error() -> AirbyteTracedException:
    return AirbyteTracedException(message="no", failure_type=FailureType.config_error)


def together(ask: Any) -> list[Any]:
    """What `ask` gives or raises in many threads at once."""
    barrier = threading.Barrier(THREADS)

    def one(_: int) -> Any:
        barrier.wait(10)
        try:
            return ask()
        except Exception as error:
            return error

    with ThreadPoolExecutor(THREADS) as threads:
        return list(threads.map(one, range(THREADS)))


class TestScout:
    def test_a_config_error_is_met_by_one_and_raised_by_all(self) -> None:
        scout, asked = Scout(), list[int]()

        def ask() -> None:
            asked.append(1)
            sleep(0.02)
            raise config_error()

        results = together(lambda: scout(ask))
        assert len(asked) == 1
        assert {type(result) for result in results} == {AirbyteTracedException}
        with pytest.raises(AirbyteTracedException):
            scout(ask)
        assert len(asked) == 1

    def test_the_others_ask_at_once_after_the_first_answer(self) -> None:
        scout = Scout()
        scout(lambda: 1)
        meeting = threading.Barrier(THREADS)
        # Nobody gets through the barrier unless all ask at the same time.
        assert len(set(together(lambda: scout(lambda: meeting.wait(10))))) == THREADS

    @pytest.mark.parametrize(
        "error", [KeyError("x"), AirbyteTracedException(failure_type=FailureType.transient_error)]
    )
    def test_an_error_that_may_pass_refuses_nobody(self, error: Exception) -> None:
        scout = Scout()

        def fail() -> None:
            raise error

        with pytest.raises(type(error)):
            scout(fail)
        assert scout(lambda: 5) == 5


def test_halt_is_told_once() -> None:
    halt = Halt()
    assert not halt
    firsts = together(halt.is_first)
    assert firsts.count(True) == 1
    assert halt


def windows(number: int) -> list[StreamSlice]:
    return [StreamSlice(partition={}, cursor_slice={"start_time": str(n)}) for n in range(number)]


def record(stream_slice: StreamSlice) -> Record:
    return Record({"id": str(stream_slice)}, "quo_calls", stream_slice)


def test_a_config_error_ends_all_windows_and_is_raised_by_one() -> None:
    """Windows that were generated before, during and after it: none is counted as read."""

    def read(_: StreamSlice) -> list[Record]:
        raise config_error()

    generated = list(Partitions("quo_calls", lambda: windows(3), read).generate())
    with pytest.raises(UserError):
        list(generated[0].read())
    for partition in generated[1:]:
        assert list(partition.read()) == []
        assert partition.abandoned  # type: ignore[attr-defined]


def test_no_further_window_is_made_after_a_config_error() -> None:
    def read(_: StreamSlice) -> list[Record]:
        raise config_error()

    partitions = Partitions("quo_calls", lambda: windows(3), read).generate()
    with pytest.raises(UserError):
        list(next(partitions).read())
    assert list(partitions) == []


def test_an_error_that_may_pass_ends_its_window_only() -> None:
    def read(window: StreamSlice) -> Iterator[Record]:
        if window["start_time"] == "0":
            raise AirbyteTracedException(message="x", failure_type=FailureType.transient_error)
        yield record(window)

    first, second = list(Partitions("quo_calls", lambda: windows(2), read).generate())
    with pytest.raises(AirbyteTracedException):
        list(first.read())
    assert len(list(second.read())) == 1
    assert hash(first) != hash(second)
    assert (second.stream_name(), second.to_slice()) == ("quo_calls", windows(2)[1])


class TestFanOut:
    def test_results_come_in_the_order_asked_a_bounded_number_ahead(self) -> None:
        started: list[str] = []

        def read(window: StreamSlice) -> list[Record]:
            started.append(window["start_time"])
            sleep(0.01 if window["start_time"] == "0" else 0)
            return [record(window)]

        with ThreadPoolExecutor(THREADS) as threads:
            results = FanOut(threads, 3)(SliceJobs(read), windows(10))
            first, _ = next(results)
            assert first["start_time"] == "0"
            assert len(started) <= 4
            assert [item["start_time"] for item, _ in results] == [str(n) for n in range(1, 10)]

    def test_a_config_error_is_asked_for_once_and_raised(self) -> None:
        asked: list[int] = []

        def read(_: StreamSlice) -> list[Record]:
            asked.append(1)
            raise config_error()

        with ThreadPoolExecutor(THREADS) as threads, pytest.raises(AirbyteTracedException):
            list(FanOut(threads, THREADS)(SliceJobs(read), windows(50)))
        assert len(asked) == 1


class TestWorkers:
    def test_each_provider_has_threads_of_its_own(self) -> None:
        with Workers(2) as workers:
            quo = workers.of("quo_calls")
            assert workers.of("quo_call_recordings") is quo
            assert workers.of("bota_recordings") is not quo
            # All of Bota's threads wait: Quo's work is done all the same.
            release = threading.Event()
            for _ in range(4):
                workers.of("bota_recordings").submit(release.wait, 10)
            assert quo.submit(lambda: 5).result(5) == 5
            release.set()

    def test_what_has_not_begun_is_dropped_at_the_end(self) -> None:
        release = threading.Event()
        with Workers(1) as workers:
            workers.of("quo_calls").submit(release.wait, 10)
            later = workers.of("quo_calls").submit(lambda: None)
        assert later.cancelled()
        release.set()

    def test_no_more_requests_at_once_than_the_limit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Two adapters share the gate: it is the limit of all providers together."""
        now, most, lock = 0, 0, threading.Lock()

        def send(self: HTTPAdapter, request: Any, *_: Any, **__: Any) -> requests.Response:
            nonlocal now, most
            with lock:
                now += 1
                most = max(most, now)
            sleep(0.01)
            with lock:
                now -= 1
            return requests.Response()

        monkeypatch.setattr(HTTPAdapter, "send", send)
        workers = Workers(3)
        adapters = [workers.adapter(), workers.adapter()]
        started = monotonic()
        turn = iter(adapters * THREADS)
        together(lambda: next(turn).send(requests.PreparedRequest()))
        assert most == 3
        assert monotonic() - started < 10
