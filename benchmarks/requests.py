"""How many requests a sync costs, beside the least that could do; how large state and memory get.

`python -m benchmarks.requests [--size 10000] [--sizes 100 10000 100000]` prints the table of the README as Markdown.
The least of one stream: the pages of the listing that the provider's filters can't narrow, and one detail request for every
call that is new, or whose recording had not reached a final state. The least of all streams of a provider together: as many
requests as are different, those for files included; beside it, what the streams cost one by one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from math import ceil
from pathlib import Path
from typing import Any

from integration_tests.syncing import PRIMARY_KEYS, Row, sandbox_config
from sandbox import Sandbox
from sandbox.faults import Logged
from source_recordings.provider_yaml import load_providers
from source_recordings.unified import UNIFIED

NOW = datetime(2026, 11, 1, 9, 30, tzinfo=timezone.utc)
DAYS = 90
LOOKBACK = timedelta(days=3)


@dataclass(frozen=True)
class Cost:
    """What a stream's requests depend on."""

    listing: str
    page: int
    filtered: bool
    detail_of: str | None = None
    """The field of a record that says which call it was asked for."""
    time: str = ""
    """The field of a listed row that says when, where it is not the one of its creation."""


COSTS = {
    "bird_recordings": Cost("bird_recordings", 99, True),
    "bird_transcriptions": Cost("bird_transcriptions", 99, False),
    "bird_transcripts": Cost("bird_transcriptions", 99, False, "transcriptionId", time="updatedAt"),
    "bird_calls": Cost("bird_calls", 200, True),
    "amigo_calls": Cost("amigo_calls", 100, True),
    "amigo_call_details": Cost("amigo_calls", 100, True, "call_sid"),
    "amigo_recording_metadata": Cost("amigo_calls", 100, True, "call_sid"),
    "amigo_recording_urls": Cost("amigo_calls", 100, True, "call_sid"),
    "quo_calls": Cost("quo_calls", 50, True),
    "quo_call_recordings": Cost("quo_calls", 50, True, "callId"),
    "quo_call_transcripts": Cost("quo_calls", 50, True, "callId"),
    "quo_users": Cost("quo_users", 50, False),
    "quo_phone_numbers": Cost("quo_phone_numbers", 50, False),
    "bota_recordings": Cost("bota_recordings", 100, True),
    "bota_transcriptions": Cost("bota_recordings", 100, True, "id"),
    "bota_summaries": Cost("bota_summaries", 100, True),
    "bota_end_users": Cost("bota_end_users", 100, False),
    "bota_devices": Cost("bota_devices", 100, False),
    "tether_calls": Cost("tether_calls", 50, False),
    "tether_call_recordings": Cost("tether_calls", 50, False, "callId"),
}
# What is worked out after a call at Amigo: details that have all of it are final.
LATE = (
    "call_end_time", "verified_transcript", "quality_score", "call_analysis", "conversation_summary", "safety_summary",
)  # fmt: skip
NEVER_ANSWERED = {
    "queued", "initiated", "ringing", "busy", "failed", "no-answer", "canceled", "missed", "abandoned",
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 10_000, 100_000])
    parser.add_argument("--size", type=int, default=10_000, help="the one whose requests are counted")
    parser.add_argument("--streams", nargs="*", default=list(PRIMARY_KEYS))
    parser.add_argument(
        "--providers", nargs="*", default=list(load_providers()), help="whose streams are read together"
    )
    parser.add_argument(
        "--everybody", action=argparse.BooleanOptionalAction, default=True, help="what the unified streams cost alone"
    )
    options = parser.parse_args()
    sizes = sorted({*options.sizes, options.size})
    heads = [f"{what} ({size:,})" for what in ("state, bytes", "peak, MB") for size in sizes]
    print(
        f"Requests with {options.size:,} recordings a provider over {DAYS} days (needed at least -> made); state and peak "
        "memory after a full sync of as many as the column says:\n"
    )
    print(f"| stream | full sync | 1% new | nothing new | {' | '.join(heads)} |")
    print("|---|" + "---|" * (3 + len(heads)), flush=True)
    for stream in options.streams:
        requests: list[str] = []
        states, peaks = [], []
        for size in sizes:
            with Sandbox(seed=1, size=size, now=NOW, days=DAYS) as sandbox:
                full = run(sandbox, [stream], [], keep=size == options.size)
                states.append(f"{state_bytes(full):,}")
                peaks.append(f"{full['peak_bytes'] / 1e6:.0f}")
                if size == options.size:
                    requests = request_cells(sandbox, stream, full)
        print(f"| `{stream}` | {' | '.join(requests + states + peaks)} |", flush=True)
    together(options.providers, options.size, everybody=options.everybody)


def together(providers: list[str], size: int, *, everybody: bool) -> None:
    """The table of all streams of a provider at once, and of those that are the same for all providers alone."""
    print(
        f"\nAll streams of a provider together, with their files, {size:,} recordings (different requests -> made):\n"
    )
    print("| streams | full sync | 1% new | nothing new | full sync, one by one | peak, MB |")
    print("|---|---|---|---|---|---|", flush=True)
    groups = [
        (f"all of {provider.title}", [provider.name], [*provider.streams, *UNIFIED])
        for provider in load_providers().values()
        if provider.name in providers
    ]
    if everybody:
        groups += [(f"`{name}` of all providers", list(load_providers()), [name]) for name in UNIFIED]
    for title, names, streams in groups:
        with Sandbox(seed=1, size=size, now=NOW, days=DAYS, media_bytes=300) as sandbox:
            cells: list[str] = []
            state: list[Row] = []
            peaks: list[float] = []
            for step in (timedelta(0), timedelta(days=DAYS) / 100, timedelta(0)):
                sandbox.advance(step)
                sandbox.clear_requests()
                answer = run(sandbox, streams, state, names)
                state = answer["state"]
                peaks.append(answer["peak_bytes"] / 1e6)
                cells.append(cell(len(set(map(asked, sandbox.requests))), len(sandbox.requests)))
        with Sandbox(seed=1, size=size, now=NOW, days=DAYS, media_bytes=300) as sandbox:
            for stream in streams:
                run(sandbox, [stream], [], names)
            alone = len(sandbox.requests)
        print(f"| {title} | {' | '.join(cells)} | {alone:,} | {max(peaks):.0f} |", flush=True)


def asked(request: Logged) -> tuple[Any, ...]:
    """Equal for two requests that have the same answer. Signatures of addresses differ; the files behind them do not."""
    query = () if request.provider == "storage" else tuple(sorted(request.query.items()))
    return request.provider, request.method, request.path, query, request.body


def state_bytes(answer: Row) -> int:
    return sum(len(json.dumps(state["stream"]["stream_state"])) for state in answer["state"])


def request_cells(sandbox: Sandbox, stream: str, full: Row) -> list[str]:
    """Needed and made: by the full sync that has just been, by one with 1% new, by one with nothing new."""
    cells = [cell(least(stream, calls(sandbox, stream), set(), None), len(sandbox.requests))]
    settled = final_calls(stream, full["kept"])
    state = full["state"]
    sandbox.advance(timedelta(days=DAYS) / 100)
    for since_last in (timedelta(days=DAYS) / 100, timedelta(0)):
        sandbox.clear_requests()
        since = sandbox.world.now - since_last - LOOKBACK
        answer = run(sandbox, [stream], state, keep=True)
        needed = least(stream, calls(sandbox, stream), settled, since)
        cells.append(cell(needed, len(sandbox.requests)))
        settled |= final_calls(stream, answer["kept"])
        state = answer["state"]
    return cells


def run(
    sandbox: Sandbox, streams: list[str], state: list[Row], providers: list[str] | None = None, *, keep: bool = False
) -> Row:
    """`keep`: the fields of the one stream's records that say what is final. `providers`: the stream's unless told."""
    config = sandbox_config(sandbox, *(providers or [streams[0].split("_", maxsplit=1)[0]]), num_workers=16)
    key = COSTS[streams[0]].detail_of if keep else None
    with tempfile.TemporaryDirectory() as folder:
        job = {
            "config": config,
            "streams": streams,
            "state": state,
            "now": sandbox.world.now.isoformat(),
            "keep": ["status", "transcriptionText", *LATE, key] if key else [],
        }
        file = Path(folder) / "job.json"
        file.write_text(json.dumps(job))
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.one_sync", str(file)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "AIRBYTE_STAGING_DIRECTORY": str(Path(folder) / "staging")},
        )
    answer: Row = json.loads(done.stdout.splitlines()[-1])
    return answer


def calls(sandbox: Sandbox, stream: str) -> list[Row]:
    """The rows of the stream's listing at this moment."""
    return list(sandbox.rows(COSTS[stream].listing))


def least(stream: str, rows: list[Row], settled: set[str], since: datetime | None) -> int:
    """The fewest requests that bring everything that is new or has changed."""
    cost = COSTS[stream]
    window = [r for r in rows if since is None or not cost.filtered or time_of(cost, r) >= since]
    pages = max(1, ceil(len(window) / cost.page))
    if not cost.detail_of:
        return pages
    # A call without a time is in no look-back for sure.
    recent = [r for r in rows if since is None or (has_time(cost, r) and time_of(cost, r) >= since)]
    asked = {detail_key(stream, r) for r in recent} - {None}
    return pages + len(asked - settled)


def time_of(cost: Cost, row: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(str(_time(cost, row) or NOW.isoformat()).replace("Z", "+00:00"))


def has_time(cost: Cost, row: Mapping[str, Any]) -> bool:
    return _time(cost, row) is not None


def _time(cost: Cost, row: Mapping[str, Any]) -> Any:
    return row.get(cost.time) or row.get("createdAt") or row.get("created_at") or row.get("started_at")


def detail_key(stream: str, row: Mapping[str, Any]) -> str | None:
    """The call or transcription that a row leads to a request for; None if to none."""
    if stream == "amigo_call_details":
        talked = row.get("turns") != 0 and row["status"] in ("in-progress", "completed", "unknown")
        return row.get("call_sid") if talked else None
    if stream.startswith("amigo"):
        return row.get("call_sid") if row.get("has_recording") else None
    if stream.startswith("bird"):
        return row["id"] if row["status"] == "available" else None
    if stream.startswith("bota"):
        return row.get("transcription_id")
    if stream.startswith("tether"):
        return row["callId"] if row.get("status") == "completed" else None
    answered = row.get("answeredAt") or row.get("aiHandled") or row["status"] not in NEVER_ANSWERED
    return row["id"] if answered else None


def final_calls(stream: str, kept: list[Row]) -> set[str]:
    """The calls that need not be asked for again."""
    key = COSTS[stream].detail_of
    if not key:
        return set()
    final: set[str] = set()
    open_: set[str] = set()
    for row in kept:
        over = (
            stream.startswith(("amigo", "bird"))
            or row.get("status") in ("completed", "failed", "deleted")
            or (stream == "tether_call_recordings" and row.get("transcriptionText") is not None)
        )
        if stream == "amigo_call_details":
            over = all(row.get(name) is not None for name in LATE)
        (final if over else open_).add(row[key])
    return final - open_


def cell(needed: int, made: int) -> str:
    return f"{needed:,} -> {made:,} ({100 * (made - needed) / needed:+.1f}%)"


if __name__ == "__main__":
    main()
