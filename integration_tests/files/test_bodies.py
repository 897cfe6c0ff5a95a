"""What comes in the place of a recording is not stored, what is one is, and never short or mixed."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from integration_tests.files.one_file import AUDIO, LONG, MP3, NOISE, PACKED, PAGE, bytes_of, one_file
from integration_tests.files.raw_host import Answer, RawHost, answer, as_json
from integration_tests.syncing import sync

# --- what is no recording ---------------------------------------------------------------------

WORKSPACE = "8bc02f53-87ac-48d2-b4fd-c2cf856a305f"


NO_RECORDING: dict[str, tuple[str | None, bytes]] = {
    "nothing": (MP3, b""),
    "nothing without a type": (None, b""),
    "page": ("text/html", PAGE),
    "page called audio": (MP3, PAGE),
    "page without a type": (None, b"<!DOCTYPE html>\n<title>Sign in</title>" + LONG.encode()),
    "page with a mark and blanks": (MP3, b"\xef\xbb\xbf \r\n<!-- a --><HTML lang=en>" + LONG.encode()),
    "page in UTF-16": ("audio/wav", "\ufeff<html><p>\u97f3</p></html>".encode("utf-16-le")),
    "page in UTF-16, bare": ("audio/wav", "<html><p>x</p></html>".encode("utf-16-be")),
    "page in Latin-1": (MP3, b"<html><p>Lien expir\xe9</p></html>"),
    "page that ends within a letter": (MP3, ("<p>" + "\u97f3" * 2000).encode()),
    "XML": ("application/xml", b"<Error/>"),
    "XML called audio": ("audio/wav", b'<?xml version="1.0"?>\n<Error><Code>AccessDenied</Code></Error>'),
    "JSON": ("application/json", b'{"error":"no"}'),
    "JSON called audio": (MP3, b'{"error":"no"}'),
    "JSON of unknown type": ("application/octet-stream", b' \n[{"error": "no"}]'),
    "JSON, empty": (MP3, b"{}"),
    "JSON, null": (MP3, b"null"),
    "JSON, a text": (MP3, b'"not found"'),
    "JSON, long": (MP3, json.dumps({"error": LONG + "\u97f3" * 900}, ensure_ascii=False).encode()),
    "JSON in UTF-16": (MP3, '{"error": 1}'.encode("utf-16")),
    "problem": ("application/problem+json", b"no recording"),
    "words": ("text/plain; charset=utf-8", b"The link has expired."),
    "words called a page": ("text/html", b"Access denied"),
}


@pytest.mark.parametrize("name", NO_RECORDING)
def test_what_is_no_recording_is_missing(
    host: RawHost, staging: Path, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    """With a warning that says what came, and a count."""
    content_type, body = NO_RECORDING[name]
    headers = {"Content_Type": content_type} if content_type else {}
    row, _ = one_file(host, answer(body, **headers))
    assert row == {"recordingId": "odd", "callId": "AC1", "media_status": "missing"}
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert any("in the place of a recording's file" in warning and "Quo" in warning for warning in warnings)
    assert "1 x missing (" in caplog.text
    assert len([p for p in staging.rglob("*") if p.is_file()]) == 2


def riff(kind: bytes) -> bytes:
    return b"RIFF\x24\x08\0\0" + kind + NOISE


RECORDING: dict[str, tuple[str | None, bytes, str | None]] = {
    "audio": (MP3, AUDIO, MP3),
    "audio of unknown type": ("application/octet-stream", AUDIO, MP3),
    "audio without a type": (None, AUDIO, MP3),
    "audio called a page": ("text/html; charset=utf-8", AUDIO, MP3),
    "audio called JSON": ("application/json", riff(b"WAVEfmt "), "audio/wav"),
    "audio called XML": ("text/xml", b"OggS\0\x02" + NOISE, "audio/ogg"),
    "audio called text": ("text/plain", b"fLaC\0" + NOISE, "audio/flac"),
    "audio called other audio": ("audio/wav", AUDIO, MP3),
    "frames without a type": (None, b"\xff\xfb\x90\x64" + NOISE, MP3),
    "frames called a page": ("text/html", b"\xff\xf3\x82\xc4" + NOISE, MP3),
    "AAC": ("binary/octet-stream", b"\xff\xf1\x50\x80" + NOISE, "audio/aac"),
    "AMR": (None, b"#!AMR\n" + NOISE, "audio/amr"),
    "MP4": ("application/octet-stream", b"\0\0\0\x20ftypM4A \0" + NOISE, "audio/mp4"),
    "MP4, as it is called": ("audio/mp4", b"\0\0\0\x20ftypisom\0" + NOISE, "audio/mp4"),
    "Opus, as it is called": ("audio/opus", b"OggS\0\x02" + NOISE, "audio/opus"),
    "WAV, as it is called": ("audio/x-wav", riff(b"WAVEfmt "), "audio/x-wav"),
    "noise": ("audio/basic", NOISE, "audio/basic"),
    "noise without a type": (None, NOISE, None),
    "noise called a page": ("text/html", NOISE, None),
    "noise that begins like a page": (MP3, b"<html" + NOISE, MP3),
    "noise that begins like JSON": (MP3, b'{"' + NOISE, MP3),
    "digits": (MP3, b"0123456789" * 40, MP3),
    "words called audio": (MP3, b"some audio", MP3),
    "a type that is none": ("no type at all", AUDIO, MP3),
    "a type with a letter that is none": ("audio/mp\u00e9g", AUDIO, MP3),
    "encrypted": (MP3, b"BOTAENC2" + NOISE, "application/octet-stream"),
}


@pytest.mark.parametrize("name", RECORDING)
def test_a_recording_is_stored_whatever_its_host_calls_it(host: RawHost, staging: Path, name: str) -> None:
    content_type, body, expected = RECORDING[name]
    row, _ = one_file(host, answer(body, **({"Content_Type": content_type} if content_type else {})))
    assert row is not None and row["media_status"] == "stored"
    assert bytes_of(row, staging) == body
    assert row.get("media_type") == expected


def test_the_recording_comes_with_a_later_sync(host: RawHost, staging: Path) -> None:
    first, _ = one_file(host, answer(PAGE, Content_Type="text/html"))
    second, _ = one_file(host, answer(AUDIO, Content_Type=MP3))
    assert first is not None and first["media_status"] == "missing"
    assert bytes_of(second, staging) == AUDIO


@pytest.mark.parametrize(
    ("file", "body", "status"),
    [
        ("metadata.json", b'{"call": 1}', "stored"),
        ("metadata.json", PAGE, "missing"),
        ("metadata.json", b"", "missing"),
        ("about", b'{"call": 1}', "stored"),
        ("about", b"<Error/>", "missing"),
    ],
)
def test_json_where_json_was_promised(host: RawHost, file: str, body: bytes, status: str) -> None:
    """The third of Amigo's files, whatever its name is."""
    endpoint = f"/v1/{WORKSPACE}/recordings/CA1"
    host.answers[f"{endpoint}/urls"] = as_json({"call_sid": "CA1", "inbound_url": "a.wav", "metadata_url": file})
    host.answers[f"{endpoint}/download/a.wav"] = answer(b'{"call": 1}', Content_Type="application/json")
    host.answers[f"{endpoint}/download/{file}"] = answer(body)
    config = {"amigo": {"api_key": "key", "workspace_id": WORKSPACE, "base_url": host.url, "call_sids": ["CA1"]}}
    rows = {row["filename"]: row for row in sync(config, "amigo_recording_files").records("amigo_recording_files")}
    assert rows["a.wav"]["media_status"] == "missing"
    assert rows[file]["media_status"] == status


# --- bodies that break off, or are mixed --------------------------------------------------------


def one_after_the_other(*answers: Answer) -> Callable[[bytes], bytes]:
    """The last one for all further requests."""
    left = list(answers)

    def next_one(head: bytes) -> bytes:
        found = left.pop(0) if len(left) > 1 else left[0]
        return found if isinstance(found, bytes) else found(head)

    return next_one


SHORT = AUDIO[:1000]
ETAG = '"v1"'
DATES = {"Last_Modified": "Sat, 01 Jan 2022 00:00:00 GMT", "Date": "Sat, 01 Jan 2022 00:01:00 GMT"}
BROKEN_OFF = answer(SHORT, length=str(len(AUDIO)), ETag=ETAG, Content_Type=MP3)
NO_MORE = f"bytes */{len(SHORT)}"
OTHER = AUDIO[::-1]
LATER = "Sun, 02 Jan 2022 00:00:00 GMT"
BROKEN_OFF_DATED = answer(SHORT, length=str(len(AUDIO)), **DATES)


def rest_of_another_file(**headers: str) -> bytes:
    span = f"bytes {len(SHORT)}-{len(AUDIO) - 1}/{len(AUDIO)}"
    return answer(OTHER[len(SHORT) :], "206 Partial Content", Content_Range=span, **headers)


CHUNKED_AND_CUT = {"length": "", "Content_Encoding": "gzip", "Transfer_Encoding": "chunked"}
MIXED: dict[str, tuple[Answer, ...]] = {
    "416 of the part's length, though more was promised": (
        BROKEN_OFF,
        answer(status="416 x", Content_Range=NO_MORE),
        answer(AUDIO, ETag=ETAG),
    ),
    "416 of another file": (BROKEN_OFF, answer(status="416 x", Content_Range=NO_MORE, ETag='"v2"'), answer(AUDIO)),
    "206 that does not say of which file": (BROKEN_OFF, rest_of_another_file(), answer(AUDIO)),
    "206 with a weak tag": (BROKEN_OFF, rest_of_another_file(ETag='W/"v1"'), answer(AUDIO)),
    "206 with a date for a tag": (BROKEN_OFF, rest_of_another_file(**DATES), answer(AUDIO)),
    "206 of a later date": (BROKEN_OFF_DATED, rest_of_another_file(Last_Modified=LATER), answer(AUDIO)),
    "206 without the date": (BROKEN_OFF_DATED, rest_of_another_file(), answer(AUDIO)),
    "206 that nobody has asked for": (answer(SHORT, length=str(len(AUDIO))), rest_of_another_file(), answer(AUDIO)),
    "206 of a compressed file": (BROKEN_OFF, rest_of_another_file(ETag=ETAG, Content_Encoding="gzip"), answer(AUDIO)),
    "gzip, cut, of the length that was told": (answer(PACKED[:2000], Content_Encoding="gzip"), answer(AUDIO)),
    "gzip without its sum": (answer(PACKED[:-3], Content_Encoding="x-gzip"), answer(PACKED, Content_Encoding="x-gzip")),
    "deflate, cut": (answer(zlib.compress(AUDIO)[:-5], Content_Encoding="deflate"), answer(AUDIO)),
    "gzip, cut, in whole chunks": (
        answer(b"7d0\r\n" + PACKED[:2000] + b"\r\n0\r\n\r\n", **CHUNKED_AND_CUT),
        answer(AUDIO),
    ),
    # Python reads these lengths, HTTP does not.
    "length 1_000": (answer(AUDIO, length="1_000"), answer(AUDIO)),
    "length +1000": (answer(AUDIO, length="+1000"), answer(AUDIO)),
}


@pytest.mark.parametrize("name", MIXED)
def test_no_file_is_short_or_mixed(host: RawHost, staging: Path, name: str) -> None:
    row, _ = one_file(host, one_after_the_other(*MIXED[name]))
    assert bytes_of(row, staging) == AUDIO


def deflated(data: bytes) -> bytes:
    """Without zlib's frame."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", PACKED),
        ("GZIP", PACKED),
        ("gzip", gzip.compress(AUDIO[:99]) + gzip.compress(AUDIO[99:]) + bytes(9)),
        ("gzip, gzip", gzip.compress(PACKED)),
        ("deflate", zlib.compress(AUDIO)),
        ("deflate", deflated(AUDIO)),
        ("aws-chunked", AUDIO),
        ("utf-8", AUDIO),
        ("identity", AUDIO),
    ],
)
def test_a_compressed_file_comes_unpacked(host: RawHost, staging: Path, encoding: str, body: bytes) -> None:
    row, _ = one_file(host, answer(body, Content_Encoding=encoding))
    assert bytes_of(row, staging) == AUDIO


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, br"])
def test_what_cannot_be_unpacked_is_an_error_of_that_file(host: RawHost, encoding: str) -> None:
    row, result = one_file(host, answer(NOISE, Content_Encoding=encoding))
    assert row is None
    assert any("The file quo/odd could not be downloaded" in error for error in result.errors())
