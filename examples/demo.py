"""The demo: five made-up accounts, synced into a DuckDB file with PyAirbyte. `make demo` runs it.

The sandbox plays the five providers on this machine. Each further run moves its clock on by a day and syncs what has
happened since. All that the demo writes is in one folder.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import datetime, timedelta, timezone
from pathlib import Path
from threading import Event, Thread
from typing import Any
from urllib.request import Request, urlopen

from report import REPORT, write_report
from tables import DATABASE, MEDIA, connect, print_table, query, say, shortest

ROOT = Path(__file__).resolve().parent.parent
# The recordings at the beginning are spread over this many days.
DAYS = 30
# The world begins this long ago, so that there are days to move on to.
HEAD_START = timedelta(days=60)
STEP = timedelta(days=1)
STOPPED = Event()
NOTE = (
    "Five made-up accounts, played by the sandbox of this project. Their audio is noise behind the header of an audio "
    "file: WAV files play, most others are refused by a browser."
)

# The two newest files of each provider with what was said; the times of day have no zone and are UTC.
RECORDINGS = """
with recordings as (
    select 'bird' as provider, f.recordingcreatedat as created_at, r.duration as seconds, t.text as words, media_path
    from bird_recording_files f
    join bird_recordings r on r.id = f.recordingid
    left join bird_transcripts t using (recordingid)
    union all
    select 'amigo', f.call_started_at, r.duration_seconds,
        coalesce(d.turns ->> '$[0].user_transcript', d.turns ->> '$[0].agent_transcript'), media_path
    from amigo_recording_files f
    join amigo_recording_metadata r using (call_sid)
    left join amigo_call_details d using (call_sid)
    where media_type like 'audio/%'
    union all
    select 'quo', f.callcreatedat, r.duration, t.dialogue ->> '$[0].content', media_path
    from quo_recording_files f
    join quo_call_recordings r on r.id = f.recordingid
    left join quo_call_transcripts t on t.callid = f.callid
    union all
    select 'bota', f.recording_created_at, r.duration_ms // 1000, t.text, media_path
    from bota_recording_files f
    join bota_recordings r on r.id = f.recording_id
    left join bota_transcriptions t on t.recording_id = r.id
    union all
    select 'tether', f.callcreatedat, r.duration, r.transcriptiontext, media_path
    from tether_recording_files f join tether_call_recordings r using (callid)
)
select media_path, seconds::bigint, coalesce(replace(words[:36], chr(10), ' '), '')
from recordings
where media_path is not null and seconds between 1 and 86400
qualify row_number() over (partition by provider order by words is null, created_at desc) <= 2
order by provider, created_at desc
"""


def main() -> None:
    options = _options()
    folder: Path = options.folder.resolve()
    if options.sql is not None:
        show(folder, options.sql or "show tables")
        return
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    folder.mkdir(parents=True, exist_ok=True)
    world = World(folder / "world.json", options.size)
    began = time.monotonic()
    try:
        with sandbox(folder, world) as control:
            sync(folder, world, control)
    except KeyboardInterrupt:
        sys.exit("\nStopped. What was not yet synced comes with the next run.")
    world.save()
    say(f"\nDone in {time.monotonic() - began:.0f} seconds. Run it again: a day will have passed in the sandbox.")


def stop(*_: object) -> None:
    """Ends the demo, and with it the sandbox."""
    STOPPED.set()
    raise KeyboardInterrupt


class World:
    """Which made-up world the folder has synced, and what time it is there now."""

    def __init__(self, file: Path, size: int) -> None:
        self._file = file
        today = datetime.now(timezone.utc).replace(microsecond=0)
        if file.exists():
            saved = json.loads(file.read_text(encoding="utf-8"))
            self.began = datetime.fromisoformat(saved["began"])
            self.size: int = saved["size"]
            self.first_requests: dict[str, int] | None = saved["first_requests"]
            # Not past this machine's clock: the connector does not ask for the future.
            self.now = min(datetime.fromisoformat(saved["now"]) + STEP, today)
        else:
            self.began = self.now = today - HEAD_START
            self.size = size
            self.first_requests = None

    def save(self) -> None:
        saved = {
            "began": self.began.isoformat(),
            "now": self.now.isoformat(),
            "size": self.size,
            "first_requests": self.first_requests,
        }
        self._file.write_text(json.dumps(saved, indent=2) + "\n", encoding="utf-8")


@contextmanager
def sandbox(folder: Path, world: World) -> Iterator[str]:
    """Runs the sandbox at the world's time and gives the address of its control app.

    Should this program be killed, the sandbox ends by itself: its standard input closes.
    """
    command = [sys.executable, "-m", "sandbox", "--until-stdin-closes"]
    command += ["--size", str(world.size), "--days", str(DAYS), "--now", world.began.isoformat()]
    with (folder / "sandbox.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,  # Ctrl-C is for this program, which then ends the sandbox
        )
    try:
        assert process.stdout
        where = process.stdout.readline()
        if not where:
            sys.exit(f"The sandbox did not start, see {folder / 'sandbox.log'}.")
        control: str = json.loads(where)["control"]
        ask(control, "POST", "/advance", {"seconds": (world.now - world.began).total_seconds()})
        yield control
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def ask(control: str, method: str, path: str, body: Any = None) -> Any:
    """One request to the sandbox's control app."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(control + path, data, method=method), timeout=30) as response:
        answer = response.read()
    return json.loads(answer) if answer else None


def sync(folder: Path, world: World, control: str) -> None:
    """Syncs all streams and tells what came."""
    config = ask(control, "GET", "/config?login=true")
    # The sandbox enforces no rate limits: without these lines the demo would wait for the real providers' limits.
    config["bird"]["requests_per_second"] = 1000
    config["quo"]["requests_per_second"] = 1000
    config["bota"]["requests_per_minute"] = 100_000
    # The sandbox's today is not this machine's.
    config["end_date"] = world.now.strftime("%Y-%m-%dT%H:%M:%SZ")

    say(f"It is {world.now:%d %B %Y} in the sandbox. Loading PyAirbyte ...")
    with quiet(folder):
        ab = _pyairbyte(folder)
        source = ab.get_source(
            "source-recordings", config=config, local_executable=Path(sys.executable).with_name("source-recordings")
        )
        say("Checking the connection to the five providers ...")
        source.check()
        source.select_all_streams()
        streams = sorted(source.get_selected_streams())
        before = row_counts(folder, streams)
        ask(control, "DELETE", "/requests")
        say(f"Syncing {len(streams)} streams ...")
        began = datetime.now(timezone.utc)
        cache = ab.DuckDBCache(db_path=folder / DATABASE, cache_dir=folder / "cache")
        with cache, progress(control):
            source.read(cache)
    requests = Counter(row["provider"] for row in ask(control, "GET", "/requests"))

    tell_streams(folder, streams, before, began)
    tell_requests(requests, world.first_requests)
    tell_recordings(folder)
    write_report(folder, NOTE)
    tell_how_to_query(folder)
    world.first_requests = world.first_requests or dict(requests)


def _pyairbyte(folder: Path) -> Any:
    """Imports PyAirbyte, which reads its settings from the environment while it is imported."""
    os.environ["AIRBYTE_OFFLINE_MODE"] = "1"  # no look-up in Airbyte's registry
    os.environ["DO_NOT_TRACK"] = "1"
    os.environ["AIRBYTE_PROJECT_DIR"] = str(folder)
    os.environ["AIRBYTE_STAGING_DIRECTORY"] = str(folder / MEDIA)  # where the connector puts files
    os.environ["AIRBYTE_LOGGING_ROOT"] = str(folder / "logs")
    os.environ["NO_LIVE_PROGRESS"] = "1"
    warnings.simplefilter("ignore")
    import airbyte

    if STOPPED.is_set():  # one of the many modules has swallowed the interrupt
        raise KeyboardInterrupt
    return airbyte


@contextmanager
def quiet(folder: Path) -> Iterator[None]:
    """What PyAirbyte prints goes to a file."""
    with (folder / "pyairbyte.log").open("w", encoding="utf-8") as log, redirect_stdout(log), redirect_stderr(log):
        yield


@contextmanager
def progress(control: str) -> Iterator[None]:
    """Says every few seconds how many requests the providers have answered."""
    done = Event()

    def watch() -> None:
        began = time.monotonic()
        while not done.wait(2):
            requests = Counter(row["provider"] for row in ask(control, "GET", "/requests"))
            shown = ", ".join(f"{name} {count}" for name, count in sorted(requests.items()))
            say(f"  {time.monotonic() - began:3.0f} s  requests so far: {shown or 'none'}")

    thread = Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def show(folder: Path, sql: str) -> None:
    """Prints what a query gives as a table."""
    import duckdb

    try:
        with connect(folder) as connection:
            connection.sql(sql).show(max_width=120)
    except duckdb.Error as error:
        sys.exit(str(error))


def row_counts(folder: Path, streams: Sequence[str], condition: str = "true") -> dict[str, int]:
    """How many rows of each stream's table meet a condition; 0 before there is a table."""
    if not (folder / DATABASE).exists():
        return dict.fromkeys(streams, 0)
    tables = {name for (name,) in query(folder, "select table_name from information_schema.tables")}
    return {
        name: query(folder, f'select count(*) from "{name}" where {condition}')[0][0] if name in tables else 0
        for name in streams
    }


def tell_streams(folder: Path, streams: Sequence[str], before: dict[str, int], began: datetime) -> None:
    """Prints how many rows each stream has, and which of them this sync brought."""
    after = row_counts(folder, streams)
    # DuckDB keeps UTC without saying so.
    written = row_counts(folder, streams, f"_airbyte_extracted_at >= '{began:%Y-%m-%d %H:%M:%S}'")
    new = {name: after[name] - before[name] for name in streams}
    again = {name: written[name] - new[name] for name in streams}
    counts = (after, new, again)
    rows: list[tuple[Any, ...]] = [(name, *(c[name] for c in counts)) for name in streams]
    rows.append(("all", *(sum(c.values()) for c in counts)))
    print_table(("stream", "rows", "new", "read again"), rows)


def tell_requests(requests: dict[str, int], first: dict[str, int] | None) -> None:
    """Prints what the sync cost, beside the first one's cost."""
    names = sorted(requests)
    rows = [(name, requests[name], *([first.get(name, 0)] if first else [])) for name in names]
    rows.append(("all", sum(requests.values()), *([sum(first.values())] if first else [])))
    print_table(("provider", "requests", *(["first sync"] if first else [])), rows)


def tell_recordings(folder: Path) -> None:
    """Prints a few rows."""
    print_table(("file", "seconds", "first words"), query(folder, RECORDINGS))


def tell_how_to_query(folder: Path) -> None:
    """Prints where all is."""
    shown = shortest(folder)
    files = [file for file in (folder / MEDIA).rglob("*") if file.is_file()]
    megabytes = sum(file.stat().st_size for file in files) / 1e6
    say(f"\nAudio and video: {len(files):,} files, {megabytes:.0f} MB, in {shown / MEDIA}.")
    say(f"Rows: {shown / DATABASE}, a table for each stream. To query them:")
    say('  make query SQL="select status, count(*) from bird_recordings group by status"')
    say(f"or with DuckDB's own program: duckdb {shown / DATABASE}")
    say(f"To read and listen: open {shown / REPORT} in a browser. Questions over all providers: make questions")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=ROOT / "demo", help="where all is written")
    parser.add_argument("--size", type=int, default=200, help="recordings per provider at the beginning")
    parser.add_argument("--sql", help="query the rows instead of syncing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
