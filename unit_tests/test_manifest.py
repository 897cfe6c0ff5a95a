"""The assembled manifest: self-contained, valid, up to date with the CDK, and with one component of our own."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pkgutil import get_data
from typing import Any

import pytest
import yaml
from airbyte_cdk.manifest_migrations.migration_handler import ManifestMigrationHandler
from airbyte_cdk.sources.declarative.concurrent_declarative_source import (
    ConcurrentDeclarativeSource,
)
from airbyte_cdk.sources.declarative.parsers.manifest_reference_resolver import (
    ManifestReferenceResolver,
)
from jsonschema import Draft7Validator

from source_recordings.manifest import HTTPS_OR_LOOPBACK, build_manifest, provider_folders
from unit_tests.harness import STREAMS, Row


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


def test_it_names_nothing_deprecated(
    manifest: Row, component_schema: Row, caplog: pytest.LogCaptureFixture
) -> None:
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


def test_bota_s_pagination_is_the_only_component_of_our_own(manifest: Row) -> None:
    """Whatever names a class of ours can't run in the Connector Builder -> one beside the files, and the docs say so."""
    named: dict[str, set[str]] = {}
    for group in resolved(manifest)["streams"]:
        for stream in group["streams"]:
            classes = {value for path, value in walk(stream) if path.endswith("/class_name")}
            if classes and not stream["name"].endswith("_files"):
                named.setdefault(stream["name"], set()).update(classes)

    pagination = {"source_recordings.components.pagination.CursorOrOffset"}
    assert named == dict.fromkeys(STREAMS["bota"], pagination)


def test_the_module_prints_it() -> None:
    """`python -m source_recordings.manifest` is what people import into the Connector Builder."""
    done = subprocess.run(
        [sys.executable, "-m", "source_recordings.manifest"],
        capture_output=True,
        text=True,
        check=True,
        encoding="utf-8",
    )

    assert yaml.safe_load(done.stdout) == build_manifest(files=False)
    assert done.stderr == ""


def test_every_stream_has_its_schema_inline_and_a_primary_key(manifest: Row) -> None:
    """The default schema loader can silently yield an empty schema -> the loader is named, and full."""
    streams = [
        stream
        for name in STREAMS
        for stream in resolved(manifest)["definitions"][name]["streams"].values()
    ]

    assert {stream["name"] for stream in streams} >= {
        s for found in STREAMS.values() for s in found
    }
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
        if isinstance(value, dict)
        and value.get("type") == "HttpRequester"
        and "/file_uploader" not in path
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
            if "/file_uploader" in path or not isinstance(value, dict):
                continue
            if value.get("type") == "HttpRequester" and "url" in value:
                assert value["url"].startswith(f"{{{{ config['{name}']['base_url'] }}}}/"), path


def test_one_provider_is_one_folder(manifest: Row) -> None:
    assert [folder.name for folder in provider_folders()] == sorted(STREAMS)
    assert set(STREAMS) <= set(manifest["spec"]["connection_specification"]["properties"])


@pytest.mark.parametrize("name", STREAMS)
def test_every_default_address_passes_its_own_pattern(name: str, manifest: Row) -> None:
    validator = Draft7Validator({"pattern": HTTPS_OR_LOOPBACK})
    section = manifest["spec"]["connection_specification"]["properties"][name]
    address = section["oneOf"][1]["properties"]["base_url"]

    for value in [address.get("default"), *address.get("examples", [])]:
        assert value is None or validator.is_valid(value)
    assert address["pattern"] == HTTPS_OR_LOOPBACK
