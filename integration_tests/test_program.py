"""The program as the platform starts it: four commands, good and bad, every line of stdout in the protocol."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest

from integration_tests.conftest import REPOSITORY, Program
from integration_tests.syncing import STREAMS, Row, sandbox_config
from sandbox import Sandbox
from source_recordings.check import HINT_ROWS
from unit_tests.harness import catalog

# `Output` fails for any line on stdout that is no message of the protocol.


def test_spec(program: Program) -> None:
    output = program.command("spec")

    assert (output.exit_code, output.stderr) == (0, "")
    assert len(output.of("SPEC")) == 1


def test_check_that_succeeds(program: Program, still_config: Row) -> None:
    output = program.check(still_config)

    assert (output.exit_code, output.stderr) == (0, "")
    assert output.connection == {"status": "SUCCEEDED"}


def test_check_asks_each_provider_a_few_times(still_sandbox: Sandbox, program: Program, still_config: Row) -> None:
    """Once, and for each stream that not every key can read once more; for a call's transcript, for a call first."""
    still_sandbox.clear_requests()

    program.check(still_config)

    asked = Counter(request.provider for request in still_sandbox.requests)
    assert (asked["amigo"], asked["tether"], asked["bird"], asked["bota"]) == (1, 1, 3, 4)
    assert 2 <= asked["quo"] <= 2 + HINT_ROWS


def test_discover(program: Program, still_config: Row) -> None:
    output = program.discover(still_config)

    assert (output.exit_code, output.stderr) == (0, "")
    assert set(STREAMS) <= set(output.streams)


def test_discover_asks_nobody(still_sandbox: Sandbox, program: Program, still_config: Row) -> None:
    still_sandbox.clear_requests()

    program.discover(still_config)

    assert still_sandbox.requests == []


@pytest.mark.parametrize("command", ["check", "discover", "read"])
@pytest.mark.parametrize(
    "config",
    [{}, {"quo": {}}, {"quo": {"api_key": "x", "base_url": "http://quo.example"}}],
    ids=["empty", "no key", "http"],
)
def test_a_wrong_config(command: str, config: Row, program: Program) -> None:
    arguments = ["--config", program.file("config.json", config)]
    if command == "read":
        arguments += ["--catalog", program.file("catalog.json", catalog(["quo_calls"]))]

    output = program.command(command, *arguments)

    if command == "check":
        assert (output.exit_code, output.connection["status"]) == (0, "FAILED")
    else:
        assert output.exit_code == 1
        assert output.error["failure_type"] == "config_error"
    assert output.stderr == ""
    assert "Traceback" not in output.said


def test_a_host_that_is_down(program: Program) -> None:
    settings = {"quo": {"api_key": "x", "base_url": "http://127.0.0.1:9"}}

    output = program.check(settings)

    assert output.exit_code == 0
    assert output.connection["status"] == "FAILED"
    assert "`base_url`" in output.connection["message"] or "quo.base_url" in output.connection["message"]


def test_a_missing_file(program: Program) -> None:
    output = program.command("check", "--config", str(program.folder / "nothing.json"))

    assert (output.exit_code, output.stderr) == (1, "")
    assert "nothing.json" in output.error["message"]


def test_one_provider_failing_does_not_stop_the_others(still_sandbox: Sandbox, program: Program) -> None:
    """A rejected key, a host that is down -> these streams end incomplete, all others are whole."""
    config = sandbox_config(still_sandbox)
    config["bird"]["access_key"] = "wrong"
    config["amigo"]["base_url"] = "http://127.0.0.1:9"
    config["quo"]["api_key"] = "wrong"
    failing = [s for s in STREAMS if s.startswith(("bird_", "quo_"))]
    whole = [s for s in STREAMS if s.startswith(("bota_", "tether_"))]

    output = program.read(config, *failing, *whole)

    assert output.exit_code == 1
    for stream in failing:
        assert output.ended(stream) == "INCOMPLETE"
        assert output.records(stream) == []
    for stream in whole:
        assert output.ended(stream) == "COMPLETE"
        assert len(output.records(stream)) == len(still_sandbox.truth(stream))
    said = " ".join(error["message"] for error in output.errors)
    assert "`bird.access_key`" in said and "`quo.api_key`" in said


def test_every_stream_ends_with_one_last_status(still_sandbox: Sandbox, program: Program, still_config: Row) -> None:
    """STARTED, RUNNING, then COMPLETE or INCOMPLETE, and no record after it."""
    output = program.read(still_config, "quo_calls", "bota_recordings")

    for stream in ("quo_calls", "bota_recordings"):
        statuses = output.statuses(stream)
        assert statuses[0] == "STARTED" and statuses[-1] == "COMPLETE"
        assert statuses.count("COMPLETE") == 1
        ended = max(
            number
            for number, message in enumerate(output.messages)
            if message["type"] == "TRACE"
            and message["trace"].get("stream_status", {}).get("status") == "COMPLETE"
            and message["trace"]["stream_status"]["stream_descriptor"]["name"] == stream
        )
        late = [
            message
            for message in output.messages[ended:]
            if message["type"] == "RECORD" and message["record"]["stream"] == stream
        ]
        assert late == []


def test_a_reader_that_goes_away_does_not_leave_the_program_behind(
    program: Program, still_sandbox: Sandbox, still_config: Row
) -> None:
    """The platform closes the pipe when a sync is cancelled -> the process ends by itself."""
    arguments = ["--config", program.file("config.json", still_config)]
    arguments += ["--catalog", program.file("catalog.json", catalog(STREAMS))]
    process = subprocess.Popen(
        [sys.executable, "-m", "source_recordings", "read", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()

    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    alive = process.poll() is None
    if alive:
        process.kill()
    assert not alive


def test_a_termination_ends_it(program: Program, still_sandbox: Sandbox, still_config: Row) -> None:
    """The platform sends SIGTERM to cancel -> the process goes, also while a request hangs."""
    config: dict[str, Any] = sandbox_config(still_sandbox, "quo")
    arguments = ["--config", program.file("config.json", config)]
    arguments += ["--catalog", program.file("catalog.json", catalog(["quo_calls"]))]
    with Sandbox(seed=1, size=10) as hanging:
        hanging.fault("quo", "/calls", kind="hang")
        program.file("config.json", sandbox_config(hanging, "quo"))
        process = subprocess.Popen(
            [sys.executable, "-m", "source_recordings", "read", *arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=REPOSITORY,
        )
        try:
            deadline = time.monotonic() + 30
            while not hanging.requests and time.monotonic() < deadline:
                time.sleep(0.05)
            assert hanging.requests
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=10) != 0
        finally:
            process.kill()
            process.wait()
