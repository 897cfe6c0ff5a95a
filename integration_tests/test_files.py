"""The audio: every file whole and byte for byte, once, under a safe name, and the credential nowhere but at its host."""

import hashlib
import http.server
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import quote

import pytest
from airbyte_cdk.models import AirbyteMessageSerializer, ConfiguredAirbyteCatalogSerializer

from integration_tests.conftest import REPOSITORY, Program
from integration_tests.syncing import FILE_KEYS, Row, Sync, catalog_of, clock_of, keys, sandbox_config, sync
from sandbox import Sandbox
from sandbox.faults import Logged
from source_recordings.run import logger
from source_recordings.source import SourceRecordings
from unit_tests.harness import Connector

NOW = datetime(2026, 11, 1, 9, 30, 12, tzinfo=timezone.utc)
MEDIA_ID: dict[str, Callable[[Row], str]] = {
    "amigo_recording_files": lambda row: f"{row['call_sid']}/{row['filename']}",
    "bird_recording_files": lambda row: str(row["recordingId"]),
    "bota_recording_files": lambda row: str(row["media_id"]),
    "quo_recording_files": lambda row: str(row["recordingId"]),
    "tether_recording_files": lambda row: str(row["callId"]),
}
CURSORS = {
    "amigo_recording_files": "call_started_at",
    "bird_recording_files": "recordingCreatedAt",
    "bota_recording_files": "recording_created_at",
    "quo_recording_files": "callCreatedAt",
    "tether_recording_files": "callCreatedAt",
}


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(seed=11, size=60, now=NOW, media_bytes=6000) as started, clock_of(started):
        yield started


@pytest.fixture
def no_waits() -> Iterator[None]:
    """Retries without their waits."""
    with patch("time.sleep"), patch("source_recordings.files.download.backoff", lambda _: 0.0):
        yield


def provider_of(stream: str) -> str:
    return stream.partition("_")[0]


def read_all(sandbox: Sandbox, state: Iterable[Row] = (), **more: Any) -> Sync:
    return sync(sandbox_config(sandbox, **more), *FILE_KEYS, state=state)


def stored(result: Sync, stream: str) -> list[Row]:
    return [row for row in result.records(stream) if row["media_status"] == "stored"]


def all_stored(result: Sync) -> list[Row]:
    return [row for stream in FILE_KEYS for row in stored(result, stream)]


def youngest(sandbox: Sandbox, stream: str, count: int = 1) -> list[str]:
    """The ids of the youngest files that a request brings: they are inside the look-back."""
    inline = {r["callId"] for r in sandbox.rows("tether_call_recordings") if "audioData" in r}
    rows = [
        row
        for row in sandbox.rows(stream)
        if row["media_status"] == "stored"
        and row["media_type"] != "application/json"
        and row.get("callId") not in inline
        and row.get(CURSORS[stream])
    ]
    rows.sort(key=lambda row: str(row[CURSORS[stream]]), reverse=True)
    assert str(rows[count - 1][CURSORS[stream]]) > (NOW - timedelta(days=3)).isoformat()
    return [MEDIA_ID[stream](row) for row in rows[:count]]


def one_each(sandbox: Sandbox) -> dict[str, str]:
    return {stream: youngest(sandbox, stream)[0] for stream in FILE_KEYS}


def path_of(stream: str, media_id: str) -> tuple[str, str]:
    """The host that a file comes from, and what its address there contains."""
    if stream.startswith("amigo"):
        return "amigo", media_id.replace("/", "/download/")
    return "storage", media_id


def downloads(sandbox: Sandbox, stream: str, media_id: str = "") -> list[Logged]:
    host, path = path_of(stream, media_id or "/")
    where = path if media_id else ("/download/" if host == "amigo" else f"/{provider_of(stream)}/")
    return [r for r in sandbox.requests if r.provider == host and where in r.path]


def record_of(result: Sync, stream: str, media_id: str) -> Row:
    (row,) = (row for row in result.records(stream) if MEDIA_ID[stream](row) == media_id)
    return row


def files_in(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def assert_whole(sandbox: Sandbox, staging: Path, stream: str, row: Row) -> None:
    """What the record says of the file is true, and the file is the provider's."""
    path = staging / row["media_path"]
    media = sandbox.media(provider_of(stream), MEDIA_ID[stream](row))
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for piece in media.read():
            assert file.read(len(piece)) == piece
            digest.update(piece)
        assert file.read(1) == b""
    assert row["media_bytes"] == path.stat().st_size == media.size
    assert row["media_sha256"] == digest.hexdigest()
    assert row["media_type"] == media.content_type
    assert path.resolve().is_relative_to(staging.resolve())


class OtherHost:
    """A host that is not the provider's: it notes the headers that it gets and answers as it is told."""

    def __init__(self) -> None:
        self.headers: list[dict[str, str]] = []
        self.body = b"some audio"
        self.send_first: int | None = None
        """Answers wait after this many bytes until `go_on` is set."""
        self.go_on = threading.Event()
        self.open = self.most_open = 0
        lock, host = threading.Lock(), self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with lock:
                    host.headers.append({k.lower(): v for k, v in self.headers.items()})
                    host.open += 1
                    host.most_open = max(host.open, host.most_open)
                first = len(host.body) if host.send_first is None else host.send_first
                self.send_response(200)
                self.send_header("Content-Type", "audio/mpeg")
                self.send_header("Content-Length", str(len(host.body)))
                self.end_headers()
                self.wfile.write(host.body[:first])
                self.wfile.flush()
                if first < len(host.body):
                    host.go_on.wait(60)
                    self.wfile.write(host.body[first:])
                with lock:
                    host.open -= 1

            def log_message(self, *_: object) -> None:
                """Not on stderr."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/audio.mp3"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def other_host() -> Iterator[OtherHost]:
    host = OtherHost()
    yield host
    host.close()


# --- every file -----------------------------------------------------------------------------


def test_every_file_of_every_provider_byte_for_byte(sandbox: Sandbox, staging: Path) -> None:
    """And the record's reference leads the platform to it; no storage host gets a credential, no record a signature."""
    result = read_all(sandbox)

    assert not result.failed
    for stream in FILE_KEYS:
        truth = {MEDIA_ID[stream](row): row for row in sandbox.rows(stream)}
        rows = result.records(stream)
        assert Counter(keys(sandbox, stream, rows)) == Counter(map(tuple, sandbox.truth(stream)))
        assert stored(result, stream)
        for row in rows:
            expected = truth[MEDIA_ID[stream](row)]
            assert {name: row.get(name) for name in expected} == expected
            if row["media_status"] == "stored":
                assert_whole(sandbox, staging, stream, row)
                provider, year, month, name = row["media_path"].split("/")
                created = row.get(CURSORS[stream]) or "0000-00"
                assert (provider, f"{year}-{month}") == (provider_of(stream), created[:7])
                assert all(part in name for part in MEDIA_ID[stream](row).split("/"))
            else:
                assert "media_path" not in row and "media_sha256" not in row
    paths = [row["media_path"] for row in all_stored(result)]
    assert len(paths) == len(set(paths))
    assert files_in(staging) == set(paths)

    for message in result.messages:
        assert "X-Amz-Signature" not in json.dumps(message)
        if message["type"] == "RECORD":
            row, reference = message["record"]["data"], message["record"].get("file_reference")
            if row["media_status"] == "stored":
                assert reference == {
                    "staging_file_url": str(staging / row["media_path"]),
                    "source_file_relative_path": row["media_path"],
                    "file_size_bytes": row["media_bytes"],
                }
            else:
                assert reference is None
    asked = [r for r in sandbox.requests if r.provider == "storage"]
    assert asked
    for request in asked:
        assert not {"authorization", "cookie", "referer"} & {n.lower() for n in request.headers}


def test_the_catalog_says_that_the_streams_have_files(connector: Connector, sandbox: Sandbox) -> None:
    offered = connector.discover(sandbox_config(sandbox)).streams
    with_files = {name for name, stream in offered.items() if stream.get("is_file_based")}
    assert with_files == set(FILE_KEYS)


def test_the_ids_that_the_config_names(sandbox: Sandbox, staging: Path) -> None:
    """Without a listing: the same files of the same recordings."""
    wanted = {
        "bird_recording_files": ("recording_ids", "recordingId"),
        "amigo_recording_files": ("call_sids", "call_sid"),
        "bota_recording_files": ("recording_ids", "recording_id"),
        "tether_recording_files": ("call_ids", "callId"),
        "quo_recording_files": ("call_ids", "callId"),
    }
    config = sandbox_config(sandbox)
    everything = sync(config, *FILE_KEYS)
    expected: dict[str, Any] = {}
    for stream, (key, field) in wanted.items():
        ids = [r[field] for r in stored(everything, stream)][:2]
        config[provider_of(stream)][key] = list(dict.fromkeys(ids))
        rows = [r for r in everything.records(stream) if r[field] in ids]
        expected[stream] = {MEDIA_ID[stream](r): r.get("media_sha256") for r in rows}
    result = sync(config, *FILE_KEYS)
    for stream in wanted:
        got = {MEDIA_ID[stream](r): r.get("media_sha256") for r in result.records(stream)}
        assert got == expected[stream]
        for row in stored(result, stream):
            assert_whole(sandbox, staging, stream, row)


# --- sizes ----------------------------------------------------------------------------------


def test_files_of_any_size(sandbox: Sandbox, staging: Path) -> None:
    sizes = {}
    for stream in FILE_KEYS:
        ids = stored_ids(sandbox, stream)[:3]
        sizes[stream] = dict(zip(ids, (2, 300_000, 1), strict=True))
        sandbox.knobs.media_sizes.update(sizes[stream])
    result = read_all(sandbox)
    for stream in FILE_KEYS:
        for media_id, size in sizes[stream].items():
            row = record_of(result, stream, media_id)
            assert row["media_bytes"] == size
            assert_whole(sandbox, staging, stream, row)


def stored_ids(sandbox: Sandbox, stream: str) -> list[str]:
    rows = [row for row in sandbox.rows(stream) if row["media_status"] == "stored"]
    return [MEDIA_ID[stream](r) for r in rows if r["media_type"] != "application/json"]


def test_300_megabytes(sandbox: Sandbox, staging: Path) -> None:
    stream = "bird_recording_files"
    media_id = youngest(sandbox, stream)[0]
    sandbox.knobs.media_sizes[media_id] = 300_000_000
    config = sandbox_config(sandbox, "bird")
    config["bird"]["recording_ids"] = [media_id]
    (row,) = sync(config, stream).records(stream)
    assert row["media_bytes"] == 300_000_000
    assert_whole(sandbox, staging, stream, row)
    (staging / row["media_path"]).unlink()


@pytest.mark.parametrize("told", [True, False])
def test_a_file_over_the_limit_is_not_stored(sandbox: Sandbox, staging: Path, told: bool) -> None:
    """Whether its host tells its length or not."""
    sandbox.knobs.content_length = told
    large = {stream: stored_ids(sandbox, stream)[-1] for stream in FILE_KEYS}
    fitting = {stream: stored_ids(sandbox, stream)[-2] for stream in FILE_KEYS}
    sandbox.knobs.media_sizes.update(dict.fromkeys(large.values(), 1_000_001))
    sandbox.knobs.media_sizes.update(dict.fromkeys(fitting.values(), 1_000_000))
    result = read_all(sandbox, max_file_size_mb=1)
    assert not result.failed
    for stream in FILE_KEYS:
        row = record_of(result, stream, large[stream])
        assert row["media_status"] == "too_large"
        assert "media_path" not in row and "media_sha256" not in row
        if told:
            assert row["media_bytes"] == 1_000_001
        assert_whole(sandbox, staging, stream, record_of(result, stream, fitting[stream]))
    assert files_in(staging) == {row["media_path"] for row in all_stored(result)}
    # What the provider itself calls too large is not asked for.
    assert downloads(sandbox, "bota_recording_files", fitting["bota_recording_files"])
    assert not downloads(sandbox, "bota_recording_files", large["bota_recording_files"])


# --- connections that break -----------------------------------------------------------------


@pytest.mark.parametrize("length", [True, False])
def test_a_broken_connection_is_resumed(sandbox: Sandbox, staging: Path, length: bool, no_waits: None) -> None:
    sandbox.knobs.content_length = length
    broken = one_each(sandbox)
    for stream, media_id in broken.items():
        sandbox.knobs.media_sizes[media_id] = 1_200_000
        host, path = path_of(stream, media_id)
        sandbox.fault(host, path, kind="truncate", times=2)
    result = read_all(sandbox)
    for stream, media_id in broken.items():
        assert_whole(sandbox, staging, stream, record_of(result, stream, media_id))
        asked = downloads(sandbox, stream, media_id)
        assert [r.status for r in asked] == [200, 206, 206]
        starts = [int(r.headers["Range"].removeprefix("bytes=").rstrip("-")) for r in asked[1:]]
        assert 0 < starts[0] < starts[1] < 1_200_000
        assert all(r.headers["If-Range"] for r in asked[1:])


def test_a_host_without_ranges_is_asked_from_the_start(sandbox: Sandbox, staging: Path, no_waits: None) -> None:
    sandbox.knobs.ranges = False
    stream = "quo_recording_files"
    (media_id,) = youngest(sandbox, stream)
    sandbox.fault("storage", media_id, kind="truncate", times=2)
    result = sync(sandbox_config(sandbox, "quo"), stream)
    assert_whole(sandbox, staging, stream, record_of(result, stream, media_id))


@pytest.mark.parametrize("ranges", [True, False])
def test_a_body_of_the_wrong_length_is_never_stored(
    sandbox: Sandbox, staging: Path, ranges: bool, no_waits: None
) -> None:
    """All other files are, the stream ends as incomplete, and the next sync brings the file that is missing."""
    sandbox.knobs.ranges = ranges
    broken = one_each(sandbox)
    for stream, media_id in broken.items():
        sandbox.fault(*path_of(stream, media_id), kind="truncate")
    first = read_all(sandbox)
    assert first.failed
    assert sum("could not be downloaded" in e for e in first.errors()) >= len(FILE_KEYS)
    assert not any("Signature" in json.dumps(m) for m in first.messages)
    got: dict[str, set[Any]] = {}
    for stream in FILE_KEYS:
        assert first.statuses(stream)[-1] == "INCOMPLETE"
        got[stream] = set(keys(sandbox, stream, first.records(stream)))
        assert len(got[stream]) == len(sandbox.truth(stream)) - 1
    assert files_in(staging) == {row["media_path"] for row in all_stored(first)}

    sandbox.clear_faults()
    second = read_all(sandbox, first.state)
    assert not second.failed
    for stream, media_id in broken.items():
        assert_whole(sandbox, staging, stream, record_of(second, stream, media_id))
        got[stream] |= set(keys(sandbox, stream, second.records(stream)))
        assert got[stream] == set(map(tuple, sandbox.truth(stream)))


def test_an_old_file_that_fails_for_ever_costs_later_syncs_nothing_but_itself(
    sandbox: Sandbox, staging: Path, no_waits: None
) -> None:
    """The state has a hole in its place: what is older and what is younger is not downloaded again."""
    old = {stream: stored_ids(sandbox, stream)[0] for stream in FILE_KEYS}
    inline = {row["callId"] for row in sandbox.rows("tether_call_recordings") if "audioData" in row}
    old["tether_recording_files"] = next(i for i in stored_ids(sandbox, "tether_recording_files") if i not in inline)
    for stream, media_id in old.items():
        host, path = path_of(stream, media_id)
        sandbox.fault(host, path, status=402)
    result = read_all(sandbox)
    assert result.failed
    for _ in range(3):
        sandbox.advance(timedelta(hours=1))
        there = [r["media_path"] for r in all_stored(result)]
        assert set(there) <= files_in(staging)
        sandbox.clear_requests()
        result = read_all(sandbox, result.state)
        assert result.failed
        for stream, media_id in old.items():
            asked = downloads(sandbox, stream)
            fresh = len(stored(result, stream))
            assert [r.status for r in asked].count(200) <= fresh <= 3, stream
            assert len(downloads(sandbox, stream, media_id)) == 1
    sandbox.clear_faults()
    result = read_all(sandbox, result.state)
    assert not result.failed
    for stream, media_id in old.items():
        assert_whole(sandbox, staging, stream, record_of(result, stream, media_id))


# --- addresses that have run out, files that are not there -----------------------------------


def test_an_expired_address_is_asked_for_again(sandbox: Sandbox, staging: Path) -> None:
    chosen = one_each(sandbox)
    del chosen["amigo_recording_files"]  # they come from its own API, nobody signs a URL
    for stream, media_id in chosen.items():
        sandbox.fault(*path_of(stream, media_id), status=403, times=1)
    result = read_all(sandbox)
    assert not result.failed
    for stream, media_id in chosen.items():
        assert_whole(sandbox, staging, stream, record_of(result, stream, media_id))
        assert [r.status for r in downloads(sandbox, stream, media_id)] == [403, 200]


def test_addresses_that_all_run_out_before_they_are_used(sandbox: Sandbox, staging: Path) -> None:
    """The second ones are good: the storage host's clock tells them from the first."""
    stream = "bota_recording_files"
    expired: list[str] = []

    def expire(request: Logged) -> None:
        if request.provider == "storage" and not expired:
            expired.append(request.path)
            sandbox.expire_urls()

    sandbox.on_request(expire)
    result = sync(sandbox_config(sandbox, "bota"), stream)
    assert len(stored(result, stream)) == len(sandbox.truth(stream))
    assert [r.status for r in downloads(sandbox, stream)].count(403) >= 1
    for row in stored(result, stream):
        assert_whole(sandbox, staging, stream, row)


def test_what_is_expired_or_missing_is_no_error_and_tried_again(sandbox: Sandbox, staging: Path) -> None:
    """And the other files of the same call are not downloaded again with it."""
    expired = one_each(sandbox)
    del expired["amigo_recording_files"]
    gone = {stream: youngest(sandbox, stream, 2)[1] for stream in FILE_KEYS}
    for stream, media_id in expired.items():
        sandbox.fault(*path_of(stream, media_id), status=403)
    for number, (stream, media_id) in enumerate(gone.items()):
        sandbox.fault(*path_of(stream, media_id), status=(404, 410)[number % 2])
    first = read_all(sandbox)
    assert not first.failed
    for status, asked, chosen in (("expired", 2, expired), ("missing", 1, gone)):
        for stream, media_id in chosen.items():
            row = record_of(first, stream, media_id)
            assert row["media_status"] == status
            assert "media_path" not in row
            assert len(downloads(sandbox, stream, media_id)) == asked

    sandbox.clear_faults()
    second = read_all(sandbox, first.state)
    for stream in FILE_KEYS:
        again = {MEDIA_ID[stream](row): row for row in stored(second, stream)}
        assert set(again) == {gone[stream], expired.get(stream, gone[stream])}
        for row in again.values():
            assert_whole(sandbox, staging, stream, row)


def test_a_recording_without_an_address_is_missing(sandbox: Sandbox) -> None:
    row = {"id": "CR1", "status": "completed", "url": None}
    sandbox.fault("quo", "/call-recordings/", status=200, body={"data": [row]})
    config = sandbox_config(sandbox, "quo")
    config["quo"]["call_ids"] = ["AC1"]
    (record,) = sync(config, "quo_recording_files").records("quo_recording_files")
    assert record == {"recordingId": "CR1", "callId": "AC1", "media_status": "missing"}


# --- credentials ----------------------------------------------------------------------------


def test_no_credential_goes_to_another_host(sandbox: Sandbox, staging: Path, other_host: OtherHost) -> None:
    """Not with Bird's redirect, nor with an address of another host in an answer."""
    url = other_host.url
    quo = {"id": "x", "status": "completed", "url": url}
    sandbox.fault("bird", r"\.mp3$", status=307, headers={"Location": url})
    sandbox.fault("amigo", "/urls$", status=200, body={"call_sid": "x", "inbound_url": url})
    sandbox.fault("quo", "/call-recordings/", status=200, body={"data": [quo]})
    sandbox.fault("bota", "/download-url$", status=200, body={"media_id": "x", "download_url": url})
    sandbox.fault("tether", "/recording$", status=200, body={"success": True, "audioUrl": url})
    result = read_all(sandbox)
    assert all(stored(result, stream) for stream in FILE_KEYS)
    assert len(other_host.headers) == len(all_stored(result))
    for headers in other_host.headers:
        assert not {"authorization", "cookie", "referer"} & set(headers)
    for row in all_stored(result):
        assert (staging / row["media_path"]).read_bytes() == other_host.body
    asked = [r for r in sandbox.requests if r.path.endswith(".mp3")]
    assert asked and all(r.headers["Authorization"].startswith("AccessKey ") for r in asked)


# --- names ----------------------------------------------------------------------------------

HOSTILE = [
    "../../../../etc/cron.d/evil",
    "/etc/passwd",
    "..",
    ".",
    "a\x00b",
    "x" * 5000,
    "C:\\windows\\evil",
    "CON",
    "-rf",
    "\N{SNOWMAN}\n",
    "a/../b",
    "{{ config }}",
]


@pytest.mark.parametrize("provider", ["amigo", "quo"])
def test_no_name_leaves_the_staging_directory(
    sandbox: Sandbox, staging: Path, other_host: OtherHost, provider: str
) -> None:
    """Whatever ids a provider sends: as many files as ids, all of them below its folder."""
    stream = f"{provider}_recording_files"
    config = sandbox_config(sandbox, provider)
    if provider == "quo":
        config["quo"]["call_ids"] = ["AC1"]
        rows = [{"id": i, "status": "completed", "url": other_host.url} for i in HOSTILE]
        sandbox.fault("quo", "/call-recordings/", status=200, body={"data": rows})
    else:
        config["amigo"]["call_sids"] = [f"CA{number}" for number in range(len(HOSTILE))]
        for number, name in enumerate(HOSTILE):
            url = f"{other_host.url}/{quote(name, safe='')}"
            body = {"call_sid": f"{name}{number}", "inbound_url": url}
            sandbox.fault("amigo", f"/CA{number}/urls$", status=200, body=body)
    result = sync(config, stream)
    rows = stored(result, stream)
    assert len({row["media_path"] for row in rows}) == len(HOSTILE)
    assert files_in(staging) == {row["media_path"] for row in rows}
    for row in rows:
        assert row["media_path"].startswith(f"{provider}/")
        assert (staging / row["media_path"]).resolve().is_relative_to(staging.resolve() / provider)
    assert files_in(staging.parent) == {f"staging/{row['media_path']}" for row in rows}


# --- without files, again, killed, side by side -----------------------------------------------


def test_records_without_files(sandbox: Sandbox, staging: Path) -> None:
    """`include_files: false` of the configured stream."""
    result = sync(sandbox_config(sandbox), *FILE_KEYS, include_files=False)
    assert not result.failed
    for stream in FILE_KEYS:
        rows = result.records(stream)
        assert set(keys(sandbox, stream, rows)) == set(map(tuple, sandbox.truth(stream)))
        assert not any("media_status" in r or "media_path" in r for r in rows)
    assert not any(m["record"].get("file_reference") for m in result.messages if "record" in m)
    assert not staging.exists() or files_in(staging) == set()
    for request in sandbox.requests:
        assert request.provider != "storage"
        assert not request.path.endswith(".mp3") and "/download/" not in request.path


def test_nothing_is_downloaded_twice(sandbox: Sandbox, staging: Path) -> None:
    """While recordings appear and settle, each file comes once; right after a sync, none does."""
    state: list[Row] = []
    delivered: Counter[tuple[Any, ...]] = Counter()
    for hours in (0, 9, 40, 0):
        sandbox.advance(timedelta(hours=hours))
        sandbox.clear_requests()
        result = read_all(sandbox, state)
        state = result.state
        assert not result.failed
        for stream in FILE_KEYS:
            for row in stored(result, stream):
                assert_whole(sandbox, staging, stream, row)
            got = keys(sandbox, stream, stored(result, stream))
            delivered.update((stream, key) for key in got)
            there = [r for r in sandbox.rows(stream) if r["media_status"] == "stored"]
            assert {(stream, key) for key in keys(sandbox, stream, there)} <= set(delivered)
            downloaded = [r for r in downloads(sandbox, stream) if r.status == 200]
            assert len(downloaded) <= len(got)
    assert all_stored(result) == []
    assert max(delivered.values()) == 1


def test_a_recording_that_changed_is_downloaded_again(sandbox: Sandbox, staging: Path) -> None:
    stream = "bird_recording_files"
    config = sandbox_config(sandbox, "bird")
    (media_id,) = youngest(sandbox, stream)
    first = sync(config, stream)
    bird: Any = sandbox.providers["bird"]
    before = bird.recording

    def changed(index: int) -> Row:
        row: Row = before(index)
        return row | ({"updatedAt": "2026-11-01T09:00:00Z"} if row["id"] == media_id else {})

    sandbox.knobs.media_sizes[media_id] = 7777
    with patch.object(bird, "recording", changed):
        second = sync(config, stream, state=first.state)
    (row,) = second.records(stream)
    assert (row["recordingId"], row["media_bytes"]) == (media_id, 7777)
    assert row["media_path"] == record_of(first, stream, media_id)["media_path"]
    assert_whole(sandbox, staging, stream, row)


def test_a_killed_download_leaves_no_half_file(
    sandbox: Sandbox, staging: Path, other_host: OtherHost, program: Program
) -> None:
    """What it leaves is a part, which the next sync removes before it does anything else."""
    stream = "bird_recording_files"
    (media_id,) = youngest(sandbox, stream)
    config = sandbox_config(sandbox, "bird")
    config["bird"]["recording_ids"] = [media_id]
    other_host.body, other_host.send_first = bytes(2_000_000), 1_000_000
    sandbox.fault("bird", r"\.mp3$", status=307, headers={"Location": other_host.url}, times=1)
    catalog = ConfiguredAirbyteCatalogSerializer.dump(catalog_of(config, stream))
    arguments = ["--config", program.file("config.json", config)]
    arguments += ["--catalog", program.file("catalog.json", catalog)]
    process = subprocess.Popen(
        [sys.executable, "-m", "source_recordings", "read", *arguments], stdout=subprocess.DEVNULL, cwd=REPOSITORY
    )
    try:
        wait_for(lambda: any(p.stat().st_size > 0 for p in staging.glob(".parts/*.part")))
    finally:
        process.kill()
        process.wait()
    (left,) = files_in(staging)
    assert left.startswith(".parts/") and left.endswith(".part")

    # A sync that reads no file yet: the first request finds the part gone.
    seen: list[set[str]] = []
    sandbox.on_request(lambda r: seen.append(files_in(staging)) if ".mp3" in r.path else None)
    (row,) = sync(config, stream).records(stream)
    assert all(left not in files for files in seen) and seen
    assert_whole(sandbox, staging, stream, row)
    assert files_in(staging) == {row["media_path"]}


def test_downloads_run_side_by_side_and_no_other_stream_waits_for_them(sandbox: Sandbox, other_host: OtherHost) -> None:
    other_host.send_first = 3
    sandbox.fault("bird", r"\.mp3$", status=307, headers={"Location": other_host.url})
    others = ("bird_recordings", "quo_call_recordings")
    config = sandbox_config(sandbox, "bird", "quo", num_workers=4)
    with in_background(config, "bird_recording_files", *others) as result:
        wait_for(lambda: all(result.statuses(s)[-1:] == ["COMPLETE"] for s in others))
        wait_for(lambda: other_host.open == 4)
        assert not result.records("bird_recording_files")
        other_host.go_on.set()
    assert result.statuses("bird_recording_files")[-1] == "COMPLETE"
    assert len(result.records("bird_recording_files")) == len(sandbox.truth("bird_recording_files"))
    assert other_host.most_open == 4


@contextmanager
def in_background(config: Row, *streams: str) -> Iterator[Sync]:
    """A sync that runs while this is entered and is over afterwards; its messages come as they are printed."""
    result = Sync()
    catalog = catalog_of(config, *streams)
    source = SourceRecordings(catalog=catalog, config=config, state=[])

    def read() -> None:
        for message in source.read(logger, config, catalog, []):
            result.messages.append(json.loads(json.dumps(AirbyteMessageSerializer.dump(message))))

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    yield result
    thread.join(60)
    assert not thread.is_alive()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
