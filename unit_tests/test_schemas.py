"""The stream schemas: well-formed, fully described, and complete against the providers' documents.

The example.yaml of each provider lists, per stream, every property that the provider's public page names (page address
included). It is transcribed from those pages, not derived from the schemas. So are the documents of the sandbox.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from source_recordings.provider import Operation
from source_recordings.provider_yaml import load_providers, provider_folders
from unit_tests.examples import EXAMPLES

REPOSITORY = Path(__file__).resolve().parents[1]
DOCUMENTS = REPOSITORY / "sandbox" / "documents"

DRAFT_07 = "http://json-schema.org/draft-07/schema#"
TIMESTAMP = {"format": "date-time", "airbyte_type": "timestamp_with_timezone"}

STREAMS = {name: stream for provider in load_providers().values() for name, stream in provider.streams.items()}
DOCUMENTED = {name: found for example in EXAMPLES.values() for name, found in example.documented.items()}
MEDIA = {"media_status", "media_type", "media_bytes", "media_sha256", "media_path"}

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
    return load(STREAMS[stream].schema_file)


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


SCHEMA_FILES = sorted(file for folder in provider_folders() for file in folder.glob("schemas/*.json"))
every_schema_file = pytest.mark.parametrize("file", SCHEMA_FILES, ids=lambda file: str(file.stem))
every_stream = pytest.mark.parametrize("stream", sorted(STREAMS))
every_documented_stream = pytest.mark.parametrize("stream", sorted(DOCUMENTED))


def test_every_stream_has_a_schema_file_and_every_file_a_stream() -> None:
    assert {file.stem for file in SCHEMA_FILES} == set(STREAMS)


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
    cursor = STREAMS[stream].cursor

    for key in STREAMS[stream].primary_key:
        assert types_of(properties[key]) == ["null", "string"]
    if cursor is None:
        assert STREAMS[stream].pages and not STREAMS[stream].window, "only a list may be a full refresh always"
    else:
        assert {key: properties[cursor].get(key) for key in TIMESTAMP} == TIMESTAMP


def injected(name: str) -> set[str]:
    """What the connector adds to a row: what provider.yaml says that it sets, without what the provider documents."""
    stream = STREAMS[name]
    documented = DOCUMENTED.get(stream.files_of or name)
    theirs = {*documented.properties, *documented.elsewhere} if documented else set()
    return ({*stream.keep, *stream.set} - theirs) | (MEDIA if stream.file else set())


@every_stream
def test_exactly_the_injected_properties_are_said_to_be_added(stream: str) -> None:
    said = [
        path
        for path, _, schema in walk(schema_of(stream))
        if "added by this connector" in str(schema.get("description")).lower()
    ]
    assert sorted(said) == sorted(injected(stream))


@every_documented_stream
def test_every_documented_property_is_declared(stream: str) -> None:
    schema, said = schema_of(stream), DOCUMENTED[stream]
    assert [path for path in (*said.properties, *said.elsewhere) if resolve(schema, path) is None] == []


@every_documented_stream
def test_a_page_names_each_property_once(stream: str) -> None:
    said = DOCUMENTED[stream]
    assert said.url.startswith("https://")
    assert Counter([*said.properties, *said.elsewhere]).most_common(1)[0][1] == 1


@pytest.mark.parametrize("stream", sorted(name for name in DOCUMENTED if not STREAMS[name].file))
def test_the_properties_of_the_sandbox_are_documented(stream: str) -> None:
    """Both are transcribed from the provider's pages: a list that has lost something is noticed."""
    said = DOCUMENTED[stream]
    document = load(DOCUMENTS / f"{stream.split('_', maxsplit=1)[0]}.json")
    named = {*said.properties, *said.elsewhere}
    assert properties_in(document, STREAMS[stream].operation) - named == set()


def properties_in(document: Schema, operation: Operation) -> set[str]:
    """The paths of a row's properties in a document of the sandbox."""
    answers = {_without_names(name): by_status for name, by_status in document["answers"].items()}
    schema = answers[_without_names(f"{operation.method} {operation.template}")]["200"]
    row = ".".join(operation.rows) + ("[]" if operation.is_list else "")
    prefix = f"{row}." if row else ""
    found = set(_paths(schema, document["$defs"]))
    return {path.removeprefix(prefix) for path in found if path.startswith(prefix)}


def _without_names(template: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", template)


def _paths(schema: Schema, definitions: Schema, path: str = "") -> Iterator[str]:
    if "$ref" in schema:
        yield from _paths(definitions[schema["$ref"].rpartition("/")[2]], definitions, path)
    for kind in ("anyOf", "oneOf", "allOf"):
        for choice in schema.get(kind, ()):
            yield from _paths(choice, definitions, path)
    for name, child in schema.get("properties", {}).items():
        child_path = f"{path}.{name}" if path else name
        yield child_path
        yield from _paths(child, definitions, child_path)
    if "items" in schema:
        yield from _paths(schema["items"], definitions, f"{path}[]")
