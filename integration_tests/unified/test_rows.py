"""Every field of every row is what a separately written expectation says; and it costs nothing beside the others."""

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from integration_tests.syncing import ALL_STREAMS, PROVIDERS, Row, Sync, clock_of, sandbox_config, sync, with_ids
from integration_tests.unified import expected
from sandbox import Sandbox
from sandbox.faults import Logged

NOW = datetime(2026, 11, 1, 9, 30, 12, tzinfo=timezone.utc)
UNIFIED = ("recordings", "utterances")
Make = Callable[..., Sandbox]


@pytest.fixture
def make(staging: Path) -> Iterator[Make]:
    opened: list[Any] = []

    def start(**more: Any) -> Sandbox:
        knobs: Row = {"seed": 11, "size": 60, "now": NOW, "media_bytes": 500} | more
        sandbox = Sandbox(**knobs)
        opened.extend([clock_of(sandbox.__enter__()), sandbox])
        opened[-2].__enter__()
        return sandbox

    yield start
    for one in opened:
        one.__exit__(None, None, None)


def own(result: Sync) -> expected.Own:
    return {name: result.records(name) for name in ALL_STREAMS}


def rows(result: Sync, stream: str, *key: str) -> dict[tuple[Any, ...], Row]:
    fields = expected.RECORDING if stream == "recordings" else expected.UTTERANCE
    found = [({name: row.get(name) for name in fields}, row.keys() - set(fields)) for row in result.records(stream)]
    assert not any(strange for _, strange in found)
    by_key = {tuple(row[name] for name in key): row for row, _ in found}
    assert len(by_key) == len(found), "the same row twice"
    return by_key


def asked(request: Logged) -> tuple[Any, ...]:
    """Equal for two requests that have the same answer."""
    query = () if request.provider == "storage" else tuple(sorted(request.query.items()))
    return request.provider, request.method, request.path, query, request.body


@pytest.mark.parametrize("knobs", [{}, {"seed": 12}, {"bota_revision": "live", "seed": 5}], ids=json.dumps)
def test_every_field_of_every_row(knobs: Row, make: Make) -> None:
    sandbox = make(**knobs)
    config = sandbox_config(sandbox)

    result = sync(config, *ALL_STREAMS, *UNIFIED)

    assert not result.failed
    recordings = rows(result, "recordings", "provider", "recording_id")
    utterances = rows(result, "utterances", "provider", "transcript_id", "position")
    wanted = expected.recordings(own(result), config)
    assert recordings.keys() == wanted.keys()
    for key, row in wanted.items():
        assert row == recordings[key]
    said = expected.utterances(own(result))
    assert utterances.keys() == said.keys()
    for key, row in said.items():
        assert row == utterances[key]
    for found in (recordings, utterances):
        assert {key[0] for key in found} == set(sandbox.providers)


@pytest.mark.parametrize("revision", ["cursor", "live"])
def test_beside_the_others_they_cost_nothing(make: Make, revision: str) -> None:
    sandbox = make(bota_revision=revision)
    config = sandbox_config(sandbox)
    sync(config, *ALL_STREAMS)
    without = Counter(map(asked, sandbox.requests))
    sandbox.clear_requests()

    sync(config, *ALL_STREAMS, *UNIFIED)

    together = Counter(map(asked, sandbox.requests))
    assert together == without


def test_alone_they_cost_what_the_providers_streams_cost(make: Make) -> None:
    sandbox = make()
    config = sandbox_config(sandbox)
    for name in UNIFIED:
        bases = [str(provider.unified[name].base) for provider in PROVIDERS.values()]
        sandbox.clear_requests()
        first = sync(config, *bases)
        second = sync(config, *bases, state=first.state)
        without = Counter(asked(request) for request in sandbox.requests if not is_count(request))
        sandbox.clear_requests()

        first = sync(config, name)
        second = sync(config, name, state=first.state)

        assert not second.failed
        assert Counter(map(asked, sandbox.requests)) == without, name


def is_count(request: Logged) -> bool:
    return request.path.endswith("/recording-metrics")


def test_what_is_new_comes_with_the_next_sync(make: Make) -> None:
    sandbox = make()
    config = sandbox_config(sandbox)
    first = sync(config, *UNIFIED)
    sandbox.advance(timedelta(days=2))
    second = sync(config, *UNIFIED, state=first.state)
    whole = sync(config, *UNIFIED)
    for name, *key in (
        ("recordings", "provider", "recording_id"),
        ("utterances", "provider", "transcript_id", "position"),
    ):
        together = rows(first, name, *key).keys() | rows(second, name, *key).keys()
        assert together == rows(whole, name, *key).keys()
        assert 0 < len(second.records(name)) < len(whole.records(name)) / 2


def test_a_provider_that_is_connected_later_starts_from_the_beginning(make: Make) -> None:
    sandbox = make()
    first = sync(sandbox_config(sandbox, "quo", "bird"), "recordings")
    sandbox.clear_requests()

    second = sync(sandbox_config(sandbox), "recordings", state=first.state)

    counts = Counter(row["provider"] for row in second.records("recordings"))
    whole = Counter(row["provider"] for row in sync(sandbox_config(sandbox), "recordings").records("recordings"))
    assert {name: counts[name] for name in ("amigo", "bota", "tether")} == {
        name: whole[name] for name in ("amigo", "bota", "tether")
    }
    assert counts["bird"] < whole["bird"] and counts["quo"] < whole["quo"]


def test_a_provider_that_is_not_connected_for_a_while_goes_on_where_it_was(make: Make) -> None:
    sandbox = make()
    first = sync(sandbox_config(sandbox), "recordings")
    second = sync(sandbox_config(sandbox, "quo"), "recordings", state=first.state)
    third = sync(sandbox_config(sandbox), "recordings", state=second.state)
    whole = Counter(row["provider"] for row in first.records("recordings"))
    again = Counter(row["provider"] for row in third.records("recordings"))
    assert all(again[name] < whole[name] / 2 for name in whole)


def test_one_that_fails_holds_up_no_other(make: Make) -> None:
    sandbox = make()
    config = sandbox_config(sandbox)
    whole = Counter(row["provider"] for row in sync(config, "recordings").records("recordings"))
    sandbox.fault("amigo", ".", status=401)

    result = sync(config, "recordings")

    counts = Counter(row["provider"] for row in result.records("recordings"))
    assert counts == {name: count for name, count in whole.items() if name != "amigo"}
    assert result.failed and result.statuses("recordings")[-1] == "INCOMPLETE"
    assert all("Amigo" in error and "`amigo.api_key`" in error for error in result.errors() if "Amigo" in error)
    sandbox.clear_faults()
    later = sync(config, "recordings", state=result.state)
    counts = Counter(row["provider"] for row in later.records("recordings"))
    assert counts["amigo"] == whole["amigo"]
    assert all(counts[name] < whole[name] / 2 for name in whole if name != "amigo")


def test_with_lists_of_ids_they_have_these(make: Make) -> None:
    sandbox = make()
    config = with_ids(sandbox)

    result = sync(config, "recordings")

    assert not result.failed
    found = {(row["provider"], row["recording_id"]) for row in result.records("recordings")}
    whole = {
        (row["provider"], row["recording_id"])
        for row in sync(sandbox_config(sandbox), "recordings").records("recordings")
    }
    assert found == whole
