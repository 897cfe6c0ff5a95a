"""The demo as `make demo` runs it, twice: a full sync of all providers, then what a day has brought."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from integration_tests.demo_run import command, demo, needs_demo
from source_recordings.provider_yaml import load_providers

OFFERED = {name for provider in load_providers().values() for name in provider.streams}

pytestmark = [pytest.mark.slow, needs_demo]


def words(output: str) -> dict[str, set[str]]:
    """The first words of the recordings that are shown, by provider."""
    lines = output[output.index("first words") :].partition("\n\n")[0].splitlines()[2:]
    found: dict[str, set[str]] = {}
    for line in lines:
        file, _, *said = line.split(maxsplit=2)
        found.setdefault(file.partition("/")[0], set()).update(said)
    return found


def table(output: str, head: str) -> dict[str, list[int]]:
    """The numbers of a printed table, by the name in its first column."""
    lines = iter(output.splitlines())
    for line in lines:
        if line.startswith(head):
            break
    next(lines)
    rows = {}
    for line in lines:
        if not line:
            break
        name, *cells = line.split()
        rows[name] = [int(cell.replace(",", "")) for cell in cells]
    return rows


def test_the_second_run_syncs_what_a_day_has_brought(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    first = demo(folder, "--size", "60")
    streams = table(first, "stream")
    names = set(streams) - {"all"}
    assert names >= OFFERED
    assert all(rows > 0 and rows == new and not again for rows, new, again in streams.values())
    assert "first sync" not in first
    said = words(first)
    assert set(said) == {provider.name for provider in load_providers().values()}
    assert all(said.values()), "a transcript of each provider"

    second = demo(folder)
    moved = table(second, "stream")
    assert all(moved[name][0] == streams[name][0] + moved[name][1] for name in names)
    assert moved["all"][1] > 0
    requests = table(second, "provider")
    assert requests["all"][0] < requests["all"][1] / 2
    assert requests["all"][1] == table(first, "provider")["all"][0]
    saved = json.loads((folder / "world.json").read_text(encoding="utf-8"))
    assert saved["now"] > saved["began"]

    assert (folder / "report.html").stat().st_size > 100_000
    rows = demo(folder, "--sql", "select count(*) from bird_recordings")
    assert str(moved["bird_recordings"][0]) in rows


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_no_sandbox_is_left_behind_when_it_is_interrupted(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with subprocess.Popen(command(folder, "--size", "20"), stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        assert "in the sandbox" in run.stdout.readline()
        children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text(encoding="ascii")
        run.send_signal(2)
        assert run.wait(60) == 1
    assert children.split()
    assert not any(Path(f"/proc/{child}").exists() for child in children.split())
