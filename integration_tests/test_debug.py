"""`--debug` and LOG_LEVEL=debug: more lines, but no query of an address, no body and no credential in any of them."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest

from integration_tests.conftest import NOW, Program
from integration_tests.syncing import FILE_KEYS, Row, catalog_of, sandbox_config
from sandbox import Sandbox
from unit_tests.harness import Output, catalog, protocol_message

STREAMS = (*FILE_KEYS, "bird_recordings", "quo_calls", "quo_call_recordings", "amigo_recording_urls", "tether_calls")

# What only an address's query has, or a header, or a row.
SECRET = re.compile(
    r"X-Amz-\w+=|Signature=|[?&][\w\[\]-]+=|Authorization|Bearer |AccessKey |Set-Cookie|audioData|createdAt\W+20",
    re.IGNORECASE,
)


def said(output: Output) -> Iterator[str]:
    """Every text that is said: all but records, states and the catalog."""
    for message in output.messages:
        if message["type"] in ("LOG", "TRACE", "CONNECTION_STATUS"):
            yield json.dumps(message, ensure_ascii=False)
    yield output.stderr


def assert_is_discreet(output: Output, config: Row) -> None:
    secrets = [value for section in config.values() if isinstance(section, dict) for value in _secrets(section)]
    assert len(secrets) >= len([section for section in config.values() if isinstance(section, dict)])
    for text in said(output):
        assert not SECRET.search(text), text
        for secret in secrets:
            assert secret not in text, text


def _secrets(section: Row) -> Iterator[str]:
    for key in ("access_key", "api_key", "access_token", "password"):
        if key in section:
            yield section[key]
    if "credentials" in section:
        yield from _secrets(section["credentials"])


def read(program: Program, config: Row, *streams: str, debug: str = "--debug") -> Output:
    names = [stream.stream.name for stream in catalog_of(config, *streams).streams]
    arguments = ["read", "--config", program.file("config.json", config)]
    arguments += ["--catalog", program.file("catalog.json", catalog(names))]
    if debug == "--debug":
        arguments.append(debug)
    else:
        program.environment = {"LOG_LEVEL": "DEBUG"}
    return program.command(*arguments)


@pytest.mark.parametrize("debug", ["--debug", "LOG_LEVEL"])
def test_a_good_sync(debug: str, program: Program) -> None:
    with Sandbox(seed=5, size=20, now=NOW) as sandbox:
        config = sandbox_config(sandbox)
        config["tether"] = dict(sandbox.config(["tether"], login=True)["tether"])
        output = read(program, config, *STREAMS, debug=debug)

    assert output.exit_code == 0, output.errors
    assert any("HTTP 200" in line for line in output.logs("DEBUG"))
    assert [row for row in output.records("quo_recording_files") if row["media_status"] == "stored"]
    assert_is_discreet(output, config)


FAULTS: dict[str, dict[str, Any]] = {
    "refused": {"status": 403, "body": "<Error>X-Amz-Signature=abc</Error>"},
    "unknown": {"status": 418, "body": {"message": "see https://u:p@h/x?token=SECRET#f", "Signature": "abc"}},
    "server": {"status": 500, "body": {"message": "Authorization: Bearer SECRET"}},
    "redirected to a host that is not there": {
        "status": 302,
        "headers": {"Location": "https://127.0.0.1:9/x.mp3?X-Amz-Signature=abcdef"},
    },
    "redirected to no address": {"status": 302, "headers": {"Location": "https://[bad?X-Amz-Signature=abcdef"}},
    "redirected to a long host": {
        "status": 302,
        "headers": {"Location": f"https://{'a' * 64}.example/x.mp3?X-Amz-Signature=abcdef"},
    },
    "odd headers": {"status": 200, "headers": {"Last-Modified": "X-Amz-Signature=1", "Content-Type": "a?b=c"}, "body": "x"},
    "broken off": {"kind": "truncate"},
    "dropped": {"kind": "drop"},
}  # fmt: skip


@pytest.mark.parametrize("name", FAULTS)
def test_failing_downloads(name: str, program: Program) -> None:
    """The errors of requests and urllib3 quote the address that failed -> not in a log line, a trace or its stack."""
    with Sandbox(seed=5, size=6, now=NOW) as sandbox:
        config = sandbox_config(sandbox)
        sandbox.fault("storage", "", **FAULTS[name])
        output = read(program, config, "quo_recording_files", "bird_recording_files", "bota_recording_files")

    assert_is_discreet(output, config)


@pytest.mark.parametrize("name", ["unknown", "server", "dropped", "refused"])
def test_failing_lists(name: str, program: Program) -> None:
    """A provider that echoes what it was sent, or whose answer is quoted."""
    with Sandbox(seed=5, size=6, now=NOW) as sandbox:
        config = sandbox_config(sandbox)
        fault = dict(FAULTS[name])
        if name == "unknown":
            fault["body"] = {
                "message": f"bad key {config['quo']['api_key']} at https://h/p?key={config['quo']['api_key']}"
            }
        sandbox.fault("quo", "", **fault)
        output = read(program, config, "quo_calls", "quo_call_recordings")
        checked = program.command("check", "--debug", "--config", program.file("config.json", config))

    assert output.exit_code == 1
    assert_is_discreet(output, config)
    assert checked.connection["status"] == "FAILED"
    assert_is_discreet(checked, config)


def test_headers_that_urllib3_can_not_read(program: Program) -> None:
    """urllib3 warns with the whole address, and with what it could not read."""
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nno-colon-Set-Cookie-SECRETCOOKIE\r\n"
        b"Content-Length: 11\r\n\r\n"
        b'{"data":[]}'
    )
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(answer)

        Thread(target=serve, daemon=True).start()
        config = {"quo": {"api_key": "quo-key-quo", "base_url": f"http://127.0.0.1:{server.getsockname()[1]}"}}
        output = read(program, config, "quo_calls")

    assert_is_discreet(output, config)
    assert not [text for text in said(output) if "SECRETCOOKIE" in text]


def test_every_line_is_of_the_protocol_in_debug_too(program: Program) -> None:
    with Sandbox(seed=5, size=6, now=NOW) as sandbox:
        config = sandbox_config(sandbox, "quo")
        for arguments in (["spec"], ["check", "--config", program.file("config.json", config)]):
            output = program.command(*arguments, "--debug")
            assert output.exit_code == 0
            for line in output.text.splitlines():
                protocol_message(line)
