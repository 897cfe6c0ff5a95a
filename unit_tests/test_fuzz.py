"""Generated answers, most of them wrong somewhere: no crash, no endless walk, no line that is no JSON, no row lost."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests_mock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unit_tests.examples import STREAMS, config
from unit_tests.fuzzing import FOREVER, KINDS, Fault, Plan, World
from unit_tests.harness import Connector, Output
from unit_tests.hostile import ALL_DETAILS, ALL_LISTS, assert_orderly, last_states

pytestmark = pytest.mark.usefixtures("quick_start")

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES") or 250)
"""Of all providers together. Always the same ones, unless somebody has asked for a number."""

MOST_REQUESTS = 1_000


def plans(provider: str) -> st.SearchStrategy[Plan]:
    lists = [a_list.name for a_list in ALL_LISTS if a_list.case.provider == provider]
    details = [detail.name for detail in ALL_DETAILS if detail.parent.case.provider == provider]
    targets = st.tuples(st.sampled_from([*lists, *details]), st.integers(0, 5))
    times = st.sampled_from([1, 2, 5, FOREVER])
    faults = st.builds(Fault, st.sampled_from(KINDS), st.integers(0, 5_000), times)
    return st.builds(
        Plan,
        seed=st.integers(0, 2**32),
        rows=st.integers(0, 6),
        page_size=st.integers(1, 4),
        junk=st.integers(0, 4),
        with_dates=st.booleans(),
        faults=st.dictionaries(targets, faults, max_size=4),
    )


@pytest.mark.parametrize("provider", STREAMS)
def test_no_row_is_lost_whatever_a_provider_answers(
    provider: str,
    connector: Connector,
    api: requests_mock.Mocker,
    naps: list[float],
    record_property: Callable[[str, object], None],
) -> None:
    """A sync that meets faults, and the next one that meets none, from the state that the first one printed."""
    figures = Counter({"examples": 0, "requests": 0, "lines checked": 0, "rows lost": 0})
    current: list[World] = []

    def answer(request: Any, context: Any) -> bytes:
        return current[-1].answer(request, context)

    api.register_uri(requests_mock.ANY, requests_mock.ANY, content=answer)

    @settings(
        max_examples=max(1, EXAMPLES // len(STREAMS)),
        derandomize="FUZZ_EXAMPLES" not in os.environ,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(plans(provider))
    def read(plan: Plan) -> None:
        api.reset_mock()
        naps.clear()
        world = World(provider, plan)
        current[:] = [world]
        settings_ = config(provider)
        if not plan.with_dates:
            del settings_["start_date"], settings_["end_date"]

        first = connector.read(settings_, *STREAMS[provider], sync_mode="incremental")
        figures.update(requests=world.requests)
        check(first, world, [first])
        world.is_broken, world.requests = False, 0
        clean = connector.read(settings_, *STREAMS[provider], sync_mode="incremental", state=last_states(first))
        figures.update(requests=world.requests, examples=1)
        figures["lines checked"] += len(first.messages) + len(clean.messages)
        assert (clean.exit_code, clean.errors) == (0, [])
        check(clean, world, [first, clean])

    def check(output: Output, world: World, so_far: list[Output]) -> None:
        assert_orderly(output)
        assert world.requests <= MOST_REQUESTS
        complete = {name for name in STREAMS[provider] if output.ended(name) == "COMPLETE"}
        lost = missing(world, so_far, complete)
        figures["rows lost"] += len(lost)
        assert not lost

    read()
    for name, number in figures.items():
        record_property(name, number)


def missing(world: World, outputs: list[Output], complete: set[str]) -> list[tuple[str, str]]:
    """The healthy rows of complete streams that have not arrived as they are."""
    keys = {a_list.name: a_list.key for a_list in world.lists}
    keys |= {detail.name: detail.stream.primary_key[0] for detail in world.details}
    arrived = {
        (name, row[keys[name]]): row
        for output in outputs
        for name in complete
        for row in output.records(name)
        if isinstance(row[keys[name]], str)
    }
    return [
        (name, key)
        for name, key, expected in world.healthy()
        if name in complete and not expected.items() <= arrived.get((name, key), {}).items()
    ]
