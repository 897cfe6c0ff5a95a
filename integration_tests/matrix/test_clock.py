"""A machine whose clock is wrong for one sync: nothing is lost once it is right."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from unittest.mock import patch

import pytest

from integration_tests.matrix.cell import Ground, after
from integration_tests.matrix.conftest import NOW
from integration_tests.matrix.hurry import hurried
from integration_tests.matrix.observed import Expected
from sandbox import Sandbox
from source_recordings.provider import Provider
from source_recordings.provider_yaml import provider_folders

pytestmark = pytest.mark.usefixtures("counted")
NAMES = [folder.name for folder in provider_folders()]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A busy day, of which each test has its own: something new comes everywhere within half an hour."""
    with Sandbox(seed=97, size=24, days=1, now=NOW, media_bytes=500) as started:
        yield started


@pytest.fixture
def expected(sandbox: Sandbox, providers: Mapping[str, Provider]) -> Expected:
    return Expected(sandbox, providers)


SKEWS = {
    "behind": timedelta(hours=-1),
    "ahead": timedelta(hours=1),
    # By more than the look-back, so that it does not cover what the state says is done.
    "days-ahead": timedelta(days=5),
}


@pytest.mark.parametrize("skew", SKEWS.values(), ids=SKEWS)
@pytest.mark.parametrize("name", NAMES)
def test_a_wrong_clock(name: str, skew: timedelta, ground: Ground) -> None:
    """Behind, or ahead -> the next sync, half an hour later and by the right time, brings all that there is then."""
    provider, sandbox = ground.providers[name], ground.sandbox
    wrong = sandbox.world.now + skew
    with hurried(), patch("source_recordings.times.utc_now", lambda: wrong):
        observed = ground.sync(provider)
    ground.must_be_whole(observed, observed.streams)
    before = set(ground.expected.rows[first(ground, name)])

    sandbox.advance(timedelta(minutes=30))
    ground.expected = Expected(sandbox, ground.providers)
    assert set(ground.expected.rows[first(ground, name)]) - before, "nothing new has come: the test shows nothing"
    second = after(ground, provider, observed)
    assert not ground.findings.all, ground.findings
    told = [line for line in second.logged if "is ahead of this machine's clock" in line]
    assert bool(told) == (skew > timedelta(0))


def first(ground: Ground, name: str) -> str:
    return next(iter(ground.providers[name].streams))
