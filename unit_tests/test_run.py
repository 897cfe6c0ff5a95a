"""The command line: bad files, wrong arguments, and that whatever happens is told in the Airbyte protocol."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests_mock

from source_recordings import run as run_module
from unit_tests.examples import a_list, config
from unit_tests.harness import Connector, Row, catalog

QUO = a_list("quo_calls")


def test_spec(connector: Connector) -> None:
    output = connector.command("spec")

    assert output.exit_code == 0
    assert [message["type"] for message in output.messages if message["type"] != "LOG"] == ["SPEC"]


@pytest.mark.parametrize("content", [None, "", "{", "\x00", "not json"])
@pytest.mark.parametrize("command", ["check", "discover", "read"])
def test_a_config_file_that_can_not_be_read(command: str, content: str | None, connector: Connector) -> None:
    path = str(connector.folder / "missing.json")
    if content is not None:
        path = connector.file("broken.json", content)
    more = ["--catalog", connector.file("catalog.json", catalog([]))] if command == "read" else []

    output = connector.command(command, "--config", path, *more)

    assert output.exit_code == 1
    assert output.error["failure_type"] == "config_error"
    assert "config file" in output.error["message"] and path in output.error["message"]
    assert not output.error.get("stack_trace")
    assert "Traceback" not in output.said


def test_a_config_file_that_is_a_folder(connector: Connector) -> None:
    output = connector.command("check", "--config", str(connector.folder))

    assert output.exit_code == 1
    assert "config file" in output.error["message"]


WRONG_CATALOGS: dict[str, Any] = {
    "missing": None,
    "not json": "{",
    "a list": [],
    "text": '"x"',
    "no streams": {},
    "streams are text": {"streams": "all"},
    "a discovered catalog": {"streams": [{"name": "quo_calls", "json_schema": {}}]},
    "a wrong sync mode": {
        "streams": [
            {
                "stream": {"name": "quo_calls", "json_schema": {}, "supported_sync_modes": ["full_refresh"]},
                "sync_mode": "sometimes",
                "destination_sync_mode": "append",
            }
        ]
    },
}


@pytest.mark.timeout(60)
@pytest.mark.skipif(sys.platform == "win32", reason="no pipes by name")
def test_a_config_from_a_pipe(connector: Connector) -> None:
    """`--config <(...)` in a shell, which gives its content once."""
    pipe = connector.folder / "pipe"
    os.mkfifo(pipe)
    writer = Thread(target=pipe.write_text, args=[json.dumps(config("quo"))], daemon=True)
    writer.start()

    output = connector.command("discover", "--config", str(pipe))

    assert output.exit_code == 0
    assert output.of("CATALOG")


REASONS = {
    "missing": "No such file or directory",
    "not json": "it is no JSON, from line 1, column ",
    "a wrong sync mode": "sometimes",
}


def test_a_catalog_without_streams_is_told(connector: Connector) -> None:
    output = connector.command(
        *("read", "--config", connector.file("config.json", config("quo"))),
        *("--catalog", connector.file("catalog.json", catalog([]))),
    )

    assert output.exit_code == 0
    assert any("selects no stream" in line for line in output.logs("WARN"))


@pytest.mark.parametrize("name", WRONG_CATALOGS)
def test_a_catalog_that_can_not_be_read(name: str, connector: Connector) -> None:
    content = WRONG_CATALOGS[name]
    path = str(connector.folder / "missing.json")
    if content is not None:
        path = connector.file("broken.json", content)
    settings = connector.file("config.json", config("quo"))

    output = connector.command("read", "--config", settings, "--catalog", path)

    assert output.exit_code == 1
    assert output.error["failure_type"] == "config_error"
    assert "catalog file" in output.error["message"] and path in output.error["message"]
    assert REASONS.get(name, "") in output.error["message"]
    assert "Traceback" not in output.said


STATE: Row = {"type": "STREAM", "stream": {"stream_descriptor": {"name": "quo_calls"}, "stream_state": {}}}
WRONG_STATES: dict[str, Any] = {
    "missing": None,
    "not json": "[{",
    "text": '"x"',
    "a number": "7",
    "a list of text": ["x"],
    "no descriptor": [{"type": "STREAM", "stream": {}}],
    "of another kind": [{**STATE, "type": "PLANET"}],
}


@pytest.mark.parametrize("name", WRONG_STATES)
def test_a_state_that_can_not_be_read(name: str, connector: Connector) -> None:
    content = WRONG_STATES[name]
    path = str(connector.folder / "missing.json")
    if content is not None:
        path = connector.file("broken.json", content)
    settings = connector.file("config.json", config("quo"))
    streams = connector.file("catalog.json", catalog(["quo_calls"], "incremental"))

    output = connector.command("read", "--config", settings, "--catalog", streams, "--state", path)

    assert output.exit_code == 1
    assert output.errors[0]["failure_type"] == "config_error"
    assert "state" in output.errors[0]["message"]
    assert "Traceback" not in output.said


WRONG_STREAM_STATES: list[Any] = [
    {"state_type": "date-range", "slices": "all"},
    {"state_type": "date-range", "slices": [{"start": "yesterday", "end": "today"}]},
    {"state_type": "date-range", "slices": [{"begin": "2024-01-01T00:00:00Z"}]},
    {"state_type": "date-range", "slices": [7]},
    {"createdAt": "soon"},
    {"createdAt": ["2024"]},
    {"settled": "x"},
    {"foo": 1},
    {"settled": {"2024-01-01": "not base64!"}, "state_type": "date-range", "slices": []},
]


@pytest.mark.parametrize("state", WRONG_STREAM_STATES, ids=json.dumps)
def test_garbage_in_a_stream_state_is_a_config_error(
    state: Any, connector: Connector, api: requests_mock.Mocker
) -> None:
    api.get(QUO.url, json=QUO.answer)
    states = [{"type": "STREAM", "stream": {**STATE["stream"], "stream_state": state}}]

    output = connector.read(config("quo"), "quo_calls", sync_mode="incremental", state=states)

    assert output.exit_code == 1
    assert output.errors[0]["failure_type"] == "config_error"
    assert "quo_calls" in output.errors[0]["message"] and "state" in output.errors[0]["message"]
    assert "Traceback" not in output.said


@pytest.mark.parametrize("state", [[], [STATE], [{**STATE, "type": "STREAM"}]])
def test_an_empty_state_is_no_state(state: list[Row], connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(QUO.url, json=QUO.answer)

    output = connector.read(config("quo"), "quo_calls", sync_mode="incremental", state=state)

    assert output.exit_code == 0
    assert len(output.records("quo_calls")) == 1


def test_a_state_of_the_cdk_s_own_without_progress_is_accepted(connector: Connector, api: requests_mock.Mocker) -> None:
    """The manifest was run by itself before, and was stopped before its parent had a state."""
    api.get(QUO.url, json={**QUO.answer, "data": [], "totalItems": 0})
    state = {"use_global_cursor": False, "states": [], "lookback_window": 0, "parent_state": {}}
    name = {"name": "quo_call_recordings"}
    states = [{"type": "STREAM", "stream": {"stream_descriptor": name, "stream_state": state}}]

    output = connector.read(config("quo"), name["name"], sync_mode="incremental", state=states)

    assert output.exit_code == 0
    assert output.ended(name["name"]) == "COMPLETE"


def test_a_stream_that_is_not_there_is_said_to_be_missing(connector: Connector, api: requests_mock.Mocker) -> None:
    """A provider was disconnected, its streams are still selected -> INCOMPLETE and named, the others are read."""
    api.get(QUO.url, json=QUO.answer)

    output = connector.read(config("quo"), "bird_recordings", "quo_calls")

    assert len(output.records("quo_calls")) == 1
    assert output.exit_code == 1
    assert any("bird_recordings" in error["message"] for error in output.errors)


def test_a_stream_that_is_hidden_by_ids_is_said_to_be_missing(connector: Connector, api: requests_mock.Mocker) -> None:
    output = connector.read(config(quo={"call_ids": ["AC1"]}), "quo_calls")

    assert output.exit_code == 1
    assert "quo_calls" in output.errors[0]["message"]
    assert api.call_count == 0


@pytest.mark.parametrize(
    "arguments", [["check"], ["read", "--config", "x"], ["fly"], ["spec", "--config"], ["check", "--wings"]]
)
def test_a_wrong_command_line_is_told_on_stderr(arguments: list[str], connector: Connector) -> None:
    output = connector.command(*arguments)

    assert output.exit_code == 2
    assert output.text == ""
    assert "usage" in output.stderr


def test_no_command_shows_the_help(
    connector: Connector, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["source-recordings"])
    with pytest.raises(SystemExit):
        run_module.run()
    assert "usage" in capsys.readouterr().out


def test_an_error_of_our_own_is_a_trace_with_a_stack(connector: Connector, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bug is not the user's mistake -> a system error, with the stack trace that a developer needs."""

    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("bug")

    monkeypatch.setattr("source_recordings.source.SourceRecordings.read", broken)

    output = connector.read(config("quo"), "quo_calls")

    assert output.exit_code == 1
    assert output.error["failure_type"] == "system_error"
    assert "ZeroDivisionError" in output.error["stack_trace"]


def test_every_failure_is_in_the_protocol_and_ends_with_1(
    connector: Connector, api: requests_mock.Mocker, tmp_path: Path
) -> None:
    """`Output` refuses any other line, so a plain print would fail here."""
    api.get(QUO.url, text="garbage")

    output = connector.read(config("quo"), "quo_calls")

    assert output.exit_code == 1
    assert output.stderr == ""
    assert {message["type"] for message in output.messages} >= {"LOG", "TRACE"}


def test_records_carry_the_provider_s_values_unchanged(connector: Connector, api: requests_mock.Mocker) -> None:
    """Unknown fields, big numbers, nested nulls and every script pass through."""
    row = {
        "id": "AC1",
        "createdAt": "2024-03-02T10:00:00.123456+02:00",
        "big": 2**53 + 1,
        "float": 1e-7,
        "nested": {"null": None, "list": [None, {"x": []}], "template": "{{ config }}"},
        "text": 'zoë \u202e \U0001f4de \\ " \n',
        "empty": "",
        "false": False,
    }
    api.get(QUO.url, json={"data": [row], "nextCursor": None})

    output = connector.read(config("quo"), "quo_calls")

    assert output.records("quo_calls") == [row]
