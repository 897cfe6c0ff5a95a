"""One odd file between two good ones: whole syncs against a host of exact bytes."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
from pathlib import Path
from typing import Any

from integration_tests.files.raw_host import Answer, RawHost, as_json
from integration_tests.syncing import Row, Sync, sync

AUDIO = b"ID3\x04\0\0" + random.Random(2).randbytes(3000)
NOISE = b"\x80\x01" + random.Random(4).randbytes(3000)
PACKED = gzip.compress(AUDIO)
MP3 = "audio/mpeg"
# A hundred letters, so that a page is longer than what is looked at.
PAGE = b"<html>expired</html>"
LONG = "lorem ipsum " * 100


def recordings(host: RawHost, rows: list[Row], **more: Any) -> Sync:
    """A sync of the files of one call that has these recordings and, first and last, two good ones."""
    good = {"status": "completed", "url": f"{host.url}/good"}
    listed = [{"id": "first", **good}, *({"status": "completed", **row} for row in rows), {"id": "last", **good}]
    host.answers["/v1/call-recordings/AC1"] = as_json({"data": listed})
    config = {"quo": {"api_key": "key", "base_url": host.url, "call_ids": ["AC1"]}}
    result = sync(config | more, "quo_recording_files")
    stored = {row["recordingId"]: row for row in result.records("quo_recording_files")}
    for name in ("first", "last"):
        assert stored[name]["media_status"] == "stored"
        assert stored[name]["media_sha256"] == hashlib.sha256(AUDIO).hexdigest()
    return result


def one_file(host: RawHost, given: Answer | None = None, **row: Any) -> tuple[Row | None, Sync]:
    """The record of a file that is answered like this, None if it is an error."""
    if given is not None:
        host.answers["/odd"] = given
    result = recordings(host, [{"id": "odd", "url": f"{host.url}/odd", **row}])
    found = [r for r in result.records("quo_recording_files") if r["recordingId"] == "odd"]
    assert len(found) == (0 if result.failed else 1)
    assert "Signature" not in json.dumps(result.messages)
    return (found[0] if found else None), result


def bytes_of(row: Row | None, staging: Path) -> bytes:
    assert row is not None
    return staging.joinpath(row["media_path"]).read_bytes()
