"""How fast files come, beside curl with the same bytes in the same run, and what memory they take.

`python -m benchmarks.files [--rounds 3] [--large 300] [--count 500]` prints the table of docs/files.md as Markdown. Every
way is taken `rounds` times in turn, and the best of each counts: whatever else the machine does slows all of them.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import monotonic

from integration_tests.syncing import Row, sandbox_config
from sandbox import Sandbox

STREAM = "bird_recording_files"
SMALL = 300_000
LATENCY = 0.05
GIGABIT = 125e6
"""Bytes a second."""
WORKERS = 16


class World:
    """A sandbox in a process of its own, so that it does not share the interpreter with what is measured."""

    def __init__(self, folder: Path, size: int, latency: float, rate: float = 0.0) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.files", "--serve", json.dumps([size, latency, rate])],
            stdout=subprocess.PIPE,
            stdin=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        self.said = json.loads(self.process.stdout.readline())

    def urls(self) -> list[str]:
        found: list[str] = self.said["urls"]
        return found

    def connector(self, wanted: list[str] | None = None, *, files: bool = True) -> Row:
        config = self.said["config"]
        if wanted:
            config = config | {"bird": config["bird"] | {"recording_ids": wanted}}
        file = self.folder / "config.json"
        file.write_text(json.dumps(config))
        with tempfile.TemporaryDirectory(dir=self.folder) as staging:
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.one_files", file, STREAM, "yes" if files else "no"],
                capture_output=True,
                text=True,
                check=True,
                env={**os.environ, "AIRBYTE_STAGING_DIRECTORY": staging},
            )
        answer: Row = json.loads(done.stdout.splitlines()[-1])
        return answer

    def redirected(self, urls: list[str], header: Path) -> float:
        """The same by way of the provider's redirect; curl leaves the credential out for the other host."""
        return self.curl(urls, options=("-H", f"@{header}"))

    def curl(self, urls: list[str], *more: str, options: tuple[str, ...] = ()) -> float:
        """Seconds for all of them, at most WORKERS at once, in one process with its connections kept."""
        with tempfile.TemporaryDirectory(dir=self.folder) as target:
            lines = [f'url = "{url}"\noutput = "{target}/{n}"' for n, url in enumerate(urls)]
            names = self.folder / "urls"
            names.write_text("\n".join(lines))
            parallel = ["--parallel", "--parallel-max", str(WORKERS)] if len(urls) > 1 else []
            started = monotonic()
            subprocess.run(["curl", "-sfL", "--no-progress-meter", *options, *parallel, "-K", names], check=True)
            if more:
                subprocess.run([*more, *map(str, Path(target).iterdir())], check=True, stdout=subprocess.DEVNULL)
            return monotonic() - started

    def close(self) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()


def serve(said: str) -> None:
    """The other process: a sandbox until its input ends. Its files are all of one size."""
    size, latency, rate = json.loads(said)
    with Sandbox(seed=1, size=size, latency=latency) as sandbox:
        ids = [row["recordingId"] for row in sandbox.rows(STREAM)]
        length = int(os.environ.get("BENCH_LENGTH", SMALL))
        sandbox.knobs.media_rate = rate
        sandbox.knobs.media_sizes.update(dict.fromkeys(ids, length))
        urls = [sandbox.storage.url("bird", i, "mp3", 86_400) for i in ids]
        config = sandbox_config(sandbox, "bird", num_workers=WORKERS)
        print(json.dumps({"config": config, "urls": urls, "ids": ids}), flush=True)
        sys.stdin.read()


def hashing(megabytes: int) -> float:
    data, digest = bytes(1_000_000), hashlib.sha256()
    started = monotonic()
    for _ in range(megabytes):
        digest.update(data)
    return monotonic() - started


def best(rounds: int, ways: dict[str, Callable[[], float]]) -> dict[str, float]:
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            taken[name].append(way())
    return {name: min(times) for name, times in taken.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--large", type=int, default=300, help="megabytes of the large file")
    parser.add_argument("--count", type=int, default=500, help="number of small files")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        tables(Path(folder), options.rounds, options.large, options.count)


def tables(folder: Path, rounds: int, large: int, count: int) -> None:
    print("\n| files | way | seconds | MB/s | of curl |\n|---|---|---:|---:|---:|")
    peaks: dict[str, int] = {}

    os.environ["BENCH_LENGTH"] = str(large * 1_000_000)
    world = World(folder, 20, 0.0)
    try:
        one = world.said["ids"][:1]

        def connector() -> float:
            answer = world.connector(one)
            assert answer["bytes"] == large * 1_000_000, answer
            peaks[f"one of {large} MB"] = answer["peak_bytes"]
            return float(answer["seconds"])

        seconds = best(
            rounds,
            {
                "curl": lambda: world.curl(world.urls()[:1]),
                "curl, then sha256sum": lambda: world.curl(world.urls()[:1], "sha256sum"),
                "SHA-256 of as many bytes in memory, nothing else": lambda: hashing(large),
                "this connector, SHA-256 included": connector,
            },
        )
        rows(f"1 of {large} MB", seconds, large)
        peaks["none (`include_files: false`)"] = world.connector(one, files=False)["peak_bytes"]
    finally:
        world.close()

    world = World(folder, 20, 0.0, GIGABIT)
    try:
        seconds = best(
            rounds,
            {
                "curl": lambda: world.curl(world.urls()[:1]),
                "curl, then sha256sum": lambda: world.curl(world.urls()[:1], "sha256sum"),
                "this connector, SHA-256 included": connector,
            },
        )
        rows(f"1 of {large} MB, 1 Gbit/s", seconds, large)
    finally:
        world.close()

    os.environ["BENCH_LENGTH"] = str(SMALL)
    # Some recordings have no file: enough of them that there are `count` that do.
    world = World(folder, count * 5 // 4, LATENCY)
    try:
        ids, urls = world.said["ids"], world.urls()

        def connector_small() -> float:
            answer = world.connector()
            assert answer["files"] == len(ids) and answer["bytes"] == SMALL * len(ids), answer
            peaks[f"{len(ids)} of 300 kB"] = answer["peak_bytes"]
            return float(answer["seconds"])

        # What a person would do with curl: the same redirect from the provider to its storage host.
        bird = world.said["config"]["bird"]
        endpoint = f"{bird['base_url']}/workspaces/{bird['workspace_id']}/recordings"
        api = [f"{endpoint}/{i}.mp3" for i in ids]
        header = folder / "header"
        header.write_text(f"Authorization: AccessKey {bird['access_key']}")
        seconds = best(
            rounds,
            {
                f"curl --parallel-max {WORKERS}, from the addresses of the API": lambda: world.redirected(api, header),
                f"curl --parallel-max {WORKERS}, signed addresses known before": lambda: world.curl(urls),
                f"this connector, {WORKERS} workers, list and SHA-256 included": connector_small,
            },
        )
        rows(f"{len(ids)} of 300 kB, 50 ms latency", seconds, SMALL * len(ids) / 1e6)
        none = world.connector(files=False)["peak_bytes"]
        peaks["none, list of the small ones"] = none
    finally:
        world.close()

    print("\n| files | peak memory of `read`, MB |\n|---|---:|")
    for what, peak in peaks.items():
        print(f"| {what} | {peak / 1e6:.0f} |")


def rows(what: str, seconds: dict[str, float], megabytes: float) -> None:
    first = next(iter(seconds.values()))
    for name, taken in seconds.items():
        cells = f"{taken:.2f} | {megabytes / taken:.0f} | {first / taken:.2f}"
        print(f"| {what} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
