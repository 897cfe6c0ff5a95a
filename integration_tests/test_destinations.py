"""Syncs land in databases as the sandbox has them: the same rows, with the types that their schemas promise.

Three ways: PyAirbyte's caches for DuckDB and PostgreSQL, filled by examples/pyairbyte_sync.py, and a destination program
that reads the connector's messages from a pipe, checks every record against its schema, and hands the states back.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer
from airbyte_cdk.utils.datetime_helpers import ab_datetime_parse

from integration_tests.syncing import ALL_STREAMS, as_delivered, catalog_of, sandbox_config
from sandbox import Sandbox

Row = dict[str, Any]

ROOT = Path(__file__).parent.parent
TOOLS = ROOT / ".venv-destinations" / "bin" / "python"
TARGET = ROOT / ".venv-target" / "bin" / "target-postgres"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not TOOLS.exists() or not TARGET.exists(),
        reason="DESTINATIONS ARE NOT TESTED: there is no .venv-destinations (Python below 3.13) or no .venv-target",
    ),
]

# Left out of the records unless the config asks for it.
LEFT_OUT = {"audioData"}
# Signed anew whenever they are asked for.
SIGNED = re.compile(r"url$", re.IGNORECASE)


class Destination(ABC):
    """A database, and the program that syncs into it."""

    # What becomes of a JSON type.
    types: Mapping[str, str]
    # Whether the columns keep the fields' letter case.
    keeps_case = False
    # Whether a number within a list becomes the text of it.
    numbers_in_lists_are_text = False

    def __init__(self, folder: Path, config: Row) -> None:
        self.folder = folder
        self.config = folder / "config.json"
        self.config.write_text(json.dumps(config), encoding="utf-8")
        self.catalog = streams_of(config)

    @abstractmethod
    def sync(self) -> None: ...

    @abstractmethod
    def tables(self) -> dict[str, Any]: ...

    def _run(self, *command: str | Path, **more: Any) -> str:
        run = subprocess.run(
            command,
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"AIRBYTE_STAGING_DIRECTORY": str(self.folder / "files")},
            **more,
        )
        assert run.returncode == 0, run.stdout[-3000:] + run.stderr[-3000:]
        return str(run.stdout)

    def _dump(self, kind: str, where: str, schema: str) -> dict[str, Any]:
        script = ROOT / "integration_tests" / "dump_tables.py"
        tables: dict[str, Any] = json.loads(self._run(TOOLS, script, kind, where, schema))
        return tables


class DuckDB(Destination):
    types = {  # noqa: RUF012
        "string": "VARCHAR",
        "uuid": "VARCHAR",
        "date-time": "TIMESTAMP",
        "integer": "BIGINT",
        "number": "DECIMAL(38,9)",
        "boolean": "BOOLEAN",
        "object": "JSON",
        "array": "JSON",
    }

    def sync(self) -> None:
        self._example()

    def _example(self, *options: str) -> None:
        script = ROOT / "examples" / "pyairbyte_sync.py"
        streams = [option for stream in self.catalog for option in ("--stream", stream)]
        folder = self.folder / "sync"
        self._run(TOOLS, script, "--config", self.config, "--folder", folder, *streams, *options)

    def tables(self) -> dict[str, Any]:
        return self._dump("duckdb", str(self.folder / "sync" / "recordings.duckdb"), "main")


class Postgres(DuckDB):
    types = {  # noqa: RUF012
        "string": "character varying",
        "uuid": "character varying",
        "date-time": "timestamp without time zone",
        "integer": "bigint",
        "number": "numeric",
        "boolean": "boolean",
        "object": "json",
        "array": "json",
    }

    def __init__(self, folder: Path, config: Row, url: str) -> None:
        super().__init__(folder, config)
        self.url = url

    def sync(self) -> None:
        self._example("--postgres", self.url)

    def tables(self) -> dict[str, Any]:
        return self._dump("postgresql", self.url, "recordings")


class Target(Destination):
    """`source-recordings read | target-postgres`, with the bridge between them."""

    types = {  # noqa: RUF012
        "string": "text",
        "uuid": "uuid",
        "date-time": "timestamp without time zone",
        "integer": "bigint",
        "number": "numeric",
        "boolean": "boolean",
        "object": "jsonb",
        "array": "ARRAY",
    }
    keeps_case = True
    # The target reads numbers as decimals and writes those that stand deeper than a column as text.
    numbers_in_lists_are_text = True

    def __init__(self, folder: Path, config: Row, url: str, port: int) -> None:
        super().__init__(folder, config)
        self.url = url
        (folder / "catalog.json").write_text(json.dumps(configured(config)), encoding="utf-8")
        (folder / "state.json").write_text("[]", encoding="utf-8")
        target = {
            "host": "127.0.0.1",
            "port": port,
            "user": "postgres",
            "password": "-",
            "database": "postgres",
            "default_target_schema": "recordings",
            "activate_version": False,
            "add_record_metadata": False,
        }
        (folder / "target.json").write_text(json.dumps(target), encoding="utf-8")

    def sync(self) -> None:
        program = TOOLS.with_name("source-recordings")
        bridge = ROOT / "integration_tests" / "singer_bridge.py"
        script = (
            f"set -o pipefail; {program} read --config config.json --catalog catalog.json "
            f"--state state.json | {TOOLS} {bridge} catalog.json {TARGET} --config target.json >committed"
        )
        self._run("bash", "-c", script)
        with (self.folder / "committed").open(encoding="utf-8") as committed:
            messages = [json.loads(line)["state"] for line in committed]
        last = {m["stream"]["stream_descriptor"]["name"]: m for m in messages}
        assert set(last) == set(self.catalog), "every stream's state came back"
        (self.folder / "state.json").write_text(json.dumps(list(last.values())), encoding="utf-8")

    def tables(self) -> dict[str, Any]:
        return self._dump("postgresql", self.url, "recordings")


def configured(config: Row) -> Row:
    """The catalog as a destination gets it: every row of a key once, because not every destination can overwrite."""
    streams = catalog_of(config, *ALL_STREAMS)
    catalog: Row = json.loads(json.dumps(ConfiguredAirbyteCatalogSerializer.dump(streams)))
    for stream in catalog["streams"]:
        stream["destination_sync_mode"] = "append_dedup"
    return catalog


def streams_of(config: Row) -> dict[str, Row]:
    """The streams to sync and their schemas."""
    streams = (row["stream"] for row in configured(config)["streams"])
    return {stream["name"]: stream["json_schema"] for stream in streams}


def kinds(field: Row) -> list[str]:
    """A field's types, null aside; a string's format if a destination may have a type for it."""
    types = field["type"] if isinstance(field["type"], list) else [field["type"]]
    special = field.get("format") if field.get("format") in ("date-time", "uuid") else None
    return [special if special and kind == "string" else kind for kind in types if kind != "null"]


@contextmanager
def postgres_server() -> Iterator[int]:
    # Not below pytest's folder, which only its owner may enter: the server may run as somebody else.
    parent = Path(tempfile.mkdtemp())
    parent.chmod(0o755)
    script = ROOT / "integration_tests" / "postgres_server.py"
    with subprocess.Popen(
        [TOOLS, script, parent / "server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin
        assert server.stdout
        port = server.stdout.readline()
        try:
            assert port, "the PostgreSQL server did not start"
            yield int(port)
        finally:
            server.stdin.close()
            server.wait(30)
            shutil.rmtree(parent)


@contextmanager
def destination(kind: str, folder: Path, config: Row) -> Iterator[Destination]:
    if kind == "duckdb":
        yield DuckDB(folder, config)
        return
    with postgres_server() as port:
        url = f"postgresql://postgres:-@127.0.0.1:{port}/postgres"
        if kind == "postgres":
            yield Postgres(folder, config, url)
        else:
            yield Target(folder, config, url, port)


@pytest.mark.parametrize("kind", ["duckdb", "postgres", "target"])
def test_rows_arrive_as_they_are_and_again_without_duplicates(kind: str, tmp_path: Path) -> None:
    # The day that passes must be over by this machine's clock, and be within the look-back from it.
    began = datetime.now(timezone.utc) - timedelta(hours=25)
    with Sandbox(seed=7, size=40, days=30, now=began) as sandbox:
        config = sandbox_config(sandbox)
        with destination(kind, tmp_path, config) as place:
            place.sync()
            before = {name: truth(sandbox, name) for name in place.catalog}
            tables = place.tables()
            for name, schema in place.catalog.items():
                table = tables[name]
                assert_types(place, name, schema, table["types"])
                rows = by_key(sandbox, name, table["rows"], place.keeps_case)
                assert set(rows) == set(before[name]), name
                assert_rows(place, schema, before[name], rows, name)

            sandbox.advance(timedelta(days=1))
            place.sync()
            tables = place.tables()
            changed = 0
            for name, schema in place.catalog.items():
                now = truth(sandbox, name)
                rows = by_key(sandbox, name, tables[name]["rows"], place.keeps_case)
                # What a provider has deleted meanwhile stays in the destination.
                assert set(now) <= set(rows) <= set(now) | set(before[name]), name
                assert_rows(
                    place, schema, without_urls(now), {key: without_urls(row) for key, row in rows.items()}, name
                )
                common = set(now) & set(before[name])
                changed += sum(without_urls(now[k]) != without_urls(before[name][k]) for k in common)
            assert changed, "the day has changed no row: nothing was deduplicated"


def truth(sandbox: Sandbox, stream: str) -> dict[tuple[Any, ...], Row]:
    keys = map(tuple, sandbox.truth(stream))
    rows = (as_delivered(stream, row) for row in sandbox.rows(stream))
    return dict(zip(keys, rows, strict=True))


def by_key(sandbox: Sandbox, stream: str, rows: list[Row], keeps_case: bool) -> dict[tuple[Any, ...], Row]:
    names = [path if keeps_case else path.lower() for path in primary_key(sandbox, stream)]
    found = {tuple(row[name] for name in names): row for row in rows}
    assert len(found) == len(rows), f"{stream} has rows twice"
    return found


def primary_key(sandbox: Sandbox, stream: str) -> list[str]:
    streams = {s.stream.name: s.stream for s in catalog_of(sandbox_config(sandbox)).streams}
    return [path[0] for path in streams[stream].source_defined_primary_key or []]


def assert_types(place: Destination, stream: str, schema: Row, types: Row) -> None:
    wrong = {}
    for name, field in schema["properties"].items():
        found = types[name if place.keeps_case else name.lower()]
        expected = [place.types[kind] for kind in kinds(field)]
        if len(expected) == 1 and found != expected[0]:
            wrong[name] = (found, expected[0])
    assert wrong == {}, stream


def assert_rows(
    place: Destination,
    schema: Row,
    expected: Mapping[tuple[Any, ...], Row],
    found: Mapping[tuple[Any, ...], Row],
    stream: str,
) -> None:
    # The sandbox does not tell what the connector finds out itself, such as where it has put a file.
    told = {name for row in expected.values() for name in row} - LEFT_OUT
    wrong = {}
    for key, row in expected.items():
        for name, field in schema["properties"].items():
            if name not in told:
                continue
            column = name if place.keeps_case else name.lower()
            stored = found[key].get(column)
            if place.numbers_in_lists_are_text and isinstance(stored, list):
                stored = [number(item) for item in stored]
            if not same(row.get(name), stored, kinds(field)):
                wrong[f"{key} {name}"] = (row.get(name), found[key].get(column))
    assert wrong == {}, stream


def number(item: Any) -> Any:
    """The number that a text is the text of; anything else as it is."""
    try:
        return float(item) if isinstance(item, str) else item
    except ValueError:
        return item


def same(sent: Any, stored: Any, types: list[str]) -> bool:
    if sent is None or stored is None:
        return sent is None and stored is None
    if types == ["date-time"]:
        return bool(
            ab_datetime_parse(sent).to_datetime() == datetime.fromisoformat(stored).replace(tzinfo=timezone.utc)
        )
    if types in (["number"], ["integer"]):
        return near(sent, stored)
    if len(types) > 1 and isinstance(sent, (dict, list)) and isinstance(stored, str):
        stored = json.loads(stored)
    return deeply(sent, stored)


def deeply(sent: Any, stored: Any) -> bool:
    if isinstance(sent, dict) and isinstance(stored, dict):
        return set(sent) == set(stored) and all(deeply(sent[k], stored[k]) for k in sent)
    if isinstance(sent, list) and isinstance(stored, list):
        return len(sent) == len(stored) and all(map(deeply, sent, stored))
    if isinstance(sent, float) and not isinstance(stored, str):
        return near(sent, stored)
    return bool(sent == stored)


def near(sent: Any, stored: Any) -> bool:
    """Columns hold nine decimal places."""
    difference = abs(Decimal(str(sent)) - Decimal(str(stored)))
    return difference <= max(Decimal("1e-9"), abs(Decimal(str(sent))) * Decimal("1e-12"))


def without_urls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: None if SIGNED.search(str(k)) else without_urls(v) for k, v in value.items()}
    if isinstance(value, list):
        return [without_urls(item) for item in value]
    return value
