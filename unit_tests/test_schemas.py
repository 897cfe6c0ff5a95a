"""The stream schemas: well-formed, fully described, and complete against the providers' documents.

`documented_properties.json` lists, per stream, every property that the provider's public page
names (page address included). It is transcribed from those pages, not derived from the schemas.
Keys inside Bota's `metadata` are not listed: the page shows a user's own key-value pairs there.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "source_recordings"
DOCUMENTED_PROPERTIES = Path(__file__).with_name("documented_properties.json")

DRAFT_07 = "http://json-schema.org/draft-07/schema#"
TIMESTAMP = {"format": "date-time", "airbyte_type": "timestamp_with_timezone"}

# Stream: provider, primary key, cursor.
STREAMS: dict[str, tuple[str, str, str]] = {
    "bird_recordings": ("bird", "id", "createdAt"),
    "bird_transcriptions": ("bird", "id", "updatedAt"),
    "amigo_calls": ("amigo", "entity_id", "started_at"),
    "amigo_recording_metadata": ("amigo", "call_sid", "call_started_at"),
    "amigo_recording_urls": ("amigo", "call_sid", "call_started_at"),
    "quo_calls": ("quo", "id", "createdAt"),
    "quo_call_recordings": ("quo", "id", "callCreatedAt"),
    "quo_call_transcripts": ("quo", "callId", "callCreatedAt"),
    "bota_recordings": ("bota", "id", "created_at"),
    "bota_transcriptions": ("bota", "id", "recording_created_at"),
    "tether_calls": ("tether", "callId", "createdAt"),
    "tether_call_recordings": ("tether", "callId", "callCreatedAt"),
    "bird_recording_files": ("bird", "recordingId", "recordingCreatedAt"),
    "amigo_recording_files": ("amigo", "call_sid", "call_started_at"),
    "quo_recording_files": ("quo", "recordingId", "callCreatedAt"),
    "bota_recording_files": ("bota", "media_id", "recording_created_at"),
    "tether_recording_files": ("tether", "callId", "callCreatedAt"),
}

MEDIA = ["media_status", "media_type", "media_bytes", "media_sha256", "media_path"]
# Properties that are not in the provider's answer: the connector adds them, and says so.
INJECTED: dict[str, list[str]] = {
    "amigo_recording_metadata": ["call_started_at"],
    "amigo_recording_urls": ["call_started_at"],
    "quo_call_recordings": ["callId", "callCreatedAt"],
    "quo_call_transcripts": ["callCreatedAt"],
    "bota_transcriptions": ["recording_created_at"],
    "tether_calls": ["contact", "user"],
    "tether_call_recordings": ["callId", "callCreatedAt"],
    "bird_recording_files": ["recordingId", "recordingCreatedAt", "recordingUpdatedAt", *MEDIA],
    "amigo_recording_files": ["filename", "call_started_at", *MEDIA],
    "quo_recording_files": ["recordingId", "callId", "callCreatedAt", *MEDIA],
    "bota_recording_files": ["recording_id", "recording_created_at", *MEDIA],
    "tether_recording_files": ["callId", "callCreatedAt", *MEDIA],
}

# How many properties each page names. A shortened table must fail as well as a shortened schema.
DOCUMENTED_COUNTS: dict[str, int] = {
    "bird_recordings": 42,
    "amigo_recording_urls": 5,
    "amigo_recording_metadata": 15,
    "quo_call_recordings": 6,
    "bota_recordings": 19,
    "tether_call_recordings": 13,
}
DOCUMENTED_TOTAL = 100

Schema = Mapping[str, Any]


def load(path: Path) -> dict[str, Any]:
    """Read a JSON object; a key that occurs twice is an error instead of a silent overwrite."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        repeated = sorted({name for name in names if names.count(name) > 1})
        assert not repeated, f"{path.name} repeats the keys {repeated}"
        return dict(pairs)

    loaded = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=unique)
    assert isinstance(loaded, dict)
    return loaded


def schema_of(stream: str) -> dict[str, Any]:
    return load(PACKAGE / "providers" / STREAMS[stream][0] / "schemas" / f"{stream}.json")


def documented() -> dict[str, Any]:
    return load(DOCUMENTED_PROPERTIES)


def types_of(schema: Schema) -> list[str]:
    declared = schema.get("type", [])
    return [declared] if isinstance(declared, str) else list(declared)


def walk(schema: Schema, path: str = "") -> Iterator[tuple[str, bool, Schema]]:
    """Yield (path, is a named property, schema) of everything below `schema`, at every depth."""
    for name, child in schema.get("properties", {}).items():
        child_path = f"{path}.{name}" if path else name
        yield child_path, True, child
        yield from walk(child, child_path)
    if "items" in schema:
        yield f"{path}[]", False, schema["items"]
        yield from walk(schema["items"], f"{path}[]")


def resolve(schema: Schema, path: str) -> Schema | None:
    """The schema at a path such as `media[].mime_type`, or None."""
    found: Schema | None = schema
    for part in path.split("."):
        name = part.removesuffix("[]")
        found = (found or {}).get("properties", {}).get(name)
        if found is not None and part.endswith("[]"):
            found = found.get("items")
        if found is None:
            return None
    return found


SCHEMA_FILES = sorted(PACKAGE.glob("**/schemas/*.json"))
every_schema_file = pytest.mark.parametrize("file", SCHEMA_FILES, ids=lambda file: str(file.stem))
every_stream = pytest.mark.parametrize("stream", sorted(STREAMS))
every_documented_stream = pytest.mark.parametrize("stream", sorted(DOCUMENTED_COUNTS))


def test_every_stream_has_a_schema_file() -> None:
    assert {file.stem for file in SCHEMA_FILES} >= set(STREAMS)


@every_schema_file
def test_schema_is_valid_draft_07_with_an_open_object_at_the_top(file: Path) -> None:
    schema = load(file)

    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == DRAFT_07
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is True
    assert schema["properties"]


@every_schema_file
def test_everything_is_nullable_and_typed_down_to_the_leaves(file: Path) -> None:
    faults = []
    for path, _, schema in walk(load(file)):
        types = types_of(schema)
        if not isinstance(schema.get("type"), list) or "null" not in types or len(types) < 2:
            faults.append(f"{path}: {schema.get('type')!r} is not a list of null and a type")
        if "array" in types and "items" not in schema:
            faults.append(f"{path}: array without items")
        if ("properties" in schema) > ("object" in types):
            faults.append(f"{path}: properties on something that is no object")
        if ("items" in schema) > ("array" in types):
            faults.append(f"{path}: items on something that is no array")
    assert faults == []


@every_schema_file
def test_a_column_is_of_one_kind(file: Path) -> None:
    """A typed table can't hold two kinds; PyAirbyte's PostgreSQL cache does not load such a stream."""
    fields = load(file)["properties"]
    assert {name for name, field in fields.items() if len(types_of(field)) > 2} == set()


@every_schema_file
def test_every_object_is_open(file: Path) -> None:
    closed = [
        path
        for path, _, schema in walk(load(file))
        if "object" in types_of(schema) and schema.get("additionalProperties") is not True
    ]
    assert closed == []


@every_schema_file
def test_every_property_is_described(file: Path) -> None:
    undescribed = [
        path
        for path, is_property, schema in walk(load(file))
        if is_property and not str(schema.get("description") or "").strip()
    ]
    assert undescribed == []


@every_schema_file
def test_nothing_is_restricted_to_enumerated_values(file: Path) -> None:
    restricted = [
        path
        for path, _, schema in [("", False, load(file)), *walk(load(file))]
        if {"enum", "const", "pattern"} & set(schema)
    ]
    assert restricted == []


@every_schema_file
def test_timestamps_have_format_and_airbyte_type(file: Path) -> None:
    faults = []
    for path, _, schema in walk(load(file)):
        annotations = {key: schema[key] for key in TIMESTAMP if key in schema}
        is_timestamp = "airbyte_type" in annotations or annotations.get("format") == "date-time"
        if is_timestamp and (annotations != TIMESTAMP or types_of(schema) != ["null", "string"]):
            faults.append(f"{path}: {annotations} on {schema.get('type')}")
    assert faults == []


@every_stream
def test_primary_key_and_cursor_are_declared(stream: str) -> None:
    properties = schema_of(stream)["properties"]
    _, primary_key, cursor = STREAMS[stream]

    assert types_of(properties[primary_key]) == ["null", "string"]
    assert {key: properties[cursor].get(key) for key in TIMESTAMP} == TIMESTAMP


@every_stream
def test_exactly_the_injected_properties_are_said_to_be_added(stream: str) -> None:
    said = [
        path
        for path, _, schema in walk(schema_of(stream))
        if "added by this connector" in str(schema.get("description")).lower()
    ]
    assert said == INJECTED.get(stream, [])


@every_documented_stream
def test_every_documented_property_is_declared(stream: str) -> None:
    schema = schema_of(stream)
    missing = [path for path in documented()[stream]["properties"] if resolve(schema, path) is None]
    assert missing == []


@every_documented_stream
def test_injected_properties_are_not_taken_for_documented_ones(stream: str) -> None:
    assert not set(documented()[stream]["properties"]) & set(INJECTED.get(stream, []))


def test_the_table_of_documented_properties_is_complete() -> None:
    table = documented()
    counts = {stream: len(set(entry["properties"])) for stream, entry in table.items()}

    assert counts == DOCUMENTED_COUNTS
    assert sum(len(entry["properties"]) for entry in table.values()) == DOCUMENTED_TOTAL
    assert all(entry["url"].startswith("https://") for entry in table.values())
