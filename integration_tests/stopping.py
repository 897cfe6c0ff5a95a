"""A command in a process of its own, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airbyte_cdk.models import ConfiguredAirbyteCatalogSerializer

from integration_tests.conftest import REPOSITORY
from integration_tests.syncing import FILE_KEYS, PRIMARY_KEYS, Row, catalog_of
from sandbox import Sandbox
from unit_tests.harness import Output

SECONDS = 5.0
"""So long a process may take to end."""


@dataclass
class Ended:
    """How a process ended."""

    output: Output
    seconds: float

    def assert_is_orderly(self, code: int) -> None:
        assert self.output.exit_code == code, self.output.text[-3000:] + self.output.stderr
        assert self.output.text == "" or self.output.text.endswith("\n")
        assert self.output.stderr == ""
        assert self.seconds < SECONDS
        assert "Traceback" not in self.output.said
        assert self.output.errors == []


class Running:
    """A command in a process of its own, whose output goes into a file."""

    def __init__(self, folder: Path, *arguments: str, before: tuple[str, ...] = (), stdout: Any = None) -> None:
        self.out, self.err = folder / "stdout", folder / "stderr"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            command = [*before, sys.executable, "-m", "source_recordings", *arguments]
            self.process = subprocess.Popen(command, stdout=stdout or out, stderr=err, cwd=REPOSITORY)

    def wait_until(self, condition: Callable[[], Any]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert self.process.poll() is None, self.out.read_text() + self.err.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def wait_until_printed(self, text: str) -> None:
        self.wait_until(lambda: text in self.printed)

    def end(self, *signals: int, pid: int | None = None, pause: float = 0.2) -> Ended:
        began = time.monotonic()
        for number in signals:
            os.kill(pid or self.process.pid, number)
            time.sleep(pause if len(signals) > 1 else 0)
        try:
            self.process.wait(timeout=60)
        finally:
            self.process.kill()
            self.process.wait()
        seconds = time.monotonic() - began
        return Ended(Output(self.out.read_text(), self.process.returncode, self.err.read_text()), seconds)

    @property
    def printed(self) -> str:
        return self.out.read_text()


@contextmanager
def a_sandbox(**knobs: Any) -> Iterator[Sandbox]:
    now = datetime.now(timezone.utc) - timedelta(minutes=5)
    with Sandbox(seed=21, now=now, **{"size": 120, **knobs}) as started:
        yield started


def files(folder: Path, config: Row, *streams: str, state: list[Row] | None = None) -> list[str]:
    """The arguments of `read`."""
    arguments = []
    configured = ConfiguredAirbyteCatalogSerializer.dump(catalog_of(config, *streams))
    for name, content in {"config": config, "catalog": configured, "state": state or []}.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(content))
        arguments += [f"--{name}", str(path)]
    return ["read", *arguments]


def last_states(output: Output) -> list[Row]:
    return list({state["stream"]["stream_descriptor"]["name"]: state for state in output.of("STATE")}.values())


def keys_of(output: Output, stream: str) -> set[tuple[Any, ...]]:
    names = PRIMARY_KEYS.get(stream) or FILE_KEYS[stream]
    return {tuple(row[name] for name in names) for row in output.records(stream)}
