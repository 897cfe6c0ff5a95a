"""The exported manifest in the CDK's own program, which knows nothing of this package."""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from integration_tests.conftest import NOW, Program
from integration_tests.syncing import STREAMS, Row, keys
from sandbox import Sandbox
from source_recordings.manifest import build_manifest
from unit_tests.harness import Output

RUN = "from airbyte_cdk.cli.source_declarative_manifest import run; run()"
WITHOUT = "import sys; sys.modules['source_recordings'] = None; "
NEED_THE_PACKAGE = {"bota_recordings", "bota_transcriptions"}


class ManifestProgram(Program):
    """`source-declarative-manifest ... --manifest-path`."""

    def command(self, *arguments: str) -> Output:
        return super().command(*arguments, "--manifest-path", str(self.folder / "manifest.yaml"))


@pytest.fixture
def beside_the_package(tmp_path: Path) -> ManifestProgram:
    program = _program(tmp_path, RUN)
    program.environment = {"AIRBYTE_ENABLE_UNSAFE_CODE": "true"}
    return program


@pytest.fixture
def without_the_package(tmp_path: Path) -> ManifestProgram:
    return _program(tmp_path, WITHOUT + RUN)


def _program(folder: Path, code: str) -> ManifestProgram:
    (folder / "manifest.yaml").write_text(
        yaml.safe_dump(build_manifest(files=False)), encoding="utf-8"
    )
    program = ManifestProgram(folder)
    program.interpreter = (sys.executable, "-c", code)
    return program


@pytest.fixture
def recent(still_config: Row) -> Row:
    """Without our windows, each 30 days since the start date are a request."""
    start = NOW - timedelta(days=100)
    return {**still_config, "start_date": start.strftime("%Y-%m-%dT%H:%M:%SZ")}


def assert_keys(output: Output, sandbox: Sandbox, stream: str) -> None:
    assert output.ended(stream) == "COMPLETE"
    found = keys(sandbox, stream, output.records(stream))
    assert set(found) == set(sandbox.truth(stream)), stream


def test_beside_the_package_it_reads_every_stream(
    still_sandbox: Sandbox, beside_the_package: ManifestProgram, recent: Row
) -> None:
    output = beside_the_package.read(recent, *STREAMS)

    assert (output.exit_code, output.errors) == (0, [])
    for stream in STREAMS:
        assert_keys(output, still_sandbox, stream)


def test_without_the_package_it_reads_every_stream_but_bota_s(
    still_sandbox: Sandbox, without_the_package: ManifestProgram, recent: Row
) -> None:
    """Only Bota's two paginations need Python of ours -> a config without Bota needs none."""
    del recent["bota"]
    streams = [stream for stream in STREAMS if stream not in NEED_THE_PACKAGE]

    output = without_the_package.read(recent, *streams)

    assert (output.exit_code, output.errors) == (0, [])
    for stream in streams:
        assert_keys(output, still_sandbox, stream)


@pytest.mark.parametrize("command", ["check", "discover"])
def test_check_and_discover_without_the_package(
    command: str, still_sandbox: Sandbox, without_the_package: ManifestProgram, recent: Row
) -> None:
    del recent["bota"]
    asked = {"check": without_the_package.check, "discover": without_the_package.discover}[command]

    output = asked(recent)

    assert output.exit_code == 0
    if command == "check":
        assert output.connection["status"] == "SUCCEEDED"
    else:
        assert set(STREAMS) - NEED_THE_PACKAGE <= set(output.streams)


def test_it_finds_the_same_streams_as_the_package(
    beside_the_package: ManifestProgram, program: Program, recent: Row
) -> None:
    ours, alone = program.discover(recent).tables, beside_the_package.discover(recent).tables

    assert sorted(alone) == sorted(ours)
    for name, stream in ours.items():
        assert alone[name]["json_schema"] == stream["json_schema"]
        assert alone[name]["source_defined_primary_key"] == stream["source_defined_primary_key"]
