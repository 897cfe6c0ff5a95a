"""Hosts, and an empty staging directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from integration_tests.download.host import Host, Script
from source_recordings.files.staging import Staging


@pytest.fixture
def hosts() -> Iterator[Callable[..., Host]]:
    made: list[Host] = []

    def make(*scripts: Script) -> Host:
        made.append(Host(*scripts))
        return made[-1]

    yield make
    for host in made:
        host.close()


@pytest.fixture
def staging(tmp_path: Path) -> Staging:
    return Staging(tmp_path / "staging")
