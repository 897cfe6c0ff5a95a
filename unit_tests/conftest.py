"""Fixtures of the unit tests. No test opens a socket or waits for real."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import pytest
import requests
import requests_mock
from hypothesis import settings

from source_recordings import run, times
from source_recordings.http import waits
from source_recordings.http.pace import Pace
from source_recordings.provider import Provider
from source_recordings.provider_yaml import load_providers
from source_recordings.times import parse_iso
from unit_tests.examples import EXAMPLES
from unit_tests.harness import CREATED, Connector

# What each provider's host gets. One that takes a login too gets tokens that only its tests know.
HOSTS = {
    urlsplit(example.base_url).hostname: example.header if len(example.provider.auth) == 1 else None
    for example in EXAMPLES.values()
}

# No test may fail because the machine is busy.
settings.register_profile("source-recordings", deadline=None)
settings.load_profile("source-recordings")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-snapshots", action="store_true", help="Write unit_tests/snapshots/ anew.")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Adds up the figures that the tests of `make fuzz` have recorded, wherever they ran."""
    figures: Counter[str] = Counter()
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            figures.update({name: n for name, n in report.user_properties if isinstance(n, int)})
    if figures:
        terminalreporter.write_line(", ".join(f"{number:,} {name}" for name, number in figures.items()))


@pytest.fixture
def connector(tmp_path: Path) -> Connector:
    return Connector(tmp_path)


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a unit test opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[requests_mock.Mocker]:
    """Answers the requests, and looks at every one that was sent, whatever the test is about."""
    with requests_mock.Mocker(case_sensitive=True) as mocker:
        # The connector hands its requests to the adapter itself.
        monkeypatch.setattr(requests.Session, "get_adapter", lambda *_: mocker._adapter)
        yield mocker
    for request in mocker.request_history:
        assert "{" not in request.url and "%7B%7B" not in request.url, request.url
        assert request.verify, "TLS verification must be on"
        assert request.timeout == (10, 60), "a request without a time-out hangs for ever"
        sent = request.headers.get("Authorization")
        host = urlsplit(request.url).hostname
        if expected := HOSTS.get(host):
            assert sent == expected, f"wrong credential for {host}"
        elif host not in (*HOSTS, "other.example.com"):
            assert sent is None, f"a credential went to {host}"


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits before a request is tried again, none of which takes place."""
    asked: list[float] = []

    def due(seconds: float) -> float:
        asked.append(seconds)
        return time.monotonic()

    monkeypatch.setattr(waits, "due", due)
    return asked


@pytest.fixture
def on_the_day_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """Syncs take place the day after CREATED, so that what was created then is inside the look-back."""
    now = parse_iso(CREATED) + timedelta(days=1)
    monkeypatch.setattr(times, "utc_now", lambda: now)


@pytest.fixture
def frozen_now() -> float:
    """The time now, for tests that are done within a second or two."""
    return time.time()


@pytest.fixture(autouse=True)
def without_budget(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pace waits for the real clock."""
    if "budget" not in request.fixturenames:
        monkeypatch.setattr(Pace, "wait", lambda *_: None)


@pytest.fixture(scope="session")
def loaded_providers() -> Mapping[str, Provider]:
    return load_providers()


@pytest.fixture
def quick_start(monkeypatch: pytest.MonkeyPatch, loaded_providers: Mapping[str, Provider]) -> None:
    """Reads the providers' files once for many commands: that is most of what a command without sockets takes."""
    monkeypatch.setattr(run, "load_providers", lambda: loaded_providers)


@pytest.fixture
def snapshot(request: pytest.FixtureRequest) -> Callable[[str, Any], None]:
    """Compares with a file in unit_tests/snapshots/, which `pytest --update-snapshots` writes."""

    def compare(name: str, value: Any) -> None:
        path = Path(__file__).parent / "snapshots" / name
        text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        if request.config.getoption("--update-snapshots"):
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8"), f"{name}: see --update-snapshots"

    return compare
