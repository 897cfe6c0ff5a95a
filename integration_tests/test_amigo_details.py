"""Details of Amigo's calls: all of them, once, whichever ID Amigo wants; and what that costs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone

import pytest

from integration_tests.syncing import Row, Sync, clock_of, keys, sandbox_config, sync
from sandbox import Sandbox

NOW = datetime(2026, 11, 1, 9, 30, 12, tzinfo=timezone.utc)
STREAM = "amigo_call_details"
KNOWN_BY = ("call_sid", "entity_id", "both")
NEVER = ("initiated", "ringing", "busy", "no-answer", "canceled", "failed")
LATE = ("verified_transcript", "quality_score", "call_analysis", "conversation_summary", "safety_summary")


@contextmanager
def an_account(known_by: str, size: int = 300) -> Iterator[Sandbox]:
    with Sandbox(seed=13, size=size, now=NOW, amigo_call_id=known_by) as sandbox, clock_of(sandbox):
        yield sandbox


def talked(sandbox: Sandbox) -> list[Row]:
    """The calls that lead to a request."""
    calls = sandbox.rows("amigo_calls")
    return [row for row in calls if row.get("turns") != 0 and row["status"] not in NEVER]


def asked(sandbox: Sandbox) -> Counter[str]:
    """How often each ID was asked for."""
    return Counter(r.path.rpartition("/")[2] for r in sandbox.requests if "/calls/" in r.path)


def delivered(sandbox: Sandbox, result: Sync) -> Counter[tuple[str, ...]]:
    assert not result.failed
    return Counter(keys(sandbox, STREAM, result.records(STREAM)))


@pytest.mark.parametrize("known_by", KNOWN_BY)
def test_every_call_with_a_conversation_comes_once(known_by: str) -> None:
    """And one request is all that it takes to find out which ID is wanted."""
    with an_account(known_by) as sandbox:
        result = sync(sandbox_config(sandbox, "amigo"), STREAM)

        truth = sandbox.truth(STREAM)
        assert len(truth) > 200
        assert delivered(sandbox, result) == Counter(truth)
        calls = talked(sandbox)
        sidless = [row for row in calls if not row.get("call_sid")]
        assert sidless
        found, probes = asked(sandbox), int(known_by == "entity_id")
        assert set(found.values()) == {1}
        assert found.total() == len(calls) + probes
        assert sum(value.startswith("CA") for value in found) == (
            probes if known_by == "entity_id" else len(calls) - len(sidless)
        )
        assert {row["entity_id"] for row in sidless} <= set(found)


@pytest.mark.parametrize("known_by", KNOWN_BY[:2])
def test_a_second_sync_costs_the_look_back(known_by: str) -> None:
    """Of its calls those whose details still lack something, and the one request that finds out."""
    with an_account(known_by) as sandbox:
        config = sandbox_config(sandbox, "amigo")
        first = sync(config, STREAM)
        whole = asked(sandbox).total()
        lacking = {
            row["id"]
            for row in first.records(STREAM)
            if row.get("call_end_time") is None or any(row.get(name) is None for name in LATE)
        }
        sandbox.clear_requests()
        second = sync(config, STREAM, state=first.state)

        edge = (NOW - timedelta(days=3, seconds=1)).isoformat()
        times = {row["entity_id"]: row.get("started_at") or NOW.isoformat() for row in talked(sandbox)}
        recent = {key for key, time in times.items() if time >= edge}
        again = {key for (key,) in delivered(sandbox, second)}
        assert again and again <= recent & lacking
        assert recent - lacking, "nothing was final: the test shows nothing"
        # Besides: what has none, for it may have some later, and the probe.
        there = {key for (key,) in sandbox.truth(STREAM)}
        assert asked(sandbox).total() <= len(again) + len(recent - there) + 1
        assert asked(sandbox).total() < whole / 2


def test_what_comes_late_arrives() -> None:
    """Corrected transcripts and summaries, inside the look-back."""
    with an_account("call_sid", size=120) as sandbox:
        config, rows, state = sandbox_config(sandbox, "amigo"), dict[str, Row](), list[Row]()
        for hours in (1, 12, 30, 40):
            result = sync(config, STREAM, state=state)
            state = result.state
            rows |= {row["id"]: row for row in result.records(STREAM)}
            for row in sandbox.rows(STREAM):
                differs = {name for name, value in row.items() if value != rows[row["id"]].get(name)}
                assert not differs, (row["id"], differs)
            sandbox.advance(timedelta(hours=hours))


def test_a_list_without_sids() -> None:
    """call_sid is nullable: an account whose calls have none is read by the entity IDs alone."""
    with an_account("entity_id", size=60) as sandbox:
        amigo = sandbox.providers["amigo"]
        amigo.sid = lambda index: None  # type: ignore[attr-defined]
        result = sync(sandbox_config(sandbox, "amigo"), STREAM)

        assert delivered(sandbox, result) == Counter(sandbox.truth(STREAM))
        assert asked(sandbox) == Counter(row["entity_id"] for row in talked(sandbox))


@pytest.mark.parametrize("known_by", KNOWN_BY[:2])
def test_one_that_is_not_found_by_either_is_one_skip(known_by: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "airbyte")
    with an_account(known_by, size=60) as sandbox:
        sandbox.fault("amigo", "/calls/", status=404, body={"detail": "Call not found"})
        result = sync(sandbox_config(sandbox, "amigo"), STREAM)

        assert delivered(sandbox, result) == Counter()
        calls = talked(sandbox)
        assert asked(sandbox).total() == sum(1 + bool(row.get("call_sid")) for row in calls)
        assert f"skipped {len(calls)} without a record: {len(calls)} x Amigo has no details of the call." in caplog.text
