"""The exported manifest in the program that the Connector Builder talks to."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import requests
import yaml

from integration_tests.syncing import PROVIDERS, provider_of, sandbox_config
from sandbox import Sandbox

PROGRAM = Path(__file__).parent.parent / ".venv-release" / "bin" / "manifest-server"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PROGRAM.exists(), reason="THE BUILDER IS NOT TESTED: there is no .venv-release"),
]


@contextmanager
def manifest_server(log: Path) -> Iterator[str]:
    """The server on a free port; it refuses Python of ours, as Airbyte Cloud does."""
    with log.open("w+", encoding="utf-8") as output:
        process = subprocess.Popen(
            [PROGRAM, "start", "--host", "127.0.0.1", "--port", "0"], stderr=output, stdout=output
        )
        try:
            yield f"http://127.0.0.1:{port_in(log, process)}/v1/manifest"
        finally:
            process.terminate()
            process.wait(10)


def port_in(log: Path, process: subprocess.Popen[bytes]) -> str:
    for _ in range(600):
        _, found, rest = log.read_text(encoding="utf-8").partition("running on http://127.0.0.1:")
        if found and not rest[:5].isspace() and " " in rest:
            return rest.split(" ")[0]
        assert process.poll() is None, log.read_text(encoding="utf-8")
        time.sleep(0.1)
    raise AssertionError("the server did not start")


def exported() -> Any:
    """What a person imports into the Builder."""
    command = [sys.executable, "-m", "source_recordings.manifest"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return yaml.safe_load(done.stdout)


def test_all_providers_run_in_the_builder(tmp_path: Path) -> None:
    now = datetime.now(timezone.utc)
    start = (now - timedelta(days=20)).strftime("%Y-%m-%dT%H:%M:%SZ")
    with Sandbox(seed=2, size=60, days=18, now=now) as sandbox, manifest_server(tmp_path / "log") as url:
        config = sandbox_config(sandbox, start_date=start)
        manifest = exported()

        def ask(command: str, config: Any, **more: Any) -> requests.Response:
            body = {"manifest": manifest, "config": config, **more}
            return requests.post(f"{url}/{command}", json=body, timeout=60)

        assert ask("check", config).json() == {"success": True, "message": None}

        catalog = ask("discover", config).json()["catalog"]
        streams = [stream["name"] for stream in catalog["streams"]]
        assert {provider_of(name) for name in streams} == set(PROVIDERS)

        resolved = ask("resolve", config).json()["manifest"]
        assert "$ref" not in json.dumps(resolved["streams"])

        for name in streams:
            answer = ask("test_read", config, stream_name=name, record_limit=20)
            read = answer.json()
            rows = [r for piece in read["slices"] for page in piece["pages"] for r in page["records"]]
            assert rows, name
            assert not [log for log in read["logs"] if log["level"] in ("ERROR", "FATAL")], name
