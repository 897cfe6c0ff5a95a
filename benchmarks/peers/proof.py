"""That a program got every row: counted in what it has printed, not in what it was sent."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.peers import answers
from benchmarks.peers.control import Stats
from benchmarks.peers.process import Failed
from benchmarks.peers.work import FILE_SIZE, PAGE, Case, call_ids

Row = dict[str, Any]


def check(system: str, case: Case, output: Path, folder: Path, stats: Stats) -> None:
    """Raises Failed if a row or a file is missing, there twice or not as it was sent."""
    where = f"{system}, {case.work}, {case.name}"
    if system in ("dlt", "raw"):
        # dlt keeps its rows in files of its own and says their number; the raw client does not look at them.
        counted = json.loads(output.read_text())["rows"]
        if counted != case.count:
            raise Failed(f"{where}: {counted} rows of {case.count}")
    else:
        found = [row_id(row) for row in rows(output)]
        if sorted(found) != sorted(expected(case)):
            raise Failed(f"{where}: {len(set(found))} different of {len(found)} rows, not {case.count}")
    asked = {"list": -(-case.count // PAGE), "details": case.count, "files": 2 * case.count}[case.kind]
    if system != "raw" and stats.paths != asked:
        raise Failed(f"{where}: {stats.paths} different requests, not {asked}")
    if case.kind == "files" and system != "raw":
        _check_files(where, case, output, folder)


def _check_files(where: str, case: Case, output: Path, folder: Path) -> None:
    for row in rows(output):
        if sha256(row) != answers.media_sha256(row_id(row).removeprefix("CR")):
            raise Failed(f"{where}: the file of {row_id(row)} has another SHA-256: {row}")
    sizes = [file.stat().st_size for file in folder.rglob("*.mp3")]
    if sizes != [FILE_SIZE] * case.count:
        raise Failed(f"{where}: {len(sizes)} files with {sum(sizes)} bytes")


def rows(output: Path) -> Iterator[Row]:
    """The rows of what a program has printed: JSON lines, bare or as records of a protocol."""
    with output.open("rb") as lines:
        for line in lines:
            message = json.loads(line)
            kind = message.get("type")
            if kind == "RECORD":
                record = message["record"]
                yield record if isinstance(message.get("stream"), str) else record["data"]
            elif "id" in message:
                yield message


def row_id(row: Row) -> str:
    return str(row["recordingId"] if "recordingId" in row else row["id"])


def sha256(row: Row) -> str | None:
    found = row.get("sha256") or row.get("media_sha256")
    return str(found) if found else None


def expected(case: Case) -> list[str]:
    if case.kind == "list":
        return [answers.recording_id(number) for number in range(case.count)]
    return [answers.call_recording_id(call) for call in call_ids(case.count)]
