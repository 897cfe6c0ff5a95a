"""Runs syncs against the sandbox in this process and keeps what they printed."""

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

from airbyte_cdk.models import (
    AirbyteMessageSerializer,
    AirbyteStateMessage,
    AirbyteStateMessageSerializer,
    ConfiguredAirbyteCatalog,
    ConfiguredAirbyteCatalogSerializer,
)
from airbyte_cdk.utils import AirbyteTracedException

from sandbox import Sandbox
from source_recordings.provider_yaml import load_providers
from source_recordings.run import logger
from source_recordings.source import SourceRecordings

Row = dict[str, Any]

PROVIDERS = load_providers()
ALL_STREAMS = {name: stream for provider in PROVIDERS.values() for name, stream in provider.streams.items()}
KEYS = {name: stream.primary_key for name, stream in ALL_STREAMS.items()}
PRIMARY_KEYS = {name: keys for name, keys in KEYS.items() if not ALL_STREAMS[name].file}
FILE_KEYS = {name: keys for name, keys in KEYS.items() if ALL_STREAMS[name].file}
STREAMS = tuple(PRIMARY_KEYS)
CURSORS = {name: stream.cursor for name, stream in ALL_STREAMS.items() if stream.cursor}
LISTS = [name for name, stream in ALL_STREAMS.items() if not stream.for_each and not stream.file]
DATED = [name for name in LISTS if ALL_STREAMS[name].window]
"""Those with a time to go by; the others are read as a whole."""
DETAILS = [name for name, stream in ALL_STREAMS.items() if stream.for_each and not stream.file]


@dataclass
class Sync:
    """What one sync printed."""

    messages: list[Row] = field(default_factory=list)
    failed: bool = False
    last_word: Row | None = None
    """The message that the program makes of the error that ended it."""

    def records(self, stream: str) -> list[Row]:
        return [m["record"]["data"] for m in self.messages if m["type"] == "RECORD" and m["record"]["stream"] == stream]

    @property
    def state(self) -> list[Row]:
        """The last state of every stream, as the platform hands it to the next sync."""
        last = {m["state"]["stream"]["stream_descriptor"]["name"]: m["state"] for m in self._of("STATE")}
        return list(last.values())

    def errors(self) -> list[str]:
        traces = (m["trace"] for m in self._of("TRACE"))
        return [t["error"]["message"] for t in traces if t["type"] == "ERROR"]

    def statuses(self, stream: str) -> list[str]:
        traces = (m["trace"] for m in self._of("TRACE"))
        found = (t["stream_status"] for t in traces if t["type"] == "STREAM_STATUS")
        return [s["status"] for s in found if s["stream_descriptor"]["name"] == stream]

    def _of(self, kind: str) -> Iterator[Row]:
        return (m for m in self.messages if m["type"] == kind)


def sandbox_config(sandbox: Sandbox, *providers: str, **more: Any) -> Row:
    """The sandbox's config without waits for rate limits that it does not enforce."""
    config: Row = deepcopy(dict(sandbox.config(providers or None)))
    for name, provider in PROVIDERS.items():
        if name in config and provider.limit:
            config[name][provider.limit.key] = 1_000_000
    return config | more


def provider_of(stream: str) -> str:
    return next(name for name, provider in PROVIDERS.items() if stream in provider.streams)


def ids_of(sandbox: Sandbox) -> dict[str, tuple[str, list[str]]]:
    """Each provider's config key for single IDs, and all that it has."""
    found = {}
    for name, provider in PROVIDERS.items():
        if provider.ids:
            # The rows whose key it is, and not those of calls that have no recording.
            stream = next(s.name for s in provider.streams.values() if s.primary_key == (provider.ids.field,))
            found[name] = provider.ids.key, [key[0] for key in sandbox.truth(stream)]
    return found


def with_ids(sandbox: Sandbox) -> Row:
    """A config that lists every ID that the sandbox has."""
    config = sandbox_config(sandbox)
    for name, (key, ids) in ids_of(sandbox).items():
        config[name][key] = ids
    return config


def catalog_of(config: Mapping[str, Any], *streams: str) -> ConfiguredAirbyteCatalog:
    """A catalog with the streams named, or all that the config offers, each in its best mode."""
    offered = SourceRecordings(config=config).discover(logger, config).streams
    configured = []
    for stream in offered:
        if not streams or stream.name in streams:
            incremental = len(stream.supported_sync_modes or []) > 1
            configured.append(
                {
                    "stream": {
                        "name": stream.name,
                        "json_schema": stream.json_schema,
                        "supported_sync_modes": ["full_refresh", "incremental"],
                        "source_defined_primary_key": stream.source_defined_primary_key,
                    },
                    "sync_mode": "incremental" if incremental else "full_refresh",
                    "destination_sync_mode": "append_dedup" if incremental else "overwrite",
                }
            )
    return ConfiguredAirbyteCatalogSerializer.load({"streams": configured})


def sync(
    config: Mapping[str, Any], *streams: str, state: Iterable[Mapping[str, Any]] = (), include_files: bool | None = None
) -> Sync:
    """One sync from a state; an error that ends it is kept as `failed`."""
    catalog = catalog_of(config, *streams)
    for configured in catalog.streams:
        configured.include_files = include_files
    source = SourceRecordings(catalog=catalog, config=config, state=states(state))
    result = Sync()
    try:
        for message in source.read(logger, config, catalog, []):
            result.messages.append(json.loads(json.dumps(AirbyteMessageSerializer.dump(message))))
    except AirbyteTracedException as error:
        result.failed = True
        result.last_word = AirbyteMessageSerializer.dump(error.as_airbyte_message())
    return result


def states(rows: Iterable[Mapping[str, Any]]) -> list[AirbyteStateMessage]:
    return [AirbyteStateMessageSerializer.load(json.loads(json.dumps(row))) for row in rows]


@contextmanager
def clock_of(sandbox: Sandbox) -> Iterator[None]:
    """The connector's clock is the sandbox's while this is entered."""
    with patch("source_recordings.times.utc_now", lambda: sandbox.world.now):
        yield


def keys(sandbox: Sandbox, stream: str, rows: Iterable[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    """The primary keys of rows, in order, repetitions included."""
    return [tuple(row[name] for name in KEYS[stream]) for row in rows]


def as_delivered(stream: str, row: Row) -> Row:
    """A provider's row as the connector delivers it: where Tether sends one of two kinds, each has its own field;
    a number that Bota sends as text is one.
    """
    row = dict(row)
    if stream == "tether_calls":
        for name in ("contact", "user"):
            if isinstance(row.get(f"{name}Id"), dict):
                row[name] = row[f"{name}Id"]
                row[f"{name}Id"] = row[name].get("_id")
    if stream == "tether_call_recordings" and isinstance(row.get("transcriptionData"), dict):
        row["transcriptionData"] = [row["transcriptionData"]]
    if stream == "bota_recordings" and isinstance(row["file_size_bytes"], str):
        row["file_size_bytes"] = int(row["file_size_bytes"])
    return row
