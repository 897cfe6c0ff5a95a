"""Fixtures of the unit tests. No test opens a socket or waits for real."""

from __future__ import annotations

import json
import pickle
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.parse import urlsplit

import backoff
import pytest
import requests_mock
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.sources.streams.call_rate import APIBudget, HttpAPIBudget
from airbyte_cdk.sources.streams.http import rate_limiting

from source_recordings import run, source
from source_recordings.manifest import build_manifest
from unit_tests.harness import HEADERS, TETHER, Connector

HOSTS = {
    "api.bird.com": HEADERS["bird"],
    "api.platform.amigo.ai": HEADERS["amigo"],
    "api.quo.com": HEADERS["quo"],
    "api.bota.dev": HEADERS["bota"],
}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-snapshots", action="store_true", help="Write unit_tests/snapshots/ anew."
    )


@pytest.fixture
def connector(tmp_path: Path, manifest_made_once: None) -> Connector:
    return Connector(tmp_path)


@pytest.fixture(autouse=True)
def no_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> NoReturn:
        raise AssertionError("a unit test opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def api() -> Iterator[requests_mock.Mocker]:
    """Answers the requests, and looks at every one that was sent, whatever the test is about."""
    with requests_mock.Mocker(case_sensitive=True) as mocker:
        yield mocker
    for request in mocker.request_history:
        assert "{" not in request.url and "%7B" not in request.url, request.url
        assert request.verify, "TLS verification must be on"
        assert request.timeout == (10, 60), "a request without a time-out hangs for ever"
        sent = request.headers.get("Authorization")
        host = urlsplit(request.url).hostname
        expected = HOSTS.get(host or "")
        if expected is not None:
            assert sent == expected, f"wrong credential for {host}"
        elif host not in (urlsplit(TETHER).hostname, "other.example.com"):
            assert sent is None, f"a credential went to {host}"


@pytest.fixture(autouse=True)
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits before a request is tried again, none of which takes place."""
    asked: list[float] = []
    fake = SimpleNamespace(**{**vars(time), "sleep": lambda s: asked.append(s) if s else None})
    monkeypatch.setattr(rate_limiting, "time", fake)
    monkeypatch.setattr(backoff._sync, "time", fake)
    return asked


@pytest.fixture
def frozen_now() -> float:
    """The time now, for tests that are done within a second or two."""
    return time.time()


@pytest.fixture(autouse=True)
def without_budget(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A 429 uses up the budget of a whole window, which then waits for the real clock."""
    if "budget" not in request.fixturenames:
        monkeypatch.setattr(APIBudget, "acquire_call", lambda *_, **__: None)
        monkeypatch.setattr(HttpAPIBudget, "update_from_response", lambda *_, **__: None)


@pytest.fixture(scope="session")
def made_once() -> dict[str, bytes]:
    return {}


@pytest.fixture
def manifest_made_once(monkeypatch: pytest.MonkeyPatch, made_once: dict[str, bytes]) -> None:
    """Saves most of a command's time: the same manifest is assembled, validated and resolved only once."""

    def once(key: str, make: Callable[..., Any]) -> Callable[..., Any]:
        def made(*arguments: Any) -> Any:
            if key not in made_once:
                made_once[key] = pickle.dumps(make(*arguments))
            return pickle.loads(made_once[key])

        return made

    for module_with_it in (run, source):
        monkeypatch.setattr(module_with_it, "build_manifest", once("manifest", build_manifest))
    monkeypatch.setattr(ConcurrentDeclarativeSource, "_validate_source", lambda self: None)
    monkeypatch.setattr(
        ConcurrentDeclarativeSource,
        "_pre_process_manifest",
        once("resolved", ConcurrentDeclarativeSource._pre_process_manifest),
    )
    module = "airbyte_cdk.sources.declarative.concurrent_declarative_source"
    monkeypatch.setattr(f"{module}.get_declarative_component_schema", dict)


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
