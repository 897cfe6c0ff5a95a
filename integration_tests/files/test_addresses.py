"""Odd headers and addresses: one bad file takes no other one along, and no neighbour of this machine is asked."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from integration_tests.files.one_file import AUDIO, NOISE, bytes_of, one_file
from integration_tests.files.raw_host import RawHost, answer, as_json
from integration_tests.syncing import sync

# --- one bad file -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {"Last_Modified": "Wed, 25 Nov 2026 08:00:00 -0000", "Date": "Wed, 25 Nov 2026 09:00:00 GMT"},
        {"Last_Modified": "Wed Nov 25 08:00:00 2026", "Date": "Wed, 25 Nov 2026 09:00:00 GMT"},
        {"Last_Modified": "Wed, 25 Nov 2026 08:00:00 GMT", "Date": "Wed Nov 25 09:00:00 2026"},
        {"Last_Modified": "Wed, 99 Nov 99999 08:00:00 +9999", "Date": "now"},
        {"Content_Length": "\u00b2"},
        {"Content_Length": ""},
        {"Content_Length": "-5"},
        {"Content_Range": "bytes \u00b2-\u00b2/\u00b2"},
        {"Content_Type": "\u97f3/\u58f0"},
        {"Content_Type": ";;;"},
        {"ETag": '"\u97f3"'},
        {"Retry_After": "\u00b2"},
        {"X-\u00e9": "\u00e9"},
        {"Content_Encoding": "\u97f3"},
    ],
    ids=ascii,
)
def test_a_header_that_cannot_be_read_is_as_if_it_were_not_there(
    host: RawHost, staging: Path, headers: dict[str, str]
) -> None:
    row, _ = one_file(host, answer(AUDIO, **headers))
    assert bytes_of(row, staging) == AUDIO


@pytest.mark.parametrize(
    "url",
    [
        "https://[bad",
        "https://[::1",
        "https://a..b/x.mp3",
        f"https://{'a' * 64}.example.com/x.mp3",
        "https://" + "\u97f3" * 64 + ".example.com/x.mp3",
        "https://127.0.0.1:99999/x",
        "https://127.0.0.1:port/x",
        "https://127.0.0.1:-1/x",
        "https://",
        "https:///x.mp3",
        "https://?X-Amz-Signature=1",
        "https://a b.example.com/",
        "https://\ud83d/x",
        "no address",
        "ftp://127.0.0.1/x",
        "//127.0.0.1/x",
        "file:///etc/passwd",
        "javascript:alert(1)",
    ],
    ids=ascii,
)  # fmt: skip
def test_an_address_that_is_none_is_an_error_of_that_file(host: RawHost, url: str) -> None:
    row, result = one_file(host, url=f"{url}?X-Amz-Signature=1")
    assert row is None
    (error,) = (e for e in result.errors() if "file" in e and "address" in e)
    assert error.startswith("Quo gave an address")


@pytest.mark.parametrize("url", [None, "", 5, ["https://x"], {"a": 1}, True])
def test_an_address_that_is_no_text_is_missing(host: RawHost, caplog: pytest.LogCaptureFixture, url: Any) -> None:
    row, _ = one_file(host, url=url)
    assert row is not None and row["media_status"] == "missing"
    assert "1 x missing (no address)" in caplog.text


@pytest.mark.parametrize("told", [["audio/wav"], {"a": 1}, 5, True, "", "x", "\u97f3/\u58f0", "a/" + "b" * 9999 + ";"])
def test_a_type_that_is_none(host: RawHost, staging: Path, told: Any) -> None:
    row, _ = one_file(host, answer(NOISE), type=told)
    assert bytes_of(row, staging) == NOISE
    assert row is not None and isinstance(row.get("media_type", ""), str)


@pytest.mark.parametrize("told", [True, -5, "12", [1], 1.5, None])
def test_a_length_that_is_none(host: RawHost, staging: Path, told: Any) -> None:
    media = {"id": "m1", "status": "uploaded"}
    host.answers["/v1/recordings/rec_1"] = as_json({"id": "rec_1", "media": [media]})
    said = {"download_url": f"{host.url}/good", "file_size_bytes": told, "content_type": told}
    host.answers["/v1/recordings/rec_1/download-url"] = as_json(said)
    config = {"bota": {"api_key": "key", "base_url": host.url, "recording_ids": ["rec_1"]}}
    (row,) = sync(config, "bota_recording_files").records("bota_recording_files")
    assert bytes_of(row, staging) == AUDIO
    (row,) = sync(config, "bota_recording_files", include_files=False).records("bota_recording_files")
    assert not isinstance(row.get("media_bytes"), bool | str | list | float)
    assert isinstance(row.get("media_type", ""), str)


@pytest.mark.parametrize("location", ["https://[bad", "http://a b/", "https://127.0.0.1:99999/", ""])
def test_a_redirect_that_leads_nowhere_is_an_error_of_that_file(host: RawHost, location: str) -> None:
    row, result = one_file(host, answer(status="302 x", Location=location))
    assert row is None
    assert any("file" in error for error in result.errors())


# --- redirects ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/Jos\u00e9.mp3".encode(), b"/Jos%C3%A9.mp3"),
        ("/Jos\u00e9.mp3".encode("latin-1"), b"/Jos%E9.mp3"),
        ("/\u97f3/\u58f0?name=\u00e9&sig=a%2Fb%3D".encode(), b"/%E9%9F%B3/%E5%A3%B0?name=%C3%A9&sig=a%2Fb%3D"),
        (b"/Jos%C3%A9.mp3", b"/Jos%C3%A9.mp3"),
        (b"/a%20b.mp3", b"/a%20b.mp3"),
        (b"/a b.mp3", b"/a%20b.mp3"),
        ("/\u00c3\u00a9.mp3".encode(), b"/%C3%83%C2%A9.mp3"),
        ("/\U0001f3b5\u00a0.mp3".encode(), b"/%F0%9F%8E%B5%C2%A0.mp3"),
    ],
    ids=ascii,
)
def test_a_redirect_is_asked_for_byte_for_byte(host: RawHost, staging: Path, location: bytes, asked: bytes) -> None:
    host.answers[asked.partition(b"?")[0].decode()] = answer(AUDIO)
    for prefix in (b"", host.url.encode()):
        row, _ = one_file(host, answer(status="302 x", Location=prefix + location))
        assert bytes_of(row, staging) == AUDIO
        assert host.asked.count(asked) == 1 + (prefix != b"")


# --- neighbours -------------------------------------------------------------------------------------

NEIGHBOURS = [
    "169.254.169.254",
    "169.254.0.1",
    "2852039166",
    "0xA9FEA9FE",
    "0xa9.254.169.0376",
    "0251.0376.0251.0376",
    "169.254.43518",
    "169.254.169.254.",
    "\uff11\uff16\uff19.254.169.254",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[febf::1]",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[::169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "user@169.254.169.254",
]


@pytest.fixture
def never_connected(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """What was connected to outside of 127.0.0.0/8: nothing."""
    connect, seen = socket.socket.connect, []

    def watched(self: socket.socket, address: Any) -> None:
        if str(address[0]).startswith("127."):
            return connect(self, address)
        seen.append(address)
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket.socket, "connect", watched)
    yield seen
    assert seen == []


@pytest.mark.parametrize("address", NEIGHBOURS)
@pytest.mark.parametrize("redirected", [False, True])
def test_a_neighbour_is_never_asked(host: RawHost, never_connected: list[Any], address: str, redirected: bool) -> None:
    url = f"https://{address}/latest?X-Amz-Signature=1"
    host.answers["/to"] = answer(status="302 x", Location=url)
    row, result = one_file(host, url=f"{host.url}/to" if redirected else url)
    assert row is None
    assert any(error.startswith("Quo gave an address") for error in result.errors())


@pytest.mark.parametrize("addresses", [["169.254.169.254"], ["127.0.0.1", "169.254.1.1"], ["fe80::1"]])
def test_a_name_of_a_neighbour_is_never_asked(
    host: RawHost, never_connected: list[Any], monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolve = socket.getaddrinfo

    def resolved(name: Any, port: Any, *more: Any, **named: Any) -> Any:
        if name != "metadata.example.com":
            return resolve(name, port, *more, **named)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)
    row, result = one_file(host, url="https://metadata.example.com/latest")
    assert row is None
    assert any("link-local" in error for error in result.errors())


def test_a_name_that_changes_to_a_neighbour_is_not_asked(host: RawHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the connection: the address that was reached counts."""
    peer = socket.socket.getpeername
    monkeypatch.setattr(socket.socket, "getpeername", lambda self: ("169.254.169.254", peer(self)[1]))
    host.answers["/v1/call-recordings/AC1"] = as_json({"data": [{"id": "x", "status": "completed", "url": host.url}]})
    config = {"quo": {"api_key": "key", "base_url": host.url, "call_ids": ["AC1"]}}
    result = sync(config, "quo_recording_files")
    assert any("link-local" in error for error in result.errors())
    assert host.times("/") == 0


def test_a_provider_that_is_a_neighbour_itself(monkeypatch: pytest.MonkeyPatch, host: RawHost, staging: Path) -> None:
    """Here this machine plays the neighbour."""
    loopback = (ip_network("127.0.0.0/8"),)
    monkeypatch.setattr("source_recordings.http.neighbours._NEIGHBOURS", loopback)
    row, _ = one_file(host, answer(AUDIO))
    assert bytes_of(row, staging) == AUDIO
