"""The programs in examples/ that a user copies from, run as the documents say."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from datetime import datetime, timedelta, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from integration_tests.syncing import CURSORS, STREAMS, keys, sandbox_config, sync
from sandbox import Sandbox

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(script: str, *options: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / script), *options]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def parts_of(folder: Path, config: Any, *options: str) -> list[Any]:
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    output = folder / "parts"
    done = run("backfill_parts.py", "--config", str(folder / "config.json"), "--output", str(output), *options)
    assert done.returncode == 0, done.stderr
    files = sorted(output.iterdir(), key=lambda file: int(file.stem.rpartition("-")[2]))
    assert len(files) == len(done.stdout.splitlines())
    for file in files:
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, "it holds credentials"
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def test_parts_meet_and_the_last_goes_on(tmp_path: Path) -> None:
    config = {"bird": {"access_key": "k", "workspace_id": "w"}, "lookback_days": 5}
    parts = parts_of(tmp_path, config, "--start", "2023-01-01", "--until", "2024-01-01T00:00:01Z", "--parts", "12")
    assert len(parts) == 12
    assert parts[0]["start_date"] == "2023-01-01T00:00:00Z"
    for part, following in pairwise(parts):
        assert part["start_date"] < part["end_date"] == following["start_date"]
    assert "end_date" not in parts[-1]
    assert all(part["lookback_days"] == 5 for part in parts)


def test_parts_share_the_limits_of_the_keys(tmp_path: Path) -> None:
    config = {
        "bird": {"access_key": "k", "workspace_id": "w"},
        "quo": {"api_key": "k", "requests_per_second": 9},
        "bota": {"connection": "disabled"},
    }
    parts = parts_of(tmp_path, config, "--start", "2023-01-01", "--parts", "4")
    for part in parts:
        assert part["bird"]["requests_per_second"] == 12
        assert part["quo"]["requests_per_second"] == 2
        assert part["bota"] == {"connection": "disabled"}


def test_parts_that_run_one_after_the_other_keep_the_limits(tmp_path: Path) -> None:
    config = {"quo": {"api_key": "k"}}
    parts = parts_of(tmp_path, config, "--start", "2023-01-01", "--parts", "4", "--own-limits")
    assert all(part["quo"] == {"api_key": "k"} for part in parts)


def test_the_dates_of_the_config_are_the_ends(tmp_path: Path) -> None:
    config = {"quo": {"api_key": "k"}, "start_date": "2023-01-01T00:00:00Z", "end_date": "2023-01-03T00:00:00Z"}
    first, last = parts_of(tmp_path, config, "--parts", "2")
    assert (first["start_date"], first["end_date"]) == ("2023-01-01T00:00:00Z", "2023-01-02T00:00:00Z")
    assert (last["start_date"], last["end_date"]) == ("2023-01-02T00:00:00Z", "2023-01-03T00:00:00Z")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--parts", "2"], "--start"),
        (["--parts", "2", "--start", "yesterday"], "2023-01-01"),
        (["--parts", "2", "--start", "2999-01-01"], "no room"),
        (["--parts", "11", "--start", "2023-01-01"], "too few to share"),
    ],
)
def test_what_can_t_be_cut_is_told(tmp_path: Path, options: list[str], message: str) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"quo": {"api_key": "k"}}', encoding="utf-8")
    done = run("backfill_parts.py", "--config", str(config), "--output", str(tmp_path), *options)
    assert done.returncode == 1
    assert message in done.stderr


def test_parts_of_another_cut_are_not_left_beside_the_new_ones(tmp_path: Path) -> None:
    config = {"quo": {"api_key": "k"}}
    parts_of(tmp_path, config, "--start", "2023-01-01", "--parts", "3")
    options = ["--config", str(tmp_path / "config.json"), "--output", str(tmp_path / "parts")]
    done = run("backfill_parts.py", *options, "--start", "2023-01-01", "--parts", "2")
    assert done.returncode == 1
    assert "part-3.json" in done.stderr


@pytest.mark.parametrize(
    ("script", "options"),
    [
        ("backfill_parts.py", ["--config", "missing.json", "--output", "x", "--parts", "2"]),
        ("backfill_parts.py", ["--config", "missing.json", "--output", "x", "--parts", "0"]),
        ("pyairbyte_sync.py", ["--config", "missing.json"]),
        ("configured_catalog.py", []),
        ("last_states.py", []),
    ],
)
def test_a_mistake_is_told_without_a_stack_trace(script: str, options: list[str]) -> None:
    done = run(script, *options, stdin="not\nmessages\n")
    assert done.returncode != 0
    assert done.stderr.strip() and "Traceback" not in done.stderr
    assert done.stdout == ""


def test_nothing_yet_is_no_state() -> None:
    assert json.loads(run("last_states.py", stdin="").stdout) == []


@pytest.mark.slow
def test_the_parts_together_are_the_whole(tmp_path: Path) -> None:
    """Nothing twice and nothing left out, in every stream whose rows have a time."""
    now = datetime.now(timezone.utc)
    with Sandbox(seed=3, size=60, days=30, now=now) as sandbox:
        start = (now - timedelta(days=31)).strftime("%Y-%m-%dT%H:%M:%SZ")
        whole = sandbox_config(sandbox)
        parts = parts_of(tmp_path, whole, "--start", start, "--parts", "3", "--own-limits")
        streams = [stream for stream in STREAMS if stream in CURSORS]
        syncs = [sync(part, *streams) for part in parts]
        for stream in streams:
            found = [keys(sandbox, stream, part.records(stream)) for part in syncs]
            together = [key for part in found for key in part]
            assert sum(map(bool, found)) > 1, f"{stream} has rows in one part only"
            assert sorted(together) == sorted(map(tuple, sandbox.truth(stream))), stream


def test_the_last_state_of_each_stream_is_kept() -> None:
    def message(stream: str, cursor: int) -> str:
        state = {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "n": cursor}}
        return json.dumps({"type": "STATE", "state": state})

    lines = [
        message("a", 1),
        '{"type":"LOG","log":{"level":"INFO","message":"STATE"}}',
        message("b", 1),
        message("a", 2),
        message("b", 2)[:30],
    ]
    done = run("last_states.py", stdin="\n".join(lines))
    assert done.returncode == 0, done.stderr
    assert {(s["stream"]["stream_descriptor"]["name"], s["stream"]["n"]) for s in json.loads(done.stdout)} == {
        ("a", 2),
        ("b", 1),
    }


def test_a_catalog_is_configured() -> None:
    def stream(name: str, *modes: str) -> dict[str, Any]:
        return {"name": name, "json_schema": {}, "supported_sync_modes": list(modes)}

    streams = [stream("a", "full_refresh", "incremental"), stream("b", "full_refresh")]
    lines = [
        '{"type":"LOG","log":{"level":"INFO","message":"CATALOG"}}',
        json.dumps({"type": "CATALOG", "catalog": {"streams": streams}}),
    ]
    found = json.loads(run("configured_catalog.py", stdin="\n".join(lines)).stdout)["streams"]
    assert [(row["stream"]["name"], row["sync_mode"]) for row in found] == [("a", "incremental"), ("b", "full_refresh")]
    one = json.loads(run("configured_catalog.py", "b", stdin="\n".join(lines)).stdout)
    assert [row["stream"] for row in one["streams"]] == streams[1:]
    unknown = run("configured_catalog.py", "c", stdin="\n".join(lines))
    assert unknown.returncode == 1
    assert "No such stream: c. There are: a, b." in unknown.stderr
    nothing = run("configured_catalog.py", stdin=lines[0])
    assert nothing.returncode == 1
    assert "discover says why" in nothing.stderr
