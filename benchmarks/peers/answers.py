"""The server's answers as bytes: Bota's list of recordings, Quo's recordings of a call, media files."""

import hashlib
import json
from datetime import datetime, timedelta, timezone
from typing import Any

from benchmarks.peers.work import FILE_SIZE, PAGE

NEWEST = datetime(2025, 6, 1, 12, tzinfo=timezone.utc)
MINUTE = timedelta(minutes=1)

Row = dict[str, Any]


def head(length: int, content_type: str = "application/json", status: str = "200 OK") -> bytes:
    return (f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n").encode()


def whole(body: bytes, status: str = "200 OK") -> bytes:
    return head(len(body), status=status) + body


# Bota: https://docs.bota.dev, GET /v1/recordings, newest first


def recording_id(number: int) -> str:
    return f"rec_{hashlib.blake2b(str(number).encode(), digest_size=10).hexdigest()}"


def recording(number: int) -> Row:
    created = NEWEST - number * MINUTE
    seconds = 30 + number * 7919 % 3600
    ended = created - timedelta(seconds=20)
    key = recording_id(number).removeprefix("rec_")
    return {
        "id": f"rec_{key}",
        "device_id": f"dev_{number % 20:06d}",
        "end_user_id": f"eu_{number % 50:06d}",
        "name": f"Weekly call with the customer, part {number % 12 + 1}",
        "status": "completed",
        "duration_ms": seconds * 1000,
        "started_at": _iso(ended - timedelta(seconds=seconds)),
        "ended_at": _iso(ended),
        "transcription_id": f"txn_{key}",
        "media": [
            {
                "id": f"med_{key}",
                "type": "audio",
                "mime_type": "audio/opus",
                "file_size_bytes": seconds * 4000,
                "status": "uploaded",
                "captured_at": None,
                "created_at": _iso(created),
            }
        ],
        "metadata": {"meeting_type": "sales"},
        "created_at": _iso(created),
        "source": "device",
        "project_id": "proj_1",
        "deleted_at": None,
    }


def pages(count: int) -> dict[bytes, bytes]:
    """Answers by cursor; the first page's is empty."""
    found: dict[bytes, bytes] = {}
    for start in range(0, max(count, 1), PAGE):
        end = min(start + PAGE, count)
        body: Row = {"data": [recording(n) for n in range(start, end)], "has_more": end < count}
        if end < count:
            body["next_cursor"] = _cursor(end)
        found[_cursor(start).encode() if start else b""] = whole(json.dumps(body, separators=(",", ":")).encode())
    return found


def _cursor(start: int) -> str:
    return f"cur{start:08d}"


def _iso(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


# Quo: https://www.quo.com/docs/mdx/api-reference/calls/get-recordings-for-a-call


def call_recording_id(call: str) -> str:
    return f"CR{call.removeprefix('AC')}"


def call_recordings(base_url: str) -> bytes:
    """The answer about one call, with two places `%b` for the digits of its id."""
    row = {
        "duration": 61,
        "id": "CR%b",
        "startTime": "2025-06-01T12:00:00.000Z",
        "status": "completed",
        "type": "audio/mpeg",
        "url": f"{base_url}/media/%b.mp3",
    }
    body = json.dumps({"data": [row]}, separators=(",", ":")).encode()
    return head(len(body % (b"0000000", b"0000000"))) + body


# Files. Each has bytes of its own, so that no program can be right by chance.

_TAIL = hashlib.shake_256(b"audio").digest(FILE_SIZE - 16)


def media_start(digits: str) -> bytes:
    return b"ID3" + digits.encode().rjust(13, b"\0")


def media_answer(digits: str) -> tuple[bytes, bytes]:
    """Two parts: the second is the same for all files and is never copied."""
    return head(FILE_SIZE, "audio/mpeg") + media_start(digits), _TAIL


def media_sha256(digits: str) -> str:
    digest = hashlib.sha256(media_start(digits))
    digest.update(_TAIL)
    return digest.hexdigest()


REFUSED = whole(
    b'{"message":"Too many requests","code":"0500429","status":429,'
    b'"docs":"https://quo.com/docs","title":"Too Many Requests"}',
    "429 Too Many Requests",
)
NOT_FOUND = whole(b'{"message":"Not found"}', "404 Not Found")
