"""The contract with the CDK: what is used of it beyond its public names, and that nothing else is."""

from __future__ import annotations

import ast
import io
import logging
import queue
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from inspect import signature
from pathlib import Path
from typing import Any

import airbyte_cdk
import pytest
from airbyte_cdk import FinalStateCursor, InMemoryMessageRepository, Record
from airbyte_cdk.models import Level, SyncMode

from source_recordings import cdk

PACKAGE = Path(cdk.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))
PUBLIC_MODULES = {"airbyte_cdk", "airbyte_cdk.models", "airbyte_cdk.entrypoint"}


class APartition(cdk.Partition):
    def read(self) -> Iterator[Record]:
        yield Record({"id": "a"}, "calls")

    def to_slice(self) -> Mapping[str, Any] | None:
        return None

    def stream_name(self) -> str:
        return "calls"

    def __hash__(self) -> int:
        return 1


class Partitions(cdk.PartitionGenerator):
    def generate(self) -> Iterator[cdk.Partition]:
        yield APartition()


def a_stream() -> cdk.DefaultStream:
    return cdk.DefaultStream(
        partition_generator=Partitions(),
        name="calls",
        json_schema={"type": "object", "properties": {"id": {"type": "string"}}},
        primary_key=["id"],
        cursor_field=airbyte_cdk.CursorField("created"),
        logger=logging.getLogger("airbyte"),
        cursor=FinalStateCursor("calls", None, InMemoryMessageRepository()),
        supports_file_transfer=True,
    )


class TestContracts:
    """One test for each name in `cdk.__all__`."""

    def test_print_buffer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """run.py prints through it and flushes what is left in it at the end."""
        assert isinstance(cdk.PRINT_BUFFER, cdk.PrintBuffer)
        assert callable(cdk.PRINT_BUFFER.flush)

    def test_print_buffer_class(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A context in which prints are gathered; `flush` hands them to the real output."""
        out = io.StringIO()
        monkeypatch.setattr(sys, "__stdout__", out)
        buffer = cdk.PrintBuffer(flush_interval=3600)
        monkeypatch.setattr(sys, "stdout", io.StringIO())
        with buffer:
            print("a line")  # noqa: T201
            assert out.getvalue() == ""
            buffer.flush()
            assert out.getvalue() == "a line\n"

    def test_base_source(self) -> None:
        """source.py's commands are these, and the entrypoint calls them so."""
        assert {"spec", "check", "discover", "read"} <= set(dir(cdk.BaseSource))
        assert list(signature(cdk.BaseSource.read).parameters) == ["self", "logger", "config", "catalog", "state"]

    def test_concurrent_message_repository(self) -> None:
        """What it is told goes into the queue of the concurrent source, in order."""
        items: queue.Queue[Any] = queue.Queue()
        messages = cdk.ConcurrentMessageRepository(items, InMemoryMessageRepository())
        messages.log_message(Level.INFO, lambda: {"message": "x"})
        assert items.qsize() == 1

    def test_debug_slice_logger(self) -> None:
        """Slices are told in debug runs only."""
        assert not cdk.DebugSliceLogger().should_log_slice_message(logging.getLogger("airbyte"))

    def test_default_stream(self) -> None:
        """streams.py makes one of each stream; discovery and the platform see this."""
        stream = a_stream()
        found = stream.as_airbyte_stream()
        assert found.name == stream.name == "calls"
        assert found.source_defined_primary_key == [["id"]]
        assert found.default_cursor_field == ["created"]
        assert found.supported_sync_modes == [SyncMode.full_refresh, SyncMode.incremental]
        assert found.is_file_based is True
        assert [type(partition) for partition in stream.generate_partitions()] == [APartition]

    def test_partition(self) -> None:
        """Its methods without a body are those that WindowPartition has."""
        assert cdk.Partition.__abstractmethods__ == {"read", "to_slice", "stream_name", "__hash__"}
        assert [record.data for record in APartition().read()] == [{"id": "a"}]

    def test_partition_generator(self) -> None:
        assert cdk.PartitionGenerator.__abstractmethods__ == {"generate"}

    @pytest.mark.parametrize("text", ["2026-11-20T08:30:00Z", "2026-11-20T10:30:00+0200", "2026-11-20 08:30:00"])
    def test_ab_datetime_parse(self, text: str) -> None:
        """A time without a zone is UTC; what is none is a ValueError."""
        assert cdk.ab_datetime_parse(text) == datetime(2026, 11, 20, 8, 30, tzinfo=timezone.utc)
        with pytest.raises(ValueError, match="x"):
            cdk.ab_datetime_parse("x")

    def test_get_files_directory(self) -> None:
        """Where files go when AIRBYTE_STAGING_DIRECTORY names no other place."""
        assert cdk.get_files_directory() in ("/staging/files", "/tmp/airbyte-file-transfer")

    def test_get_secrets(self) -> None:
        """The values of what the spec calls secret, also within a choice."""
        secret = {"type": "string", "airbyte_secret": True}
        spec = {"properties": {"quo": {"type": "object", "properties": {"api_key": secret, "x": {"type": "string"}}}}}
        assert cdk.get_secrets(spec, {"quo": {"api_key": "KEY", "x": "y"}}) == ["KEY"]

    def test_filter_secrets(self) -> None:
        """What is told here is masked in whatever is logged."""
        try:
            cdk.update_secrets(["FIRST-SECRET"])
            cdk.add_to_secrets("SECOND-SECRET")
            assert cdk.filter_secrets("a FIRST-SECRET b SECOND-SECRET") == "a **** b ****"
            cdk.update_secrets(["OTHER"])
            assert "FIRST-SECRET" in cdk.filter_secrets("FIRST-SECRET")
        finally:
            cdk.update_secrets([])

    def test_each_name_has_a_contract(self) -> None:
        told = {name.replace("_", "") for name in dir(TestContracts) if name.startswith("test_")}
        told |= {"testprintbuffer", "testaddtosecrets", "testupdatesecrets"}
        for name in cdk.__all__:
            plain = name.replace("_", "").lower()
            assert f"test{plain}" in told, f"no test for {name}"


def imports(tree: ast.AST) -> Iterator[tuple[str, str | None, str]]:
    """Module, imported name and the name it goes by."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, None, alias.asname or alias.name.partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.module or "", alias.name, alias.asname or alias.name


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_only_cdk_py_uses_what_is_not_public(file: Path) -> None:
    """Else a new version of the CDK breaks the package in a place that nobody looks at."""
    if file.name == "cdk.py" and file.parent == PACKAGE:
        return
    for module, name, _ in imports(ast.parse(file.read_text("utf-8"))):
        if not (module == "airbyte_cdk" or module.startswith("airbyte_cdk.")):
            continue
        assert module in PUBLIC_MODULES, f"{module} is not public"
        if module == "airbyte_cdk":
            assert name in airbyte_cdk.__all__, f"airbyte_cdk.{name} is not public"


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_no_private_attribute_of_the_cdk_is_used(file: Path) -> None:
    tree = ast.parse(file.read_text("utf-8"))
    of_the_cdk = {
        known
        for module, _, known in imports(tree)
        if module.startswith("airbyte_cdk") or module == "source_recordings.cdk"
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            private = node.attr.startswith("_") and not node.attr.startswith("__")
            assert not (node.value.id in of_the_cdk and private), ast.unparse(node)


def test_nothing_is_offered_that_nobody_uses() -> None:
    used = {
        name
        for file in FILES
        for module, name, _ in imports(ast.parse(file.read_text("utf-8")))
        if module == "source_recordings.cdk"
    }
    assert used == set(cdk.__all__)
