"""How a process ends before its time, in this process; integration_tests/test_stopping.py ends real ones."""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests_mock
from airbyte_cdk.models import AirbyteMessage, AirbyteMessageSerializer

from source_recordings import __main__ as main_module
from source_recordings import run as run_module
from source_recordings import source as source_module
from source_recordings import stop as module
from source_recordings.cdk import PrintBuffer
from source_recordings.files.staging import Staging
from source_recordings.http.client import Closed
from source_recordings.inputs import read_catalog
from source_recordings.source import SourceRecordings
from source_recordings.stop import Stop, check_reader
from unit_tests.examples import a_detail, a_list, config
from unit_tests.harness import Connector, catalog

QUO = a_list("quo_calls")


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that ends the process in any case outlives its test: it must never end the one that runs the tests."""
    monkeypatch.setattr(module, "SECONDS", 86_400.0)


class Left(BaseException):
    """The process would be gone."""


@pytest.fixture
def left(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The exit codes with which the process would have ended."""
    codes: list[int] = []

    def leave(code: int) -> None:
        codes.append(code)
        if threading.current_thread() is threading.main_thread():
            raise Left

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(module, "PRINT_BUFFER", PrintBuffer())
    monkeypatch.setattr(module, "SECONDS", 0.5)
    yield codes
    for thread in threading.enumerate():
        if thread.name in ("stop", "leave"):  # they must not meet the real os._exit
            thread.join()


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_winds_up_once_and_leaves_in_any_case(number: int, code: int, left: list[int]) -> None:
    before = signal.getsignal(number)
    calls: list[str] = []
    stop = Stop()
    with stop.listening(), stop.calls(lambda: calls.append("wind up"), lambda: calls.append("clean up")):
        for _ in range(3):
            os.kill(os.getpid(), number)
            time.sleep(0.02)
        wait_for(lambda: left)
    assert left == [code]
    assert calls == ["wind up", "clean up"]
    assert (stop.is_wanted, stop.code, stop.by) == (True, code, signal.Signals(number).name)
    assert signal.getsignal(number) is before


def test_a_signal_with_nothing_to_wind_up_leaves_at_once(left: list[int]) -> None:
    stop = Stop()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        began = time.monotonic()
        wait_for(lambda: left)
        soon = time.monotonic() - began < module.SECONDS
    assert left[0] == 143 and soon


def test_leaving_prints_what_is_left(left: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "__stdout__", out)
    buffer = PrintBuffer(flush_interval=3600)
    buffer.write("a line\n")
    monkeypatch.setattr(module, "PRINT_BUFFER", buffer)
    with pytest.raises(Left):
        Stop().leave(143)
    assert (left, out.getvalue()) == ([143], "a line\n")


@pytest.mark.parametrize(
    ("error", "code", "said"), [(BrokenPipeError(32, "x"), 141, ""), (OSError(28, "x"), 1, "No space left on device")]
)
def test_an_output_that_is_lost(
    error: OSError, code: int, said: str, left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    err = io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", err)
    with pytest.raises(Left):
        Stop().output_lost(error)
    assert left == [code]
    assert said in err.getvalue() and bool(said) == bool(err.getvalue())


def test_a_reader_that_has_gone_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as out:
        monkeypatch.setattr(sys, "__stdout__", out)
        check_reader()
        os.close(reader)
        with pytest.raises(BrokenPipeError):
            check_reader()
    for other in (io.StringIO(), None):
        monkeypatch.setattr(sys, "__stdout__", other)
        check_reader()


# A sync


def stopped(settings: dict[str, Any], streams: list[str], connector: Connector, when: Any) -> list[dict[str, Any]]:
    """What a sync says that is stopped as soon as `when` holds."""
    stop = Stop()
    wanted = read_catalog(connector.file("catalog.json", catalog(streams, "incremental")))
    source = SourceRecordings(stop=stop)

    def signalled() -> None:
        wait_for(when)
        stop.by, stop.code = "SIGTERM", 143
        assert stop._wind_up
        stop._wind_up()

    thread = threading.Thread(target=signalled)
    thread.start()
    messages: list[AirbyteMessage] = list(source.read(logging.getLogger("airbyte"), settings, wanted, []))
    thread.join()
    return [AirbyteMessageSerializer.dump(message) for message in messages]


def statuses(messages: list[dict[str, Any]]) -> list[str]:
    found = (message.get("trace", {}).get("stream_status") for message in messages)
    return [status["status"] for status in found if status]


def limited(_request: object, context: Any) -> str:
    """Always a 429, and not as fast as can be: in unit tests no wait takes place."""
    time.sleep(0.02)
    context.status_code = 429
    return ""


@pytest.mark.parametrize("settings", [config("quo"), config(quo={"call_ids": ["AC1"]})], ids=["windows", "ids"])
def test_a_sync_that_waits_ends_as_incomplete(
    settings: dict[str, Any], connector: Connector, api: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "WINDING_UP_SECONDS", 0.3)
    for case in (QUO, a_detail("quo_call_recordings")):
        api.get(case.url, text=limited)

    messages = stopped(settings, ["quo_call_recordings"], connector, lambda: api.call_count > 3)

    assert statuses(messages) == ["STARTED", "INCOMPLETE"]
    said = [message["log"]["message"] for message in messages if message["type"] == "LOG"]
    assert said == ["Stopped by SIGTERM. The next sync goes on from the last state."]


def test_a_window_that_is_stopped_half_way_saves_what_it_has_handed_on(
    connector: Connector, api: requests_mock.Mocker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(source_module, "WINDING_UP_SECONDS", 2.5)
    rows = [
        {"id": f"AC{n}", "createdAt": f"2024-03-02T10:{n:02d}:00Z", "status": "completed", "duration": 5}
        for n in range(40)
    ]
    api.get(QUO.url, json={"data": rows, "nextCursor": None})
    for n in range(40):
        answer: dict[str, Any] = {"json": {"data": [{"id": f"CR{n}"}]}} if n < 20 else {"text": limited}
        api.get(f"{QUO.url.rpartition('/')[0]}/v1/call-recordings/AC{n}", **answer)
    refused = "call-recordings/AC20"
    when = lambda: any(refused in request.url for request in api.request_history)  # noqa: E731

    messages = stopped({**config("quo"), "num_workers": 2}, ["quo_call_recordings"], connector, when)

    records = [message["record"]["data"]["id"] for message in messages if message["type"] == "RECORD"]
    assert records == [f"CR{n}" for n in range(len(records))]
    state = [message["state"] for message in messages if message["type"] == "STATE"][-1]
    end = state["stream"]["stream_state"]["slices"][-1]["end"]
    assert end == f"2024-03-02T10:{len(records):02d}:00.000000Z"
    assert statuses(messages) == ["STARTED", "RUNNING", "INCOMPLETE"]


def test_parts_go_with_the_sync(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    part = staging.part()
    part.write(b"half")
    whole = staging.part()
    whole.finish("a/b.mp3")
    assert len(list((tmp_path / ".parts").iterdir())) == 1

    staging.close()

    assert list((tmp_path / ".parts").iterdir()) == []
    assert (tmp_path / "a/b.mp3").exists()
    part.close()
    with pytest.raises(Closed):
        staging.part()


# The program


def test_main_heeds_signals_before_it_imports_the_rest(left: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    monkeypatch.setattr(run_module, "run", lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        with pytest.raises(Left):
            main_module.main()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert left == [143]


@pytest.mark.parametrize(("ended", "code"), [(0, 0), (2, 2), (None, 0), ("a text", 1)])
def test_main_ends_without_python_s_own_end(
    ended: object, code: int, left: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In which a signal would meet no handler."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(run_module, "run", lambda: sys.exit(ended))  # type: ignore[arg-type]
    with pytest.raises(Left):
        main_module.main()
    assert left == [code]


@pytest.mark.parametrize("arguments", [["spec"], ["fly"], []])
def test_the_program_ends_with_the_command_s_code(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["source-recordings", *arguments])
    monkeypatch.setattr(sys, "__stdout__", io.StringIO())
    if arguments == ["spec"]:
        run_module.run()
    else:
        with pytest.raises(SystemExit) as ended:
            run_module.run()
        assert ended.value.code == (2 if arguments else 0)


def test_a_program_without_output_says_so(left: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["source-recordings", "spec"])
    monkeypatch.setattr(sys, "__stdout__", None)
    monkeypatch.setattr(sys, "__stderr__", err := io.StringIO())
    with pytest.raises(Left):
        run_module.run()
    assert left == [1]
    assert "Bad file descriptor" in err.getvalue()


def test_a_thread_that_fails_is_told_without_its_text(caplog: pytest.LogCaptureFixture) -> None:
    logging.getLogger("airbyte").addHandler(caplog.handler)
    try:
        run_module._log_failed_thread(threading.ExceptHookArgs((KeyError, KeyError("PRIVATE"), None, None)))
    finally:
        logging.getLogger("airbyte").removeHandler(caplog.handler)
    assert "A thread has failed: KeyError." in caplog.messages
