"""A stream that has never brought anything says so, and reads its past once more when the first thing comes."""

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from integration_tests.syncing import Sync, clock_of, keys, sandbox_config, sync
from sandbox import Sandbox

NOW = datetime(2026, 11, 1, 9, 30, 12, tzinfo=timezone.utc)
SAID = "has brought nothing so far"

# A stream, its provider, and the requests that answer "there is none" at first.
CASES = [
    ("quo_call_transcripts", "quo", "quo", r"/v1/call-transcripts/"),
    ("tether_call_recordings", "tether", "tether", r"/recording$"),
    ("bird_recording_files", "bird", "storage", r"/"),
]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=11, size=120, now=NOW) as started, clock_of(started):
        yield started


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level("INFO", "airbyte")
    return caplog


def state_of(result: Sync) -> dict[str, Any]:
    (state,) = result.state
    found: dict[str, Any] = state["stream"]["stream_state"]
    return found


def stored(result: Sync, stream: str) -> list[dict[str, Any]]:
    return [row for row in result.records(stream) if row.get("media_status", "stored") == "stored"]


@pytest.mark.parametrize(("stream", "provider", "host", "path"), CASES, ids=[case[0] for case in CASES])
def test_the_past_is_read_once_more_when_the_first_thing_comes(
    stream: str, provider: str, host: str, path: str, sandbox: Sandbox, lines: pytest.LogCaptureFixture
) -> None:
    config = sandbox_config(sandbox, provider)
    sandbox.fault(host, path, status=404)
    first = sync(config, stream)
    assert not first.failed and stored(first, stream) == []
    assert state_of(first)["nothing_yet"] is True
    assert SAID in lines.text

    lines.clear()
    sandbox.clear_requests()
    second = sync(config, stream, state=first.state)
    assert stored(second, stream) == [] and SAID in lines.text
    costs = len(sandbox.requests)

    lines.clear()
    sandbox.clear_faults()
    third = sync(config, stream, state=second.state)
    assert sorted(set(keys(sandbox, stream, stored(third, stream)))) == sorted(sandbox.truth(stream))
    assert "nothing_yet" not in state_of(third) and SAID not in lines.text

    sandbox.clear_requests()
    sync(config, stream, state=third.state)
    assert len(sandbox.requests) <= costs, "the past is read once more, and not with each sync"


def test_what_is_not_there_is_asked_for_once_where_something_came(
    sandbox: Sandbox, lines: pytest.LogCaptureFixture
) -> None:
    """The first sync of an account whose old calls have no transcript any more does not ask twice."""
    config = sandbox_config(sandbox, "quo")
    sandbox.fault("quo", r"/v1/call-transcripts/", status=404, times=40)
    first = sync(config, "quo_call_transcripts")
    asked = [request.path for request in sandbox.requests if "call-transcripts" in request.path]
    assert first.records("quo_call_transcripts")
    assert len(asked) == len(set(asked))
    assert "nothing_yet" not in state_of(first) and SAID not in lines.text


def test_an_error_is_not_nothing(sandbox: Sandbox, lines: pytest.LogCaptureFixture) -> None:
    """A stream that could not be read says why, and not that there is nothing."""
    sandbox.fault("quo", r"/calls", status=401)
    assert sync(sandbox_config(sandbox, "quo"), "quo_call_transcripts").failed
    assert SAID not in lines.text


def test_a_state_of_an_earlier_version_says_nothing_about_it(sandbox: Sandbox, lines: pytest.LogCaptureFixture) -> None:
    config = sandbox_config(sandbox, "quo")
    first = sync(config, "quo_call_transcripts")
    sandbox.advance(timedelta(seconds=1))
    sandbox.fault("quo", r"/v1/call-transcripts/", status=404)
    again = sync(config, "quo_call_transcripts", state=first.state)
    assert "nothing_yet" not in state_of(again) and SAID not in lines.text
