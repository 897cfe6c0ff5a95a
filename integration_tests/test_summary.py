"""The lines at the end of a sync: what came, what it cost, and what the provider itself counts."""

import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timezone

import pytest

from integration_tests.syncing import ALL_STREAMS, KEYS, clock_of, provider_of, sandbox_config, sync
from sandbox import Sandbox

LINE = re.compile(
    r"Stream (?P<stream>\w+): (?P<records>[\d,]+) records?, (?P<requests>[\d,]+) requests?"
    r"(?:; (?P<title>\w+) counts (?P<total>[\d,]+) rows? in what was listed, and (?P<came>[\d,]+) came)?\."
)
COUNTED = {
    "bird_recordings": "bird_recordings",
    "amigo_calls": "amigo_calls",
    "amigo_recording_metadata": "amigo_calls",
    "tether_calls": "tether_calls",
}
"""Streams with a count of their provider's, and the list that is counted."""


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    now = datetime(2026, 11, 1, 9, 30, 12, tzinfo=timezone.utc)
    with Sandbox(seed=11, size=60, now=now) as started, clock_of(started):
        yield started


def summaries(caplog: pytest.LogCaptureFixture) -> dict[str, dict[str, str | None]]:
    found = [match.groupdict() for text in caplog.messages if (match := LINE.fullmatch(text))]
    return {str(line["stream"]): line for line in found}


def number(text: str | None) -> int:
    assert text is not None
    return int(text.replace(",", ""))


def test_every_stream_says_what_came_and_what_it_cost(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "airbyte"):
        result = sync(sandbox_config(sandbox), *KEYS)
    lines = summaries(caplog)
    assert lines.keys() == KEYS.keys()
    assert {name: number(line["records"]) for name, line in lines.items()} == {
        name: len(result.records(name)) for name in KEYS
    }
    said: Counter[str] = Counter()
    for name, line in lines.items():
        said[provider_of(name)] += number(line["requests"])
    made = Counter(request.provider for request in sandbox.requests if request.provider in said)
    assert said == made


def test_the_providers_own_counts_stand_beside_it(sandbox: Sandbox, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "airbyte"):
        sync(sandbox_config(sandbox), *COUNTED)
    lines = summaries(caplog)
    for stream, listed in COUNTED.items():
        line, rows = lines[stream], len(sandbox.truth(listed))
        assert line["title"] == ALL_STREAMS[stream].name.partition("_")[0].title()
        # Amigo is asked for whole days on either side of a window, so that a call may stand in two lists.
        assert number(line["total"]) == number(line["came"]) >= rows
        if stream.startswith(("bird", "tether")):
            assert number(line["total"]) == rows


def test_a_count_of_everything_is_asked_for_only_where_everything_is_read(
    sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    config = sandbox_config(sandbox, "bird")
    first = sync(config, "bird_recordings")
    asked = [request.path for request in sandbox.requests]
    assert sum(path.endswith("/recording-metrics") for path in asked) == 1
    sandbox.clear_requests()
    sync(config, "bird_recordings", state=first.state)
    sync({**config, "start_date": "2024-01-01T00:00:00Z"}, "bird_recordings")
    assert not any(request.path.endswith("/recording-metrics") for request in sandbox.requests)
    assert sandbox.requests


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
def test_no_sync_fails_for_want_of_a_count(sandbox: Sandbox, status: int, caplog: pytest.LogCaptureFixture) -> None:
    sandbox.fault("bird", "/recording-metrics$", status=status)
    with caplog.at_level("INFO", "airbyte"):
        result = sync(sandbox_config(sandbox, "bird"), "bird_recordings")
    assert not result.failed
    assert len(result.records("bird_recordings")) == len(sandbox.truth("bird_recordings"))
    assert summaries(caplog)["bird_recordings"]["total"] is None
    assert any("its rows could not be counted" in text for text in caplog.messages)
