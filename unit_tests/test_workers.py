"""Who asks and how many at once, and that a config error is met by one request and told once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep
from typing import Any

import pytest
import requests

from source_recordings.errors import PassingError, UserError
from source_recordings.http.answers import Answer, Reply
from source_recordings.http.asking import Later, ask
from source_recordings.http.client import Client, Gate, Login, Request
from unit_tests.parts import GOOD, URL, Answering, a_client, an_endpoint, config_error

THREADS = 8


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
