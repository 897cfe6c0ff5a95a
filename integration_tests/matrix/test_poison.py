"""One recording that can never be had, and rows that are none: they take nothing else with them."""

import re
from collections.abc import Iterable

import pytest

from integration_tests.matrix import rewrites
from integration_tests.matrix.cell import Ground, after
from integration_tests.matrix.hurry import hurried
from integration_tests.matrix.observed import Key, Observed
from integration_tests.matrix.spots import Spot, spots_of
from integration_tests.syncing import keys
from source_recordings.provider import Provider
from source_recordings.provider_yaml import load_providers

pytestmark = pytest.mark.usefixtures("counted")
SPOTS = {provider.name: spots_of(provider) for provider in load_providers().values()}
WITH_DETAILS = [name for name, spots in SPOTS.items() if any(spot.role == "details" for spot in spots)]
NONSENSE = {
    # Where any text is an answer, none is nonsense.
    name: ["nonsense"] if all(s.operation and not s.operation.text for s in spots if s.role == "details") else []
    for name, spots in SPOTS.items()
}
WITH_ROWS = [
    f"{name}-{role}"
    for name, spots in SPOTS.items()
    for role in ("list", "details")
    if any(spot.role == role and spot.operation and spot.operation.is_list for spot in spots)
]


@pytest.mark.parametrize(("name", "how"), [(name, how) for name in WITH_DETAILS for how in ("500", *NONSENSE[name])])
def test_one_recording_that_can_never_be_had(name: str, how: str, ground: Ground) -> None:
    """Its details fail for ever -> all other recordings come, the stream says that one is missing -> the next sync has it."""
    provider, spots = ground.providers[name], [spot for spot in SPOTS[name] if spot.role == "details"]
    with hurried(gives_up=True):
        whole = ground.sync(provider)
        its_rows: set[tuple[str, Key]] = set()
        for spot in spots:
            path, rows = poisoned(ground, spot, whole)
            its_rows |= rows
            answer = {"status": 500} if how == "500" else {"kind": "rewrite", "rewrite": lambda *_: {"nonsense": True}}
            ground.sandbox.fault(name, f"^{re.escape(path)}$", **answer)
        observed = ground.sync(provider)
    concerned = frozenset().union(*(spot.streams for spot in spots))
    ground.must_be_whole(observed, set(observed.streams) - concerned)
    assert {observed.status(stream) for stream in concerned} == {"INCOMPLETE"}
    assert {error["failure_type"] for error in observed.errors} == {"transient_error"}
    assert its_rows and rows_of(ground, whole, concerned) - rows_of(ground, observed, concerned) == its_rows
    after(ground, provider, observed)
    assert not ground.findings.all, ground.findings


def poisoned(ground: Ground, spot: Spot, whole: Observed) -> tuple[str, set[tuple[str, Key]]]:
    """The path of a request that gives rows, and these; of others, if it can be, there are rows of the same streams too."""
    asked = [r for r in ground.sandbox.requests if r.provider == spot.host and re.search(spot.path, r.path)]
    # An ID may have an extension: t1.vtt
    segments = {r.path: {name for part in r.path.split("/") for name in (part, part.partition(".")[0])} for r in asked}
    common = set.intersection(*segments.values())
    everything = rows_of(ground, whole, spot.streams)
    its_rows = {path: rows_of(ground, whole, spot.streams, own - common) for path, own in segments.items()}
    good = {path: rows for path, rows in its_rows.items() if rows and rows != everything}
    # The one that most streams lose something with.
    path = max(good, key=lambda path: len({stream for stream, _ in good[path]}))
    return path, good[path]


def rows_of(
    ground: Ground, observed: Observed, streams: Iterable[str], about: set[str] | None = None
) -> set[tuple[str, Key]]:
    """The keys of what came, with their streams: of all rows, or of those that have one of these values."""
    found = set()
    for stream in streams:
        rows = observed.result.records(stream)
        wanted = [row for row in rows if about is None or about & {str(value) for value in row.values()}]
        found |= {(stream, key) for key in keys(ground.sandbox, stream, wanted)}
    return found


@pytest.mark.parametrize("where", WITH_ROWS)
def test_rows_that_are_none(where: str, ground: Ground) -> None:
    """null, a number, a text, a list and an object without a key among the rows -> counted and told, all others come."""
    name, _, role = where.partition("-")
    provider: Provider = ground.providers[name]
    put: list[str] = []
    struck = [s for s in spots_of(provider) if s.role == role and s.operation and s.operation.is_list]
    for spot in struck:
        ground.sandbox.fault(spot.host, spot.path, kind="rewrite", rewrite=rewrites.junk_rows(spot, put))
    with hurried():
        observed = ground.sync(provider)
    assert put, "no list ended on a page with room: the test shows nothing"
    ground.must_be_whole(observed, observed.streams)
    ground.findings.lost += ground.expected.missing(observed.streams, observed)
    assert not ground.findings.all, ground.findings
    for stream in frozenset().union(*(spot.streams for spot in struck)):
        assert said(observed, stream, "a row that is no object"), stream
        assert provider.streams[stream].file or said(observed, stream, "a row without "), stream


def said(observed: Observed, stream: str, words: str) -> bool:
    return any(f"Stream {stream} skipped" in line and words in line for line in observed.logged)
