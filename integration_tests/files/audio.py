"""What the tests of the file streams share: which files there are, where they come from, and whether they are whole."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from integration_tests.syncing import CURSORS, FILE_KEYS, KEYS, Row, Sync, provider_of, sandbox_config, sync
from sandbox import Sandbox
from sandbox.faults import Logged

# Voicemails are too few for what needs some of the last days; test_bird_quo.py has their own tests.
MANY = [stream for stream in FILE_KEYS if stream != "quo_voicemail_files"]
NOW = datetime(2026, 11, 1, 9, 30, 12, tzinfo=timezone.utc)


def media_id_of(stream: str, row: Row) -> str:
    """What the sandbox calls the file."""
    return "/".join(str(row[name]) for name in KEYS[stream])


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
    return [media_id_of(stream, row) for row in rows[:count]]


def one_each(sandbox: Sandbox) -> dict[str, str]:
    return {stream: youngest(sandbox, stream)[0] for stream in MANY}


def path_of(stream: str, media_id: str) -> tuple[str, str]:
    """The host that a file comes from, and what its address there contains."""
    if stream.startswith("amigo"):
        return "amigo", media_id.replace("/", "/download/")
    return "storage", media_id


def downloads(sandbox: Sandbox, stream: str, media_id: str = "") -> list[Logged]:
    host, path = path_of(stream, media_id or "/")
    # Quo's files of both kinds are in one folder.
    kind = {"quo_recording_files": "CR", "quo_voicemail_files": "VM"}.get(stream, "")
    where = path if media_id else ("/download/" if host == "amigo" else f"/{provider_of(stream)}/{kind}")
    return [r for r in sandbox.requests if r.provider == host and where in r.path]


def record_of(result: Sync, stream: str, media_id: str) -> Row:
    (row,) = (row for row in result.records(stream) if media_id_of(stream, row) == media_id)
    return row


def files_in(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


def assert_whole(sandbox: Sandbox, staging: Path, stream: str, row: Row) -> None:
    """What the record says of the file is true, and the file is the provider's."""
    path = staging / row["media_path"]
    media = sandbox.media(provider_of(stream), media_id_of(stream, row))
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


def stored_ids(sandbox: Sandbox, stream: str) -> list[str]:
    rows = [row for row in sandbox.rows(stream) if row["media_status"] == "stored"]
    return [media_id_of(stream, r) for r in rows if r["media_type"] != "application/json"]
