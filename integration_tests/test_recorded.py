"""What an earlier version emitted, saved and asked for, is what this one does: see recording.py.

The recording is of the sandbox, so that what the sandbox tells must stay the same too. When that changes on purpose,
record anew from the last version that passed.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from integration_tests.playing import ALL_OF_IT, Part, chain, interrupted, playing, resumed, rounds
from integration_tests.recording import Table, pages, read_again, requests_of
from integration_tests.syncing import Row

RECORDED: Row = json.loads((Path(__file__).parent / "recorded" / "syncs.json").read_text("utf-8"))
TABLE = Table(RECORDED["rows"])
MODES = ("listing", "ids")
ALONE = [(name, group) for name, syncs in RECORDED["alone"].items() for group in rounds(syncs[0])]
# The states of a full refresh are those of an incremental sync, and with ids all streams have the same one.
TAKEN_UP = [
    *(case for case in ALONE if case[0] == "listing incremental"),
    [case for case in ALONE if case[0] == "ids full_refresh"][-1],
]
Interval = tuple[datetime, datetime]


def case_id(case: tuple[str, Sequence[str]]) -> str:
    name, group = case
    return f"{name}: {', '.join(group)}"


# --- what a state says ----------------------------------------------------------------------


def covered(state: Any) -> list[Interval]:
    """What the state says has been read: its intervals, those that touch as one."""
    found: list[Interval] = []
    for a, b in sorted(_interval(s) for s in (state or {}).get("slices", ())):
        if found and a <= found[-1][1]:
            found[-1] = found[-1][0], max(b, found[-1][1])
        else:
            found.append((a, b))
    # An empty one only marks where a first sync begins.
    return [(a, b) for a, b in found if a < b]


def _interval(row: Mapping[str, str]) -> Interval:
    a, b = (datetime.fromisoformat(row[end].replace("Z", "+00:00")) for end in ("start", "end"))
    return a, b


def settled(state: Any) -> dict[str, set[bytes]]:
    """Hashes, six bytes each, of what is not asked for again, by day."""
    found = {}
    for day, text in (state or {}).get("settled", {}).items():
        raw = b64decode(text, validate=True)
        assert len(raw) % 6 == 0, day
        found[day] = {raw[start : start + 6] for start in range(0, len(raw), 6)}
    return {day: hashes for day, hashes in found.items() if hashes}


def is_within(inner: Interval, outer: Iterable[Interval]) -> bool:
    return any(a <= inner[0] and inner[1] <= b for a, b in outer)


# --- what differs ---------------------------------------------------------------------------


def rows_that_differ(before: Part, now: Part) -> list[str]:
    said = []
    if now.status != before.status:
        said.append(f"ended as {now.status or 'nothing'}, not {before.status}")
    if now.count != before.count:
        said.append(f"{now.count} records, not {before.count}")
    said += [f"lacks {key}" for key in sorted(before.rows.keys() - now.rows.keys())]
    said += [f"emits {key}, unlike before" for key in sorted(now.rows.keys() - before.rows.keys())]
    said += [
        f"has other fields or values in {key}: {json.dumps(now.data.get(key))}"
        for key in sorted(before.rows.keys() & now.rows.keys())
        if before.rows[key] != now.rows[key]
    ]
    return said


def requests_too_many(before: Mapping[str, int], now: Mapping[str, int]) -> list[str]:
    """Beyond those of the recording and the one for a count, which is new since."""
    return [
        f"{count} x {kind}, not {before.get(kind, 0)}"
        for kind, count in sorted(now.items())
        if count > before.get(kind, 0) + kind.endswith("/recording-metrics")
    ]


def states_that_differ(before: Part, now: Part) -> list[str]:
    said = []
    if (before.state is None) != (now.state is None):
        said.append(f"saved {now.state}, not {before.state}")
    if covered(now.state) != covered(before.state):
        said.append(f"covers {_shown(now.state)}, not {_shown(before.state)}")
    if settled(now.state) != settled(before.state):
        said.append(f"has settled {_counts(now.state)}, not {_counts(before.state)}")
    return said


def _shown(state: Any) -> str:
    return ", ".join(f"{a.isoformat()} to {b.isoformat()}" for a, b in covered(state)) or "nothing"


def _counts(state: Any) -> str:
    days = settled(state).items()
    return ", ".join(f"{len(v)} on {day} ({b''.join(sorted(v)).hex()})" for day, v in days) or "none"


def all_that_differs(before: Part, now: Part) -> list[str]:
    return [
        *rows_that_differ(before, now),
        *requests_too_many(before.requests, now.requests),
        *states_that_differ(before, now),
    ]


def assert_same(
    before: Mapping[str, Part],
    now: Mapping[str, Part],
    differences: Callable[[Part, Part], list[str]] = all_that_differs,
    where: str = "",
) -> None:
    """Everything that differs, of every stream, at once."""
    assert now.keys() == before.keys()
    said = [f"{s}{where}: {text}" for s in before for text in differences(before[s], now[s])]
    assert not said, "\n".join(said)


def recorded(name: str, group: Sequence[str]) -> list[dict[str, Part]]:
    """The recorded syncs of these streams."""
    return [read_again(TABLE, {stream: sync[stream] for stream in group}) for sync in RECORDED["alone"][name]]


# --- whole syncs ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_the_same_streams_are_offered(mode: str) -> None:
    """All that there were: others have come since."""
    before = RECORDED["offered"][mode]
    with playing() as player:
        now = player.offered(player.config(ids=mode == "ids"))
    assert {stream: now.get(stream) for stream in before} == before


@pytest.mark.parametrize(("name", "group"), ALONE, ids=map(case_id, ALONE))
def test_streams_one_by_one(name: str, group: Sequence[str]) -> None:
    """Each stream alone: first, right after, half a day later, right after that; each sync from the state before it."""
    mode, _, sync_mode = name.partition(" ")
    syncs = chain([group], sync_mode, ids=mode == "ids")
    before = recorded(name, group)
    if name == "listing full_refresh":
        # The version before took a state as the start of a full refresh. Now it reads everything, whatever it is given.
        again = syncs[1]
        assert_same(before[0], again, rows_that_differ, ", sync 2")
        before, syncs = before[:1], syncs[:1]
    for number, (then, now) in enumerate(zip(before, syncs, strict=True), 1):
        assert_same(then, now, where=f", sync {number}")


@pytest.mark.parametrize("mode", MODES)
def test_all_streams_together(mode: str) -> None:
    """The same rows, and what several streams need is asked for once: less than each alone has asked for."""
    before = RECORDED["together"][mode]
    sync_mode = "full_refresh" if mode == "ids" else "incremental"
    syncs = chain([sorted(RECORDED["offered"][mode])], sync_mode, ids=mode == "ids")
    for number, (then, parts) in enumerate(zip(before, syncs, strict=True), 1):
        rows = read_again(TABLE, {s: {**row, "requests": {}, "state": None} for s, row in then["streams"].items()})
        assert_same(rows, parts, rows_that_differ, f", sync {number}")
        assert not requests_too_many(then["requests"], requests_of(parts)), f"sync {number}"
    if mode == "listing":
        one_by_one = [requests_of(read_again(TABLE, sync)).total() for sync in RECORDED["alone"]["listing incremental"]]
        together = [requests_of(parts).total() for parts in syncs]
        assert all(now < then for then, now in zip(one_by_one, together, strict=True)), (one_by_one, together)


def test_lists_of_several_pages() -> None:
    for number, (before, now) in enumerate(zip(RECORDED["pages"], pages(), strict=True), 1):
        for stream, then in before.items():
            what = f"{stream}, sync {number}"
            assert not requests_too_many(then["requests"], now[stream]["requests"]), what
            found = now[stream]["count"], now[stream]["digest"]
            assert found == (then["count"], then["digest"]), what


# --- states of the version before -----------------------------------------------------------


@pytest.mark.parametrize(("name", "group"), TAKEN_UP, ids=map(case_id, TAKEN_UP))
def test_a_saved_state_is_taken_up(name: str, group: Sequence[str]) -> None:
    """After an upgrade nothing is read again that the state says was read, and nothing is left out."""
    mode, _, sync_mode = name.partition(" ")
    before = recorded(name, group)
    states = [{stream: part.state for stream, part in parts.items()} for parts in before]
    assert all(state for parts in states for state in parts.values())
    now = chain([group], sync_mode, ids=mode == "ids", given=[{}, *states[:-1]])
    for number in range(1, len(before)):
        assert_same(before[number], now[number], where=f", from the state of sync {number}")


@pytest.mark.parametrize("name", RECORDED["interrupted"])
def test_a_request_that_failed(name: str) -> None:
    """All else is emitted and what failed stays open."""
    told = RECORDED["interrupted"][name]
    faults = told["faults"]
    before = read_again(TABLE, told["sync"])
    now = interrupted({stream: fault["path"] for stream, fault in faults.items()})
    assert_same(before, now, rows_that_differ)
    for stream, part in before.items():
        assert not requests_too_many(part.requests, now[stream].requests), stream
        # More may be saved: a slow machine saves a window in parts.
        done = covered(now[stream].state)
        assert all(is_within(interval, done) for interval in covered(part.state)), stream
        failed = datetime.fromisoformat(faults[stream]["time"].replace("Z", "+00:00"))
        assert not any(a <= failed < b for a, b in done), stream
        assert settled(now[stream].state) == settled(part.state), stream


@pytest.mark.parametrize("name", RECORDED["interrupted"])
def test_the_state_of_a_sync_that_failed_is_taken_up(name: str) -> None:
    """What was left open is read, without what had settled in it."""
    told = RECORDED["interrupted"][name]
    before = read_again(TABLE, told["sync"])
    states = {stream: part.state for stream, part in before.items()}
    assert_same(read_again(TABLE, told["next"]), resumed(states, **ALL_OF_IT))

    # With the usual look-back that version may have asked for some of it again: not more than this, see ALL_OF_IT.
    most, now = read_again(TABLE, told["at most"]), resumed(states)
    for stream, part in now.items():
        assert part.status == "COMPLETE", stream
        assert not requests_too_many(most[stream].requests, part.requests), stream
        whole = recorded("listing incremental", (stream,))[0][stream].rows
        assert before[stream].rows | part.rows == whole, stream
        assert not states_that_differ(most[stream], part), stream


@pytest.mark.parametrize("name", RECORDED["handed"])
def test_other_forms_of_a_state(name: str) -> None:
    """Those of the CDK's own cursors, whose states the version before takes up, and one of a sync that was killed."""
    told = RECORDED["handed"][name]
    assert_same(read_again(TABLE, told["sync"]), resumed(told["states"]))


# --- the comparison itself ------------------------------------------------------------------


def _other_row(part: Part) -> None:
    part.rows[next(iter(part.rows))] = "0" * 12


def _row_lost(part: Part) -> None:
    part.rows.popitem()


def _row_twice(part: Part) -> None:
    part.count += 1


def _one_request_more(part: Part) -> None:
    part.requests["GET quo /calls"] += 1


def _another_request(part: Part) -> None:
    part.requests["GET quo /v1/phone-numbers"] += 1


def _incomplete(part: Part) -> None:
    part.status = "INCOMPLETE"


def _a_gap(part: Part) -> None:
    start, end = (part.state["slices"][0][name] for name in ("start", "end"))
    part.state["slices"] = [
        {"start": start, "end": "2024-10-01T00:00:00.000000Z"},
        {"start": "2024-10-01T00:00:00.000001Z", "end": end},
    ]


def _one_settled_less(part: Part) -> None:
    day, text = part.state["settled"].popitem()
    part.state["settled"][day] = text[:-8]


def _no_state(part: Part) -> None:
    part.state = None


@pytest.mark.parametrize(
    "tamper",
    [
        _other_row,
        _row_lost,
        _row_twice,
        _one_request_more,
        _another_request,
        _incomplete,
        _a_gap,
        _one_settled_less,
        _no_state,
    ],
)
def test_a_difference_is_seen(tamper: Callable[[Part], None]) -> None:
    stream = "quo_call_recordings"
    before = recorded("listing incremental", (stream,))[0][stream]
    now = deepcopy(before)
    assert not all_that_differs(before, now)
    tamper(now)
    assert len(all_that_differs(before, now)) >= 1


def test_the_same_said_otherwise_is_no_difference() -> None:
    """Intervals that touch, days without a hash, fewer requests."""
    stream = "quo_call_recordings"
    before = recorded("listing incremental", (stream,))[0][stream]
    now = deepcopy(before)
    start, end = (now.state["slices"][0][name] for name in ("start", "end"))
    cut = "2024-10-01T00:00:00Z"
    now.state["slices"] = [{"start": cut, "end": end}, {"start": start, "end": cut}]
    now.state["settled"]["2024-10-30"] = ""
    now.requests = Counter({"GET quo /calls": 1})
    assert not all_that_differs(before, now)
