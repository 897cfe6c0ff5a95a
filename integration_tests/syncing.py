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
from source_recordings.run import logger
from source_recordings.source import SourceRecordings

Row = dict[str, Any]


@dataclass
class Sync:
    """What one sync printed."""

    messages: list[Row] = field(default_factory=list)
    failed: bool = False

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
    for provider, limit in {
        "bird": "requests_per_second",
        "quo": "requests_per_second",
        "bota": "requests_per_minute",
    }.items():
        if provider in config:
            config[provider][limit] = 1_000_000
    return config | more


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
    except AirbyteTracedException:
        result.failed = True
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
    names = PRIMARY_KEYS.get(stream) or FILE_KEYS[stream]
    return [tuple(row[name] for name in names) for row in rows]


PRIMARY_KEYS = {
    "amigo_calls": ("entity_id",),
    "amigo_recording_metadata": ("call_sid",),
    "amigo_recording_urls": ("call_sid",),
    "bird_recordings": ("id",),
    "bird_transcriptions": ("id",),
    "bota_recordings": ("id",),
    "bota_transcriptions": ("id",),
    "quo_calls": ("id",),
    "quo_call_recordings": ("id",),
    "quo_call_transcripts": ("callId",),
    "tether_calls": ("callId",),
    "tether_call_recordings": ("callId",),
}
STREAMS = tuple(PRIMARY_KEYS)
FILE_KEYS = {
    "amigo_recording_files": ("call_sid", "filename"),
    "bird_recording_files": ("recordingId",),
    "bota_recording_files": ("media_id",),
    "quo_recording_files": ("recordingId",),
    "tether_recording_files": ("callId",),
}


def as_delivered(stream: str, row: Row) -> Row:
    """A provider's row as the connector delivers it: where Tether sends one of two kinds, each has its own field."""
    row = dict(row)
    if stream == "tether_calls":
        for name in ("contact", "user"):
            if isinstance(row.get(f"{name}Id"), dict):
                row[name] = row[f"{name}Id"]
                row[f"{name}Id"] = row[name].get("_id")
    if stream == "tether_call_recordings" and isinstance(row.get("transcriptionData"), dict):
        row["transcriptionData"] = [row["transcriptionData"]]
    return row
