"""Syncs of a sandbox that tells the same story each time, and what each stream of them did."""

from __future__ import annotations

import json
import os
import re
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

from integration_tests.syncing import KEYS, Row, clock_of, provider_of, sandbox_config, with_ids
from sandbox import Sandbox
from sandbox.knobs import Knobs
from unit_tests.harness import Connector

NOW = datetime(2024, 11, 1, 9, 30, 12, tzinfo=timezone.utc)
SEED, SIZE, LONG = 11, 60, 230

# How far the clock moves before each sync of a chain, in hours. The last state is there to be taken up too.
HOURS = {"full_refresh": (0, 0, 12), "incremental": (0, 0, 12, 0)}

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
        return with_ids(self.sandbox) if ids else sandbox_config(self.sandbox)

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
    unlimited = dict.fromkeys(Knobs().rates, (10**9, 1.0))
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
