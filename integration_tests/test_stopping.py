"""SIGTERM, SIGINT and a reader that goes away, at any moment: soon over, what was read is out, nothing is left behind."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from integration_tests.conftest import REPOSITORY
from integration_tests.stopping import SECONDS, Running, a_sandbox, files, keys_of, last_states
from integration_tests.syncing import FILE_KEYS, Row, sandbox_config
from sandbox import Sandbox
from unit_tests.harness import catalog

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no such signals")


SIGNALS = pytest.mark.parametrize(
    ("signals", "code"),
    [([signal.SIGTERM], 143), ([signal.SIGINT], 130), ([signal.SIGTERM] * 2, 143), ([signal.SIGINT, signal.SIGTERM], 130)],
    ids=["TERM", "INT", "TERM twice", "INT and TERM"],
)  # fmt: skip

LIST = ("quo_calls", "tether_calls", "bird_recordings", "amigo_calls")
JOBS = ("quo_call_recordings", "amigo_recording_urls", "tether_call_recordings", "bota_transcriptions")


# At any moment


def heeds_signals(pid: int) -> bool:
    """Whether the process has a handler for SIGTERM; before that, Python itself is starting."""
    status = Path(f"/proc/{pid}/status").read_text()
    caught = next(line for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught.split()[1], 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc")
@SIGNALS
@pytest.mark.parametrize("after", [0.0, 0.1, 0.3, 0.6, 1.0, 1.5])
def test_during_the_start(after: float, signals: list[int], code: int, tmp_path: Path) -> None:
    running = Running(tmp_path, "spec")
    running.wait_until(lambda: heeds_signals(running.process.pid))
    time.sleep(after)

    ended = running.end(*signals, pause=0.02)

    if ended.output.exit_code != 0:  # it may be done
        ended.assert_is_orderly(code)
    assert ended.output.stderr == ""


def test_signals_are_heeded_before_the_long_imports() -> None:
    code = "import sys; import source_recordings.__main__; sys.exit('airbyte_cdk' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=False).returncode == 0


@SIGNALS
def test_during_a_list_that_hangs(signals: list[int], code: int, tmp_path: Path) -> None:
    """A thread that waits for an answer can't be woken -> nobody waits for it."""
    with a_sandbox() as sandbox:
        sandbox.fault("*", "", kind="hang")
        running = Running(tmp_path, *files(tmp_path, sandbox_config(sandbox), *LIST, *JOBS))
        running.wait_until(lambda: len(sandbox.requests) > 3)

        ended = running.end(*signals)

    ended.assert_is_orderly(code)
    for stream in (*LIST, *JOBS):
        assert ended.output.ended(stream) == "INCOMPLETE"
    assert [line for line in ended.output.logs("WARN") if line.startswith("Stopped by SIG")]


@SIGNALS
def test_during_a_long_wait(signals: list[int], code: int, tmp_path: Path) -> None:
    with a_sandbox() as sandbox:
        sandbox.fault("*", "", status=429, headers={"Retry-After": "600"})
        running = Running(tmp_path, *files(tmp_path, sandbox_config(sandbox), *LIST, *JOBS))
        running.wait_until(lambda: len(sandbox.requests) > 3)
        time.sleep(0.3)

        running.end(*signals).assert_is_orderly(code)


@pytest.mark.parametrize("command", ["check", "discover"])
def test_during_another_command(command: str, tmp_path: Path) -> None:
    with a_sandbox() as sandbox:
        sandbox.fault("*", "", kind="hang")
        files(tmp_path, sandbox_config(sandbox))
        running = Running(tmp_path, command, "--config", str(tmp_path / "config.json"))
        if command == "check":
            running.wait_until(lambda: sandbox.requests)
            ended = running.end(signal.SIGTERM)
            ended.assert_is_orderly(143)
            assert ended.seconds < 2
        else:
            assert running.end().output.exit_code == 0


def test_at_random_moments_nothing_is_lost(tmp_path: Path) -> None:
    """What all the stopped syncs have printed, and the last one, is together every record."""
    chance = random.Random(23)
    with a_sandbox(size=220, latency=0.15) as sandbox:
        config = sandbox_config(sandbox, num_workers=6)
        streams = ("quo_calls", "bird_recordings", *JOBS)
        seen: dict[str, set[tuple[Any, ...]]] = {stream: set() for stream in streams}
        state: list[Row] = []
        stopped = 0
        for attempt in range(9):
            running = Running(tmp_path, *files(tmp_path, config, *streams, state=state))
            running.wait_until_printed("STARTED")
            if attempt < 8:
                time.sleep(chance.uniform(0.1, 2.5))
                ended = running.end(chance.choice([signal.SIGTERM, signal.SIGINT]))
            else:
                ended = running.end()
            for stream in streams:
                seen[stream] |= keys_of(ended.output, stream)
            state = last_states(ended.output) or state
            if ended.output.exit_code == 0:
                break
            stopped += 1
            ended.assert_is_orderly(ended.output.exit_code)
            assert ended.output.exit_code in (130, 143)
        assert stopped > 1, "the sync was over before a signal: the test shows nothing"
        for stream in streams:
            assert seen[stream] == set(map(tuple, sandbox.truth(stream))), stream


def test_what_a_window_has_handed_on_is_in_the_last_state(tmp_path: Path) -> None:
    """A window of 800 jobs that is stopped half-way -> the next sync asks for the rest."""
    stream = "quo_call_recordings"
    with a_sandbox(size=400, days=20, latency=0.02) as sandbox:
        config = sandbox_config(sandbox, "quo", num_workers=4)
        running = Running(tmp_path, *files(tmp_path, config, stream))
        running.wait_until(lambda: running.printed.count('"RECORD"') > 60)
        first = running.end(signal.SIGTERM)
        first.assert_is_orderly(143)
        asked = sum("call-recordings" in request.path for request in sandbox.requests)
        sandbox.clear_requests()
        second = Running(tmp_path, *files(tmp_path, config, stream, state=last_states(first.output))).end()
        again = sum("call-recordings" in request.path for request in sandbox.requests)

    assert second.output.exit_code == 0
    truth = set(map(tuple, sandbox.truth(stream)))
    assert keys_of(first.output, stream) | keys_of(second.output, stream) == truth
    # But for those that were under way, each job is done once.
    assert again < sandbox_jobs(sandbox) - asked / 2


def sandbox_jobs(sandbox: Sandbox) -> int:
    return len(sandbox.truth("quo_calls"))


@SIGNALS
def test_during_downloads(signals: list[int], code: int, tmp_path: Path, staging: Path) -> None:
    """Parts are gone, whole files stay, and the next sync gets the rest."""
    streams = tuple(FILE_KEYS)
    with a_sandbox(size=12, media_rate=3_000) as sandbox:
        config = sandbox_config(sandbox)
        running = Running(tmp_path, *files(tmp_path, config, *streams))
        running.wait_until(lambda: any((staging / ".parts").glob("*.part")))
        time.sleep(0.5)

        first = running.end(*signals)

        first.assert_is_orderly(code)
        assert list((staging / ".parts").glob("*")) == []
        sandbox.knobs.media_rate = 0
        second = Running(tmp_path, *files(tmp_path, config, *streams, state=last_states(first.output))).end()
        assert second.output.exit_code == 0
        for stream in streams:
            assert keys_of(first.output, stream) | keys_of(second.output, stream) == set(
                map(tuple, sandbox.truth(stream))
            )
        assert list((staging / ".parts").glob("*")) == []


def test_a_failing_sync_leaves_no_parts(tmp_path: Path, staging: Path) -> None:
    """The end of a sync does not wait for downloads whose stream has failed."""
    with a_sandbox(size=12, media_rate=3_000) as sandbox:
        config = sandbox_config(sandbox, "bota", "amigo")
        sandbox.fault("bota", "download-url", status=401, after=3)
        sandbox.fault("amigo", "", status=401)
        ended = Running(tmp_path, *files(tmp_path, config, "bota_recording_files", "amigo_recording_files")).end()

    assert ended.output.exit_code == 1
    assert list((staging / ".parts").glob("*")) == []


# A reader that goes away


def through_head(tmp_path: Path, arguments: list[str], lines: int) -> tuple[str, str, float]:
    """`source-recordings ... | head -<lines>` -> its output, what went to stderr, and how long it took."""
    with (tmp_path / "stderr").open("wb") as err:
        program = subprocess.Popen(
            [sys.executable, "-m", "source_recordings", *arguments], stdout=subprocess.PIPE, stderr=err, cwd=REPOSITORY
        )
        head = subprocess.run(["head", f"-{lines}"], stdin=program.stdout, capture_output=True, check=False)
        assert program.stdout
        program.stdout.close()
        gone = time.monotonic()
        try:
            program.wait(timeout=60)
        finally:
            program.kill()
    assert program.returncode in (0, 141)
    return head.stdout.decode(), (tmp_path / "stderr").read_text(), time.monotonic() - gone


@pytest.mark.parametrize("lines", [1, 20, 400])
def test_head(lines: int, tmp_path: Path) -> None:
    with a_sandbox(latency=0.02) as sandbox:
        text, stderr, seconds = through_head(tmp_path, files(tmp_path, sandbox_config(sandbox), *LIST, *JOBS), lines)

    assert seconds < SECONDS
    assert len(text.splitlines()) <= lines
    assert stderr == ""


@pytest.mark.parametrize("arguments", [["spec"], ["--help"], ["spec", "--help"]])
def test_head_of_a_short_output(arguments: list[str], tmp_path: Path) -> None:
    _, stderr, _ = through_head(tmp_path, arguments, 0)

    assert stderr == ""


def test_a_reader_that_goes_away_during_a_long_wait(tmp_path: Path) -> None:
    """Nothing is printed meanwhile -> it is noticed all the same, and nobody is asked again in ten minutes."""
    with a_sandbox() as sandbox:
        sandbox.fault("*", "", status=429, headers={"Retry-After": "600"})
        text, stderr, seconds = through_head(tmp_path, files(tmp_path, sandbox_config(sandbox), "quo_calls"), 3)

    assert seconds < SECONDS
    assert len(text.splitlines()) == 3
    assert stderr == ""


def test_a_reader_that_goes_away_leaves_no_parts(tmp_path: Path, staging: Path) -> None:
    with a_sandbox(size=12, media_rate=1_000) as sandbox:
        arguments = files(tmp_path, sandbox_config(sandbox), *FILE_KEYS)
        reader, writer = os.pipe()
        running = Running(tmp_path, *arguments, stdout=writer)
        os.close(writer)
        running.wait_until(lambda: any((staging / ".parts").glob("*.part")))
        os.close(reader)
        ended = running.end()

    assert (ended.output.exit_code, ended.output.stderr) == (141, "")
    assert ended.seconds < SECONDS
    assert list((staging / ".parts").glob("*")) == []


def test_a_reader_that_does_not_read_holds_up_no_end(tmp_path: Path) -> None:
    with a_sandbox(size=400) as sandbox:
        reader, writer = os.pipe()
        running = Running(tmp_path, *files(tmp_path, sandbox_config(sandbox), *LIST), stdout=writer)
        os.close(writer)
        running.wait_until(lambda: len(sandbox.requests) > 10)
        time.sleep(1)
        ended = running.end(signal.SIGTERM)
        os.close(reader)

    assert (ended.output.exit_code, ended.output.stderr) == (143, "")
    assert ended.seconds < SECONDS


@pytest.mark.parametrize(("redirection", "said"), [(">&-", "Bad file descriptor"), (">/dev/full", "No space left")])
def test_an_output_that_can_not_be_written_is_told_on_stderr(redirection: str, said: str, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"exec {sys.executable} -m source_recordings spec {redirection}"],
        capture_output=True,
        cwd=REPOSITORY,
        text=True,
        check=False,
    )

    assert done.returncode == 1
    assert said in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


# As the first process of a container, which hears only of the signals that it has a handler for


@pytest.fixture(scope="module")
def as_first() -> tuple[str, ...]:
    command = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")
    if not shutil.which("unshare") or subprocess.run([*command, "true"], capture_output=True, check=False).returncode:
        pytest.skip("NOT TESTED: a process as the first of a container needs `unshare` and root")
    return command


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
@pytest.mark.parametrize("moment", ["start", "hang", "wait", "downloads"])
def test_as_the_first_process(
    moment: str, number: int, code: int, as_first: tuple[str, ...], tmp_path: Path, staging: Path
) -> None:
    with a_sandbox(size=12, media_rate=3_000) as sandbox:
        if moment == "hang":
            sandbox.fault("*", "", kind="hang")
        elif moment == "wait":
            sandbox.fault("*", "", status=429, headers={"Retry-After": "600"})
        arguments = files(tmp_path, sandbox_config(sandbox), *LIST, *FILE_KEYS)
        running = Running(tmp_path, *arguments, before=as_first)
        if moment == "start":
            time.sleep(0.7)
        elif moment == "downloads":
            running.wait_until(lambda: any((staging / ".parts").glob("*.part")))
        else:
            running.wait_until(lambda: len(sandbox.requests) > 3)
        children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children").read_text().split()

        ended = running.end(number, pid=int(children[0]))

    ended.assert_is_orderly(code)
    assert list((staging / ".parts").glob("*")) == []


def test_the_console_script_is_the_same_program(tmp_path: Path) -> None:
    """Its entry point handles signals while the imports go on; a caller of `run` in its own process keeps its own."""
    before = signal.getsignal(signal.SIGTERM)
    from source_recordings.run import run

    (tmp_path / "config.json").write_text(json.dumps({"quo": {"api_key": "x"}}))
    (tmp_path / "catalog.json").write_text(json.dumps(catalog([])))
    run(["read", "--config", str(tmp_path / "config.json"), "--catalog", str(tmp_path / "catalog.json")])

    assert signal.getsignal(signal.SIGTERM) is before
    assert "source_recordings.__main__:main" in (REPOSITORY / "setup.py").read_text()
