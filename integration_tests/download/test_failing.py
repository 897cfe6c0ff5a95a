"""Hosts that refuse, fall silent or are not there, addresses that expire, and a full disk."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from airbyte_cdk import AirbyteTracedException
from airbyte_cdk.models import FailureType

from integration_tests.download.host import BODY, ETAG, Host, answer, cut, fetch, fixed, parts_left, whole
from source_recordings.files.download import CHUNK, MAX_TRIES
from source_recordings.files.source import Expired, Missing
from source_recordings.files.staging import Staging


def test_a_body_that_is_always_too_short_fails_and_leaves_nothing(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(fixed(answer("200 OK", body=BODY, length=len(BODY) + 1), then_close=True))
    waits: list[float] = []
    with pytest.raises(AirbyteTracedException) as raised:
        fetch(host, staging, waits=waits)
    assert raised.value.failure_type == FailureType.transient_error
    assert "The file x could not be downloaded" in str(raised.value.message)
    assert "Signature" not in f"{raised.value!r} {raised.value.internal_message}"
    assert len(host.requests) == MAX_TRIES
    assert len(waits) == MAX_TRIES - 1
    assert waits[-1] > 4 * waits[0]
    assert parts_left(staging) == []


def test_a_host_that_is_not_there(hosts: Callable[..., Host], staging: Staging) -> None:
    host = hosts(whole())
    host.close()
    with pytest.raises(AirbyteTracedException, match="could not be reached"):
        fetch(host, staging)
    assert parts_left(staging) == []


def test_a_host_that_falls_silent(hosts: Callable[..., Host], staging: Staging) -> None:
    silent = fixed(answer("200 OK", ETAG, body=BODY[: CHUNK + 5], length=len(BODY)))
    host = hosts(silent, whole(ETAG))
    with patch("source_recordings.http.storage.READ_SECONDS", 0.3):
        assert fetch(host, staging)[0] == BODY
    assert 0 < host.requests[1].start <= CHUNK + 5


def test_a_busy_host_is_asked_again_when_it_says(hosts: Callable[..., Host], staging: Staging) -> None:
    slow_down = [fixed(answer(f"{s} x", "Retry-After: 17", body=b"{}")) for s in (503, 429)]
    waits: list[float] = []
    assert fetch(hosts(*slow_down, whole()), staging, waits=waits)[0] == BODY
    assert len(waits) == 2
    assert all(17 <= wait < 18 for wait in waits), "with jitter: else all workers would come back at once"


@pytest.mark.parametrize("status", [404, 410, 202, 204])
def test_no_file(hosts: Callable[..., Host], staging: Staging, status: int) -> None:
    with pytest.raises(Missing):
        fetch(hosts(fixed(answer(f"{status} x"))), staging)


@pytest.mark.parametrize("status", [402, 405, 451])
def test_an_answer_that_nothing_will_change(hosts: Callable[..., Host], staging: Staging, status: int) -> None:
    host = hosts(fixed(answer(f"{status} x")))
    with pytest.raises(AirbyteTracedException, match=f"refused it with HTTP {status}"):
        fetch(host, staging)
    assert len(host.requests) == 1


@pytest.mark.parametrize("status", [400, 401, 403])
def test_an_expired_address_is_asked_for_again_once(hosts: Callable[..., Host], staging: Staging, status: int) -> None:
    fresh = hosts(whole())
    asked: list[str] = []

    def renew() -> str:
        asked.append("again")
        return fresh.url

    expired = fixed(answer(f"{status} x"))
    assert fetch(hosts(expired), staging, renew=renew)[0] == BODY
    fresh.scripts = (expired,)
    with pytest.raises(Expired):
        fetch(hosts(expired), staging, renew=renew)
    assert len(asked) == 2


def test_an_address_that_expires_while_the_file_comes_is_asked_for_again(
    hosts: Callable[..., Host], staging: Staging
) -> None:
    fresh = hosts(whole(ETAG))
    host = hosts(cut(whole(ETAG), 600), fixed(answer("403 x")))
    assert fetch(host, staging, renew=lambda: fresh.url)[0] == BODY
    assert fresh.requests[0].start == 600


def test_a_file_that_is_gone_when_its_address_is_asked_for_again(hosts: Callable[..., Host], staging: Staging) -> None:
    with pytest.raises(Missing):
        fetch(hosts(fixed(answer("403 x"))), staging, renew=lambda: None)


def test_a_full_disk_ends_the_stream_and_leaves_nothing(hosts: Callable[..., Host], staging: Staging) -> None:
    written = 0
    real = os.write

    def write(fd: int, data: Any) -> int:
        nonlocal written
        if written > CHUNK:
            raise OSError(28, "No space left on device")
        written += len(data)
        return real(fd, data)

    with (
        patch("source_recordings.files.staging.os.write", write),
        pytest.raises(AirbyteTracedException, match="is full") as raised,
    ):
        fetch(hosts(whole()), staging)
    assert raised.value.failure_type == FailureType.config_error
    assert parts_left(staging) == []
