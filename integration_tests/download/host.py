"""A host that answers with exact bytes, and the downloader that asks it."""

from __future__ import annotations

import hashlib
import random
import re
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from source_recordings.files.download import CHUNK, download
from source_recordings.files.source import Api, Source
from source_recordings.files.staging import Part, Staging
from source_recordings.http.storage import Storage

BODY = random.Random(1).randbytes(3 * CHUNK + 12345)
ETAG = 'ETag: "v1"'
Script = Callable[["Request"], bytes]


class Request:
    """One request as it arrived, its answer by script, and whether the connection is cut after it."""

    def __init__(self, head: bytes, peer: Any) -> None:
        lines = head.decode("latin-1").split("\r\n")
        self.path = lines[0].split(" ")[1]
        self.headers = {n.lower(): v for n, _, v in (line.partition(": ") for line in lines[1:] if line)}
        self.peer = peer
        self.cut = False
        self.reset = False

    @property
    def start(self) -> int:
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("range", ""))
        return int(found[1]) if found else 0


class Host:
    """Answers request n with script n, the last one for all further requests."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts
        self.requests: list[Request] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/file?X-Amz-Signature=abc%2Fd"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, peer = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection, peer), daemon=True).start()

    def _serve(self, connection: socket.socket, peer: Any) -> None:
        with closing(connection):
            while True:
                head = b""
                while b"\r\n\r\n" not in head:
                    try:
                        data = connection.recv(65536)
                    except OSError:
                        return
                    if not data:
                        return
                    head += data
                request = Request(head, peer)
                script = self.scripts[min(len(self.requests), len(self.scripts) - 1)]
                self.requests.append(request)
                try:
                    connection.sendall(script(request))
                except OSError:
                    return
                if request.reset:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                if request.cut or request.reset:
                    return


def answer(status: str, *headers: str, body: bytes = b"", length: int | None = -1, version: str = "1.1") -> bytes:
    """`length` None: no Content-Length."""
    lines = [f"HTTP/{version} {status}", *headers]
    if length is not None:
        lines.append(f"Content-Length: {len(body) if length < 0 else length}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def whole(*headers: str, body: bytes = BODY) -> Script:
    """The body, or the range asked for if it is still the file of the ETag given."""

    def script(request: Request) -> bytes:
        validators = [h.partition(": ")[2] for h in headers if h.startswith(("ETag", "Last-Modified"))]
        if request.start and request.headers.get("if-range") in validators:
            total = len(body)
            span = f"Content-Range: bytes {request.start}-{total - 1}/{total}"
            return answer("206 Partial Content", span, *headers, body=body[request.start :])
        return answer("200 OK", *headers, body=body)

    return script


def cut(script: Script, at: int, *, reset: bool = False) -> Script:
    """The same answer, broken off `at` bytes into the body."""

    def shorter(request: Request) -> bytes:
        head, _, body = script(request).partition(b"\r\n\r\n")
        request.cut, request.reset = True, reset
        return head + b"\r\n\r\n" + body[:at]

    return shorter


def fixed(data: bytes, *, then_close: bool = False) -> Script:
    def script(request: Request) -> bytes:
        request.cut = then_close
        return data

    return script


def chunked(body: bytes, *headers: str, pieces: int = 5, end: bool = True) -> bytes:
    size = -(-len(body) // pieces) or 1
    parts = [body[i : i + size] for i in range(0, len(body), size)]
    data = b"".join(f"{len(p):x}\r\n".encode() + p + b"\r\n" for p in parts) + (b"0\r\n\r\n" if end else b"")
    return answer("200 OK", "Transfer-Encoding: chunked", *headers, body=data, length=None)


def source_of(host: Host, renew: Callable[[], str | None] | None = None) -> Source:
    """No credential: every address is a foreign one. Without `renew` it stays the same."""
    api = Api(None, "http://127.0.0.1:1", "Bird")
    return Source(host.url, api, Storage(), renew or (lambda: host.url))


def fetch(
    host: Host,
    staging: Staging,
    *,
    limit: int = 10 * len(BODY),
    expected: int | None = None,
    renew: Callable[[], str | None] | None = None,
    waits: list[float] | None = None,
) -> tuple[bytes, str | None]:
    """The downloaded bytes and their type."""
    with staging.part() as part:
        waits = waits if waits is not None else []
        content_type = download(source_of(host, renew), part, limit, "The file x", expected, waits.append)
        assert part.sha256 == hashlib.sha256(read(part)).hexdigest()
        return read(part), content_type


def read(part: Part) -> bytes:
    assert part._path
    data = part._path.read_bytes()
    assert len(data) == part.size
    return data


def parts_left(staging: Staging) -> list[Path]:
    return list(staging.root.rglob("*.part"))


def until_close(body: bytes, *headers: str) -> Script:
    return fixed(answer("200 OK", *headers, body=body, length=None, version="1.0"), then_close=True)
