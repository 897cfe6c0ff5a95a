"""The three files of the command line: what is understood, and what is told in words that name the file and the place."""

from __future__ import annotations

import codecs
import errno
import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests_mock

from unit_tests.examples import DETAILS, a_list, config
from unit_tests.harness import CREATED, Connector, Output, Row, catalog

QUO = a_list("quo_calls")
NAME = "quo_calls"
DONE = {"state_type": "date-range", "slices": [{"start": "2024-03-01T00:00:00Z", "end": "2024-03-08T00:00:00Z"}]}

ENCODINGS: dict[str, Callable[[str], bytes]] = {
    "UTF-8 with a mark": lambda text: codecs.BOM_UTF8 + text.encode(),
    "UTF-16 with a mark": lambda text: text.encode("utf-16"),
    "UTF-16 with a mark, big end first": lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    "UTF-16": lambda text: text.encode("utf-16-le"),
    "UTF-32 with a mark": lambda text: text.encode("utf-32"),
    "a line break and a mark": lambda text: codecs.BOM_UTF8 + f"\r\n{text}\r\n".encode(),
}


def part(state: Any, name: Any = NAME, **more: Any) -> Row:
    """A stream's part of a state."""
    return {"stream_descriptor": {"name": name, **more}, "stream_state": state}


def of_stream(state: Any, name: Any = NAME, **more: Any) -> Row:
    return {"type": "STREAM", "stream": part(state, name, **more)}


def read(connector: Connector, state: Any, *, sync_mode: str = "incremental", streams: Any = None) -> Output:
    """Reads quo's calls; the state and the catalog as they are, whatever they are."""
    streams = catalog([NAME], sync_mode) if streams is None else streams
    arguments = ["--config", connector.file("config.json", config("quo"))]
    arguments += ["--catalog", connector.file("catalog.json", streams)]
    arguments += ["--state", connector.file("state.json", state)]
    return connector.command("read", *arguments)


def assert_told(output: Output, *parts: str) -> None:
    """A config error with these words, and nothing that only a developer understands."""
    assert output.exit_code == 1
    assert output.error["failure_type"] == "config_error"
    for wanted in parts:
        assert wanted in output.error["message"], (wanted, output.error["message"])
    for unwanted in ("does not know", "Traceback", "serpyco", "Error(", "NoneType"):
        assert unwanted not in output.said, output.said
    assert not output.error.get("stack_trace")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("what", ["config", "catalog", "state"])
def test_any_unicode_is_read(what: str, encoding: str, connector: Connector, api: requests_mock.Mocker) -> None:
    """Editors on Windows, and PowerShell's `>`, write a mark or UTF-16 -> it is the same JSON."""
    api.get(QUO.url, json=QUO.answer)
    contents = {"config": config("quo"), "catalog": catalog([NAME], "incremental"), "state": [of_stream({})]}
    arguments = []
    for name, content in contents.items():
        path = connector.folder / f"{name}.json"
        write = ENCODINGS[encoding] if name == what else str.encode
        path.write_bytes(write(json.dumps(content)))
        arguments += [f"--{name}", str(path)]

    output = connector.command("read", *arguments)

    assert (output.exit_code, output.errors) == (0, [])
    assert len(output.records(NAME)) == 1


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "it is empty"),
    "blank": (b" \n", "it is empty"),
    "a mark alone": (codecs.BOM_UTF8, "it is empty"),
    "Latin-1": ('{"a": "schl\xfcssel"}'.encode("latin-1"), "UTF-8"),
    "half a UTF-16": ("\ufeff{}".encode("utf-16-le")[:-1], "UTF-8"),
    "not JSON": (b"{,}", "line 1, column 2"),
    "two values": (b"{}\n{}", "line 2, column 1"),
    "very deep": (b"[" * 100_000, "it is nested too deeply"),
    "a very long number": (b"[" + b"9" * 5000 + b"]", ""),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("what", ["config", "catalog", "state"])
def test_what_is_no_json_is_told(what: str, name: str, connector: Connector) -> None:
    content, reason = BROKEN[name]
    contents: Row = {"config": config("quo"), "catalog": catalog([NAME])}
    arguments = []
    for other, good in contents.items():
        if other != what:
            arguments += [f"--{other}", connector.file(f"{other}.json", good)]
    path = connector.folder / "broken.json"
    path.write_bytes(content)

    output = connector.command("read", *arguments, f"--{what}", str(path))

    assert_told(output, f"{what} file", str(path), reason)


# States

UNDERSTOOD: dict[str, Any] = {
    "as it is printed": [of_stream(DONE)],
    "one and no list": of_stream(DONE),
    "without a type": [{"stream": part(DONE)}],
    "whole messages": [{"type": "STATE", "state": of_stream(DONE)}],
    "one whole message": {"type": "STATE", "state": of_stream(DONE)},
    "with a namespace": [of_stream(DONE, namespace="public")],
    "all that were printed": [of_stream({}), of_stream(DONE)],
    "GLOBAL": [{"type": "GLOBAL", "global": {"stream_states": [part(DONE)]}}],
    "GLOBAL without a type": [{"global": {"shared_state": None, "stream_states": [part({}, "quo_x"), part(DONE)]}}],
    "LEGACY": [{"type": "LEGACY", "data": {NAME: DONE}}],
    "LEGACY in the file's first form": {NAME: DONE},
    "with fields of later protocols": [{**of_stream(DONE), "sourceStats": {"recordCount": 1.0}, "id": 7}],
}


@pytest.mark.parametrize("name", UNDERSTOOD)
def test_a_state_is_understood_in_each_of_its_forms(name: str, connector: Connector, api: requests_mock.Mocker) -> None:
    """A state that is ignored in silence reads everything again -> it is used, whichever form it has."""
    api.get(QUO.url, json={"data": [{"id": "AC1", "createdAt": CREATED}], "nextCursor": None})

    output = read(connector, UNDERSTOOD[name])

    assert (output.exit_code, output.errors) == (0, [])
    (request,) = api.request_history
    # What was done before is not asked for again: the look-back of three days only.
    assert request.qs["createdAt[gte]"] == ["2024-03-05T00:00:00.000000Z"]


NO_STATES: dict[str, Any] = {
    "null": None,
    "an empty list": [],
    "an empty object": {},
    "no stream's": [{"type": "GLOBAL", "global": {"shared_state": {}, "stream_states": []}}],
    "an empty LEGACY": [{"type": "LEGACY", "data": {}}],
    "null for the stream": [of_stream(None)],
    "without the stream's": [{"type": "STREAM", "stream": {"stream_descriptor": {"name": NAME}}}],
    "of another stream": [of_stream(DONE, "bota_recordings")],
}


@pytest.mark.parametrize("name", NO_STATES)
def test_no_state_reads_all(name: str, connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(QUO.url, json=QUO.answer)

    output = read(connector, json.dumps(NO_STATES[name]))

    assert (output.exit_code, output.errors) == (0, [])
    assert len(output.records(NAME)) == 1
    assert output.logs("WARN") == []


WRONG_STATES: dict[str, tuple[Any, str]] = {
    "text": ("x", "must hold a list"),
    "a number": (7, "must hold a list"),
    "false": (False, "must hold a list"),
    "zero": (0, "must hold a list"),
    "a list of numbers": ([7], "entry 1 "),
    "a list of text": ([of_stream(DONE), "x"], "entry 2 "),
    "a list of null": ([None], "entry 1 "),
    "a list of lists": ([[]], "entry 1 "),
    "an empty object in a list": ([{}], "entry 1 "),
    "no descriptor": ([{"type": "STREAM", "stream": {}}], "entry 1 "),
    "no stream": ([{"type": "STREAM"}], "entry 1 "),
    "the stream is text": ([{"type": "STREAM", "stream": NAME}], "entry 1 "),
    "the name is a number": ([of_stream(DONE, 7)], "entry 1 "),
    "the name is empty": ([of_stream(DONE, "")], "entry 1 "),
    "of another kind": ([{**of_stream(DONE), "type": "PLANET"}], "entry 1 "),
    "the kind is a list": ([{**of_stream(DONE), "type": []}], "entry 1 "),
    "a record": ([{"type": "RECORD", "record": {"stream": NAME}}], "entry 1 "),
    "the state is text": ([of_stream("2024-01-01T00:00:00Z")], NAME),
    "the state is a list": ([of_stream([DONE])], NAME),
    "the state is a number": ([of_stream(5)], NAME),
    "GLOBAL is a list": ([{"type": "GLOBAL", "global": []}], "entry 1 "),
    "GLOBAL without streams": ([{"type": "GLOBAL", "global": {"shared_state": {}}}], "entry 1 "),
    "GLOBAL with junk": ([{"type": "GLOBAL", "global": {"stream_states": [7]}}], "entry 1 "),
    "LEGACY is text": ([{"type": "LEGACY", "data": "x"}], "entry 1 "),
    "LEGACY with junk": ([{"type": "LEGACY", "data": {NAME: 7}}], NAME),
    "a config": (config("quo"), "no stream of this connector"),
    "a catalog": (catalog([NAME]), "no stream of this connector"),
    "a whole message without a state": ([{"type": "STATE"}], "entry 1 "),
}


@pytest.mark.parametrize("name", WRONG_STATES)
@pytest.mark.parametrize("sync_mode", ["incremental", "full_refresh"])
def test_a_wrong_state_is_told(name: str, sync_mode: str, connector: Connector, api: requests_mock.Mocker) -> None:
    state, reason = WRONG_STATES[name]

    output = read(connector, json.dumps(state), sync_mode=sync_mode)

    assert_told(output, "state", reason)
    assert api.call_count == 0


def test_a_shared_state_is_told_and_the_streams_are_used(connector: Connector, api: requests_mock.Mocker) -> None:
    """A shared state is none that this connector has written."""
    api.get(QUO.url, json=QUO.answer)
    states = {"shared_state": {"cdc": 1}, "stream_states": [part(DONE)]}

    output = read(connector, [{"type": "GLOBAL", "global": states}])

    assert output.exit_code == 0
    assert any("shared" in line for line in output.logs("WARN"))
    assert api.request_history[0].qs["createdAt[gte]"] == ["2024-03-05T00:00:00.000000Z"]


def test_an_unknown_stream_in_a_state_is_told(connector: Connector, api: requests_mock.Mocker) -> None:
    """It may be misspelt; then the right one would be read from the start, in silence."""
    api.get(QUO.url, json=QUO.answer)

    output = read(connector, [of_stream(DONE, "quo_cals")])

    assert output.exit_code == 0
    assert [line for line in output.logs("WARN") if "`quo_cals`" in line and "`quo_calls`" in line]


def test_full_refresh_reads_all_whatever_the_state(connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(QUO.url, json=QUO.answer)

    output = read(connector, [of_stream({"state_type": "date-range", "slices": "junk"})], sync_mode="full_refresh")

    assert output.exit_code == 0
    assert len(output.records(NAME)) == 1


# Catalogs

ENTRY: Row = catalog([NAME])["streams"][0]
SHORT: Row = {"stream": {"name": NAME}, "sync_mode": "full_refresh"}


@pytest.mark.parametrize("entry", [SHORT, {**ENTRY, "cursor_field": None}, {**ENTRY, "generationId": 1, "x": 1}])
def test_a_catalog_may_leave_out_what_changes_nothing(
    entry: Row, connector: Connector, api: requests_mock.Mocker
) -> None:
    api.get(QUO.url, json=QUO.answer)

    output = read(connector, [], streams={"streams": [entry]})

    assert (output.exit_code, output.errors) == (0, [])
    assert len(output.records(NAME)) == 1


WRONG_CATALOGS: dict[str, tuple[Any, str]] = {
    "a list": ([ENTRY], "must hold an object"),
    "text": ("x", "must hold an object"),
    "null": (None, "must hold an object"),
    "no streams": ({}, "`streams`"),
    "streams are text": ({"streams": "all"}, "`streams`"),
    "streams are an object": ({"streams": {NAME: ENTRY}}, "`streams`"),
    "streams are null": ({"streams": None}, "`streams`"),
    "a name": ({"streams": [NAME]}, "`streams[0]`"),
    "null for a stream": ({"streams": [ENTRY, None]}, "`streams[1]`"),
    "no name": ({"streams": [{**ENTRY, "stream": {"json_schema": {}}}]}, "`streams[0].stream.name`"),
    "the name is a number": ({"streams": [{**ENTRY, "stream": {"name": 7}}]}, "`streams[0].stream.name`"),
    "the stream is a name": ({"streams": [{**ENTRY, "stream": NAME}]}, "`streams[0].stream`"),
    "no sync mode": ({"streams": [{"stream": {"name": NAME}}]}, "`streams[0].sync_mode`"),
    "another sync mode": ({"streams": [{**ENTRY, "sync_mode": "sometimes"}]}, "sometimes"),
    "the sync mode is a list": ({"streams": [{**ENTRY, "sync_mode": ["incremental"]}]}, "`streams[0].sync_mode`"),
    "another destination mode": ({"streams": [{**ENTRY, "destination_sync_mode": "x"}]}, NAME),
    "the schema is text": ({"streams": [{**ENTRY, "stream": {"name": NAME, "json_schema": "x"}}]}, NAME),
    "what discover prints": ({"type": "CATALOG", "catalog": {"streams": [ENTRY["stream"]]}}, "`discover`"),
    "a discovered catalog": ({"streams": [ENTRY["stream"]]}, "`discover`"),
    "a stream twice": ({"streams": [ENTRY, ENTRY]}, f"{NAME} twice"),
    "a stream twice in two modes": ({"streams": [ENTRY, {**ENTRY, "sync_mode": "incremental"}]}, f"{NAME} twice"),
    "a config": (config("quo"), "`streams`"),
}


@pytest.mark.parametrize("name", WRONG_CATALOGS)
def test_a_wrong_catalog_is_told(name: str, connector: Connector, api: requests_mock.Mocker) -> None:
    streams, reason = WRONG_CATALOGS[name]

    output = read(connector, [], streams=json.dumps(streams))

    assert_told(output, "catalog file", str(connector.folder / "catalog.json"), reason)
    assert api.call_count == 0


# No folder for temporary files, as with `docker run --read-only`


@pytest.fixture
def without_temporary_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']")

    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_get_default_tempdir", none)


@pytest.mark.usefixtures("without_temporary_folder")
def test_no_command_needs_a_temporary_folder(connector: Connector, api: requests_mock.Mocker) -> None:
    api.get(QUO.url, json=QUO.answer)

    assert connector.command("spec").exit_code == 0
    assert connector.check(config("quo")).connection["status"] == "SUCCEEDED"
    assert connector.discover(config("quo")).exit_code == 0
    output = connector.read(config("quo"), NAME)
    assert (output.exit_code, output.errors) == (0, [])
    assert len(output.records(NAME)) == 1


@pytest.mark.usefixtures("without_temporary_folder")
@pytest.mark.parametrize("what", ["shared answers", "audio inside an answer"])
def test_what_needs_a_temporary_folder_is_told(what: str, connector: Connector, api: requests_mock.Mocker) -> None:
    """Streams that share their answers keep them on the disk; so does audio that comes as text."""
    if what == "shared answers":
        api.get(QUO.url, json=QUO.answer)
        api.get(f"{QUO.url.rpartition('/')[0]}/v1/call-recordings/AC1", status_code=404)
        output = connector.read(config("quo"), NAME, "quo_call_recordings")
    else:
        url = DETAILS[-1].url
        api.get(url, json={**DETAILS[-1].answer, "audioData": "data:audio/mpeg;base64,AAAA"})
        output = connector.read(config(tether={"call_ids": ["c1"]}), "tether_call_recordings")

    assert output.errors
    for error in output.errors:
        assert error["failure_type"] == "config_error"
        assert "TMPDIR" in error["message"]
    assert "Traceback" not in output.said


def test_the_config_is_written_nowhere(
    connector: Connector, api: requests_mock.Mocker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It holds the keys: a copy in /tmp outlives a killed process."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    seen: list[str] = []

    def look(_request: object, _context: object) -> Any:
        seen.extend(path.name for path in (tmp_path / "temporary").rglob("*"))
        return QUO.answer

    api.get(QUO.url, json=look)
    assert connector.read(config("quo"), NAME).exit_code == 0

    assert seen == []
