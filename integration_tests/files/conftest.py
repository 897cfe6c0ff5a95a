"""A sandbox with small files, and a host that is not the provider's."""

from __future__ import annotations

from collections.abc import Iterator
from unittest.mock import patch

import pytest

from integration_tests.files.audio import NOW, OtherHost
from integration_tests.syncing import clock_of
from sandbox import Sandbox


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=11, size=60, now=NOW, media_bytes=6000) as started, clock_of(started):
        yield started


@pytest.fixture
def no_waits() -> Iterator[None]:
    """Retries without their waits."""
    with patch("time.sleep"), patch("source_recordings.files.download.backoff", lambda _: 0.0):
        yield


@pytest.fixture
def other_host() -> Iterator[OtherHost]:
    host = OtherHost()
    yield host
    host.close()
