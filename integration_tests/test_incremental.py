"""Every recording once, complete and current: syncs of a world whose clock moves on."""

import itertools
import re
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest.mock import patch

import pytest

from integration_tests.syncing import (
    ALL_STREAMS,
    CURSORS,
    DATED,
    DETAILS,
    LISTS,
    PRIMARY_KEYS,
    STREAMS,
    Row,
    Sync,
    as_delivered,
    clock_of,
    keys,
    provider_of,
    sandbox_config,
    sync,
)
from sandbox import Sandbox
from unit_tests.examples import EXAMPLES

NOW = datetime(2026, 11, 1, 9, 30, 12, tzinfo=timezone.utc)
LOOKBACK = timedelta(days=3)


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=11, size=120, now=NOW) as started, clock_of(started):
        yield started


@pytest.fixture
def no_waits() -> Iterator[None]:
    """Retries without their waits."""
    with patch("time.sleep"):
        yield


class Table:
    """What a destination has after syncs with deduplication."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[tuple[Any, ...], Row]] = {s: {} for s in STREAMS}

    def load(self, result: Sync) -> None:
        for stream, names in PRIMARY_KEYS.items():
            for row in result.records(stream):
                self.rows[stream][tuple(row[n] for n in names)] = row


def missing_or_stale(sandbox: Sandbox, table: Table, *streams: str) -> list[str]:
    """What the destination lacks or has in an older version; signed URLs differ at every read."""
    found = []
    for stream in streams or STREAMS:
        names = PRIMARY_KEYS[stream]
        for truth in (as_delivered(stream, row) for row in sandbox.rows(stream)):
            row = table.rows[stream].get(tuple(truth[n] for n in names))
            if row is None:
                found.append(f"{stream} lacks {truth}")
                continue
            for name, value in truth.items():
                if "url" not in name.lower() and name != "audioData" and row.get(name) != value:
                    found.append(f"{stream}.{name} of {row}: {value}")
    return found


def test_each_sync_brings_what_is_new_and_what_has_changed(sandbox: Sandbox) -> None:
    """Rows appear, statuses settle, transcripts come late, recordings are deleted: the destination follows."""
    config = sandbox_config(sandbox)
    table, state = Table(), list[Row]()
    for hours in (1, 5, 26, 48, 3):
        result = sync(config, state=state)
        state = result.state
        table.load(result)
        assert not result.errors()
        assert missing_or_stale(sandbox, table) == []
        sandbox.advance(timedelta(hours=hours))


def test_details_are_asked_for_calls_of_the_look_back_only(sandbox: Sandbox) -> None:
    """One request per call is what costs: an incremental sync never asks about old calls."""
    config = sandbox_config(sandbox)
    before = sync(config, *DETAILS)
    sandbox.advance(timedelta(hours=12))
    sandbox.clear_requests()
    after = sync(config, *DETAILS, state=before.state)
    for stream in DETAILS:
        times = [datetime.fromisoformat(r[CURSORS[stream]].replace("Z", "+00:00")) for r in after.records(stream)]
        assert times, stream
        assert min(times) >= NOW - LOOKBACK - timedelta(seconds=1), stream
        assert details_asked(sandbox, stream) < len(before.records(stream)) / 4, stream


def test_nothing_new_asks_only_for_what_has_not_settled(sandbox: Sandbox) -> None:
    """A sync right after another asks for no detail that had already reached a final state."""
    config = sandbox_config(sandbox)
    first = sync(config, *DETAILS)
    second = sync(config, *DETAILS, state=first.state)
    # A call is asked for as a whole: one that goes on, or has a segment under way, is not settled.
    stream = "quo_call_recordings"
    ongoing = {r["callId"] for r in first.records(stream) if not is_final(r, stream)}
    ongoing |= {r["id"] for r in sandbox.rows("quo_calls") if not r["completedAt"]}
    for stream in DETAILS:
        settled = [r for r in first.records(stream) if recent(r, stream) and is_final(r, stream)]
        if stream == "quo_call_recordings":
            settled = [r for r in settled if r["callId"] not in ongoing]
        assert settled, stream
        again = set(keys(sandbox, stream, second.records(stream)))
        assert not again & set(keys(sandbox, stream, settled)), stream


def test_listing_streams_read_again_only_the_look_back(sandbox: Sandbox) -> None:
    config = sandbox_config(sandbox)
    streams = [stream for stream in DATED if stream != "bird_transcriptions"]
    first = sync(config, *streams)
    second = sync(config, *streams, state=first.state)
    for stream in streams:
        rows = second.records(stream)
        times = [datetime.fromisoformat(r[CURSORS[stream]].replace("Z", "+00:00")) for r in rows]
        assert times and min(times) >= NOW - LOOKBACK - timedelta(seconds=1)


@pytest.mark.parametrize("revision", ["cursor", "offset"])
def test_botas_list_is_left_at_the_first_old_recording(revision: str) -> None:
    """created_at is documented to descend (docs.bota.dev/api-reference/pagination): old pages are not asked for."""
    with Sandbox(seed=2, size=1500, now=NOW, bota_revision=revision) as sandbox, clock_of(sandbox):
        config = sandbox_config(sandbox, "bota")
        first = sync(config, "bota_recordings")
        pages = len(sandbox.requests)
        sandbox.clear_requests()
        sync(config, "bota_recordings", state=first.state)
        assert pages == 15
        assert len(sandbox.requests) <= 2


def test_a_detail_that_fails_for_good_is_read_by_the_next_sync(sandbox: Sandbox, no_waits: None) -> None:
    """All else is emitted, the stream ends INCOMPLETE, and nothing is saved past the gap."""
    config = sandbox_config(sandbox, "quo")
    stream = "quo_call_recordings"
    broken = sync(config, stream).records(stream)[20]
    sandbox.fault("quo", f"/v1/call-recordings/{broken['callId']}", status=500)
    first = sync(config, stream)
    assert first.failed
    assert first.statuses(stream)[-1] == "INCOMPLETE"
    assert any("Quo did not give an answer" in e for e in first.errors())
    got = set(keys(sandbox, stream, first.records(stream)))
    lost = set(map(tuple, sandbox.truth(stream))) - got
    assert (broken["id"],) in lost
    assert len(lost) <= 3, "one call has at most three segments"

    sandbox.clear_faults()
    second = sync(config, stream, state=first.state)
    assert not second.failed
    got |= set(keys(sandbox, stream, second.records(stream)))
    assert got == set(map(tuple, sandbox.truth(stream)))


@pytest.mark.parametrize("stream", ["quo_calls", "bird_recordings", "amigo_calls"])
def test_a_window_that_fails_does_not_hold_back_the_others(stream: str, no_waits: None) -> None:
    """Windows are saved one by one: the next sync asks for the failed one and the look-back, no more."""
    with Sandbox(seed=4, size=400, now=NOW, days=300) as sandbox, clock_of(sandbox):
        config = sandbox_config(sandbox, provider_of(stream), start_date="2026-01-05T00:00:00Z")
        sync(config, stream)
        listing = [r for r in sandbox.requests if r.status == 200]
        # The oldest window: all pages of it have its start in the query.
        oldest = min(start_in(r.query) for r in listing if start_in(r.query))
        everything = len(listing)
        sandbox.clear_requests()
        sandbox.fault(provider_of(stream), oldest[:10], status=500)
        first = sync(config, stream)
        assert first.failed

        sandbox.clear_faults()
        sandbox.clear_requests()
        second = sync(config, stream, state=first.state)
        got = set(keys(sandbox, stream, first.records(stream) + second.records(stream)))
        assert got == set(map(tuple, sandbox.truth(stream)))
        assert len(sandbox.requests) < everything


def test_parts_of_a_backfill_are_exactly_the_whole(sandbox: Sandbox) -> None:
    """Parallel connections with start_date/end_date parts: every row once, boundaries on rows' own times."""
    exact = sorted(str(r["createdAt"]) for r in sandbox.rows("quo_calls"))
    cuts = ["2020-01-01T00:00:00Z", exact[30], exact[31], "2026-10-01T00:00:00Z", exact[100], None]
    # Transcriptions are dated by their last change; what has no date is in every part.
    streams = [s for s in STREAMS if not s.startswith("bird_transcript") and (s not in LISTS or s in DATED)]
    counted: dict[str, Counter[tuple[Any, ...]]] = {s: Counter() for s in streams}
    for start, end in itertools.pairwise(cuts):
        dates = {k: v for k, v in (("start_date", start), ("end_date", end)) if v}
        part = sync(sandbox_config(sandbox, **dates))
        for stream in streams:
            counted[stream].update(keys(sandbox, stream, part.records(stream)))
    timeless = set(keys(sandbox, "amigo_calls", [r for r in sandbox.rows("amigo_calls") if not r["started_at"]]))
    for stream in streams:
        once = Counter(map(tuple, sandbox.truth(stream)))
        if stream.startswith("amigo"):
            # A call without started_at belongs to no part: it comes with each that the provider lists it for.
            assert set(counted[stream]) == set(once)
            continue
        assert counted[stream] == once, stream
    assert all(n == 1 for k, n in counted["amigo_calls"].items() if k not in timeless)


@pytest.mark.parametrize("order", ["newest", "oldest", "shuffled"])
@pytest.mark.parametrize("stream", ["amigo_calls", "tether_calls"])
def test_no_row_is_lost_from_a_list_that_changes_while_it_is_paged(stream: str, order: str) -> None:
    """Between any two pages calls come in and others are deleted; those that stay are all emitted, each once."""
    with Sandbox(seed=8, size=2000, now=NOW, undocumented_order=order) as sandbox, clock_of(sandbox):
        config = sandbox_config(sandbox, provider_of(stream))
        before = set(map(tuple, sandbox.truth(stream)))
        sandbox.on_request(lambda _: sandbox.advance(timedelta(hours=18)))
        result = sync(config, stream)
        sandbox.on_request(lambda _: None)
        # A call that was listed before it began may have begun after this sync's end: the next one's.
        rows = [r for r in sandbox.rows(stream) if str(r.get(CURSORS[stream]) or "") < NOW.isoformat()]
        stayed = before & set(keys(sandbox, stream, rows))
        got = keys(sandbox, stream, result.records(stream))
        assert before - set(map(tuple, sandbox.truth(stream))), "nothing was deleted meanwhile: the test shows nothing"
        assert stayed <= set(got)
        assert len(got) == len(set(got))


def test_the_state_of_the_manifest_run_by_itself_is_accepted(sandbox: Sandbox) -> None:
    """The CDK's own substream cursor nests the parent's state; an upgrade must not start from the beginning."""
    config = sandbox_config(sandbox, "quo")
    stock = {
        "type": "STREAM",
        "stream": {
            "stream_descriptor": {"name": "quo_call_recordings"},
            "stream_state": {
                "use_global_cursor": True,
                "state": {"callCreatedAt": "2026-10-31T00:00:00.000000Z"},
                "parent_state": {"quo_calls": {"createdAt": "2026-10-31T00:00:00.000000Z"}},
                "lookback_window": 3,
            },
        },
    }
    rows = sync(config, "quo_call_recordings", state=[stock]).records("quo_call_recordings")
    assert rows
    assert min(r["callCreatedAt"] for r in rows) >= "2026-10-28"


def recent(row: Row, stream: str) -> bool:
    time = str(row.get(CURSORS[stream]) or "1970-01-01T00:00:00Z")
    moment = datetime.fromisoformat(time.replace("Z", "+00:00"))
    return moment > NOW - LOOKBACK + timedelta(hours=1)


def is_final(row: Row, stream: str) -> bool:
    return bool(EXAMPLES[provider_of(stream)].final[stream]({"row": row}))


def details_asked(sandbox: Sandbox, stream: str) -> int:
    """How many requests the stream has made about single rows."""
    path = re.sub(r"\{[^}]*\}", "[^/]+", ALL_STREAMS[stream].operation.template)
    return sum(bool(re.fullmatch(path, r.path)) for r in sandbox.requests)


def start_in(query: Any) -> str:
    pairs = query.items() if hasattr(query, "items") else query
    for name, value in pairs:
        if name in ("startAt", "createdAt[gte]", "date_from"):
            return str(value)
    return ""
