"""Clients of a sandbox."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from integration_tests.documents.client import NOW, Client
from sandbox import Sandbox


@pytest.fixture(scope="module")
def shared() -> Iterator[Client]:
    """For tests that change nothing."""
    with Sandbox(seed=11, size=120, now=NOW) as sandbox:
        client = Client(sandbox)
        with client.session:
            yield client


@pytest.fixture
def make() -> Iterator[Callable[..., Client]]:
    with ExitStack() as stack:

        def start(**options: Any) -> Client:
            options = {"seed": 12, "size": 60, "now": NOW, **options}
            client = Client(stack.enter_context(Sandbox(**options)))
            stack.enter_context(client.session)
            return client

        yield start
