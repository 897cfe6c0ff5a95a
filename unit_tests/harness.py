"""Runs the connector's commands inside the test process."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from airbyte_cdk.logger import PRINT_BUFFER
from airbyte_cdk.models import AirbyteMessageSerializer

from source_recordings.run import run
from source_recordings.unified import UNIFIED

Row = dict[str, Any]

CREATED = "2024-03-02T10:00:00.000Z"
PASSWORD = 'pa"ss\\wörd ✓&='
LOGIN = {"auth_type": "login", "email": "reader@example.com", "password": PASSWORD}


def without_nulls(row: Row) -> Row:
    """The row as it comes out: the protocol's serializer leaves out nulls at the top level."""
    return {key: value for key, value in row.items() if value is not None}


def catalog(streams: Iterable[str], sync_mode: str = "full_refresh") -> Row:
    """A configured catalog."""
    return {
        "streams": [
            {
                "stream": {
                    "name": name,
                    "json_schema": {"type": "object"},
                    "supported_sync_modes": ["full_refresh", "incremental"],
                },
                "sync_mode": sync_mode,
                "destination_sync_mode": "append",
            }
            for name in streams
        ]
    }


BODIES = {
    "LOG": "log",
    "TRACE": "trace",
    "RECORD": "record",
    "STATE": "state",
    "SPEC": "spec",
    "CATALOG": "catalog",
    "CONNECTION_STATUS": "connectionStatus",
    "CONTROL": "control",
}


def protocol_message(line: str) -> Row:
    """The line as an Airbyte protocol message; anything else is an AssertionError."""
    try:
        message = json.loads(line)
    except ValueError:
        raise AssertionError(f"not JSON: {line[:500]}") from None
    assert isinstance(message, dict), line[:500]
    assert set(message) == {"type", BODIES.get(message.get("type", ""), "")}, line[:500]
    AirbyteMessageSerializer.load(message)
    return message


@dataclass
class Output:
    """What a command printed: every line of it must be a message of the Airbyte protocol."""

    text: str
    exit_code: int
    stderr: str = ""
    messages: list[Row] = field(init=False)

    def __post_init__(self) -> None:
        self.messages = [protocol_message(line) for line in self.text.splitlines()]

    def of(self, kind: str) -> list[Row]:
        return [message[BODIES[kind]] for message in self.messages if message["type"] == kind]

    def records(self, stream: str) -> list[Row]:
        return [record["data"] for record in self.of("RECORD") if record["stream"] == stream]

    @property
    def errors(self) -> list[Row]:
        return [trace["error"] for trace in self.of("TRACE") if trace["type"] == "ERROR"]

    @property
    def error(self) -> Row:
        """The one error."""
        assert len(self.errors) == 1, [error["message"] for error in self.errors]
        return self.errors[0]

    def statuses(self, stream: str) -> list[str]:
        return [
            trace["stream_status"]["status"]
            for trace in self.of("TRACE")
            if trace["type"] == "STREAM_STATUS" and trace["stream_status"]["stream_descriptor"]["name"] == stream
        ]

    def ended(self, stream: str) -> str:
        """The stream's last status."""
        return self.statuses(stream)[-1]

    def logs(self, *levels: str) -> list[str]:
        return [log["message"] for log in self.of("LOG") if not levels or log["level"] in levels]

    @property
    def said(self) -> str:
        """Everything that was printed, both as it was printed and with each text unquoted."""
        texts = [self.text, self.stderr]

        def collect(value: Any) -> None:
            if isinstance(value, str):
                texts.append(value)
            elif isinstance(value, dict):
                for key, item in value.items():
                    texts.append(str(key))
                    collect(item)
            elif isinstance(value, list):
                for item in value:
                    collect(item)

        collect(self.messages)
        return "\n".join(texts)

    @property
    def connection(self) -> Row:
        """The one connection status."""
        (status,) = self.of("CONNECTION_STATUS")
        return status

    @property
    def streams(self) -> dict[str, Row]:
        """The discovered streams by name."""
        (found,) = self.of("CATALOG")
        return {stream["name"]: stream for stream in found["streams"]}

    @property
    def tables(self) -> dict[str, Row]:
        """The discovered streams that are one provider's rows: neither files nor of all providers."""
        return {
            name: stream for name, stream in self.streams.items() if not name.endswith("_files") and name not in UNIFIED
        }


@dataclass
class Connector:
    """The commands, run in this process with files in `folder`."""

    folder: Path

    def command(self, *arguments: str) -> Output:
        """What `source-recordings <arguments>` prints and its exit code."""
        out, err = io.StringIO(), io.StringIO()
        before = sys.__stdout__, sys.stdout, sys.stderr
        PRINT_BUFFER.buffer = io.StringIO()
        sys.__stdout__ = sys.stdout = out  # type: ignore[misc,assignment]
        sys.stderr = err
        code: int | str | None = 0
        try:
            run(list(arguments))
        except SystemExit as exit_:
            code = exit_.code
        finally:
            PRINT_BUFFER.flush()
            sys.__stdout__, sys.stdout, sys.stderr = before  # type: ignore[misc]
            logging.getLogger("airbyte").setLevel(logging.INFO)
        return Output(out.getvalue(), int(code or 0), err.getvalue())

    def file(self, name: str, content: Any) -> str:
        path = self.folder / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), "utf-8")
        return str(path)

    def spec(self) -> Row:
        (found,) = self.command("spec").of("SPEC")
        return found

    def check(self, config: Row) -> Output:
        return self.command("check", "--config", self.file("config.json", config))

    def discover(self, config: Row) -> Output:
        return self.command("discover", "--config", self.file("config.json", config))

    def read(
        self, config: Row, *streams: str, sync_mode: str = "full_refresh", state: list[Row] | None = None
    ) -> Output:
        arguments = ["--config", self.file("config.json", config)]
        arguments += ["--catalog", self.file("catalog.json", catalog(streams, sync_mode))]
        if state is not None:
            arguments += ["--state", self.file("state.json", state)]
        return self.command("read", *arguments)
