"""A connector that does not wait: neither before it asks again nor long for an answer."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from unittest.mock import patch

from source_recordings.files.download import download
from source_recordings.http.asking import Endpoint
from source_recordings.http.pace import Pace
from source_recordings.sync import Sync

TRIES = 2
"""Of a request that gives up soon: two are enough to be one more than none."""


@contextmanager
def hurried(nap: float = 0.002, read_seconds: float = 60.0, *, gives_up: bool = False) -> Iterator[list[float]]:
    """Each wait takes `nap` seconds; those that it would have taken are noted."""
    waits: list[float] = []

    def due(seconds: float) -> float:
        waits.append(seconds)
        return time.monotonic() + nap

    def sleep(seconds: float) -> None:
        waits.append(seconds)
        time.sleep(nap)

    with ExitStack() as patches:
        for name, value in {
            "source_recordings.http.waits.due": due,
            "source_recordings.files.files.download": partial(download, sleep=sleep),
            "source_recordings.http.client.TIMEOUT": (10, read_seconds),
            "source_recordings.http.storage.READ_SECONDS": read_seconds,
        }.items():
            patches.enter_context(patch(name, value))
        patches.enter_context(patch.object(Pace, "wait", lambda *_: None))
        if gives_up:
            for name, value in {
                "source_recordings.source.Sync": partial(Sync, tries=TRIES),
                "source_recordings.sync.Endpoint": partial(Endpoint, tries=TRIES),
                "source_recordings.files.download.MAX_TRIES": TRIES,
                "source_recordings.http.asking.RATE_LIMITED_SECONDS": 0.01,
            }.items():
                patches.enter_context(patch(name, value))
        yield waits
