"""Syncs that are told once and compared for ever: what the connector emits, saves and asks for.

`python -m integration_tests.recording OUT.json` writes down what the connector of this checkout does. The recording in
`recorded/` is of the version before its reading was rebuilt; `test_recorded.py` plays the same syncs with the version
of today. The connector is driven as a program, so that a recording says nothing about its inside.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from hashlib import blake2b
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit

from integration_tests.syncing import FILE_KEYS, PRIMARY_KEYS, Row, clock_of, sandbox_config
from sandbox import Sandbox
from unit_tests.harness import Connector

NOW = datetime(2024, 11, 1, 9, 30, 12, tzinfo=timezone.utc)
SEED, SIZE, LONG = 11, 60, 230
KEYS = PRIMARY_KEYS | FILE_KEYS

# How far the clock moves before each sync of a chain, in hours. The last state is there to be taken up too.
HOURS = {"full_refresh": (0, 0, 12), "incremental": (0, 0, 12, 0)}

LISTS = {
    "amigo_calls": "started_at",
    "bird_recordings": "createdAt",
    "bird_transcriptions": "updatedAt",
    "bota_recordings": "created_at",
    "quo_calls": "createdAt",
    "tether_calls": "createdAt",
}
# What has one request per row of a list: its cursor and that list.
DETAILS = {
    "amigo_recording_metadata": ("call_started_at", "amigo_calls"),
    "amigo_recording_urls": ("call_started_at", "amigo_calls"),
    "amigo_recording_files": ("call_started_at", "amigo_calls"),
    "bota_transcriptions": ("recording_created_at", "bota_recordings"),
    "bota_recording_files": ("recording_created_at", "bota_recordings"),
    "quo_call_recordings": ("callCreatedAt", "quo_calls"),
    "quo_call_transcripts": ("callCreatedAt", "quo_calls"),
    "quo_recording_files": ("callCreatedAt", "quo_calls"),
    "tether_call_recordings": ("callCreatedAt", "tether_calls"),
    "tether_recording_files": ("callCreatedAt", "tether_calls"),
}

# The config key of each provider's list of ids, a stream that has them all, and where in its key the id is.
ID_LISTS = {
    "amigo": ("call_sids", "amigo_recording_urls", 0),
    "bird": ("recording_ids", "bird_recordings", 0),
    "bota": ("recording_ids", "bota_recordings", 0),
    "quo": ("call_ids", "quo_calls", 0),
    "tether": ("call_ids", "tether_calls", 0),
}

# A look-back as long as the story, where it matters what is settled in a window that was left open. With a shorter one
# the version recorded forgets it as soon as a later window is complete, and when that is depends on the order of the
# answers.
ALL_OF_IT = {"lookback_days": 365}

States = Mapping[str, Any]


# --- one sync -------------------------------------------------------------------------------


@dataclass
class Part:
    """One stream's part of a sync."""

    rows: dict[str, str] = field(default_factory=dict)
    """Digests by primary key."""
    count: int = 0
    """Of the records, those that came twice counted twice."""
    state: Any = None
    requests: Counter[str] = field(default_factory=Counter)
    """By method, provider and kind of path."""
    status: str = ""
    data: dict[str, Row] = field(default_factory=dict)
    """The records themselves, for messages; not recorded."""


Syncs = list[dict[str, Part]]


def provider_of(stream: str) -> str:
    return stream.partition("_")[0]


def rounds(streams: Iterable[str]) -> list[tuple[str, ...]]:
    """One stream of each provider at a time: a request tells its provider and with it the stream that made it.

    Streams of different providers have nothing in common, so that each is read as if it were alone.
    """
    by_provider = groupby(sorted(streams, key=provider_of), provider_of)
    columns = zip_longest(*(list(group) for _, group in by_provider))
    return [tuple(filter(None, column)) for column in columns]


_URL = re.compile(r"https?://[^\s\"]+")


def comparable(value: Any) -> Any:
    """The value without what differs between two reads of a row that has not changed.

    That is in URLs only: the sandbox's port, another one at each start, and the query, which is a signature for the time
    of the answer.
    """
    if isinstance(value, dict):
        return {key: comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, str):
        return _URL.sub(_plain, value)
    return value


def _plain(match: re.Match[str]) -> str:
    parts = urlsplit(match[0])
    host = "sandbox" if parts.hostname == "127.0.0.1" else parts.netloc
    return f"{parts.scheme}://{host}{parts.path}"


def digest(value: Any) -> str:
    text = json.dumps(comparable(value), sort_keys=True)
    return blake2b(text.encode(), digest_size=6).hexdigest()


_ID = re.compile(r"(?<=/)([A-Za-z]{2,3}_?)?([0-9a-f]{16,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})(?=[./]|$)")


def path_kind(path: str) -> str:
    """The path with `{id}` in the place of each id and `{name}` in that of a file's name."""
    return re.sub(r"(?<=/download/)[^/]+", "{name}", _ID.sub("{id}", path))


class Player:
    """Runs syncs against a sandbox and tells what each stream of them did."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self._connector = Connector(folder)

    def config(self, *, ids: bool) -> Row:
        """Of all providers; `ids`: with a list of every id that there is now."""
        config = sandbox_config(self.sandbox)
        for provider, (key, stream, position) in ID_LISTS.items() if ids else ():
            config[provider][key] = [found[position] for found in self.sandbox.truth(stream)]
        return config

    def offered(self, config: Row) -> dict[str, list[str]]:
        """The sync modes of each stream."""
        streams = self._connector.discover(config).streams
        return {name: streams[name]["supported_sync_modes"] for name in KEYS if name in streams}

    def read(
        self, config: Row, streams: Sequence[str], sync_mode: str, states: States | None = None
    ) -> dict[str, Part]:
        """Where several streams are of one provider, the first of them is told its requests."""
        self.sandbox.clear_requests()
        given = [
            {"type": "STREAM", "stream": {"stream_descriptor": {"name": name}, "stream_state": states[name]}}
            for name in streams
            if states and states.get(name) is not None
        ]
        output = self._connector.read(config, *streams, sync_mode=sync_mode, state=given or None)
        parts = {name: Part() for name in streams}
        for name, part in parts.items():
            statuses = output.statuses(name)
            part.status = statuses[-1] if statuses else ""
        for message in output.of("RECORD"):
            part = parts[message["stream"]]
            row = dict(message["data"])
            key = "/".join(str(row.get(name)) for name in KEYS[message["stream"]])
            if reference := message.get("file_reference"):
                # Its third member is the folder on this machine.
                row["file_reference"] = [reference["source_file_relative_path"], reference["file_size_bytes"]]
            part.rows[key], part.data[key] = digest(row), row
            part.count += 1
        for message in output.of("STATE"):
            stream = message["stream"]
            parts[stream["stream_descriptor"]["name"]].state = stream["stream_state"]
        first = {provider_of(name): name for name in reversed(streams)}
        for request in self.sandbox.requests:
            # The storage host has a folder for each provider.
            storage = request.provider == "storage"
            provider = request.path.split("/")[1] if storage else request.provider
            kind = f"{request.method} {request.provider} {path_kind(request.path)}"
            parts[first[provider]].requests[kind] += 1
        return parts


@contextmanager
def playing(size: int = SIZE) -> Iterator[Player]:
    """A sandbox that tells the same story each time, and an empty folder for the audio."""
    unlimited = dict.fromkeys(("amigo", "bird", "bota", "quo"), (10**9, 1.0))
    with (
        tempfile.TemporaryDirectory() as folder,
        patch.dict(os.environ, {"AIRBYTE_STAGING_DIRECTORY": f"{folder}/staging"}),
        Sandbox(seed=SEED, size=size, now=NOW, media_bytes=600, rates=unlimited) as sandbox,
        clock_of(sandbox),
    ):
        yield Player(sandbox, Path(folder))


# --- several syncs --------------------------------------------------------------------------


def chain(
    groups: Iterable[Sequence[str]],
    sync_mode: str,
    *,
    ids: bool = False,
    given: Sequence[States] = (),
    size: int = SIZE,
    hours: Sequence[int] = (),
) -> Syncs:
    """Syncs one after the other, the streams of a group in one, each from the state that the one before left.

    Or from those `given`, one mapping for each sync; where it is empty, there is no sync.
    """
    groups, syncs = list(groups), Syncs()
    with playing(size) as player:
        config = player.config(ids=ids)
        states: States = {}
        for number, passed in enumerate(hours or HOURS[sync_mode]):
            player.sandbox.advance(timedelta(hours=passed))
            if given:
                states = given[number]
            parts: dict[str, Part] = {}
            for group in groups if states or not given else ():
                parts |= player.read(config, group, sync_mode, states)
            states = {name: part.state for name, part in parts.items()}
            syncs.append(parts)
    return syncs


def interrupted(faults: Mapping[str, str]) -> dict[str, Part]:
    """A first sync in which the requests to a path fail for good, by stream.

    With a look-back as long as the story, see ALL_OF_IT.
    """
    # Retries without their waits.
    with playing() as player, patch("time.sleep"):
        for stream, path in faults.items():
            player.sandbox.fault(provider_of(stream), path, status=500)
        config = player.config(ids=False) | ALL_OF_IT
        return player.read(config, list(faults), "incremental")


def resumed(states: States, **more: Any) -> dict[str, Part]:
    """A sync from these states, when the clock has not moved yet, with `more` in the config."""
    with playing() as player:
        config = player.config(ids=False) | more
        return player.read(config, list(states), "incremental", states)


# --- what is recorded of them ---------------------------------------------------------------


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
            found[stream] = {"path": path.format(**row), "time": row[DETAILS[stream][0]]}
        return found

    return {
        "an old call": faults(details, recent=False),
        "a call of the look-back": faults(details, recent=True),
        "a file of the look-back": faults(files, recent=True),
    }


def _one_call(stream: str, part: Part, *, recent: bool) -> Row:
    cursor = DETAILS[stream][0]
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

    cursors = LISTS | {stream: cursor for stream, (cursor, _) in DETAILS.items()}
    cursors["bird_recording_files"] = "recordingCreatedAt"
    forms: dict[str, dict[str, Any]] = {
        "of a stream without a cursor": {stream: {"__ab_no_cursor_state_message": True} for stream in LISTS},
        "one time": {stream: {cursor: later} for stream, cursor in cursors.items()},
        "slices": {stream: slices(stream) for stream in cursors},
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
                "parent_state": {parent: {LISTS[parent]: later}},
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
