"""Syncs that are told once and compared for ever: what the connector emits, saves and asks for.

`python -m integration_tests.recording OUT.json` writes down what the connector of this checkout does. The recording in
`recorded/` is of the last version before the sandbox got another story; `test_recorded.py` plays the same syncs with the
version of today. The connector is driven as a program, so that a recording says nothing about its inside.
"""

from __future__ import annotations

import json
import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from integration_tests.playing import (
    ALL_OF_IT,
    LONG,
    NOW,
    Part,
    Syncs,
    chain,
    digest,
    interrupted,
    playing,
    resumed,
    rounds,
)
from integration_tests.syncing import ALL_STREAMS, CURSORS, DATED, KEYS, LISTS, Row

# What has one request per row of a list, files among it: its cursor and that list.
DETAILS = {name: (CURSORS[name], stream.for_each.row_of) for name, stream in ALL_STREAMS.items() if stream.for_each}


class Table:
    """Each version of each row once, and which of them a sync emitted as ranges of its lines."""

    def __init__(self, lines: Mapping[str, Sequence[str]] | None = None) -> None:
        self.lines = {stream: list(found) for stream, found in (lines or {}).items()}
        self._places: dict[str, dict[str, int]] = {}

    def write(self, stream: str, rows: Mapping[str, str]) -> str:
        lines = self.lines.setdefault(stream, [])
        places = self._places.setdefault(stream, {})
        found = []
        for line in (f"{key} {version}" for key, version in sorted(rows.items())):
            if line not in places:
                places[line] = len(lines)
                lines.append(line)
            found.append(places[line])
        # Neighbours in the table have the same distance to their places among those found.
        runs = groupby(enumerate(sorted(found)), lambda pair: pair[1] - pair[0])
        ends = ([place for _, place in run] for _, run in runs)
        return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in ends)

    def read(self, stream: str, ranges: str) -> dict[str, str]:
        rows = {}
        for text in filter(None, ranges.split(",")):
            first, _, last = text.partition("-")
            for line in self.lines[stream][int(first) : int(last or first) + 1]:
                key, _, version = line.rpartition(" ")
                rows[key] = version
        return rows


def written(table: Table, parts: Mapping[str, Part]) -> Row:
    """Parts as JSON, by stream."""
    return {
        name: {
            "rows": table.write(name, part.rows),
            "count": part.count,
            "requests": dict(sorted(part.requests.items())),
            "status": part.status,
            "state": part.state,
        }
        for name, part in sorted(parts.items())
    }


def read_again(table: Table, parts: Row) -> dict[str, Part]:
    """The parts that `written` has made JSON of."""
    return {
        name: Part(
            rows=table.read(name, part["rows"]),
            count=part["count"],
            state=part["state"],
            requests=Counter(part["requests"]),
            status=part["status"],
        )
        for name, part in parts.items()
    }


def requests_of(parts: Mapping[str, Part]) -> Counter[str]:
    """All requests of a sync."""
    return sum((part.requests for part in parts.values()), Counter[str]())


def pages() -> list[Row]:
    """Of lists with several pages: how much was asked for and emitted, and one digest of all rows."""
    return [
        {
            name: {"count": part.count, "requests": dict(sorted(part.requests.items())), "digest": digest(part.rows)}
            for name, part in sorted(parts.items())
        }
        for parts in chain(rounds(LISTS), "incremental", size=LONG, hours=(0, 12))
    ]


def record() -> Row:
    """Everything."""
    table = Table()
    with playing() as player:
        offered = {"listing": player.offered(player.config(ids=False)), "ids": player.offered(player.config(ids=True))}
    alone: dict[str, Syncs] = {}
    together: dict[str, Syncs] = {}
    for what, modes in offered.items():
        for mode in ("full_refresh", "incremental"):
            streams = sorted(name for name in modes if mode in modes[name])
            if streams:
                alone[f"{what} {mode}"] = chain(rounds(streams), mode, ids=what == "ids")
        best = "full_refresh" if what == "ids" else "incremental"
        together[what] = chain([sorted(modes)], best, ids=what == "ids")
    first = alone["listing incremental"][0]
    return {
        "offered": offered,
        "alone": {name: [written(table, parts) for parts in syncs] for name, syncs in alone.items()},
        "together": {name: [_written_as_one(table, parts) for parts in syncs] for name, syncs in together.items()},
        "pages": pages(),
        "interrupted": {name: _interruption(table, faults) for name, faults in _faults(first).items()},
        "handed": {
            name: {"states": states, "sync": written(table, resumed(states))} for name, states in _handed(first).items()
        },
        "rows": table.lines,
    }


def _written_as_one(table: Table, parts: Mapping[str, Part]) -> Row:
    streams = written(table, parts)
    kept = ("rows", "count", "status")
    return {
        "streams": {name: {key: part[key] for key in kept} for name, part in streams.items()},
        "requests": dict(sorted(requests_of(parts).items())),
    }


def _interruption(table: Table, faults: Mapping[str, Row]) -> Row:
    """A sync in which requests fail, one from its state that remembers all that is settled, and one at its most."""
    first = interrupted({stream: fault["path"] for stream, fault in faults.items()})
    states = {stream: part.state for stream, part in first.items()}
    forgotten = {stream: _without_forgotten(state) for stream, state in states.items()}
    return {
        "faults": faults,
        "sync": written(table, first),
        "next": written(table, resumed(states, **ALL_OF_IT)),
        "at most": written(table, resumed(forgotten)),
    }


def _without_forgotten(state: Row) -> Row:
    """The state without what the version recorded may forget while it reads the open windows, see ALL_OF_IT."""
    last = max(datetime.fromisoformat(found["end"][:10]) for found in state["slices"])
    edge = (last - timedelta(days=3)).date().isoformat()
    kept = {day: text for day, text in state["settled"].items() if day >= edge}
    return {**state, "settled": kept}


def _faults(first: Mapping[str, Part]) -> dict[str, dict[str, Row]]:
    """For each interruption the path that fails of each stream, and the time of the call that it is about."""
    details = {
        "amigo_recording_files": "/recordings/{call_sid}/urls$",
        "quo_call_recordings": "/v1/call-recordings/{callId}$",
        "tether_call_recordings": "/api/calls/{callId}/recording$",
    }
    files = {"amigo_recording_files": "/recordings/{call_sid}/download/{filename}$"}

    def faults(paths: Mapping[str, str], *, recent: bool) -> dict[str, Row]:
        found = {}
        for stream, path in paths.items():
            row = _one_call(stream, first[stream], recent=recent)
            found[stream] = {"path": path.format(**row), "time": row[CURSORS[stream]]}
        return found

    return {
        "an old call": faults(details, recent=False),
        "a call of the look-back": faults(details, recent=True),
        "a file of the look-back": faults(files, recent=True),
    }


def _one_call(stream: str, part: Part, *, recent: bool) -> Row:
    cursor = CURSORS[stream]
    edge = (NOW - timedelta(days=2)).isoformat()
    rows = [row for row in part.data.values() if row.get(cursor) and (row[cursor] > edge) is recent]
    rows.sort(key=lambda row: (row[cursor], *(row[name] for name in KEYS[stream])))
    return rows[len(rows) // 2]


def _handed(first: Mapping[str, Part]) -> dict[str, dict[str, Any]]:
    """States that a sync of this version does not leave behind, but that it accepts."""
    early, late, later = (f"2024-{day}T00:00:00.000000Z" for day in ("09-10", "10-01", "10-29"))
    begun = {stream: part.state["slices"][0]["start"] for stream, part in first.items()}

    def slices(stream: str) -> Row:
        """With a gap."""
        spans = ((begun[stream], early), (late, later))
        return {"state_type": "date-range", "slices": [{"start": a, "end": b} for a, b in spans]}

    forms: dict[str, dict[str, Any]] = {
        "of a stream without a cursor": {stream: {"__ab_no_cursor_state_message": True} for stream in DATED},
        "one time": {stream: {cursor: later} for stream, cursor in CURSORS.items()},
        "slices": {stream: slices(stream) for stream in CURSORS},
        "stopped half-way": {
            stream: {**slices(stream), "settled": part.state["settled"]}
            for stream, part in first.items()
            if "settled" in part.state
        },
        # The substream cursor of the CDK, as the manifest run by itself has it.
        "parent's time": {
            stream: {
                "use_global_cursor": True,
                "state": {cursor: later},
                "parent_state": {parent: {CURSORS[parent]: later}},
                "lookback_window": 3,
            }
            for stream, (cursor, parent) in DETAILS.items()
        },
        "parent's slices": {
            stream: {
                "use_global_cursor": False,
                "states": [{"partition": {"id": "x"}, "cursor": {cursor: later}}],
                "state": {cursor: later},
                "parent_state": {parent: slices(parent)},
                "lookback_window": 3,
            }
            for stream, (cursor, parent) in DETAILS.items()
        },
        "no progress": {
            stream: {"use_global_cursor": False, "states": [], "parent_state": {}, "lookback_window": 0}
            for stream in DETAILS
        },
    }
    # These begin from the beginning, whatever the stream: one of each provider shows it.
    whole = ("no progress", "of a stream without a cursor")
    return {
        f"{form}, {number}": {stream: states[stream] for stream in group}
        for form, states in forms.items()
        for number, group in enumerate(rounds(states), 1)
        if number == 1 or form not in whole
    }


def main() -> None:
    logging.disable()
    (target,) = sys.argv[1:]
    text = json.dumps(record(), indent=0, sort_keys=True, ensure_ascii=False)
    Path(target).write_text(f"{text}\n", "utf-8")


if __name__ == "__main__":
    main()
