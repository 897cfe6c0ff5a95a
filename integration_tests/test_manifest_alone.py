"""The exported manifest in the CDK's own program, which knows nothing of this package."""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from integration_tests.conftest import NOW, Program
from integration_tests.syncing import ALL_STREAMS, Row, keys, sandbox_config
from integration_tests.syncing import STREAMS as ALL_ROWS
from sandbox import Sandbox
from source_recordings.manifest import build_manifest
from source_recordings.provider_yaml import load_providers
from unit_tests.harness import Output, without_nulls

# The CDK's components read no answers that are text.
STREAMS = tuple(name for name in ALL_ROWS if not ALL_STREAMS[name].operation.text)

RUN = "from airbyte_cdk.cli.source_declarative_manifest import run; run()"
WITHOUT = "import sys; sys.modules['source_recordings'] = None; "


class ManifestProgram(Program):
    """`source-declarative-manifest ... --manifest-path`."""

    def command(self, *arguments: str) -> Output:
        return super().command(*arguments, "--manifest-path", str(self.folder / "manifest.yaml"))


@pytest.fixture
def alone(tmp_path: Path) -> ManifestProgram:
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(build_manifest()), encoding="utf-8")
    program = ManifestProgram(tmp_path)
    program.interpreter = (sys.executable, "-c", WITHOUT + RUN)
    return program


@pytest.fixture
def recent(still_config: Row) -> Row:
    """Without our windows, each 30 days since the start date are a request."""
    start = NOW - timedelta(days=100)
    return {**deepcopy(still_config), "start_date": start.strftime("%Y-%m-%dT%H:%M:%SZ")}


def assert_keys(output: Output, sandbox: Sandbox, stream: str) -> None:
    assert output.ended(stream) == "COMPLETE"
    found = keys(sandbox, stream, output.records(stream))
    assert set(found) == set(sandbox.truth(stream)), stream


def test_it_reads_every_stream(still_sandbox: Sandbox, alone: ManifestProgram, recent: Row) -> None:
    output = alone.read(recent, *STREAMS)

    assert (output.exit_code, output.errors) == (0, [])
    for stream in STREAMS:
        assert_keys(output, still_sandbox, stream)


def test_its_records_are_the_package_s(alone: ManifestProgram, program: Program, recent: Row) -> None:
    assert_same_records(alone, program, recent, *STREAMS)


def test_with_ids_its_records_are_the_package_s(
    still_sandbox: Sandbox, alone: ManifestProgram, program: Program, recent: Row
) -> None:
    streams = []
    for name, provider in load_providers().items():
        ids = provider.ids
        assert ids
        rows = still_sandbox.rows(ids.of)
        found = [row[ids.field] for row in rows if row[ids.field] is not None]
        recent[name][ids.key] = [*found[:20], f"{found[0]}-unknown"]
        streams += [s.name for s in provider.offered(recent[name]) if not s.file]

    assert_same_records(alone, program, recent, *streams)


def assert_same_records(alone: ManifestProgram, program: Program, config: Row, *streams: str) -> None:
    theirs, ours = alone.read(config, *streams), program.read(config, *streams)

    assert (theirs.exit_code, theirs.errors) == (0, [])
    for stream in streams:
        found, wanted = (comparable(output.records(stream)) for output in (theirs, ours))
        assert found == wanted and wanted, stream


def comparable(records: list[Row]) -> list[str]:
    """A field that is null is as one that is not there."""
    texts = {json.dumps(without_nulls(record), sort_keys=True) for record in records}
    return sorted(texts)


@pytest.mark.parametrize("command", ["check", "discover"])
def test_check_and_discover(command: str, alone: ManifestProgram, recent: Row) -> None:
    output = alone.check(recent) if command == "check" else alone.discover(recent)

    assert output.exit_code == 0
    if command == "check":
        assert output.connection["status"] == "SUCCEEDED"
    else:
        assert set(output.streams) == set(STREAMS)


def test_older_bota_fails_instead_of_passing_its_first_page_for_all(alone: ManifestProgram) -> None:
    with Sandbox(seed=5, size=150, now=NOW, bota_revision="offset") as sandbox:
        config = sandbox_config(sandbox, "bota")
        output = alone.read(config, "bota_recordings")

    assert output.exit_code != 0
    assert "without a cursor" in output.said


def test_it_finds_the_same_streams_as_the_package(alone: ManifestProgram, program: Program, recent: Row) -> None:
    ours, theirs = program.discover(recent).tables, alone.discover(recent).tables

    assert sorted(theirs) == sorted(set(ours) & set(STREAMS))
    for name, stream in ours.items():
        if name not in theirs:
            continue
        assert theirs[name]["json_schema"] == stream["json_schema"]
        assert theirs[name]["source_defined_primary_key"] == stream["source_defined_primary_key"]
