"""What all cells of the matrix share: a small sandbox, and the providers' definitions with small pages."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from unittest.mock import patch

import pytest

from integration_tests.matrix.cell import Findings, Ground
from integration_tests.matrix.figures import as_property
from integration_tests.matrix.observed import Expected
from integration_tests.other_host import OtherHost
from integration_tests.syncing import clock_of
from sandbox import Sandbox
from source_recordings.provider import Provider, Stream
from source_recordings.provider_yaml import load_providers

NOW = datetime(2026, 11, 1, 9, 30, 12, tzinfo=timezone.utc)
PAGE = 4
"""Rows on a page, so that a short list has several."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=19, size=10, now=NOW, media_bytes=3000) as started:
        yield started


@pytest.fixture(scope="module")
def providers() -> dict[str, Provider]:
    return {name: replace(p, streams=_with_small_pages(p.streams)) for name, p in load_providers().items()}


def _with_small_pages(streams: Mapping[str, Stream]) -> dict[str, Stream]:
    return {name: replace(s, pages=s.pages and replace(s.pages, size=PAGE)) for name, s in streams.items()}


@pytest.fixture(scope="module")
def expected(sandbox: Sandbox, providers: Mapping[str, Provider]) -> Expected:
    found = Expected(sandbox, providers)
    assert all(len(rows) > 1 for rows in found.rows.values()), (
        "a stream with less than two rows shows little: choose another seed"
    )
    return found


@pytest.fixture(scope="module")
def foreign() -> Iterator[OtherHost]:
    host = OtherHost()
    yield host
    host.stop()


@pytest.fixture
def ground(
    sandbox: Sandbox, providers: Mapping[str, Provider], expected: Expected, foreign: OtherHost, staging: Path
) -> Iterator[Ground]:
    """Where a cell takes place."""
    sandbox.clear_faults()
    sandbox.clear_requests()
    foreign.asked.clear()
    found = Ground(sandbox, providers, expected, foreign, staging)
    # Once for all cells: it takes longer than most of their syncs.
    with clock_of(sandbox), patch("source_recordings.source.load_providers", lambda: providers):
        yield found
    sandbox.clear_faults()


@pytest.fixture
def counted(ground: Ground) -> Findings:
    """For a test whose findings count in the figures."""
    return ground.findings


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """A cell's figures go into its report, also when it fails."""
    findings: Findings | None = getattr(item, "funcargs", {}).get("counted")
    try:
        return (yield)
    except pytest.skip.Exception:
        findings = None
        raise
    finally:
        if findings:
            item.user_properties.append(as_property(findings.figures))
