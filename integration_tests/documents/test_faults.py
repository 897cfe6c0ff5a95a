"""Faults, latency and limits: what a test can turn."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import requests

from integration_tests.documents.client import DOCUMENTS, STREAMS, Client, keys


@pytest.mark.parametrize("provider", sorted(DOCUMENTS))
def test_a_fault_answers_in_the_providers_envelope(make: Callable[..., Client], provider: str) -> None:
    client = make()
    stream = next(name for name in STREAMS if name.startswith(provider))
    client.sandbox.fault(provider, ".", status=500, times=2, after=1)
    path = client.path(stream)[1]
    statuses = [client.ask(provider, path).status_code for _ in range(5)]
    assert statuses == [200, 500, 500, 200, 200]
    client.sandbox.fault(provider, "limit=3", status=404, headers={"X-Why": "test"})
    assert client.ask(provider, path).status_code == 200
    faulty = client.ask(provider, path, {"limit": 3})
    assert (faulty.status_code, faulty.headers["X-Why"]) == (404, "test")
    client.sandbox.clear_faults()
    assert client.ask(provider, path, {"limit": 3}).status_code == 200


def test_faults_on_the_wire(make: Callable[..., Client]) -> None:
    client = make()
    sandbox = client.sandbox
    path = client.path("bird_recordings")[1]
    sandbox.fault("bird", "recordings$", kind="drop", times=1)
    with pytest.raises(requests.ConnectionError):
        client.ask("bird", path)
    sandbox.fault("bird", "recordings$", kind="truncate", times=1)
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        client.ask("bird", path)
    sandbox.fault("bird", "recordings$", kind="invalid_json", times=1)
    with pytest.raises(requests.exceptions.JSONDecodeError):
        client.ask("bird", path)
    sandbox.fault("bird", "recordings$", kind="hang", times=1)
    with pytest.raises(requests.Timeout):
        client.ask("bird", path, timeout=0.2)
    sandbox.fault("bird", "recordings$", status=503, method="POST")
    assert client.ask("bird", path).status_code == 200
    assert [entry.status for entry in sandbox.requests] == [None, 200, 200, None, 200]


def test_wrong_faults_are_refused(make: Callable[..., Client]) -> None:
    sandbox = make().sandbox
    with pytest.raises(ValueError, match="provider"):
        sandbox.fault("brid", ".", status=500)
    with pytest.raises(ValueError, match="needs a status"):
        sandbox.fault("bird", ".")
    with pytest.raises(ValueError, match="no such knob"):
        sandbox.knobs.turn(lat=1)
    with pytest.raises(ValueError, match="bota_revision is one of"):
        sandbox.knobs.turn(latency=9, bota_revision="newest")
    assert sandbox.latency == 0


def test_replayed_answers_are_the_same_until_the_clock_moves(make: Callable[..., Client]) -> None:
    client = make()
    for stream in STREAMS:
        fresh = client.list(stream)
        client.sandbox.knobs.turn(replay=True)
        assert client.list(stream) == client.list(stream) == fresh
        client.sandbox.knobs.turn(replay=False)
    client.sandbox.knobs.turn(replay=True)
    client.sandbox.advance(timedelta(days=3))
    assert keys("quo_calls", client.list("quo_calls"))[::-1] == client.sandbox.truth("quo_calls")
    bare = {"Authorization": client.headers["quo"]["Authorization"]}
    assert client.ask("quo", "/calls", headers=bare).status_code == 400
    assert client.ask("quo", "/calls", headers={}).status_code == 401


def test_latency_is_per_request_and_not_a_queue(make: Callable[..., Client]) -> None:
    client = make()
    client.sandbox.latency = 0.2
    began = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: client.ask("quo", "/v1/phone-numbers"), range(8)))
    assert 0.2 <= time.monotonic() - began < 0.8


@pytest.mark.parametrize("provider", ["bird", "amigo", "quo", "bota"])
def test_limits_refuse_what_is_too_much(make: Callable[..., Client], provider: str) -> None:
    client = make(limits=True, rates={provider: (3, 3600.0)})
    stream = next(name for name in STREAMS if name.startswith(provider))
    answers = [client.ask(provider, client.path(stream)[1]) for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
    refused = answers[-1]
    documented = {
        "amigo": {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After"},
        "bota": {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"},
    }.get(provider, set())
    found = {name for name in refused.headers if name.startswith(("X-Rate", "Retry"))}
    assert found == documented
    if documented:
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        assert 0 < int(refused.headers["X-RateLimit-Reset"]) - time.time() <= 3601
    client.sandbox.limits = False
    assert client.ask(provider, client.path(stream)[1]).status_code == 200


def test_bota_counts_in_every_answer(shared: Client) -> None:
    for path, params in (
        ("/v1/recordings", {}),
        ("/v1/recordings", {"limit": 0}),
        ("/v1/recordings/rec_unknown", {}),
        ("/nowhere", {}),
    ):
        headers = shared.ask("bota", path, params).headers
        assert headers["X-RateLimit-Limit"] == "100"
        assert headers["X-RateLimit-Reset"].isdigit()


def test_a_new_window_opens(make: Callable[..., Client]) -> None:
    client = make(limits=True, rates={"quo": (2, 0.5)})
    assert client.sandbox.knobs.rates["bota"] == (100, 60.0)
    statuses = []
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        statuses.append(client.ask("quo", "/v1/phone-numbers").status_code)
        time.sleep(0.02)
    assert 4 <= statuses.count(200) <= 8
    assert statuses.count(429) > 10
