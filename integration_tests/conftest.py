"""Fixtures of the integration tests: the sandbox, and the connector as a program of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest

from integration_tests.files.one_file import AUDIO, MP3
from integration_tests.files.raw_host import RawHost, answer
from integration_tests.matrix.figures import total
from integration_tests.syncing import sandbox_config
from sandbox import Sandbox
from unit_tests.harness import Connector, Output

pytest_plugins = ["airbyte_cdk.test.standard_tests.pytest_hooks"]

REPOSITORY = Path(__file__).resolve().parents[1]
# In the past, so that nothing in the sandbox is younger than the connector's own clock.
NOW = datetime(2024, 11, 1, 9, 30, 12, tzinfo=timezone.utc)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where CI runs, what this machine lacks is a failure: nothing goes untested in silence."""
    report = yield
    if report.skipped and os.environ.get("CI") and "NOT TESTED" in str(report.longrepr):
        report.outcome = "failed"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = total(report for reports in terminalreporter.stats.values() for report in reports)
    if figures.tried:
        terminalreporter.write_line(figures.line)


@pytest.fixture(scope="session")
def still_sandbox() -> Iterator[Sandbox]:
    """A sandbox for tests that change nothing in it."""
    with Sandbox(seed=5, size=150, now=NOW) as started:
        yield started


@pytest.fixture(scope="session")
def still_config(still_sandbox: Sandbox) -> dict[str, Any]:
    return sandbox_config(still_sandbox)


@pytest.fixture(autouse=True)
def staging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the file streams put their files, also those of a process that a test starts."""
    folder = tmp_path / "staging"
    monkeypatch.setenv("AIRBYTE_STAGING_DIRECTORY", str(folder))
    return folder


@pytest.fixture
def connector(tmp_path: Path) -> Connector:
    """The connector's commands in this process."""
    return Connector(tmp_path)


@pytest.fixture
def host() -> Iterator[RawHost]:
    """Odd answers come from here; what is waited for in between is not waited for."""
    good = {"/good": answer(AUDIO, Content_Type=MP3)}
    backoff = patch("source_recordings.files.download.backoff", lambda _: 0.0)
    with patch("time.sleep"), backoff, RawHost(good) as started:
        yield started


class Program(Connector):
    """The connector's commands in a process of their own, as the platform runs them."""

    interpreter: tuple[str, ...] = (sys.executable, "-m", "source_recordings")
    environment: Mapping[str, str] = {}

    def command(self, *arguments: str) -> Output:
        done = subprocess.run(
            [*self.interpreter, *arguments],
            capture_output=True,
            cwd=REPOSITORY,
            env={**os.environ, **self.environment},
            timeout=120,
            check=False,
        )
        return Output(done.stdout.decode(), done.returncode, done.stderr.decode())


@pytest.fixture
def program(tmp_path: Path) -> Program:
    return Program(tmp_path)
