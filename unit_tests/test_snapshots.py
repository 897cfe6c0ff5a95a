"""Spec and catalog as a user sees them, in files that show in a review what a change does to them.

`pytest unit_tests/test_snapshots.py --update-snapshots` writes them anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from unit_tests.examples import DETAILS, EXAMPLES, config
from unit_tests.harness import Connector, Row

Snapshot = Callable[[str, Any], None]


def outline(streams: dict[str, Row]) -> Row:
    """Each stream on a few lines: keys, cursor, modes, and its properties with their types."""

    def types(schema: Row) -> Any:
        declared = schema.get("type", "any")
        name = "/".join(declared) if isinstance(declared, list) else declared
        if "format" in schema:
            name += f" ({schema['format']})"
        if "properties" in schema:
            return {key: types(value) for key, value in schema["properties"].items()}
        if "items" in schema:
            return [types(schema["items"])]
        return name

    return {
        name: {
            "primary_key": stream["source_defined_primary_key"],
            "cursor": stream.get("default_cursor_field"),
            "sync_modes": stream["supported_sync_modes"],
            "is_resumable": stream.get("is_resumable"),
            "is_file_based": stream.get("is_file_based"),
            "properties": types(stream["json_schema"]),
        }
        for name, stream in sorted(streams.items())
    }


def with_ids() -> Row:
    """A config in which every provider has an ID."""
    return config() | {case.provider: dict(case.section) for case in DETAILS}


def test_spec(connector: Connector, snapshot: Snapshot) -> None:
    snapshot("spec.json", connector.spec())


def test_catalog(connector: Connector, snapshot: Snapshot) -> None:
    snapshot("catalog.json", outline(connector.discover(config(*EXAMPLES)).streams))


def test_catalog_with_ids(connector: Connector, snapshot: Snapshot) -> None:
    """An id list leaves the streams that its get endpoints can fill, full refresh only."""
    settings = with_ids()
    streams = outline(connector.discover(settings).streams)

    assert {tuple(stream["sync_modes"]) for stream in streams.values()} == {("full_refresh",)}
    short = {
        name: {key: value for key, value in stream.items() if key != "properties"} for name, stream in streams.items()
    }
    snapshot("catalog_with_ids.json", short)


def test_both_modes_have_the_same_schemas(connector: Connector) -> None:
    """Whoever adds an id list keeps the tables -> same schema, same key."""
    listed = connector.discover(config(*EXAMPLES)).streams
    by_id = connector.discover(with_ids()).streams

    assert set(by_id) < set(listed)
    for name, stream in by_id.items():
        assert stream["json_schema"] == listed[name]["json_schema"]
        assert stream["source_defined_primary_key"] == listed[name]["source_defined_primary_key"]
