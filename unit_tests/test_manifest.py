"""The exported manifest: self-contained, valid, up to date with the CDK, and with no component of our own."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from pkgutil import get_data
from typing import Any

import pytest
import yaml
from airbyte_cdk.manifest_migrations.migration_handler import ManifestMigrationHandler
from airbyte_cdk.sources.declarative.concurrent_declarative_source import ConcurrentDeclarativeSource
from airbyte_cdk.sources.declarative.interpolation.jinja import JinjaInterpolation
from airbyte_cdk.sources.declarative.parsers.manifest_reference_resolver import ManifestReferenceResolver
from jsonschema import Draft7Validator

from source_recordings.manifest import build_manifest
from source_recordings.manifest.streams import Streams
from source_recordings.provider_yaml import load_provider, load_providers
from source_recordings.spec import HTTPS_OR_LOOPBACK, build_spec
from unit_tests.examples import STREAMS
from unit_tests.harness import Row

TEXTS = {name for p in load_providers().values() for name, stream in p.streams.items() if stream.operation.text}


@pytest.fixture(scope="module")
def manifest() -> Row:
    return build_manifest()


@pytest.fixture(scope="module")
def component_schema() -> Row:
    raw = get_data("airbyte_cdk", "sources/declarative/declarative_component_schema.yaml")
    assert raw is not None
    schema: Row = yaml.safe_load(raw)
    return schema


def walk(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            yield from walk(item, f"{path}/{key}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from walk(item, f"{path}/{number}")


def resolved(manifest: Row) -> Row:
    found = ManifestReferenceResolver().preprocess_manifest(manifest)
    return dict(found)


def test_every_reference_is_resolved_within_it(manifest: Row) -> None:
    """`$ref` never reaches into another file: it would silently become a string."""
    left = [path for path, _ in walk(resolved(manifest)) if path.endswith("/$ref")]

    assert left == []
    assert "#/definitions" not in json.dumps(resolved(manifest)["streams"])


def test_it_validates_with_the_component_schema(manifest: Row, component_schema: Row) -> None:
    source = ConcurrentDeclarativeSource(source_config=manifest)

    errors = list(Draft7Validator(component_schema).iter_errors(source.resolved_manifest))
    assert errors == []


def test_it_names_nothing_deprecated(manifest: Row, component_schema: Row, caplog: pytest.LogCaptureFixture) -> None:
    """The CDK would migrate what is deprecated, and marks it in its schema -> neither finds anything here."""
    definitions = component_schema["definitions"]
    deprecated = {
        name: {key for key, it in definition.get("properties", {}).items() if it.get("deprecated")}
        for name, definition in definitions.items()
    }
    assert "url_base" in deprecated["HttpRequester"], "the schema marks it in another way now"
    gone = {name for name, schema in definitions.items() if schema.get("deprecated")}
    found = [
        (path, key)
        for path, value in walk(manifest)
        if isinstance(value, dict) and isinstance(value.get("type"), str)
        for key in [value["type"], *value]
        if key in deprecated.get(value["type"], set()) or value["type"] in gone
    ]

    assert found == []
    with caplog.at_level(logging.WARNING):
        migrated = ManifestMigrationHandler(resolved(manifest)).apply_migrations()
    migrated.pop("metadata", None)
    assert migrated == resolved(manifest)
    assert "deprecat" not in caplog.text.lower()


def test_no_component_is_our_own(manifest: Row) -> None:
    """What names a class of ours can't run in the Connector Builder."""
    components = ConcurrentDeclarativeSource(source_config=manifest).resolved_manifest

    assert [path for path, _ in walk(components) if path.endswith("/class_name")] == []
    assert "source_recordings" not in json.dumps(components)
    assert "CustomPaginationStrategy" not in json.dumps(components)


def test_it_has_every_stream_but_files_and_texts(manifest: Row) -> None:
    listed, by_id = manifest["streams"][::2], manifest["streams"][1::2]

    def names(groups: list[Row]) -> list[str]:
        return [ref["$ref"].rpartition("/")[2] for group in groups for ref in group["streams"]]

    assert TEXTS
    assert sorted(names(listed)) == sorted(s for found in STREAMS.values() for s in found if s not in TEXTS)
    ids = {p.name: {p.ids.key: ["x"]} for p in load_providers().values() if p.ids}
    offered = [
        stream.name
        for provider in load_providers().values()
        for stream in provider.offered(ids[provider.name])
        if not stream.file
    ]
    assert names(by_id) == [f"{name}_by_id" for name in offered]


def test_the_module_prints_it() -> None:
    """`python -m source_recordings.manifest` is what people import into the Connector Builder."""
    done = subprocess.run(
        [sys.executable, "-m", "source_recordings.manifest"],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )

    assert yaml.safe_load(done.stdout) == build_manifest()
    assert done.stderr == ""


def test_every_stream_has_its_schema_inline_and_a_primary_key(manifest: Row) -> None:
    """The default schema loader can silently yield an empty schema -> the loader is named, and full."""
    streams = [stream for name in STREAMS for stream in resolved(manifest)["definitions"][name]["streams"].values()]

    assert {stream["name"] for stream in streams} == {s for found in STREAMS.values() for s in found} - TEXTS
    for stream in streams:
        assert stream["schema_loader"]["type"] == "InlineSchemaLoader"
        keys = stream["primary_key"]
        declared = stream["schema_loader"]["schema"]["properties"]
        assert set([keys] if isinstance(keys, str) else keys) <= set(declared)


def test_every_requester_has_time_outs_and_an_error_handler(manifest: Row) -> None:
    """Without them there is no time-out at all, and 401 would be retried."""
    requesters = [
        (path, value)
        for path, value in walk(resolved(manifest)["streams"])
        if isinstance(value, dict) and value.get("type") == "HttpRequester"
    ]

    assert requesters
    for path, requester in requesters:
        assert requester["connect_timeout_in_seconds"] == 10, path
        assert requester["read_timeout_in_seconds"] == 60, path
        assert requester["error_handler"]["type"] == "DefaultErrorHandler", path
        assert requester["error_handler"]["response_filters"], path


def test_every_address_begins_with_the_provider_s_base_url(manifest: Row) -> None:
    """A credential goes to `base_url` only -> no requester names another host."""
    for name in STREAMS:
        for path, value in walk(resolved(manifest)["definitions"][name]):
            if isinstance(value, dict) and value.get("type") == "HttpRequester":
                assert value["url"].startswith(f"{{{{ config['{name}']['base_url'] }}}}/"), path


def test_its_spec_is_the_connector_s(manifest: Row) -> None:
    assert manifest["spec"]["connection_specification"] == build_spec(load_providers())


@pytest.mark.parametrize("name", STREAMS)
def test_every_default_address_passes_its_own_pattern(name: str, manifest: Row) -> None:
    validator = Draft7Validator({"pattern": HTTPS_OR_LOOPBACK})
    section = manifest["spec"]["connection_specification"]["properties"][name]
    address = section["oneOf"][1]["properties"]["base_url"]

    for value in [address.get("default"), *address.get("examples", [])]:
        assert value is None or validator.is_valid(value)
    assert address["pattern"] == HTTPS_OR_LOOPBACK


def test_an_ignored_answer_is_no_row(manifest: Row) -> None:
    """The CDK skips the rows of an ignored error only -> a filter for those whose status is none."""
    stream = manifest["definitions"]["amigo"]["streams"]["amigo_recording_urls"]

    condition = stream["retriever"]["record_selector"]["record_filter"]["condition"]

    interpolation = JinjaInterpolation()
    for record, wanted in [
        ({"call_sid": "CA1"}, True),
        ({"call_sid": "CA1", "status": "available"}, True),
        ({"call_sid": "CA1", "status": "restoring"}, False),
        ({"detail": "being restored"}, False),
    ]:
        assert bool(interpolation.eval(condition, {}, record=record)) is wanted, record


def test_of_several_ids_the_first_is_asked_for(manifest: Row) -> None:
    """Nothing in the CDK's components finds out which one a provider wants."""
    stream = manifest["definitions"]["amigo"]["streams"]["amigo_call_details"]
    (parent,) = stream["retriever"]["partition_router"]["parent_stream_configs"]
    wanted = parent["stream"]["retriever"]["record_selector"]["record_filter"]["condition"]

    assert parent["parent_key"] == "call_sid"
    interpolation = JinjaInterpolation()
    for record, asked in [
        ({"call_sid": "CA1"}, True),
        ({"call_sid": "CA1", "turns": 0}, False),
        ({"call_sid": "CA1", "status": "busy"}, False),
        ({"entity_id": "e1"}, False),
    ]:
        assert bool(interpolation.eval(wanted, {}, record=record)) is asked, record


PROVIDER = """
title: Imagined
base_url: https://api.example.com
auth:
  - {type: basic, when: config.credentials.kind == 'basic', username: config.credentials.user, password: "''"}
  - {type: bearer, token: config.credentials.token}
credential: {key: credentials, help: it must be current.}
spec:
  required: [credentials]
  properties:
    credentials:
      oneOf:
        - properties: {kind: {const: basic}}
        - properties: {kind: {const: token}}
    wanted: {type: boolean}
streams:
  rooms:
    primary_key: id
    get: /rooms
    rows: data.rooms
    pages: {number: page, size: {per_page: 20}}
    window: {field: created, from: since, until: before, format: epoch_milliseconds}
    set: {label: row.items.name or 'row.id', raw: row.raw if config.wanted}
  notes:
    primary_key: id
    cursor: created
    for_each: {row_of: rooms, id: [parent.note.id, parent.id], when: parent.open}
    get: /notes/{id}
    keep: {created: parent.created}
"""


def test_it_translates_what_none_of_the_five_uses(tmp_path: Path) -> None:
    folder = tmp_path / "imagined"
    (folder / "schemas").mkdir(parents=True)
    (folder / "provider.yaml").write_text(PROVIDER, encoding="utf-8")
    for name in ("rooms", "notes"):
        schema = {"properties": {"label": {"type": ["string", "null"]}}}
        (folder / "schemas" / f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")

    streams = Streams(load_provider(folder))

    assert (streams.listed, streams.by_id) == (["rooms", "notes"], [])
    rooms, notes = streams.components["rooms"], streams.components["notes"]
    requester = rooms["retriever"]["requester"]
    start = "(str_to_datetime(stream_interval['start_time']) - duration('P0D'))"
    assert requester["request_parameters"]["since"] == f"{{{{ ({start}.timestamp() * 1000) | int }}}}"
    assert rooms["retriever"]["paginator"]["pagination_strategy"]["type"] == "PageIncrement"
    authenticators = requester["authenticator"]["authenticators"]
    assert {key: it["type"] for key, it in authenticators.items()} == {
        "basic": "BasicHttpAuthenticator",
        "token": "BearerAuthenticator",
    }
    label, raw = rooms["transformations"]
    value = "(record.get('items') or {}).get('name') or 'row.id'"
    assert label["fields"][0]["value"] == f"{{{{ {value} }}}}"
    assert label["condition"] == f"{{{{ ({value}) is not none }}}}"
    assert raw["fields"][0]["value"] == "{{ none }}"
    wanted = "not (config['imagined'].get('wanted')) and record.get('raw') is not none"
    assert raw["condition"] == f"{{{{ {wanted} }}}}"
    (parent,) = notes["retriever"]["partition_router"]["parent_stream_configs"]
    assert parent["parent_key"] == "note.id"
